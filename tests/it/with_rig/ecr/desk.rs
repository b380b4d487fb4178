//! A desk: a project whose images go to a registry, and the engine that has them here.

use std::process::{Command, Output};

use serde_json::Value;

use crate::project::{Project, stderr, stdout};
use crate::with_rig::images;
use crate::with_rig::support::tool;

pub(super) struct Desk {
    project: Project,
    name: String,
    engine: String,
    env: Vec<(&'static str, String)>,
}

impl Desk {
    /// A project of its own name: nobody else has its images.
    pub(super) fn new(name: &str, engine: &str) -> Self {
        let project = images::project(name);
        let desk = Self {
            name: name.to_owned(),
            engine: engine.to_owned(),
            env: vec![("DOCKER_HOST", engine.to_owned())],
            project,
        };
        desk.change(name);
        desk
    }

    /// Gives the image another content.
    pub(super) fn change(&self, text: &str) {
        let script = self.project.read("image/train.sh");
        let script = format!("{script}# {text}\n");
        self.project.write("image/train.sh", &script);
    }

    /// The project's `[registry]`, in place of the one before.
    pub(super) fn registry(&self, lines: &str) {
        let config = self.project.read("mlaction.toml");
        let rest = config.split("\n[registry]").next().unwrap();
        let config = format!("{rest}\n[registry]\n{lines}\n");
        self.project.write("mlaction.toml", &config);
    }

    /// Sets a variable for the binary.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.env.retain(|(set, _)| *set != name);
        self.env.push((name, value.into()));
    }

    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], code: i32) -> Output {
        let mut command = self.project.command(arguments);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let (out, err) = (stdout(&output), stderr(&output));
        let engine = &self.engine;
        assert_eq!(output.status.code(), Some(code), "{engine}\n{out}{err}");
        output
    }

    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        images::json(&self.run(arguments, 0))
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["--host", &self.engine]).args(arguments);
        command.output().unwrap()
    }

    /// Whether the engine has an image.
    pub(super) fn has(&self, image: &str) -> bool {
        self.docker(&["image", "inspect", image]).status.success()
    }

    /// How many images the engine has of the project, under names of any registry.
    pub(super) fn images(&self) -> Vec<String> {
        let filter = format!("reference=*/{}", self.name);
        let listed = self.docker(&["images", "--quiet", "--no-trunc", "--filter", &filter]);
        let listed = stdout(&listed);
        listed.split_whitespace().map(str::to_owned).collect()
    }

    /// Takes all images of the project out of the engine.
    pub(super) fn forget(&self) {
        for image in self.images() {
            let _ = self.docker(&["rmi", "--force", &image]);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.forget();
    }
}

pub(super) fn skopeo(arguments: &[&str]) -> Command {
    let mut command = Command::new(tool("skopeo"));
    command.args(arguments);
    command
}

/// The digest that skopeo sees in a registry, with `user:password`.
#[track_caller]
pub(super) fn skopeo_digest(image: &str, login: &str) -> String {
    let inspected = skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .args(["--creds", login, &format!("docker://{image}")])
        .output()
        .unwrap();
    assert!(inspected.status.success(), "{}", stderr(&inspected));
    stdout(&inspected).trim().to_owned()
}
