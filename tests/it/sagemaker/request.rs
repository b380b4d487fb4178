//! The request that is printed is the one that will be sent.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mlaction::destination::place::Request;
use mlaction::registry::ImageRef;
use serde_json::{Value, json};

use super::{body, plan, project};
use crate::project::{Project, stdout};
use crate::template::python;

/// Every field that has a key, as far as they go together.
const EVERYTHING: &str = r#"
instances = 2
volume_gb = 100
spot = true
max_wait = "26h"
checkpoints = true
retry_attempts = 3
subnets = ["subnet-1", "subnet-2"]
security_groups = ["sg-1"]
s3_kms_key = "1234abcd-12ab-34cd-56ef-1234567890ab"
volume_kms_key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
network_isolation = true
encrypt_traffic = true
price_per_hour = 0.23
price_source = "price list"
price_date = "2026-01-31"
max_cost = 20
validate_on = "job"
[destinations.cloud.tags]
team = "vision"
[destinations.cloud.extra]
ProfilerConfig = { DisableProfiler = true }
StoppingCondition = { MaxPendingTimeInSeconds = 7200 }
DebugHookConfig = { S3OutputPath = "s3://my-bucket/debug" }
"#;

/// What botocore's model of SageMaker finds wrong with a request.
fn wrong(request: &Value) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sagemaker/valid.py");
    let mut child = Command::new(python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    stdout(&output)
}

#[test]
fn a_request_is_complete_and_valid_by_the_service_s_model() {
    let project = project(EVERYTHING);
    project.replace("mlaction.toml", "[data.train]\npath = \"data/train\"", "[data.train]\npath = \"s3://other-bucket/rows/\"\ninput_mode = \"FastFile\"\ndistribution = \"ShardedByS3Key\"");
    project.replace("mlaction.toml", "channels = [\"train\"]", "channels = [\"train\"]\nenvironment = { LEVEL = \"2\" }\ncontainer_entrypoint = [\"python\", \"/opt/ml/code/train.py\"]");
    let plan = plan(&project);
    let mut request = body(&plan).clone();
    let hash = plan["content_hash"].as_str().unwrap();
    let name = format!("demo-{}-1", &hash[..10]);
    let tag = |key: &str| {
        let tags = request["Tags"].as_array().unwrap().iter();
        let mut found = tags
            .filter(|tag| tag["Key"] == key)
            .map(|tag| tag["Value"].clone());
        found.next().unwrap_or_default()
    };
    assert_eq!(tag("mlaction:content"), hash);
    assert_eq!(tag("mlaction:project"), "demo");
    assert_eq!(tag("team"), "vision");
    assert_eq!(wrong(&request), "");
    request.as_object_mut().unwrap().remove("Tags");
    assert_eq!(
        request,
        json!({
            "TrainingJobName": format!("{name}-train"),
            "AlgorithmSpecification": {
                "TrainingImage": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/demo@sha256:DIGEST",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python", "/opt/ml/code/train.py"],
                "ContainerArguments": ["train"],
                "MetricDefinitions": [{"Name": "train_loss", "Regex": "train_loss=([0-9.]+)"}],
            },
            "RoleArn": "arn:aws:iam::123456789012:role/team/training",
            "HyperParameters": {"bias": "0.10"},
            "Environment": {"LEVEL": "2"},
            "InputDataConfig": [{
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://other-bucket/rows/",
                    "S3DataDistributionType": "ShardedByS3Key",
                }},
                "InputMode": "FastFile",
            }],
            "OutputDataConfig": {
                "S3OutputPath": "s3://my-bucket/ml/output",
                "KmsKeyId": "1234abcd-12ab-34cd-56ef-1234567890ab",
            },
            "ResourceConfig": {
                "InstanceType": "ml.m5.xlarge",
                "InstanceCount": 2,
                "VolumeSizeInGB": 100,
                "VolumeKmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            },
            "VpcConfig": {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
            "StoppingCondition": {
                "MaxRuntimeInSeconds": 86400,
                "MaxWaitTimeInSeconds": 93600,
                "MaxPendingTimeInSeconds": 7200,
            },
            "RetryStrategy": {"MaximumRetryAttempts": 3},
            "EnableNetworkIsolation": true,
            "EnableInterContainerTrafficEncryption": true,
            "EnableManagedSpotTraining": true,
            "CheckpointConfig": {
                "S3Uri": format!("s3://my-bucket/ml/checkpoints/demo-{}/", &hash[..10]),
                "LocalPath": "/opt/ml/checkpoints",
            },
            "ProfilerConfig": {"DisableProfiler": true},
            "DebugHookConfig": {"S3OutputPath": "s3://my-bucket/debug"},
        })
    );
    let role = &plan["destination"]["policies"]["role"];
    assert_eq!(role[0]["Resource"][1], "arn:aws:s3:::other-bucket/rows/*");
    assert_eq!(role[1]["Resource"][1], "arn:aws:s3:::other-bucket");
    // Validation: one instance, on demand, with the model that training leaves.
    let validation = &plan["validation"]["request"]["create_training_job"];
    assert_eq!(wrong(validation), "");
    assert_eq!(validation["ResourceConfig"]["InstanceCount"], 1);
    assert_eq!(validation.get("EnableManagedSpotTraining"), None);
    assert_eq!(
        validation["AlgorithmSpecification"]["ContainerArguments"],
        json!(["validate"])
    );
    assert_eq!(
        validation["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3Uri"],
        format!("s3://my-bucket/ml/output/{name}-train/output/model.tar.gz")
    );
}

