//! What a schema cannot say about the places where jobs run.

use indexmap::IndexMap;

use super::problem::{did_you_mean, one_of};
use super::raw::{Destination, RawConfig};
use super::rules::Rules;
use crate::destination::sagemaker::{self, Asked, Mistake};

impl Rules<'_> {
    pub(super) fn destinations(
        &mut self,
        raw: &RawConfig,
        hyperparameters: &IndexMap<String, String>,
    ) {
        self.chosen(raw);
        for (name, destination) in &raw.destinations {
            let path = |key| ["destinations", name, key];
            match destination {
                Destination::Process {
                    python,
                    grace,
                    pass_environment,
                } => {
                    self.duration(&path("grace"), grace);
                    if python.is_empty() {
                        let empty = "`python` is empty";
                        self.add(&path("python"), empty, "expected an interpreter");
                    }
                    for variable in pass_environment {
                        if variable.is_empty() || variable.contains(['=', '\0']) {
                            self.add(
                                &path("pass_environment"),
                                format!("`{variable}` is not a variable's name"),
                                "not a name",
                            );
                        }
                    }
                }
                Destination::Docker(docker) => {
                    for mistake in docker.check() {
                        self.add(&path(mistake.key), mistake.message, mistake.label);
                    }
                }
                Destination::Sagemaker(settings) => {
                    self.mistakes(settings.check(name));
                    // The rest of the file need not suit a destination that is not used.
                    if raw.project.destination == *name {
                        let asked = Asked {
                            name,
                            settings,
                            raw,
                            hyperparameters,
                        };
                        self.mistakes(sagemaker::check(&asked));
                    }
                }
            }
        }
    }

    pub(super) fn mistakes(&mut self, mistakes: Vec<Mistake>) {
        for Mistake {
            place,
            message,
            help,
        } in mistakes
        {
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            self.add(&place, message, "not possible").help = help;
        }
    }

    fn chosen(&mut self, raw: &RawConfig) {
        let chosen = &raw.project.destination;
        let is_known = Destination::WITHOUT_TABLE.contains(&chosen.as_str());
        if is_known || raw.destinations.contains_key(chosen) {
            return;
        }
        let names: Vec<&str> = raw
            .destinations
            .keys()
            .map(String::as_str)
            .chain(Destination::WITHOUT_TABLE)
            .collect();
        let help = match (
            Destination::needed_table(chosen),
            did_you_mean(chosen, names.iter().copied()),
        ) {
            (Some(table), _) => table.to_owned(),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => format!(
                "write a table [destinations.{chosen}], or use {}",
                one_of(names)
            ),
        };
        self.add(
            &["project", "destination"],
            format!("there is no destination `{chosen}`"),
            "unknown destination",
        )
        .help = Some(help);
    }
}
