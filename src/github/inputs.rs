//! The inputs of the Action, as a command line and an environment.
//!
//! The runner gives an input as `INPUT_` and its name in capitals, and nothing for one that is
//! not set as the empty text.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs>

use std::collections::BTreeMap;

use crate::config::problem::{did_you_mean, one_of};
use crate::error::{Error, ExitCode, Result};

/// An input of `action.yml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: &'static str,
    /// Its default, as the runner gives it.
    pub default: &'static str,
    /// What becomes of it.
    means: Means,
    /// The commands that take it; every one where there are none.
    commands: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// The subcommand.
    Command,
    /// An option with a value.
    Option(&'static str),
    /// The same option for each line.
    Lines(&'static str),
    /// The value itself.
    Argument,
    /// An option, when it is `true`.
    Switch(&'static str),
    /// An option, when it is `false`.
    SwitchOff(&'static str),
    /// A variable.
    Variable(&'static str),
}

/// The commands that the Action runs.
pub const COMMANDS: &[&str] = &["train", "plan", "check", "collect", "gc", "post", "chat"];

const REPORTING: &[&str] = &["train", "collect", "post"];
const PLANNING: &[&str] = &["train", "plan"];

/// All inputs, in the order of `action.yml`.
pub const INPUTS: &[Input] = &[
    input("command", "train", Means::Command, &[]),
    input("working_directory", ".", Means::Option("--project"), &[]),
    input(
        "destination",
        "",
        Means::Option("--destination"),
        &["train", "plan", "collect", "gc"],
    ),
    input("set", "", Means::Lines("--set"), PLANNING),
    input("baseline", "", Means::Option("--baseline"), PLANNING),
    input("force", "false", Means::Switch("--force"), PLANNING),
    input("detach", "false", Means::Switch("--detach"), &["train"]),
    input("wait", "false", Means::Switch("--wait"), &["collect"]),
    input("job", "", Means::Argument, &["collect"]),
    input("report", "", Means::Option("--report"), &["post"]),
    input(
        "pull_request",
        "",
        Means::Option("--pull-request"),
        REPORTING,
    ),
    input(
        "comment",
        "true",
        Means::SwitchOff("--no-comment"),
        REPORTING,
    ),
    input("check", "true", Means::SwitchOff("--no-check"), REPORTING),
    input(
        "require_report",
        "false",
        Means::Switch("--require-report"),
        REPORTING,
    ),
    input(
        "allow_fork_code",
        "false",
        Means::Switch("--allow-fork-code"),
        PLANNING,
    ),
    input(
        "role",
        "",
        Means::Variable(crate::aws::settings::ROLE_VARIABLE),
        &[],
    ),
    input("region", "", Means::Variable("AWS_REGION"), &[]),
    input(
        "github_token",
        "${{ github.token }}",
        Means::Variable("GITHUB_TOKEN"),
        &[],
    ),
    input("quiet", "false", Means::Switch("--quiet"), &[]),
    input("verbose", "false", Means::Switch("--verbose"), &[]),
];

const fn input(
    name: &'static str,
    default: &'static str,
    means: Means,
    commands: &'static [&'static str],
) -> Input {
    Input {
        name,
        default,
        means,
        commands,
    }
}

/// Options about what GitHub is told, which hold for the step that cleans up, too.
const TELLING: &[&str] = &["--no-comment", "--no-check", "--pull-request"];

/// What the inputs ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The command line, without the program.
    pub arguments: Vec<String>,
    /// Variables besides those that are there.
    pub variables: BTreeMap<String, String>,
}

/// Whether a variable is an input.
#[must_use]
pub fn is_input(name: &str) -> bool {
    name.starts_with("INPUT_")
}

/// Turns inputs into a command line and variables.
///
/// # Errors
/// All inputs that are wrong, in one error.
pub fn read(env: &BTreeMap<String, String>) -> Result<Asked> {
    let mut wrong = Vec::new();
    let command = match value(env, "command") {
        "" => "train",
        command => command,
    };
    if !COMMANDS.contains(&command) {
        let hint = did_you_mean(command, COMMANDS.iter().copied());
        let hint = hint.map_or_else(
            || one_of(COMMANDS.iter().copied()),
            |near| format!("`{near}`"),
        );
        wrong.push(format!("`command` is `{command}`, not {hint}"));
    }
    let mut asked = Asked {
        arguments: vec![command.to_owned()],
        variables: BTreeMap::new(),
    };
    for input in INPUTS {
        let text = value(env, input.name);
        if text.is_empty() || text == input.default {
            continue;
        }
        if !input.commands.is_empty() && !input.commands.contains(&command) {
            let takers = one_of(input.commands.iter().copied());
            wrong.push(format!("`{}` is for the command {takers}", input.name));
            continue;
        }
        if let Err(reason) = asked.take(input, text) {
            wrong.push(format!("`{}` {reason}", input.name));
        }
    }
    match wrong.is_empty() {
        true => Ok(asked),
        false => Err(Error::new(ExitCode::Usage, wrong.join("; "))
            .hint("the inputs under `with:` are described in docs/reference/action.md")),
    }
}

fn value<'e>(env: &'e BTreeMap<String, String>, name: &str) -> &'e str {
    let value = env.get(&format!("INPUT_{}", name.to_uppercase()));
    value.map_or("", |value| value.trim())
}

