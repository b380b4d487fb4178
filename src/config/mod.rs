//! `mlaction.toml`: read strictly, every mistake reported at once with its place.
//!
//! Two passes: [`check`] holds the document against the schema of [`raw::RawConfig`], then
//! [`rules`] looks at what a schema cannot say, also when the first pass found mistakes. Both only
//! read files of the project.

mod aws;
pub mod check;
mod destinations;
pub mod duration;
pub mod places;
pub mod problem;
pub mod raw;
pub mod rules;
mod salvage;
pub mod schema;

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use crate::error::{Error, ExitCode, Note, Result};
use problem::Problem;
use raw::RawConfig;

/// The file's name.
pub const FILE_NAME: &str = "mlaction.toml";

/// A config file is small; a large one is a mistake or an attack.
const MAX_BYTES: u64 = 1024 * 1024;

/// A project's configuration: valid by itself and against the project's files.
#[derive(Debug)]
pub struct Config {
    /// The project's folder.
    pub root: PathBuf,
    /// The settings.
    pub raw: RawConfig,
    /// The hyperparameters as the job gets them, from the table or the file.
    pub hyperparameters: indexmap::IndexMap<String, String>,
}

/// Finds the project's folder: the nearest one upwards that holds `mlaction.toml`.
///
/// # Errors
/// When there is none.
pub fn find_root(from: &Path) -> Result<PathBuf> {
    let start = from.canonicalize().map_err(|cause| {
        Error::new(
            ExitCode::Usage,
            format!("there is no folder `{}`", from.display()),
        )
        .because(cause)
    })?;
    if start.to_str().is_none() {
        let name = start.display();
        return Err(
            Error::new(ExitCode::Usage, format!("the path `{name}` is not UTF-8"))
                .hint("rename the folder: plans and reports are JSON, which cannot name it"),
        );
    }
    start.ancestors().find(|dir| dir.join(FILE_NAME).is_file()).map(Path::to_path_buf).ok_or_else(|| {
        Error::new(ExitCode::Config, format!("there is no {FILE_NAME} in `{}` or above it", start.display()))
            .hint("`mlaction init my-project` writes a project that works; `mlaction init --adopt` adds to an existing one")
    })
}

/// The project's folder where somebody else's commit is checked out: this one, and no other that a
/// link leads to or that lies above it.
///
/// # Errors
/// When there is none, or a link.
pub fn exact_root(folder: &Path) -> Result<PathBuf> {
    let root = find_root(folder)?;
    let mut steps = folder.components().scan(PathBuf::new(), |path, part| {
        path.push(part);
        Some(path.clone())
    });
    let is_link = |path: &Path| path.is_symlink();
    let link = steps.find(|path| path.is_relative() && is_link(path));
    let file = folder.join(FILE_NAME);
    let link = link.or_else(|| Some(file.clone()).filter(|file| is_link(file)));
    if let Some(link) = link {
        let message = format!("`{}` is a link", link.display());
        return Err(Error::new(ExitCode::Config, message)
            .hint("in a workflow, the project and its mlaction.toml lie where they are named"));
    }
    if !file.is_file() {
        let message = format!("there is no `{}`", file.display());
        return Err(Error::new(ExitCode::Config, message)
            .hint("`working_directory` is the folder with mlaction.toml"));
    }
    Ok(root)
}

/// Reads and checks the configuration of the project in `root`.
///
/// # Errors
/// One error that shows every problem of the file, with excerpts.
pub fn load(root: &Path, color: bool) -> Result<Config> {
    of_source(root, &source(root)?, color)
}

/// The text of the project's configuration.
///
/// # Errors
/// It cannot be read, or is no text of a sensible size.
pub fn source(root: &Path) -> Result<String> {
    read(&root.join(FILE_NAME))
}

/// The project's name and its destination, of a configuration that may be wrong otherwise.
#[must_use]
pub fn names(source: &str) -> Option<(String, String)> {
    let table: toml::Table = toml::from_str(source).ok()?;
    let project = table.get("project")?;
    let text = |key: &str| project.get(key).and_then(toml::Value::as_str);
    let destination = text("destination").unwrap_or("process");
    Some((text("name")?.to_owned(), destination.to_owned()))
}

