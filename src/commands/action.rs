//! `action`: a step of GitHub Actions. Its inputs become the command line of the same program,
//! which this process becomes: nothing stands between the runner's signals and the work.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::context::environment;
use crate::error::{IoContext as _, Result};
use crate::github::inputs;
use crate::talk;

/// This program, wherever it lies and whatever it is called.
const SELF: &str = "/proc/self/exe";

/// Becomes what the inputs ask for.
pub(super) fn run() -> Result<u8> {
    let asked = inputs::read(&environment()).inspect_err(|_| talk::meet_runner())?;
    become_(&asked.arguments, &asked.variables)
}

/// Becomes another command of this program, without the inputs of the step.
pub(super) fn become_(arguments: &[String], variables: &BTreeMap<String, String>) -> Result<u8> {
    let mut command = Command::new(SELF);
    command.arg0("mlaction").args(arguments).envs(variables);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(inputs::is_input) {
            command.env_remove(name);
        }
    }
    Err(command.exec()).doing(|| "cannot start mlaction itself".to_owned())
}
