//! Plans for the tests of others: made as every plan is, of a project in a temporary folder.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Choices, Plan};
use crate::config;
use crate::context::{Context, Git};
use crate::data::known::Known;
use crate::destination::place::DestinationPlan;

const CONFIG: &str = r#"[project]
name = "churn"
destination = "gpu"
[image]
dockerfile = "Dockerfile"
[registry]
kind = "ecr"
account = "123456789012"
region = "eu-west-1"
[data.train]
path = "data/train"
[data.held_out]
path = "data/held_out"
[training]
entry_point = "model/train.py"
channels = ["train"]
max_runtime = "2h"
hyperparameters = { learning_rate = 1e-3, note = "a | b" }
[validation]
entry_point = "model/validate.py"
channels = ["held_out"]
[gates.accuracy]
min = 0.9
regression = { absolute = 0.01 }
[gates.loss]
max = 0.5
[destinations.gpu]
kind = "sagemaker"
region = "eu-west-1"
role = "arn:aws:iam::123456789012:role/training"
s3 = "s3://bucket/churn"
instance_type = "ml.g5.xlarge"
instances = 2
price_per_hour = 1.41
price_currency = "USD"
max_cost = 10.0
"#;

/// A run on SageMaker.
pub(crate) fn sagemaker() -> Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(made).clone()
}

fn made() -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (path, text) in [
        ("Dockerfile", "FROM scratch\n"),
        ("data/train/a.csv", "1,2\n"),
        ("data/held_out/b.csv", "3,4\n"),
        ("model/train.py", ""),
        ("model/validate.py", ""),
    ] {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let config = config::parse(root, CONFIG).unwrap();
    let context = Context {
        now: "2026-03-01T09:30:00Z".parse().unwrap(),
        env: BTreeMap::new(),
        git: Some(Git {
            commit: "8b0a5f2c9d1e4b7a6f3c2d1e0f9a8b7c6d5e4f3a".to_owned(),
            dirty: true,
            branch: None,
        }),
        cpus: 2,
        gpus: 0,
        cache: root.join("cache"),
    };
    let known = Known::load(&context.cache, root, context.now.as_second());
    let mut plan = Plan::new(config, Choices::default(), &context, &[], &known).unwrap();
    // NOTE: hashes are those of this version.
    plan.run = "churn-4f2a91c07d-2".to_owned();
    if let Some(image) = &mut plan.image {
        image.tag = Some("in-4d87e06327950ea681b7".to_owned());
    }
    plan
}

/// The same with `text` in every field that others write, and so many gates and hyperparameters.
pub(crate) fn with_text(text: &str, count: usize) -> Plan {
    let mut plan = sagemaker();
    let named = |index: usize| format!("{text} {index}");
    for field in [&mut plan.project, &mut plan.run] {
        *field = text.to_owned();
    }
    let gate = plan.gates[0].clone();
    plan.gates = (0..count).map(|at| (named(at), gate.clone())).collect();
    plan.hyperparameters = (0..count).map(|at| (named(at), text.to_owned())).collect();
    for data in &mut plan.data {
        data.channel = text.to_owned();
        data.path = text.to_owned();
    }
    plan.training.entry_point = text.to_owned();
    if let Some(validation) = &mut plan.validation {
        validation.entry_point = text.to_owned();
    }
    if let Some(image) = &mut plan.image {
        image.tag = Some(text.to_owned());
    }
    if let DestinationPlan::Sagemaker(sagemaker) = &mut plan.destination {
        sagemaker.name = text.to_owned();
        sagemaker.settings.instance_type = Some(text.to_owned());
        sagemaker.cost.price_source = Some(text.to_owned());
        sagemaker.cost.price_currency = Some(text.to_owned());
    }
    plan
}
