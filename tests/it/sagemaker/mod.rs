//! Plans for SageMaker: the request, the rules, what may be spent and what must be allowed.

mod request;
mod rules;

use serde_json::Value;

use crate::project::{Project, stderr, stdout};

/// What a project needs besides its code to train on SageMaker.
pub(crate) const CLOUD: &str = r#"
[registry]
kind = "ecr"
region = "eu-west-1"
account = "123456789012"
[destinations.cloud]
kind = "sagemaker"
region = "eu-west-1"
role = "arn:aws:iam::123456789012:role/team/training"
s3 = "s3://my-bucket/ml"
instance_type = "ml.m5.xlarge"
"#;

/// A project, with more keys in the destination's table.
fn project(more: &str) -> Project {
    let project = Project::new();
    project.write("Dockerfile", "FROM scratch\nCOPY model /opt/ml/code\n");
    let config = project.read("mlaction.toml");
    project.write("mlaction.toml", &format!("{config}{CLOUD}{more}"));
    project
}

/// The plan as a program reads it.
fn plan(project: &Project) -> Value {
    let output = project.run(&["plan", "--destination", "cloud", "--json"], 0);
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// The training job's request to AWS.
fn body(plan: &Value) -> &Value {
    &plan["training"]["request"]["create_training_job"]
}

#[test]
fn the_bare_name_says_what_its_table_must_have() {
    let project = Project::new();
    let refused = stderr(&project.run(&["plan", "--destination", "sagemaker"], 2));
    for key in [
        "[destinations.sagemaker]",
        "`region`",
        "`role`",
        "`s3`",
        "`instance_type`",
    ] {
        assert!(refused.contains(key), "{refused}");
    }
    project.replace(
        "mlaction.toml",
        "name = \"demo\"",
        "name = \"demo\"\ndestination = \"sagemaker\"",
    );
    let refused = stderr(&project.run(&["check"], 3));
    assert!(refused.contains("[destinations.sagemaker]"), "{refused}");
}

#[test]
fn what_init_writes_as_comments_is_a_destination_that_plans() {
    let place = Project::empty();
    let said = stderr(&place.run(&["init", "demo", "--destination", "sagemaker"], 0));
    assert!(said.contains("fill in"), "{said}");
    place.run(&["-C", "demo", "check"], 0);
    let config = place.read("demo/mlaction.toml");
    let (before, comments) = config.split_once("# [registry]").unwrap();
    let filled = format!("{before}[registry]{}", comments.replace("\n# ", "\n"));
    let filled = filled.replacen("[project]\n", "[project]\ndestination = \"sagemaker\"\n", 1);
    place.write("demo/mlaction.toml", &filled);
    place.run(&["-C", "demo", "check"], 0);
    let text = stdout(&place.run(&["-C", "demo", "plan"], 0));
    assert!(
        text.contains("(sagemaker)") && text.contains("highest cost"),
        "{text}"
    );
}
