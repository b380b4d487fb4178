//! What a build reads from outside: images, files of the context, remote files.

use indexmap::IndexMap;

use super::lines::{Line, heredoc};
use super::words::{self, Variables};
use super::{Dockerfile, Mistake, Stage};
use crate::image::ignore::clean;

/// What the build of one stage reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Images that `FROM`, `COPY --from` and `RUN --mount=from=` take from outside.
    pub images: Vec<External>,
    /// Files of the context that `COPY`, `ADD` and `RUN --mount` name.
    pub files: Vec<FileUse>,
    /// Addresses that `ADD` fetches.
    pub remote: Vec<FileUse>,
}

/// An image from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Line of the Dockerfile, from 1.
    pub line: usize,
    /// Its name, variables replaced.
    pub reference: String,
    /// The platform that is wanted of it.
    pub platform: String,
}

/// A file, pattern or address from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUse {
    /// Line of the Dockerfile, from 1.
    pub line: usize,
    /// `COPY`, `ADD` or `RUN`.
    pub instruction: String,
    /// Relative to the context and cleaned (`.` is all of it); a pattern has `*`, `?` or `[`.
    pub name: String,
}

impl Dockerfile {
    /// What the build of a stage (the last one, when none is named) reads from outside. As with
    /// `BuildKit`, stages that it does not need are left out.
    ///
    /// NOTE: `BUILDPLATFORM` and its parts are taken for the wanted platform's, as if the engine
    /// were of the same kind.
    ///
    /// # Errors
    /// Images whose name has a variable without value, stages that do not exist.
    pub fn reads(
        &self,
        build_args: &IndexMap<String, String>,
        target: Option<&str>,
        platform: &str,
    ) -> Result<Reads, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut reader = Reader {
            dockerfile: self,
            build_args,
            automatic: automatic(platform),
            platform,
            globals: Variables::new(),
            mistakes: &mut mistakes,
            reads: Reads::default(),
            environments: vec![None; self.stages.len()],
        };
        for line in &self.globals {
            let mut variables = reader.automatic.clone();
            variables.extend(reader.globals.clone());
            reader.argument(line, &mut variables, Scope::Global);
            variables.retain(|name, _| !reader.automatic.contains_key(name));
            reader.globals = variables;
        }
        match self.stage(target) {
            Ok(index) => {
                reader.stage(index);
            }
            Err(mistake) => reader.mistakes.push(mistake),
        }
        let Reader { mut reads, .. } = reader;
        reads.images.sort_by_key(|image| image.line);
        reads.files.sort_by_key(|file| file.line);
        reads.remote.sort_by_key(|file| file.line);
        mistakes.sort_by_key(|mistake| mistake.line);
        match mistakes.is_empty() {
            true => Ok(reads),
            false => Err(mistakes),
        }
    }

    fn stage(&self, target: Option<&str>) -> Result<usize, Mistake> {
        let last = self.stages.len() - 1;
        let Some(target) = target else {
            return Ok(last);
        };
        self.named(target).ok_or_else(|| {
            let names: Vec<&str> = self
                .stages
                .iter()
                .filter_map(|s| s.name.as_deref())
                .collect();
            let message = match names.is_empty() {
                true => format!("there is no stage `{target}`: no stage has a name"),
                false => format!("there is no stage `{target}`, but {}", names.join(", ")),
            };
            Mistake::new(self.stages[last].line, message)
        })
    }

    /// A stage by its name or number.
    fn named(&self, name: &str) -> Option<usize> {
        let has_name = |stage: &Stage| {
            let own = stage.name.as_deref();
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        let by_number = || name.parse().ok().filter(|index| *index < self.stages.len());
        self.stages.iter().rposition(has_name).or_else(by_number)
    }
}

/// Where an `ARG` stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Before the first `FROM`.
    Global,
    Stage,
}

struct Reader<'a> {
    dockerfile: &'a Dockerfile,
    build_args: &'a IndexMap<String, String>,
    automatic: Variables,
    platform: &'a str,
    globals: Variables,
    mistakes: &'a mut Vec<Mistake>,
    reads: Reads,
    /// What `ENV` says in stages that were read.
    environments: Vec<Option<Variables>>,
}

