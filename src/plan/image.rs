//! What the plan decides about the image: inputs, content address, registry. Files only.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::identity;
use crate::config::raw::Image;
use crate::context::{Context, Origin};
use crate::data::known::Known;
use crate::error::{Error, ExitCode, Result};
use crate::image::address::{Address, Inputs, Source, address};
use crate::image::build::Builder;
use crate::image::context::{Context as BuildContext, Listing};
use crate::image::dockerfile::{Dockerfile, Mistake, SecretUse};
use crate::image::{BuildRequest, SecretSource};
use crate::registry::plan::RegistryPlan;
use crate::registry::settings::{self, Registry};

/// What the config says of the image.
#[derive(Debug)]
pub struct Settings<'a> {
    /// `[image]`
    pub image: Image,
    /// `[registry]`
    pub registry: Option<Registry>,
    /// The project's name.
    pub project: &'a str,
}

/// The image of a run: how it is built, what it is called, where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagePlan {
    /// Hash over everything that files tell of the image: 64 hexadecimal digits.
    pub content: String,
    /// `in-` and a hash over everything that decides the image; none as long as it is not known
    /// which images it is built from.
    pub tag: Option<String>,
    /// The build.
    pub build: BuildRequest,
    /// Labels of the config: unlike those that name a commit, they are part of the tag.
    pub labels: IndexMap<String, String>,
    /// Which builder.
    pub builder: Builder,
    /// Where it is published.
    pub registry: RegistryPlan,
    /// Images that it is built from.
    pub bases: Vec<Base>,
    /// Number of files in the context.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// What may surprise.
    pub warnings: Vec<String>,
}

/// An image that another one is built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// As the Dockerfile names it, variables filled in.
    pub reference: String,
    /// Its digest, when the Dockerfile pins it.
    pub digest: Option<String>,
}

/// The version of what the builders make of the same inputs.
const FORMAT: &str = "docker v2, 1";

/// What building needs to be allowed.
pub(super) const ENGINE: &str = "a Docker Engine: who may use it is root on its machine";

impl ImagePlan {
    /// Decides the image. Reading the context may take long: `known` tells how far it is.
    ///
    /// # Errors
    /// Every mistake in the Dockerfile and the context that shows without an engine.
    pub fn new(
        root: &Path,
        settings: Settings<'_>,
        context: &Context,
        known: &Known,
    ) -> Result<Self> {
        let Settings {
            image,
            registry,
            project,
        } = settings;
        let Image {
            dockerfile,
            context: folder,
            platform,
            target,
            build_args,
            labels,
            secrets,
            network,
            builder,
            cache_from,
            inline_cache,
        } = image;
        let (path, folder) = (root.join(&dockerfile), inside(root, &folder));
        for place in [&path, &folder] {
            stays_inside(root, place)?;
        }
        let secrets: IndexMap<String, SecretSource> = secrets
            .into_iter()
            .map(|(id, source)| match source {
                SecretSource::File(path) => (id, SecretSource::File(root.join(path))),
                env @ SecretSource::Env(_) => (id, env),
            })
            .collect();
        let files = BuildContext::open_with(&folder, &path, secrets.values())?;
        let parsed = Dockerfile::parse(files.dockerfile())
            .map_err(|mistakes| Mistake::error(&dockerfile, &mistakes))?;
        let reads = parsed
            .reads(&build_args, target.as_deref(), &platform)
            .map_err(|mistakes| Mistake::error(&dockerfile, &mistakes))?;
        let listing = files.listing()?;
        let mut mistakes = reads.kept_out(&files);
        mistakes.extend(reads.missing(&files, &listing));
        if !mistakes.is_empty() {
            mistakes.sort_by_key(|mistake| mistake.line);
            return Err(Mistake::error(&dockerfile, &mistakes));
        }
        let bases: Vec<Base> = reads
            .images
            .iter()
            .map(|image| Base::new(&image.reference))
            .collect();
        let mut all_labels = origin(root, context);
        all_labels.extend(labels.clone());
        let mut warnings = not_given(&parsed, &build_args, &secrets);
        let remote = reads
            .remote
            .iter()
            .map(|remote| {
                let (line, name) = (remote.line, &remote.name);
                format!("line {line} of the Dockerfile fetches {name}: what it is then is not part of the tag")
            });
        warnings.extend(remote);
        if !listing.kept_out.is_empty() {
            let names = listing.kept_out.join(", ");
            warnings.push(format!("kept out of the image: {names}"));
        }
        check_arguments(&build_args)?;
        let mut plan = Self {
            build: BuildRequest {
                context: folder,
                dockerfile: path,
                platform,
                target,
                build_args,
                labels: all_labels,
                network,
                secrets,
                cache_from,
                inline_cache,
                name: format!("mlaction/{}", project.to_lowercase()),
            },
            content: String::new(),
            tag: None,
            labels,
            builder,
            registry: registry_plan(registry.as_ref(), project)?,
            bases,
            files: 0,
            bytes: 0,
            warnings,
        };
        let address = plan.address(&files, &listing, parsed.syntax(), known)?;
        plan.content = address.hash;
        let is_pinned = plan.bases.iter().all(|base| base.digest.is_some());
        plan.tag = is_pinned.then_some(address.tag);
        plan.files = address.files;
        plan.bytes = address.bytes;
        Ok(plan)
    }

