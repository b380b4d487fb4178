//! `image build` and `image push`: the training image without a training run.

use std::path::Path;

use serde::Serialize;

use super::{color, print, runtime, to_json};
use crate::aws::settings::AwsPlan;
use crate::cli::{self, ImageAction};
use crate::config::{self, Config};
use crate::context::Context;
use crate::data::known::Known;
use crate::error::{Error, ExitCode, Result};
use crate::plan::image::{ImagePlan, Settings};
use crate::plan::text;
use crate::registry::plan::RegistryPlan;
use crate::run::image::{self, Made, Wanted};
use crate::talk::Talk;

/// Version of the JSON form.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    #[serde(flatten)]
    made: &'a Made,
}

pub(super) fn run(root: &Path, action: ImageAction, talk: &Talk) -> Result<u8> {
    let (arguments, is_push) = match action {
        ImageAction::Build(arguments) => (arguments, false),
        ImageAction::Push(arguments) => (arguments, true),
    };
    let cli::Image {
        dry_run,
        json,
        force,
    } = arguments;
    let Config { raw, .. } = config::load(root, color())?;
    if is_push && raw.registry.is_none() {
        let error = Error::new(ExitCode::Config, "there is no registry to push to");
        return Err(error.hint("write a table [registry] into mlaction.toml: `kind = \"oci\"` with `repository`, or `kind = \"ecr\"` with `region`"));
    }
    let context = Context::read(root);
    let known = Known::load(&context.cache, root, context.now.as_second());
    let settings = Settings {
        image: raw.image,
        registry: raw.registry,
        project: &raw.project.name,
    };
    let mut plan = ImagePlan::new(root, settings, &context, &known)?;
    if !is_push {
        plan.registry = RegistryPlan::Local {};
    }
    let aws = matches!(plan.registry, RegistryPlan::Ecr(_))
        .then(|| AwsPlan::new(&raw.aws, &context.env))
        .transpose()?;
    if dry_run {
        return print(&match json {
            true => to_json(&plan)?,
            false => text::image_alone(&plan, aws.as_ref()),
        });
    }
    if let Err(error) = known.save() {
        talk.detail(&format!("hashes of large files are not kept: {error}"));
    }
    for warning in &plan.warnings {
        talk.say(&format!("warning: {warning}"));
    }
    let wanted = Wanted {
        plan: &plan,
        aws: aws.as_ref(),
        force,
        in_engine: !is_push,
    };
    let made = runtime()?.block_on(image::alone(&wanted, root, &context, talk))?;
    print(&match json {
        true => to_json(&Document {
            schema_version: SCHEMA_VERSION,
            made: &made,
        })?,
        false => format!("{}\n", made.image),
    })
}
