//! What SageMaker, or the money, would refuse, all of it at once and before anything is sent.

use super::project;
use crate::project::{Project, stderr, stdout};

/// The mistakes in a project whose default destination is `cloud`, by their titles.
fn mistakes(project: &Project) -> Vec<String> {
    project.replace(
        "mlaction.toml",
        "name = \"demo\"",
        "name = \"demo\"\ndestination = \"cloud\"",
    );
    let output = project.run(&["check"], 3);
    let text = stderr(&output);
    let titles = text.lines().filter_map(|line| line.strip_prefix("error: "));
    let mut titles: Vec<String> = titles.map(str::to_owned).collect();
    let count = titles.pop().unwrap();
    assert!(
        count.starts_with(&format!("{} problem", titles.len())),
        "{text}"
    );
    titles
}

#[test]
fn every_mistake_in_the_table_is_named_at_once() {
    let project = project(
        r#"
instance_types = ["ml.m5.xlarge", "ml.m5.xlarge"]
keep_alive = "7h"
spot = true
subnets = ["subnet-1"]
volume_kms_key = "arn:aws:kms:us-east-1:123456789012:key/1"
price_per_hour = { "ml.c5.xlarge" = 0.0 }
price_date = "yesterday"
poll = "1ms"
[destinations.cloud.tags]
"mlaction:project" = "mine"
"a#b" = "c,d"
[destinations.cloud.extra]
RoleArn = "arn"
ProfilerConfigs = {}
"#,
    );
    project.replace(
        "mlaction.toml",
        "role = \"arn:aws:iam",
        "role = \"arn:aws-cn:iam",
    );
    insta::assert_snapshot!(mistakes(&project).join("\n"), @r#"
    the role is not in the partition of `eu-west-1`
    instance types are given in more than one way
    `ml.m5.xlarge` is there twice
    `keep_alive` does not go with `spot`
    SageMaker keeps no instance for `7h`
    `spot` needs `max_wait`
    `spot` without `checkpoints`: an interrupted job would begin anew
    `subnets` without `security_groups`
    the key `arn:aws:kms:us-east-1:123456789012:key/1` is in another region than the jobs
    `0` is no price of `ml.c5.xlarge`
    there is no price of `ml.m5.xlarge`
    `yesterday` is no date
    `1ms` is too short or too long for `poll`
    `a#b` is no key of a tag
    the tag `a#b` has a value that AWS refuses
    the tag `mlaction:project` is taken
    `ProfilerConfigs` is no field of a training job's request
    `RoleArn` in `extra` has a key of its own
    "#);
}

#[test]
fn every_mistake_between_the_table_and_the_rest_is_named_at_once() {
    let project = project(
        "max_wait = \"1h\"\nspot = true\ncheckpoints = true\nprice_per_hour = 0.23\nmax_cost = 1.5\n",
    );
    project.replace(
        "mlaction.toml",
        "[registry]\nkind = \"ecr\"\nregion = \"eu-west-1\"",
        "[registry]\nkind = \"ecr\"\nregion = \"eu-central-1\"",
    );
    project.replace(
        "mlaction.toml",
        "[registry]",
        "[image]\nplatform = \"linux/arm64\"\n[registry]",
    );
    project.replace(
        "mlaction.toml",
        "path = \"data/train\"",
        "path = \"s3://b/x\"\ninput_mode = \"FastFile\"",
    );
    project.replace(
        "mlaction.toml",
        "path = \"data/held_out\"",
        "path = \"s3://my-bucket/held\"\nmanifest = true",
    );
    let words = format!(
        "container_arguments = [{:?}]\nenvironment = {{ A = {:?} }}",
        "w".repeat(257),
        "v".repeat(513)
    );
    project.replace(
        "mlaction.toml",
        "channels = [\"train\"]",
        &format!("channels = [\"train\"]\n{words}"),
    );
    project.replace("mlaction.toml", "bias = 0.10", "bias = \"several\\nlines\"");
    let definitions: String = (0..41)
        .map(|n| format!("[[metrics.definitions]]\nname = \"m{n}\"\nregex = \"m{n}=(.)\"\n"))
        .collect();
    project.replace(
        "mlaction.toml",
        "[gates.accuracy]",
        &format!("{definitions}[gates.accuracy]"),
    );
    insta::assert_snapshot!(mistakes(&project).join("\n"), @r#"
    `s3://b/x` is no address like `s3://BUCKET/PREFIX`
    `s3://b/x` is no folder, and FastFile reads nothing else
    `held_out` lies in S3, and validation runs here
    `wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww` in `container_arguments` is too long, or has several lines
    the variable `A` has 513 characters
    the hyperparameter `bias` has several lines
    42 metric definitions; SageMaker takes at most 40
    SageMaker runs linux/amd64, not linux/arm64
    the image's registry is in eu-central-1, the jobs are in eu-west-1
    `max_wait` is shorter than `training.max_runtime`, which it includes
    the run may cost 5.52, more than `max_cost` = 1.5
    "#);
}

#[test]
fn a_destination_that_is_asked_for_is_held_against_the_same_rules() {
    let project = project("price_per_hour = 0.23\nmax_cost = 1.5\n");
    project.replace(
        "mlaction.toml",
        "region = \"eu-west-1\"\naccount",
        "region = \"eu-central-1\"\naccount",
    );
    // A table that is not used may wait for the rest of the file.
    project.run(&["check"], 0);
    let arguments = [
        "plan",
        "--destination",
        "cloud",
        "--set",
        &format!("note={}", "x".repeat(2501)),
    ];
    let refused = stderr(&project.run(&arguments, 3));
    insta::assert_snapshot!(refused, @r#"
    registry.region: the image's registry is in eu-central-1, the jobs are in eu-west-1
      help: SageMaker pulls images from the region of its jobs
    destinations.cloud.max_cost: the run may cost 5.52, more than `max_cost` = 1.5
      help: it is train 1 × ml.m5.xlarge × 24.00 h × 0.23; shorten `max_runtime`, take fewer or smaller instances, or raise `max_cost`
    training.hyperparameters: `note` has 2501 characters; SageMaker takes at most 2500

    error: 3 problems with the destination `cloud` in mlaction.toml
    "#);
}

#[test]
fn an_interruption_without_checkpoints_can_be_asked_for_by_name() {
    let spot = "spot = true\nmax_wait = \"48h\"\n";
    let refused = mistakes(&project(spot));
    assert_eq!(
        refused[0],
        "`spot` without `checkpoints`: an interrupted job would begin anew"
    );
    let project = project(&format!("{spot}spot_without_checkpoints = true\n"));
    project.run(&["plan", "--destination", "cloud"], 0);
}

#[test]
fn data_in_s3_is_for_sagemaker() {
    let project = project("validate_on = \"job\"\n");
    project.replace(
        "mlaction.toml",
        "path = \"data/train\"",
        "path = \"s3://my-bucket/train/\"",
    );
    let text = stdout(&project.run(&["plan", "--destination", "cloud"], 0));
    assert!(
        text.contains("train = s3://my-bucket/train/ (as it lies there: not read)"),
        "{text}"
    );
    for here in ["process", "docker"] {
        let refused = stderr(&project.run(&["plan", "--destination", here], 12));
        assert!(refused.contains("lies in S3"), "{refused}");
    }
}
