//! The Python virtual environment: made once per requirements file and interpreter, reused after.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::process::Command;

use super::plan::PythonEnvironment;
use crate::context::Context;
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::talk::Step;

/// Written last: an environment without it was interrupted while it was made.
const READY: &str = ".mlaction-ready";

/// Installing may download gigabytes; past this it hangs.
const INSTALL_DEADLINE: Duration = Duration::from_secs(3600);

/// Whether the folder holds a complete environment.
#[must_use]
pub fn is_ready(folder: &Path) -> bool {
    folder.join(READY).is_file() && folder.join("bin/python").exists()
}

/// What a report says of an environment: the version of Python, and the hash of its requirements.
#[must_use]
pub fn describe(environment: &PythonEnvironment) -> IndexMap<String, String> {
    let PythonEnvironment {
        python,
        language: _,
        requirements: _,
        requirements_hash,
        folder,
        ready: _,
    } = environment;
    // `version` in what `venv` writes, `version_info` in what uv writes.
    let version = folder
        .as_deref()
        .and_then(|folder| std::fs::read_to_string(folder.join("pyvenv.cfg")).ok())
        .and_then(|config| {
            let line = config.lines().find(|line| line.starts_with("version"))?;
            Some(line.split_once('=')?.1.trim().to_owned())
        });
    let name = || {
        let name = Path::new(python).file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let mut described = IndexMap::from([("python".to_owned(), version.unwrap_or_else(name))]);
    let requirements = requirements_hash.clone();
    described.extend(requirements.map(|hash| ("requirements".to_owned(), hash)));
    described
}

/// Makes the environment unless it is there. The installer works in `root`, from where paths in
/// the requirements are read; its output goes to `log`.
///
/// Processes that want the same environment at once wait for the first to finish.
///
/// # Errors
/// The interpreter cannot make environments, or a requirement cannot be installed; the error
/// carries the installer's last lines.
pub async fn ensure(
    root: &Path,
    environment: &PythonEnvironment,
    context: &Context,
    log: &Path,
    interrupts: &mut Interrupts,
    step: &Step,
) -> Result<()> {
    let (Some(requirements), Some(folder)) = (&environment.requirements, &environment.folder)
    else {
        return Ok(());
    };
    if is_ready(folder) {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).doing(|| format!("cannot create `{}`", parent.display()))?;
    let lock = folder.with_extension("lock");
    let guard =
        crate::atomic::lock_file(&lock).doing(|| format!("cannot create `{}`", lock.display()))?;
    let deadline = tokio::time::Instant::now() + INSTALL_DEADLINE;
    while guard.try_lock().is_err() {
        if tokio::time::Instant::now() > deadline {
            return Err(Error::new(
                ExitCode::Build,
                format!("another process has held `{}` for an hour", lock.display()),
            )
            .hint("end that process, or remove the file when there is none"));
        }
        if *interrupts.borrow_and_update() > 0 {
            return Err(cancelled());
        }
        step.now("another mlaction is making the same environment");
        // NOTE: the kernel has no way to wait for a file lock that could be given up.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    if is_ready(folder) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .doing(|| format!("cannot remove the incomplete `{}`", folder.display()))?;
    }
    let uv = context.find_program(root, "uv");
    let python = environment.interpreter();
    let requirements_file = requirements;
    let requirements = requirements.display().to_string();
    let folder_text = folder.display().to_string();
    let steps: [Vec<&str>; 2] = match &uv {
        Some(_) => [
            vec![
                "venv",
                "--quiet",
                "--python",
                &environment.python,
                &folder_text,
            ],
            vec!["pip", "install", "--python", &python, "-r", &requirements],
        ],
        None => [
            vec!["-m", "venv", &folder_text],
            vec![
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "--progress-bar",
                "off",
                "-r",
                &requirements,
            ],
        ],
    };
    let programs = match &uv {
        Some(uv) => [uv.display().to_string(), uv.display().to_string()],
        None => [environment.python.clone(), python.clone()],
    };
    for (program, arguments) in programs.iter().zip(&steps) {
        run(root, context, program, arguments, log, interrupts, step).await?;
    }
    let now = super::requirements::hash(root, requirements_file, &context.env)?;
    if Some(&now) != environment.requirements_hash.as_ref() {
        let changed = "the requirements changed while they were installed";
        return Err(Error::new(ExitCode::Build, changed).hint("run the command again"));
    }
    let ready = folder.join(READY);
    File::create(&ready)
        .and_then(|mut file| file.write_all(b"1\n"))
        .doing(|| format!("cannot write `{}`", ready.display()))?;
    Ok(())
}

/// Shows what the installer has written since the last look.
fn show(log: &Path, shown: &mut u64, step: &Step) {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(*shown))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // NOTE: a log that cannot be read now is reported when the installer fails.
    let bytes = read().unwrap_or_default();
    *shown += bytes.len() as u64;
    for line in String::from_utf8_lossy(&bytes).lines() {
        step.detail(&crate::report::text::plain(line));
    }
}

fn cancelled() -> Error {
    Error::new(
        ExitCode::Cancelled,
        "cancelled while the Python environment was made",
    )
}

/// What an installer may know: where packages are, and how to get there.
fn is_for_installers(name: &str) -> bool {
    let prefixes = ["PIP_", "UV_", "XDG_", "GIT_", "SSH_", "CARGO_", "RUSTUP_"];
    super::plan::is_inherited(name)
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
        || ["NETRC", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS"].contains(&name)
}

async fn run(
    root: &Path,
    context: &Context,
    program: &str,
    arguments: &[&str],
    log: &Path,
    interrupts: &mut Interrupts,
    step: &Step,
) -> Result<()> {
    let output = File::options()
        .create(true)
        .append(true)
        .open(log)
        .doing(|| format!("cannot write `{}`", log.display()))?;
    let errors = output
        .try_clone()
        .doing(|| format!("cannot write `{}`", log.display()))?;
    let failed = |cause: String| {
        Error::new(ExitCode::Build, "cannot make the Python environment").because(cause)
    };
    let mut child = super::supervised(
        Path::new(program),
        arguments.iter().copied(),
        Duration::from_secs(5),
        None,
    )
    .map(|mut command: Command| {
        command
            .current_dir(root)
            .env_clear()
            .envs(
                context
                    .env
                    .iter()
                    .filter(|(name, _)| is_for_installers(name)),
            )
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(errors));
        command
    })?
    .spawn()
    .map_err(|cause| failed(format!("`{program}` does not start: {cause}")))?;
    // NOTE: `wait` would close the pipe, and the supervisor would take us for dead.
    let _alive = child.stdin.take();
    let deadline = tokio::time::Instant::now() + INSTALL_DEADLINE;
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let mut shown = log.metadata().map_or(0, |meta| meta.len());
    let status = loop {
        tokio::select! {
            _ = tick.tick() => show(log, &mut shown, step),
            status = child.wait() => break status.map_err(|cause| failed(cause.to_string()))?,
            () = tokio::time::sleep_until(deadline) => {
                super::stop(&mut child).await;
                return Err(failed(format!("`{program}` did not finish within an hour")));
            }
            changed = interrupts.changed() => if changed.is_ok() && *interrupts.borrow_and_update() > 0 {
                super::stop(&mut child).await;
                return Err(cancelled());
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(failed(format!(
        "`{program} {}` ended with {status}",
        arguments.join(" ")
    )))
}