#[test]
fn what_is_sent_is_what_was_printed_with_the_image_s_digest() {
    let printed = plan(&project(EVERYTHING));
    let read: mlaction::plan::Plan = serde_json::from_value(printed.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), printed);
    let Request::Sagemaker(request) = read.training.request else {
        panic!("another kind of request");
    };
    let image = ImageRef {
        repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/demo".to_owned(),
        digest: format!("sha256:{}", "a".repeat(64)),
    };
    let sent = request.body(&image).to_string();
    let expected = body(&printed).to_string();
    assert_eq!(sent, expected.replace("sha256:DIGEST", &image.digest));
}

#[test]
fn the_model_says_no_to_what_is_wrong() {
    let plan = plan(&project(""));
    assert_eq!(wrong(body(&plan)), "");
    for (field, value) in [
        ("TrainingJobName", json!("a_b")),
        ("TrainingJobName", json!("a".repeat(64))),
        ("HyperParameters", json!({"a": 1})),
        ("StoppingCondition", json!({"MaxPendingTimeInSeconds": 1})),
        ("Tags", json!([{"Key": "a", "Value": "#1"}])),
        ("ResourceConfig", json!({"InstanceType": "ml.none.large"})),
        ("Unknown", json!(1)),
    ] {
        let mut request = body(&plan).clone();
        request[field] = value;
        assert_ne!(wrong(&request), "", "{field}");
    }
}