/// Checks the configuration of the project in `root`, in place of the one that lies there.
///
/// # Errors
/// As for [`load`].
pub fn of_source(root: &Path, source: &str, color: bool) -> Result<Config> {
    parse(root, source).map_err(|problems| {
        let count = match problems.len() {
            1 => "1 problem".to_owned(),
            n if n > check::MANY => format!("{n} problems (the first {} are shown)", check::MANY),
            n => format!("{n} problems"),
        };
        let shown = &problems[..problems.len().min(check::MANY)];
        let note = |problem: &Problem| {
            let (line, _) = problem.position(source)?;
            Some(Note {
                path: root.join(FILE_NAME),
                line,
                text: problem.message.clone(),
            })
        };
        Error::new(ExitCode::Config, format!("{count} in {FILE_NAME}"))
            .rendered(problem::render(shown, FILE_NAME, source, color))
            .noted(shown.iter().filter_map(note).collect())
    })
}

fn read(path: &Path) -> Result<String> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::new(
            ExitCode::Config,
            format!("cannot read `{}`", path.display()),
        )
        .because(cause)
    };
    let size = std::fs::metadata(path)
        .map_err(|cause| failed(&cause))?
        .len();
    if size > MAX_BYTES {
        return Err(failed(&format!(
            "it has {size} bytes; a config file has at most {MAX_BYTES}"
        )));
    }
    let bytes = std::fs::read(path).map_err(|cause| failed(&cause))?;
    String::from_utf8(bytes).map_err(|cause| failed(&format!("it is not UTF-8 ({cause})")))
}

/// Parses and checks a configuration text for the project in `root`.
///
/// # Errors
/// Every problem, in the file's order.
pub fn parse(root: &Path, source: &str) -> Result<Config, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(source);
    if let Some(first) = errors.first() {
        // A bracket that is never closed makes an error of each line after it.
        let problem = Problem::new(first.message(), first.span(), "here");
        return Err(vec![match errors.len() {
            1 => problem,
            more => problem.help(format!(
                "{} more errors after it may have the same cause",
                more - 1
            )),
        }]);
    }
    let (problems, places) = check::check(&document, &schema::schema());
    if !problems.is_empty() {
        return Err(with_rules(root, source, &document, &places, problems));
    }
    let raw: RawConfig = toml::from_str(source)
        .map_err(|error| vec![Problem::new(error.message(), error.span(), "here")])?;
    let mut rules = rules::Rules::new(root, source, &places);
    let hyperparameters = rules.apply(&raw);
    match rules.finish() {
        problems if problems.is_empty() => Ok(Config {
            root: root.to_path_buf(),
            raw,
            hyperparameters,
        }),
        problems => Err(problems),
    }
}

/// The lines, from 1, where the gates of a configuration begin, by metric. A text that cannot be
/// read has none.
#[must_use]
pub fn gate_lines(source: &str) -> indexmap::IndexMap<String, usize> {
    let (document, _) = DeTable::parse_recoverable(source);
    let (_, places) = check::check(&document, &schema::schema());
    let gates = document.get_ref().get("gates");
    let names = gates.and_then(|gates| gates.get_ref().as_table());
    let line = |name: &str| {
        let start = places.key(&["gates", name])?.start;
        Some(source.get(..start)?.matches('\n').count() + 1)
    };
    let names = names.into_iter().flatten();
    names
        .filter_map(|(name, _)| Some((name.get_ref().to_string(), line(name.get_ref())?)))
        .collect()
}

