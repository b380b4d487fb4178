//! `init`: writes a complete project.

use std::path::{Path, PathBuf};

use super::print;
use crate::cli::{self, DestinationKind};
use crate::config::raw::is_project_name;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::scaffold::write::{self, Fate};
use crate::scaffold::{self, File};
use crate::talk::Talk;

pub(super) fn run(base: &Path, arguments: cli::Init, talk: &Talk) -> Result<u8> {
    let cli::Init {
        dir,
        name,
        destination,
        adopt,
        list,
    } = arguments;
    let folder: PathBuf = base.join(dir).components().collect();
    let files = scaffold::files(&project_name(&folder, name)?, destination.name());
    if list {
        return print(&listing(&folder, &files));
    }
    let fates = write::fates(&folder, &files);
    let blocked: Vec<&str> = fates
        .iter()
        .filter_map(|fate| match fate {
            Fate::Blocked(reason) => Some(reason.as_str()),
            Fate::Written | Fate::LeftAlone => None,
        })
        .collect();
    let kept: Vec<&str> = files
        .iter()
        .zip(&fates)
        .filter(|(_, fate)| **fate == Fate::LeftAlone)
        .map(|(file, _)| file.path)
        .collect();
    if !blocked.is_empty() {
        let mut reasons = blocked;
        reasons.dedup();
        return Err(Error::new(
            ExitCode::Usage,
            format!(
                "the project does not fit into `{}`; nothing was written",
                folder.display()
            ),
        )
        .because(reasons.join("; "))
        .hint("move what is in the way, or choose another folder"));
    }
    let written = if folder.symlink_metadata().is_err() {
        write::new_folder(&folder, &files)?;
        files.len()
    } else {
        if !adopt {
            refuse_unless_empty(&folder)?;
        }
        write::missing(&folder, &files)?.len()
    };
    talk.say(&format!("{written} files written to {}", folder.display()));
    if !kept.is_empty() {
        talk.say(&format!(
            "left alone, because they were there:\n  {}",
            kept.join("\n  ")
        ));
    }
    if matches!(destination, DestinationKind::Sagemaker) {
        talk.say("SageMaker: fill in the comments at the end of mlaction.toml");
    }
    talk.say(&next_steps(&folder, base));
    Ok(0)
}

fn project_name(folder: &Path, name: Option<String>) -> Result<String> {
    let bad = |message: String| {
        Error::new(ExitCode::Usage, message)
            .hint("a name has letters, digits and inner hyphens, at most 40: `--name churn-model`")
    };
    match name {
        Some(name) if is_project_name(&name) => Ok(name),
        Some(name) => Err(bad(format!("`{name}` is not a project's name"))),
        None => {
            let place = folder
                .canonicalize()
                .unwrap_or_else(|_| folder.to_path_buf());
            scaffold::name_from(&place).ok_or_else(|| {
                bad(format!(
                    "`{}` gives no name for the project",
                    place.display()
                ))
            })
        }
    }
}

/// A repository without files, as GitHub makes it, counts as empty.
fn refuse_unless_empty(folder: &Path) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).doing(|| format!("cannot write to `{}`", folder.display()))?;
    let (staging, mut names): (Vec<String>, Vec<String>) = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .partition(|name| write::is_staging(name));
    names.retain(|name| name != ".git");
    if names.is_empty() {
        return Ok(());
    }
    if !staging.is_empty() {
        let part = format!(
            "an interrupted `init` left a part of a project in `{}`",
            folder.display()
        );
        return Err(
            Error::new(ExitCode::Usage, part).hint("`mlaction init --adopt` writes the rest")
        );
    }
    Err(Error::new(
        ExitCode::Usage,
        format!("`{}` is not empty; nothing was written", folder.display()),
    )
    .hint("`--adopt` adds what is missing and overwrites nothing; `--list` shows it first"))
}

fn listing(folder: &Path, files: &[File]) -> String {
    let fates = write::fates(folder, files);
    files
        .iter()
        .zip(fates)
        .map(|(file, fate)| match fate {
            Fate::Written => format!("write  {}\n", file.path),
            Fate::LeftAlone => format!("keep   {}\n", file.path),
            Fate::Blocked(reason) => format!("fails  {}: {reason}\n", file.path),
        })
        .collect()
}

fn next_steps(folder: &Path, base: &Path) -> String {
    let place: PathBuf = folder
        .strip_prefix(base)
        .unwrap_or(folder)
        .components()
        .collect();
    let enter = match place.as_os_str().is_empty() || place == Path::new(".") {
        true => String::new(),
        false => format!("  cd {}\n", place.display()),
    };
    format!("next:\n{enter}  mlaction train\n  mlaction baseline set")
}