#[test]
fn instances_may_be_chosen_from_a_list_or_make_a_cluster_of_groups() {
    let of = |more: &str| {
        let project = project(more);
        project.replace("mlaction.toml", "instance_type = \"ml.m5.xlarge\"", "");
        let plan = plan(&project);
        assert_eq!(wrong(body(&plan)), "");
        plan
    };
    let list = "instance_types = [\"ml.g5.xlarge\", \"ml.g6.xlarge\"]\ninstances = 2\n";
    let on_demand = of(list);
    assert_eq!(
        body(&on_demand)["ResourceConfig"],
        json!({
            "InstancePreferences": [
                {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2},
                {"InstanceType": "ml.g6.xlarge", "InstanceCount": 2},
            ],
            "VolumeSizeInGB": 30,
        })
    );
    assert_eq!(on_demand["training"]["request"]["alternatives"], json!([]));
    // SageMaker does not choose for spot: mlaction asks for one after the other.
    let spot = of(&format!(
        "{list}spot = true\nmax_wait = \"48h\"\ncheckpoints = true\n"
    ));
    assert_eq!(
        body(&spot)["ResourceConfig"]["InstanceType"],
        "ml.g5.xlarge"
    );
    assert_eq!(
        spot["training"]["request"]["alternatives"],
        json!(["ml.g6.xlarge"])
    );

    let groups = of(
        "[[destinations.cloud.instance_groups]]\nname = \"gpu\"\ninstance_type = \"ml.g5.xlarge\"\n[[destinations.cloud.instance_groups]]\nname = \"cpu\"\ninstance_type = \"ml.c5.xlarge\"\ninstances = 3\n",
    );
    assert_eq!(
        body(&groups)["ResourceConfig"]["InstanceGroups"],
        json!([
            {"InstanceGroupName": "gpu", "InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
            {"InstanceGroupName": "cpu", "InstanceType": "ml.c5.xlarge", "InstanceCount": 3},
        ])
    );
    let hashes = [&on_demand, &groups].map(|plan| plan["content_hash"].as_str().unwrap());
    assert_ne!(hashes[0], hashes[1], "other hosts, another result");
}

#[test]
fn data_is_uploaded_to_an_address_made_from_its_content() {
    let project = project("");
    let address = |project: &Project| {
        let plan = plan(project);
        let uri = &body(&plan)["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"];
        let request = &plan["training"]["request"];
        assert_eq!(request["uploads"]["train"], *uri);
        assert_eq!(
            request["inputs"]["train"],
            plan["root"].as_str().unwrap().to_owned() + "/data/train"
        );
        assert_eq!(
            plan["validation"]["request"]["kind"], "docker",
            "it runs here"
        );
        uri.as_str().unwrap().to_owned()
    };
    let first = address(&project);
    assert!(
        first.starts_with("s3://my-bucket/ml/data/") && first.ends_with('/'),
        "{first}"
    );
    assert_eq!(address(&project), first);
    project.write("data/train/rows.csv", "0.98\n");
    assert_ne!(address(&project), first);
}

#[test]
fn jobs_say_where_they_come_from_in_what_aws_takes() {
    let project = project("");
    let output = project
        .command(&["plan", "--destination", "cloud", "--json"])
        .env("GITHUB_REPOSITORY", "org/repo")
        .env("GITHUB_SERVER_URL", "https://github.com")
        .env("GITHUB_RUN_ID", "77")
        .env("GITHUB_REF", "refs/pull/12/merge")
        .env("GITHUB_HEAD_REF", "fix/#12 (müde),\u{7}")
        .output()
        .unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(wrong(body(&plan)), "");
    let tags = body(&plan)["Tags"].as_array().unwrap();
    let tags: Vec<String> = tags[4..]
        .iter()
        .map(|tag| {
            format!(
                "{}={}",
                tag["Key"].as_str().unwrap(),
                tag["Value"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        tags,
        [
            "mlaction:repository=org/repo",
            "mlaction:branch=fix/_12 _müde___",
            "mlaction:pull-request=12",
            "mlaction:run-url=https://github.com/org/repo/actions/runs/77",
        ]
    );
}

#[test]
fn the_plan_for_people_has_place_cost_and_permissions() {
    let project = project(EVERYTHING);
    let text = stdout(&project.run(&["train", "--destination", "cloud", "--dry-run"], 0));
    let (_, rest) = text.split_once("  destination ").unwrap();
    let (place, _) = rest.split_once("  image ").unwrap();
    insta::assert_snapshot!(place, @r#"
    cloud (sagemaker)
    region        eu-west-1
    role          arn:aws:iam::123456789012:role/team/training
    S3            s3://my-bucket/ml
    instances     2 × ml.m5.xlarge, 100 GB of disk, spot
    network       in a VPC (subnet-1, subnet-2), isolated: no network, no credentials, encrypted between instances
    checkpoints   s3://my-bucket/ml/checkpoints/
    highest cost  11.27 = train 2 × ml.m5.xlarge × 24.00 h × 0.23 + validate 1 × ml.m5.xlarge × 1.00 h × 0.23 (price list, 2026-01-31); at most 20 is allowed
    on cancel     the job is stopped
    "#);
    let (_, permissions) = text.split_once("\nPermissions\n").unwrap();
    insta::assert_snapshot!(permissions, @r#"
    a Docker Engine: who may use it is root on its machine
    you: sagemaker:CreateTrainingJob, sagemaker:DescribeTrainingJob, sagemaker:StopTrainingJob, sagemaker:AddTags, sagemaker:ListTags on arn:aws:sagemaker:eu-west-1:123456789012:training-job/demo-*
    you: sagemaker:Search on *
    you: iam:PassRole on arn:aws:iam::123456789012:role/team/training if {"StringEquals":{"iam:PassedToService":"sagemaker.amazonaws.com"}}
    you: s3:GetObject, s3:PutObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts on arn:aws:s3:::my-bucket/ml/*
    you: s3:ListBucket on arn:aws:s3:::my-bucket if {"StringLike":{"s3:prefix":"ml/*"}}
    you: s3:GetBucketLocation on arn:aws:s3:::my-bucket
    you: logs:DescribeLogStreams, logs:GetLogEvents on arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/TrainingJobs:*
    you: kms:GenerateDataKey, kms:Decrypt on arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab
    you: ecr:GetAuthorizationToken on *
    you: ecr:DescribeRepositories, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer, ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage, ecr:CreateRepository, ecr:PutLifecyclePolicy on arn:aws:ecr:eu-west-1:123456789012:repository/demo
    role training: s3:GetObject on arn:aws:s3:::my-bucket/ml/data/*, arn:aws:s3:::my-bucket/ml/output/*, arn:aws:s3:::my-bucket/ml/checkpoints/*
    role training: s3:ListBucket on arn:aws:s3:::my-bucket
    role training: s3:PutObject, s3:AbortMultipartUpload on arn:aws:s3:::my-bucket/ml/output/*, arn:aws:s3:::my-bucket/ml/checkpoints/*
    role training: logs:CreateLogGroup, logs:CreateLogStream, logs:DescribeLogStreams, logs:PutLogEvents on arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/TrainingJobs, arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/TrainingJobs:*
    role training: cloudwatch:PutMetricData on * if {"StringEquals":{"cloudwatch:namespace":"/aws/sagemaker/TrainingJobs"}}
    role training: ecr:GetAuthorizationToken on *
    role training: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer on arn:aws:ecr:eu-west-1:123456789012:repository/demo
    role training: kms:Decrypt, kms:Encrypt, kms:GenerateDataKey on arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab
    role training: kms:CreateGrant on arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab
    role training: ec2:CreateNetworkInterface, ec2:CreateNetworkInterfacePermission, ec2:DeleteNetworkInterface, ec2:DeleteNetworkInterfacePermission, ec2:DescribeDhcpOptions, ec2:DescribeNetworkInterfaces, ec2:DescribeSecurityGroups, ec2:DescribeSubnets, ec2:DescribeVpcs on *
    "#);
    assert!(!project.path().join(".mlaction").exists());
    let unpriced = super::project("");
    let text = stdout(&unpriced.run(&["plan", "--destination", "cloud"], 0));
    assert!(text.contains("highest cost  unknown"), "{text}");
}
