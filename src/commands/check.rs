//! `check`: everything about a project that can be known offline, all mistakes at once.

use std::path::Path;

use super::{color, print};
use crate::config::{self, Config};
use crate::context::Context;
use crate::data::known::Known;
use crate::destination::place::DestinationPlan;
use crate::error::{Error, Result};
use crate::plan::image::{ImagePlan, Settings};
use crate::plan::inputs;

pub(super) fn run(root: &Path) -> Result<u8> {
    let config = config::load(root, color())?;
    let mistakes = mistakes(&config, &Context::read(root));
    match mistakes.as_slice() {
        [] => print(&format!("{}: no mistakes found\n", config.raw.project.name)),
        [only] => Err(only.clone()),
        [first, ..] => {
            let texts: Vec<String> = mistakes.iter().map(Error::render).collect();
            Err(
                Error::new(first.exit_code(), format!("{} problems", mistakes.len()))
                    .rendered(texts.join("\n")),
            )
        }
    }
}

/// What is wrong outside of the file itself.
fn mistakes(config: &Config, context: &Context) -> Vec<Error> {
    let Config {
        root,
        raw,
        hyperparameters,
    } = config;
    let mut mistakes: Vec<Error> = raw
        .data
        .values()
        .filter_map(|channel| inputs::missing_data(root, &channel.path))
        .collect();
    mistakes.extend(inputs::load_baseline(&root.join(&raw.baseline.path), false).err());
    match inputs::destination(root, raw, None, hyperparameters, context) {
        Ok(DestinationPlan::Docker(_) | DestinationPlan::Sagemaker(_)) => {
            mistakes.extend(image(config, context));
        }
        Ok(DestinationPlan::Process(_)) => {}
        Err(mistake) => mistakes.push(mistake),
    }
    mistakes
}

/// What is wrong with the image that the jobs would run in.
fn image(config: &Config, context: &Context) -> Option<Error> {
    let Config { root, raw, .. } = config;
    let settings = Settings {
        image: raw.image.clone(),
        registry: raw.registry.clone(),
        project: &raw.project.name,
    };
    let known = Known::load(&context.cache, root, context.now.as_second());
    ImagePlan::new(root, settings, context, &known).err()
}