impl Reader<'_> {
    /// Reads a stage and those that it needs; gives its environment.
    fn stage(&mut self, index: usize) -> Variables {
        if let Some(environment) = &self.environments[index] {
            return environment.clone();
        }
        // Also ends a circle of stages, which the builder refuses.
        self.environments[index] = Some(Variables::new());
        let stage = &self.dockerfile.stages[index];
        let mut environment = self.base(index, stage);
        let mut variables = environment.clone();
        for line in &stage.lines {
            match line.instruction.as_str() {
                "ARG" => {
                    self.argument(line, &mut variables, Scope::Stage);
                    // An environment variable hides the argument of its name.
                    variables.extend(environment.clone());
                }
                "ENV" => self.environment(line, &mut variables, &mut environment),
                "COPY" | "ADD" => self.copy(line, &variables),
                "RUN" => self.mounts(line, &variables),
                _ => {}
            }
        }
        self.environments[index] = Some(environment.clone());
        environment
    }

    fn base(&mut self, index: usize, stage: &Stage) -> Variables {
        let mut variables = self.automatic.clone();
        variables.extend(self.globals.clone());
        let Some(base) = self.image_name(stage.line, &stage.base, &variables) else {
            return Variables::new();
        };
        let earlier = self.dockerfile.stages[..index].iter();
        let is_base = |stage: &Stage| {
            let name = stage.name.as_deref();
            name.is_some_and(|name| name.eq_ignore_ascii_case(&base))
        };
        if let Some(earlier) = earlier.clone().rposition(is_base) {
            return self.stage(earlier);
        }
        if base != "scratch" {
            let platform = match &stage.platform {
                Some(platform) => self.image_name(stage.line, platform, &variables),
                None => Some(self.platform.to_owned()),
            };
            if let Some(platform) = platform {
                self.image(stage.line, base, platform);
            }
        }
        Variables::new()
    }

    fn image(&mut self, line: usize, reference: String, platform: String) {
        self.reads.images.push(External {
            line,
            reference,
            platform,
        });
    }

    /// A word that must be known before the build.
    fn image_name(&mut self, line: usize, word: &str, variables: &Variables) -> Option<String> {
        match words::expand(word, variables, self.dockerfile.escape) {
            Err(why) => self
                .mistakes
                .push(Mistake::new(line, format!("`{word}`: {why}"))),
            Ok(expanded) if !expanded.unset.is_empty() => {
                let names = expanded.unset.join("`, `");
                let message = format!("`{word}`: `{names}` has no value");
                let hint = "declare it with a default before the first FROM (`ARG NAME=value`), \
                            or give it as a build argument";
                self.mistakes.push(Mistake::new(line, message).hint(hint));
            }
            Ok(expanded) if expanded.text.is_empty() => {
                self.mistakes
                    .push(Mistake::new(line, format!("`{word}` is empty")));
            }
            Ok(expanded) => return Some(expanded.text),
        }
        None
    }

    /// `ARG name=default name …`.
    fn argument(&mut self, line: &Line, variables: &mut Variables, scope: Scope) {
        for word in words::split_raw(&line.arguments).unwrap_or_default() {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (word.as_str(), None),
            };
            let expanded =
                default.map(|default| words::expand(default, variables, self.dockerfile.escape));
            let default = match expanded {
                None => None,
                Some(Ok(expanded)) if expanded.unset.is_empty() => Some(expanded.text),
                Some(Ok(_)) if scope == Scope::Stage => None,
                // An empty part is what the builder makes of it.
                Some(Ok(expanded)) => Some(expanded.text),
                Some(Err(why)) => {
                    self.mistakes
                        .push(Mistake::new(line.line, format!("`{word}`: {why}")));
                    None
                }
            };
            let given = self
                .build_args
                .get(name)
                .or_else(|| self.automatic.get(name));
            let global = self.globals.get(name).filter(|_| scope == Scope::Stage);
            let value = given.cloned().or(default).or_else(|| global.cloned());
            match value {
                Some(value) => {
                    variables.insert(name.to_owned(), value);
                }
                None => {
                    variables.remove(name);
                }
            }
        }
    }

    /// `ENV name=value …`, and the old `ENV name value`.
    fn environment(&self, line: &Line, variables: &mut Variables, own: &mut Variables) {
        let words = words::split_raw(&line.arguments).unwrap_or_default();
        let has_sign = words.first().is_some_and(|first| first.contains('='));
        let pairs: Vec<(&str, &str)> = match has_sign {
            true => words
                .iter()
                .filter_map(|word| word.split_once('='))
                .collect(),
            false => line
                .arguments
                .split_once(char::is_whitespace)
                .into_iter()
                .collect(),
        };
        let before = variables.clone();
        for (name, value) in pairs {
            let value = words::expand(value.trim(), &before, self.dockerfile.escape);
            match value {
                Ok(value) if value.unset.is_empty() => {
                    variables.insert(name.to_owned(), value.text.clone());
                    own.insert(name.to_owned(), value.text);
                }
                // It may come from the image's own environment: not known before the build.
                _ => {
                    variables.remove(name);
                    own.remove(name);
                }
            }
        }
    }

    /// A stage or image that something is taken from.
    fn from(&mut self, line: usize, from: &str) {
        if from.contains('$') {
            let message = format!("`{from}`: variables are not replaced here");
            let hint = "give the image a stage of its own: `FROM … AS name`";
            self.mistakes.push(Mistake::new(line, message).hint(hint));
        } else if let Some(stage) = self.dockerfile.named(from) {
            self.stage(stage);
        } else if from != "scratch" && !from.is_empty() {
            self.image(line, from.to_owned(), self.platform.to_owned());
        }
    }

    fn copy(&mut self, line: &Line, variables: &Variables) {
        if let Some((_, from)) = line.flags.iter().find(|(name, _)| name == "from") {
            return self.from(line.line, &from.clone());
        }
        let split = || {
            line.arguments
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        let mut sources: Vec<String> = words::json(&line.arguments).unwrap_or_else(split);
        sources.pop();
        for source in sources {
            if heredoc(&source).is_none() {
                self.read(line, &source, variables);
            }
        }
    }

    fn read(&mut self, line: &Line, source: &str, variables: &Variables) {
        // What the image's own environment decides is known in the build only.
        let expanded = words::expand(source, variables, self.dockerfile.escape);
        let Some(name) = expanded.ok().filter(|name| name.unset.is_empty()) else {
            return;
        };
        let is_remote = ["http://", "https://", "git://", "ssh://", "git@"]
            .iter()
            .any(|start| name.text.starts_with(start));
        let is_remote = is_remote && line.instruction == "ADD";
        let name = match is_remote {
            true => name.text,
            // Nothing is above the context.
            false => clean(&format!("/{}", name.text)).split_off(1),
        };
        let read = FileUse {
            line: line.line,
            instruction: line.instruction.clone(),
            name: if name.is_empty() {
                ".".to_owned()
            } else {
                name
            },
        };
        match is_remote {
            true => self.reads.remote.push(read),
            false => self.reads.files.push(read),
        }
    }

    /// `RUN --mount=type=bind,from=…,source=…`.
    fn mounts(&mut self, line: &Line, variables: &Variables) {
        for (_, mount) in line.flags.iter().filter(|(name, _)| name == "mount") {
            let field = |wanted: &[&str]| {
                let fields = mount.split(',').filter_map(|field| field.split_once('='));
                let mut found = fields.filter(|(name, _)| wanted.contains(&name.trim()));
                found.next().map(|(_, value)| value.trim())
            };
            match (field(&["type"]).unwrap_or("bind"), field(&["from"])) {
                ("bind" | "cache", Some(from)) => self.from(line.line, from),
                ("bind", None) => {
                    let source = field(&["source", "src"]).unwrap_or(".");
                    self.read(line, source, variables);
                }
                _ => {}
            }
        }
    }
}

/// <https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope>
fn automatic(platform: &str) -> Variables {
    let mut parts = platform.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let (os, arch, variant) = (part(), part(), part());
    let mut variables = Variables::new();
    for (name, value) in [
        ("PLATFORM", platform),
        ("OS", os),
        ("ARCH", arch),
        ("VARIANT", variant),
    ] {
        for of in ["TARGET", "BUILD"] {
            variables.insert(format!("{of}{name}"), value.to_owned());
        }
    }
    variables
}
