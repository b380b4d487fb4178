//! The name that a push needs in the engine: given for its time, and told apart from a user's own
//! when mlaction was killed before it was taken back.
//!
//! An engine pushes an image by the name that it has there. A second name beside that of the build,
//! `REPOSITORY:pushing-HASH`, says that the first was given for a push: the hash is over it. Names
//! without such a mark stay as they are.
//!
//! Whoever finds a mark may remove both at any time, without asking whether the push goes on: an
//! engine resolves a name once, at the beginning, and every attempt gives it anew.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{
    ListImagesOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};

use futures_util::future::join;

use super::publish_error;
use super::reference::Reference;
use crate::error::Result;
use crate::image::BuiltImage;

/// What the tag of a mark begins with.
const MARK: &str = "pushing-";

/// The name of a push.
pub(super) struct PushName<'a> {
    docker: &'a Docker,
    id: &'a str,
    target: &'a Reference,
    mark: String,
    before: Before,
}

/// What the name meant before.
enum Before {
    Nothing,
    TheSame,
    Another(String),
}

impl<'a> PushName<'a> {
    /// Looks at what the name means now. Nothing is changed yet.
    pub(super) async fn new(
        docker: &'a Docker,
        built: &'a BuiltImage,
        target: &'a Reference,
    ) -> Self {
        let (repository, _) = built.name.rsplit_once(':').unwrap_or((&built.name, ""));
        let mark = mark_of(target, repository);
        let target_name = target.to_string();
        let marked = docker.inspect_image(&mark);
        let (marked, named) = join(marked, docker.inspect_image(&target_name)).await;
        let is_marked = marked.is_ok();
        let before = match named.ok().and_then(|image| image.id) {
            None => Before::Nothing,
            Some(_) if is_marked => Before::Nothing,
            Some(id) if id == built.id => Before::TheSame,
            Some(id) => Before::Another(id),
        };
        Self {
            docker,
            id: &built.id,
            target,
            mark,
            before,
        }
    }

    /// Gives the image the name, also again.
    pub(super) async fn give(&self) -> Result<()> {
        // NOTE: the mark comes first and goes last. A name without it would stay for ever.
        if !matches!(self.before, Before::TheSame) {
            self.point(&self.mark, self.id).await?;
        }
        self.point(&self.target.to_string(), self.id).await
    }

    /// Makes the name what it was. A failure costs a name that the next command removes, not the
    /// push.
    pub(super) async fn take_back(self) {
        let name = self.target.to_string();
        let is_back = match &self.before {
            Before::TheSame => return,
            Before::Another(id) => self.point(&name, id).await.is_ok(),
            Before::Nothing => {
                // NOTE: engines note the digest of what was pushed, and forget it with the last
                // tag. When somebody else has taken the name, it is given for that.
                let _ = self.give().await;
                untag(self.docker, &name).await.is_ok()
            }
        };
        if is_back {
            let _ = untag(self.docker, &self.mark).await;
        }
    }

    async fn point(&self, name: &str, id: &str) -> Result<()> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, ""));
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag);
        let named = self.docker.tag_image(id, Some(options.build())).await;
        named.map_err(|cause| {
            publish_error(format!("cannot name the image `{name}`"))
                .because(cause)
                .hint("something removed it meanwhile (`docker image prune`?): run again")
        })
    }
}

/// Takes back the names of pushes that did not end, of images in a repository of the engine, and
/// says which these were. What cannot be taken back now waits for the next command.
pub async fn sweep(docker: &Docker, repository: &str) -> Vec<String> {
    let pattern = format!("{repository}:{MARK}*");
    let filters = HashMap::from([("reference", vec![pattern])]);
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let images = docker.list_images(Some(options)).await.unwrap_or_default();
    let mut words = Vec::new();
    for image in images {
        // NOTE: engines list those names only that fit the pattern.
        let Ok(image) = docker.inspect_image(&image.id).await else {
            continue;
        };
        let names = image.repo_tags.unwrap_or_default();
        let is_mark = |name: &&String| name.starts_with(&format!("{repository}:{MARK}"));
        for mark in names.iter().filter(is_mark) {
            let is_marked = |name: &&String| {
                let target = Reference::parse(name);
                target.is_ok_and(|target| mark_of(&target, repository) == *mark)
            };
            if let Some(name) = names.iter().find(is_marked) {
                if untag(docker, name).await.is_err() {
                    continue;
                }
                words.push(format!(
                    "`{name}`, left by a push that did not end: removed"
                ));
            }
            let _ = untag(docker, mark).await;
        }
    }
    words
}

/// The mark of a name that is given for a push.
fn mark_of(target: &Reference, repository: &str) -> String {
    let hash = blake3::hash(target.to_string().as_bytes()).to_hex();
    format!("{repository}:{MARK}{}", &hash[..32])
}

/// Takes a name away from an image, if it is there.
async fn untag(docker: &Docker, name: &str) -> std::result::Result<(), EngineError> {
    let options = RemoveImageOptions {
        noprune: true,
        ..RemoveImageOptions::default()
    };
    match docker.remove_image(name, Some(options), None).await {
        Err(EngineError::DockerResponseServerError {
            status_code: 404, ..
        })
        | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}