impl Asked {
    /// What of the command line is about what GitHub is told.
    #[must_use]
    pub fn telling(&self) -> Vec<String> {
        let name = |argument: &str| argument.split('=').next().map(str::to_owned);
        let is_telling = |argument: &&String| {
            name(argument).is_some_and(|name| TELLING.contains(&name.as_str()))
        };
        self.arguments.iter().filter(is_telling).cloned().collect()
    }

    fn take(&mut self, input: &Input, text: &str) -> Result<(), String> {
        // NOTE: with `=`, a value that begins with a dash is a value still.
        let mut option = |name: &str, text: &str| self.arguments.push(format!("{name}={text}"));
        match input.means {
            Means::Command => {}
            Means::Option(name) => option(name, text),
            Means::Lines(name) => {
                let lines = text.lines().map(str::trim);
                for line in lines.filter(|line| !line.is_empty()) {
                    option(name, line);
                }
            }
            Means::Argument if text.starts_with('-') => {
                return Err(format!("is `{text}`, which looks like an option"));
            }
            Means::Argument => self.arguments.push(text.to_owned()),
            Means::Switch(name) if boolean(text)? => self.arguments.push(name.to_owned()),
            Means::SwitchOff(name) if !boolean(text)? => self.arguments.push(name.to_owned()),
            Means::Switch(_) | Means::SwitchOff(_) => {}
            Means::Variable(name) => {
                self.variables.insert(name.to_owned(), text.to_owned());
            }
        }
        Ok(())
    }
}

/// YAML's core schema, as GitHub's own toolkit has it.
/// <https://github.com/actions/toolkit/blob/main/packages/core/src/core.ts>
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        other => Err(format!("is `{other}`, not `true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the runner gives: every input, those that are not set with their default.
    fn inputs(set: &[(&str, &str)]) -> BTreeMap<String, String> {
        let name = |name: &str| format!("INPUT_{}", name.to_uppercase());
        let defaults = INPUTS
            .iter()
            .map(|input| (name(input.name), input.default.to_owned()));
        let set = set
            .iter()
            .map(|(key, value)| (name(key), (*value).to_owned()));
        defaults.chain(set).collect()
    }

    fn line(set: &[(&str, &str)]) -> String {
        read(&inputs(set)).unwrap().arguments.join(" ")
    }

    #[test]
    fn nothing_set_trains() {
        assert_eq!(line(&[]), "train");
        assert_eq!(read(&BTreeMap::new()).unwrap().arguments, ["train"]);
    }

    #[test]
    fn every_input_goes_where_it_belongs() {
        assert_eq!(
            line(&[
                ("set", "  rate=0.1\n\n note=-x y\n"),
                ("destination", "gpu"),
                ("force", "True"),
                ("comment", "false"),
                ("check", "TRUE"),
                ("working_directory", "models/churn"),
            ]),
            "train --project=models/churn --destination=gpu --set=rate=0.1 --set=note=-x y --force --no-comment"
        );
        let asked = read(&inputs(&[
            ("role", "arn:x"),
            ("github_token", "ghs_1"),
            ("region", ""),
        ]));
        let variables = asked.unwrap().variables;
        assert_eq!(variables["MLACTION_AWS_ROLE"], "arn:x");
        assert_eq!(variables["GITHUB_TOKEN"], "ghs_1");
        assert_eq!(variables.len(), 2);
        assert_eq!(
            line(&[("command", "collect"), ("wait", "true"), ("job", "5a33cd1")]),
            "collect --wait 5a33cd1"
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let wrong = [("command", "trian"), ("force", "yes"), ("quiet", "1")];
        let error = read(&inputs(&wrong)).unwrap_err().to_string();
        for part in ["`trian`, not `train`", "`quiet` is `1`"] {
            assert!(error.contains(part), "{error}");
        }
        let error = read(&inputs(&[("command", "gc"), ("detach", "true")])).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`detach` is for the command `train`"),
            "{error}"
        );
        let error = read(&inputs(&[("command", "collect"), ("job", "--all")])).unwrap_err();
        assert!(
            error.to_string().contains("looks like an option"),
            "{error}"
        );
    }

    #[test]
    fn every_command_line_is_one() {
        use clap::Parser as _;
        for input in INPUTS {
            let command = input.commands.first().unwrap_or(&"train");
            let value = match input.means {
                Means::Command => continue,
                Means::Lines(_) => "a=b",
                Means::SwitchOff(_) => "false",
                Means::Switch(_) => "true",
                Means::Option("--pull-request") => "12",
                Means::Option(_) | Means::Argument | Means::Variable(_) => "x",
            };
            let mut set = vec![("command", *command), (input.name, value)];
            if *command == "post" && input.name != "report" {
                set.push(("report", "r"));
            }
            let arguments = read(&inputs(&set)).unwrap().arguments;
            let line = std::iter::once("mlaction".to_owned()).chain(arguments);
            let parsed = crate::cli::Cli::try_parse_from(line);
            assert!(parsed.is_ok(), "{}: {}", input.name, parsed.unwrap_err());
        }
    }
}