/// The mistakes in the document's form, and those that the rules find in what is left of it.
fn with_rules(
    root: &Path,
    source: &str,
    document: &Spanned<DeTable<'_>>,
    places: &places::Places,
    mut problems: Vec<Problem>,
) -> Vec<Problem> {
    let Some((raw, left_out)) = salvage::salvage(document, &problems) else {
        return problems;
    };
    let mut rules = rules::Rules::new(root, source, places);
    rules.apply(&raw);
    let is_echo = |problem: &Problem| {
        let is_said = problems.iter().any(|said| said.span == problem.span);
        let mut names = left_out.iter();
        is_said && problem.span.is_some()
            || names.any(|name| problem.message.contains(&format!("`{name}`")))
    };
    let more: Vec<Problem> = rules
        .finish()
        .into_iter()
        .filter(|problem| !is_echo(problem))
        .collect();
    problems.extend(more);
    problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    problems
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A valid file; the property test cuts and mixes it.
    const VALID: &str = r#"[project]
name = "demo"
[data.train]
path = "data"
[training]
entry_point = "train.py"
hyperparameters = { rate = 1e-3, layers = [1, 2], note = "x" }
[[metrics.definitions]]
name = "loss"
regex = "loss=([0-9.]+)"
[gates.loss]
max = 0.5
regression = { relative = 0.1 }
[destinations.here]
kind = "process"
grace = "30s"
"#;

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.py"), "").unwrap();
        std::fs::write(folder.path().join("data"), "").unwrap();
        folder
    }

    /// Every problem can be rendered, and its place lies in the file.
    fn holds_together(source: &str) {
        let folder = project();
        if let Err(problems) = parse(folder.path(), source) {
            assert!(!problems.is_empty());
            assert!(!problem::render(&problems, FILE_NAME, source, false).is_empty());
        }
    }

    #[test]
    fn the_sample_is_valid_and_numbers_keep_their_digits() {
        let folder = project();
        let config = parse(folder.path(), VALID).unwrap();
        assert_eq!(config.hyperparameters["rate"], "1e-3");
        assert_eq!(config.hyperparameters["layers"], "[1,2]");
    }

    #[test]
    fn a_secret_is_a_variable_or_a_file() {
        let folder = project();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
        let secrets =
            "[image.secrets]\nindex = { env = \"INDEX\" }\nnetrc = { file = \"netrc\" }\n";
        let config = parse(folder.path(), &format!("{VALID}\n{secrets}")).unwrap();
        assert_eq!(config.raw.image.secrets.len(), 2);
        let wrong = format!("{VALID}\n[image.secrets]\nx = {{ fil = \"netrc\" }}\n");
        let problems = parse(folder.path(), &wrong).unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|one| one.message.as_str()).collect();
        assert!(
            messages.iter().any(|one| one.contains("`fil`")),
            "{messages:?}"
        );
    }

    #[test]
    fn gates_are_found_however_they_are_written() {
        let text = "[project]\nname = \"demo\"\n\n[gates.loss]\nmax = 0.5\n[gates]\nf1.min = 0.1\n\"a.b\" = { min = 1 }\n";
        let lines = [("loss", 4), ("f1", 7), ("a.b", 8)];
        let lines = lines.map(|(name, line)| (name.to_owned(), line));
        assert_eq!(gate_lines(text), lines.into());
        assert!(gate_lines("[gates").is_empty());
    }

    #[test]
    fn gpus_are_a_number_or_all() {
        let folder = project();
        for (gpus, fine) in [
            ("1", true),
            ("\"all\"", true),
            ("\"some\"", false),
            ("true", false),
        ] {
            let table = format!("[destinations.cluster]\nkind = \"docker\"\ngpus = {gpus}\n");
            let parsed = parse(folder.path(), &format!("{VALID}\n{table}"));
            assert_eq!(parsed.is_ok(), fine, "{gpus}: {:?}", parsed.err());
        }
    }

    #[test]
    fn one_mistake_is_said_once() {
        let folder = project();
        let registry = "[registry]\nkind = \"ecr\"\nregion = \"eu-central\"\naccount = \"12\"\n";
        let problems = parse(folder.path(), &format!("{VALID}\n{registry}")).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(source in "\\PC{0,200}") {
            holds_together(&source);
        }

        #[test]
        fn a_valid_file_with_a_piece_replaced_is_judged_without_panic(
            from in 0..VALID.len(), length in 0usize..40, piece in "[a-z0-9=\\[\\]{}\"'. \n\u{e9}-]{0,20}",
        ) {
            let end = (from + length).min(VALID.len());
            holds_together(&format!("{}{piece}{}", &VALID[..from], &VALID[end..]));
        }
    }
}