    fn address(
        &self,
        files: &BuildContext,
        listing: &Listing,
        syntax: Option<&str>,
        known: &Known,
    ) -> Result<Address> {
        let build = &self.build;
        let secrets: Vec<&str> = build.secrets.keys().map(String::as_str).collect();
        let images: Vec<Source<'_>> = self.bases.iter().map(Base::source).collect();
        let inputs = Inputs {
            context: files,
            entries: &listing.entries,
            build_args: &build.build_args,
            target: build.target.as_deref(),
            platform: &build.platform,
            labels: &self.labels,
            images: &images,
            syntax: syntax.map(|reference| Source {
                reference,
                digest: None,
            }),
            network: build.network,
            secrets: &secrets,
            builder: FORMAT,
        };
        address(inputs, known)
    }

    /// Whether the files are still those that the plan saw.
    ///
    /// # Errors
    /// They cannot be read any more.
    pub fn is_current(&self, files: &BuildContext, known: &Known) -> Result<bool> {
        let Ok(parsed) = Dockerfile::parse(files.dockerfile()) else {
            return Ok(false);
        };
        let listing = files.listing()?;
        let address = self.address(files, &listing, parsed.syntax(), known)?;
        Ok(address.hash == self.content)
    }

    /// The tag once the bases that the Dockerfile does not pin are known.
    #[must_use]
    pub fn tag_with(&self, bases: &[Base]) -> String {
        let own = Address::tag(&self.content);
        if *bases == *self.bases {
            return own;
        }
        let parts = bases.iter().map(|base| {
            let digest = base.digest.as_deref().unwrap_or_default();
            (base.reference.as_str(), digest)
        });
        let own = std::iter::once(("", own.as_str()));
        let hash = identity::combined(own.chain(parts));
        Address::tag(hash.trim_start_matches("b3:"))
    }

    /// Permissions that publishing needs.
    #[must_use]
    pub fn permissions(&self) -> Vec<String> {
        let mut permissions = vec![ENGINE.to_owned()];
        permissions.extend(self.registry.permissions());
        permissions
    }
}

impl Base {
    fn new(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            digest: reference
                .split_once('@')
                .map(|(_, digest)| digest.to_owned()),
        }
    }

    fn source(&self) -> Source<'_> {
        Source {
            reference: &self.reference,
            digest: self.digest.as_deref(),
        }
    }
}

/// Whether no build argument looks like credentials.
fn check_arguments(arguments: &IndexMap<String, String>) -> Result<()> {
    let is_secret = |name: &&str| {
        let name = name.to_uppercase();
        let is_of = |end: &str| name.ends_with(end);
        name.starts_with("AWS_") || ["_API_KEY", "PASSWORD", "_SECRET"].into_iter().any(is_of)
    };
    let names: Vec<&str> = arguments
        .keys()
        .map(String::as_str)
        .filter(is_secret)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!("{} cannot be a build argument", names.join(", "));
    Err(Error::new(ExitCode::Config, message)
        .because("build arguments stay in the image, and so would the credentials")
        .hint("use a build secret: `RUN --mount=type=secret,id=NAME,env=NAME …`"))
}

/// What the configuration and the Dockerfile do not agree about.
fn not_given(
    dockerfile: &Dockerfile,
    arguments: &IndexMap<String, String>,
    secrets: &IndexMap<String, SecretSource>,
) -> Vec<String> {
    let unused = arguments.keys().filter(|name| !dockerfile.takes(name));
    let unused =
        unused.map(|name| format!("no ARG of the Dockerfile takes `{name}` of [image.build_args]"));
    let asked = dockerfile.secrets();
    let missing = asked
        .iter()
        .filter(|secret| !secrets.contains_key(&secret.id));
    let missing = missing.map(|SecretUse { line, id, is_required }| {
        let then = match is_required {
            true => "the step will fail",
            false => "the step finds nothing",
        };
        format!("line {line} of the Dockerfile asks for the secret `{id}`, which [image.secrets] does not have: {then}")
    });
    unused.chain(missing).collect()
}

fn registry_plan(registry: Option<&Registry>, project: &str) -> Result<RegistryPlan> {
    settings::plan(registry, project).map_err(|mistakes| {
        let texts: Vec<String> = mistakes
            .into_iter()
            .map(|mistake| mistake.message)
            .collect();
        Error::new(ExitCode::Config, "[registry] is wrong").because(texts.join("; "))
    })
}

/// A link in the project must not lead to what its owner may read elsewhere. What is not there is
/// told of when it is opened.
fn stays_inside(root: &Path, place: &Path) -> Result<()> {
    let (Ok(root), Ok(real)) = (root.canonicalize(), place.canonicalize()) else {
        return Ok(());
    };
    if real.starts_with(root) {
        return Ok(());
    }
    let message = format!("`{}` leads out of the project", place.display());
    Err(Error::new(ExitCode::Config, message)
        .because(format!("it is a link to `{}`", real.display()))
        .hint("put the file itself there, or a copy"))
}

/// A folder of the project, without `.` in its path.
fn inside(root: &Path, folder: &str) -> PathBuf {
    root.join(folder).components().collect()
}

/// Where the image comes from, by the names of the OCI image specification
/// (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>).
fn origin(root: &Path, context: &Context) -> IndexMap<String, String> {
    let Some(git) = &context.git else {
        return IndexMap::new();
    };
    let Origin { source, created } = Origin::read(root);
    let dirty = if git.dirty { "-dirty" } else { "" };
    let revision = Some(format!("{}{dirty}", git.commit));
    [
        ("source", source),
        ("revision", revision),
        ("created", created),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?)))
    .collect()
}
