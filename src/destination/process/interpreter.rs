//! Which Python a program's name stands for.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::{Error, ExitCode, Result};

/// A wrapper that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// The interpreter itself. A wrapper script (pyenv, asdf, mise) decides by folder and variables
/// which one it starts, so it is asked.
///
/// # Errors
/// The wrapper fails, or does not answer.
pub(super) fn behind(python: &Path, root: &Path) -> Result<PathBuf> {
    if !is_script(python) {
        return Ok(python.to_path_buf());
    }
    let failed = |cause: String| {
        let asked = format!("`{}` does not say which Python it is", python.display());
        Error::new(ExitCode::Build, asked)
            .because(cause)
            .hint("set `python` of the destination to an interpreter")
    };
    let child = Command::new(python)
        .args(["-I", "-S", "-c", "import sys; print(sys.executable)"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| failed(cause.to_string()))?;
    let process = i32::try_from(child.id()).ok();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(DEADLINE) else {
        if let Some(process) = process.and_then(rustix::process::Pid::from_raw) {
            // NOTE: one that has just ended is what we want.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        return Err(failed("no answer".to_owned()));
    };
    let output = output.map_err(|cause| failed(cause.to_string()))?;
    let answer = String::from_utf8_lossy(&output.stdout);
    let path = PathBuf::from(answer.trim());
    match output.status.success() && path.is_file() {
        true => Ok(path),
        false => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
    }
}

/// Whether it belongs to a virtual environment.
pub(super) fn is_environment(python: &Path) -> bool {
    let folder = python.parent().and_then(Path::parent);
    folder.is_some_and(|folder| folder.join("pyvenv.cfg").is_file())
}

fn is_script(python: &Path) -> bool {
    let mut start = [0; 2];
    let read = std::fs::File::open(python).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"#!"
}

/// `python3.12` when that is the interpreter's own name, as it is wherever Python is installed;
/// its path otherwise.
pub(super) fn language(interpreter: &Path) -> String {
    let resolved = interpreter.canonicalize();
    let interpreter = resolved.as_deref().unwrap_or(interpreter);
    let name = interpreter
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let minor = name.strip_prefix("python3.").unwrap_or_default();
    match minor.trim_end_matches('t').parse::<u8>() {
        Ok(_) => name.into_owned(),
        Err(_) => interpreter.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_known_by_its_version_wherever_it_is() {
        let known = |path: &str| language(Path::new(path));
        assert_eq!(known("/none/bin/python3.11"), "python3.11");
        assert_eq!(known("/none/py/3.13.1/bin/python3.13t"), "python3.13t");
        assert_eq!(known("/none/bin/pypy3.10"), "/none/bin/pypy3.10");
    }

    #[test]
    fn a_wrapper_is_asked_and_must_answer() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let wrapper = place.path().join("python");
        let becomes = |script: &str| {
            std::fs::write(&wrapper, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
            behind(&wrapper, place.path())
        };
        let answer = becomes("echo /bin/sh").unwrap();
        assert_eq!(answer, Path::new("/bin/sh"));
        assert_eq!(behind(&answer, place.path()).unwrap(), answer);
        let error = becomes("echo no version is set >&2; exit 127").unwrap_err();
        assert!(error.to_string().contains("no version is set"));
    }
}
