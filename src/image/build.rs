//! The build itself: which builder, what it may see, and whether the image is the one that was
//! asked for.

use std::collections::BTreeMap;

use bollard::errors::Error as EngineError;
use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};
use serde::{Deserialize, Serialize};

use super::buildkit::{self, BuildKit, Way};
use super::classic;
use super::context::Context;
use super::engine::{Engine, Need, architecture};
use super::progress::BuildEvent;
use super::secrets::Secrets;
use super::{BuildRequest, BuiltImage};

use crate::error::{Error, ExitCode, Result};
use crate::registry::credentials::Credentials;

/// What BuildKit of Docker 20.10 says when it computed the same thing twice at once and waited for
/// itself too long: steps that copy many files on a slow disk. The next attempt finds what this one
/// has computed.
const TANGLED: &str = "flightcontrol: exceeded retry timeout";

/// Attempts of a build that fails so.
const ATTEMPTS: u32 = 3;

/// What builds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Builder {
    /// `BuildKit` where the engine has it, else the classic builder.
    #[default]
    Auto,
    /// `BuildKit`.
    BuildKit,
    /// The classic builder.
    Classic,
}

/// A build and everything that it needs.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// Where it is built.
    pub engine: &'a Engine,
    /// What is built.
    pub request: &'a BuildRequest,
    /// Its files and its Dockerfile.
    pub context: &'a Context,
    /// For registries of base images and caches.
    pub credentials: &'a Credentials,
    /// Where secrets of [`super::SecretSource::Env`] come from; nothing else of it is used.
    pub env: &'a BTreeMap<String, String>,
    /// What builds.
    pub builder: Builder,
    /// Whether results of earlier builds are left unused.
    pub no_cache: bool,
    /// Space that the build needs, where it is known. See [`Engine::check_space`].
    pub need: Option<Need>,
    /// How gRPC gets to the engine; none for what the engine has.
    pub way: Option<Way>,
}

impl<'a> Build<'a> {
    /// A build with the usual settings.
    #[must_use]
    pub fn new(
        engine: &'a Engine,
        request: &'a BuildRequest,
        context: &'a Context,
        credentials: &'a Credentials,
        env: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            engine,
            request,
            context,
            credentials,
            env,
            builder: Builder::default(),
            no_cache: false,
            need: None,
            way: None,
        }
    }

    /// Builds the image. Dropping the future cancels the build in the engine as well.
    ///
    /// The image gets its name last, when it is for the right platform: wherever mlaction is killed,
    /// nothing has the name but what was proven.
    ///
    /// # Errors
    /// A secret is missing, the disk is too small, a step failed, a file changed while it was read,
    /// the engine is gone, or the image is for another platform.
    pub async fn run(&self, events: &mut (dyn FnMut(BuildEvent) + Send)) -> Result<BuiltImage> {
        let secrets = Secrets::read(&self.request.secrets, self.env)?;
        let mut attempt = 0;
        let made = loop {
            attempt += 1;
            match self.once(&secrets, events).await {
                Err(error) if attempt < ATTEMPTS && error.to_string().contains(TANGLED) => {
                    events(BuildEvent::Warning {
                        text: "the engine got in its own way; once more".to_owned(),
                        line: None,
                    });
                }
                result => break result?,
            }
        };
        if let Err(wrong) = self.check_image(&made).await {
            self.discard(&made.id).await;
            return Err(wrong);
        }
        self.give_name(&made.id).await?;
        Ok(BuiltImage {
            name: self.request.name.clone(),
            id: made.id,
        })
    }

    async fn once(
        &self,
        secrets: &Secrets,
        events: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<Unproven> {
        if self.builder == Builder::Classic {
            return self.classic(events).await;
        }
        match BuildKit::open(self, secrets.clone()).await {
            Ok(buildkit) => self.buildkit(buildkit, events).await,
            Err(refused) if self.builder == Builder::Auto && buildkit::is_absent(&refused) => {
                self.classic(events).await
            }
            Err(refused) => {
                let error = Error::new(ExitCode::Build, "cannot use the engine's BuildKit");
                Err(error.because(refused).hint(
                    "choose the classic builder if the engine has no BuildKit (Podman has none)",
                ))
            }
        }
    }

    async fn buildkit(
        &self,
        mut buildkit: BuildKit<'_>,
        events: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<Unproven> {
        if let Some(need) = self.need
            && self.engine.check_space(need).is_err()
        {
            // What is there already is asked for only when it decides: engines count slowly.
            let kept = need.kept.max(buildkit.kept().await);
            self.engine.check_space(Need { kept, ..need })?;
        }
        buildkit.build(events).await
    }

    async fn classic(&self, events: &mut (dyn FnMut(BuildEvent) + Send)) -> Result<Unproven> {
        if let Some(need) = self.need {
            self.engine.check_space(need)?;
        }
        let id = classic::build(self, events).await?;
        let foreign = None;
        Ok(Unproven { id, foreign })
    }

    /// Whether the engine has the image, for the platform that was asked for.
    async fn check_image(&self, made: &Unproven) -> Result<()> {
        if let Some(why) = &made.foreign {
            return Err(foreign(self.request, why));
        }
        let (id, wanted) = (&made.id, &self.request.platform);
        let docker = self.engine.docker();
        let inspected = docker.inspect_image(id).await;
        let inspected = inspected.map_err(|error| lost(id, error))?;
        let os = inspected.os.unwrap_or_default();
        let found = architecture(&inspected.architecture.unwrap_or_default());
        let mut parts = wanted.split('/');
        let is_right =
            parts.next() == Some(&os) && parts.next().map(architecture) == Some(found.clone());
        match is_right {
            true => Ok(()),
            false => Err(foreign(
                self.request,
                &format!("the image is for {os}/{found}"),
            )),
        }
    }

    async fn give_name(&self, id: &str) -> Result<()> {
        let name = &self.request.name;
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag);
        let named = self.engine.docker().tag_image(id, Some(options.build()));
        named.await.map_err(|error| lost(id, error))
    }

    /// Removes what was built, unless it is what an earlier build made and named. What stays is
    /// what `docker image prune` takes.
    async fn discard(&self, id: &str) {
        let docker = self.engine.docker();
        let names = match docker.inspect_image(id).await {
            Ok(image) => image.repo_tags.unwrap_or_default(),
            Err(_) => return,
        };
        if names.is_empty() {
            let options = None::<RemoveImageOptions>;
            let _ = docker.remove_image(id, options, None).await;
        }
    }
}

/// What a builder made, before it is known to be what was asked for.
pub(super) struct Unproven {
    /// Its id in the engine.
    pub(super) id: String,
    /// Why it is for another platform, in the builder's words.
    pub(super) foreign: Option<String>,
}

/// The engine does not have what it built.
fn lost(id: &str, error: EngineError) -> Error {
    Error::new(ExitCode::Build, format!("the engine lost the image {id}"))
        .because(error)
        .hint("was it removed meanwhile? Build again")
}

/// A base image is for another platform.
fn foreign(request: &BuildRequest, why: &str) -> Error {
    let wanted = &request.platform;
    let message = format!("the image is not for {wanted}");
    Error::new(ExitCode::Build, message)
        .because(why)
        .hint(format!(
            "name a base image for {wanted}; remove the one that the engine has with `docker rmi`"
        ))
}
