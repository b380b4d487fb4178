//! The least that the caller and the jobs' role must be allowed, as statements of IAM.
//!
//! <https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html>,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html>

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::location::{Location, is_s3};
use super::settings::{SagemakerSettings, ValidateOn};
use crate::config::raw::RawConfig;
use crate::registry::plan::{EcrPlan, Partition, RegistryPlan};

/// Where SageMaker writes the jobs' logs and metrics.
const LOGS: &str = "/aws/sagemaker/TrainingJobs";

/// What must be allowed to whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// To mlaction.
    pub caller: Vec<Statement>,
    /// To the role that the jobs take on.
    pub role: Vec<Statement>,
}

/// A statement of an IAM policy, as it can be pasted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Statement {
    /// Always `Allow`.
    pub effect: String,
    /// The actions.
    pub action: Vec<String>,
    /// What they are done to.
    pub resource: Vec<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
}

impl Statement {
    fn new(action: &[&str], resource: impl IntoIterator<Item = String>) -> Self {
        Self {
            effect: "Allow".to_owned(),
            action: action.iter().map(|&name| name.to_owned()).collect(),
            resource: resource.into_iter().collect(),
            condition: None,
        }
    }

    fn when(mut self, condition: Value) -> Self {
        self.condition = Some(condition);
        self
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} on {}",
            self.action.join(", "),
            self.resource.join(", ")
        )?;
        match &self.condition {
            Some(condition) => write!(f, " if {condition}"),
            None => Ok(()),
        }
    }
}

/// What a policy's resources are named by.
struct Names<'a> {
    settings: &'a SagemakerSettings,
    project: &'a str,
    partition: &'static str,
    account: &'a str,
    root: &'a Location,
}

impl Policies {
    /// What the runs of a project need.
    #[must_use]
    pub fn new(
        settings: &SagemakerSettings,
        raw: &RawConfig,
        root: &Location,
        registry: &RegistryPlan,
    ) -> Self {
        let names = Names {
            settings,
            project: &raw.project.name,
            partition: Partition::of(&settings.region)
                .unwrap_or(Partition::Aws)
                .name(),
            account: settings.role.split(':').nth(4).unwrap_or("*"),
            root,
        };
        let repository = match registry {
            RegistryPlan::Ecr(plan) => Some(plan),
            RegistryPlan::Local {} | RegistryPlan::Oci { .. } => None,
        };
        let data = own_data(raw);
        Self {
            caller: names.caller(repository, registry),
            role: names.role(raw, repository, &data),
        }
    }
}

impl Names<'_> {
    fn arn(&self, service: &str, rest: &str) -> String {
        let (partition, region, account) = (self.partition, &self.settings.region, self.account);
        format!("arn:{partition}:{service}:{region}:{account}:{rest}")
    }

    fn bucket(&self, location: &Location) -> String {
        format!("arn:{}:s3:::{}", self.partition, location.bucket())
    }

    fn objects(&self, location: &Location, below: &str) -> String {
        format!("{}/{}{below}", self.bucket(location), location.key())
    }

    fn key(&self, key: &str) -> String {
        match key {
            arn if arn.starts_with("arn:") => arn.to_owned(),
            // NOTE: which key an alias means is not known here.
            alias if alias.starts_with("alias/") => self.arn("kms", "key/*"),
            id => self.arn("kms", &format!("key/{id}")),
        }
    }

    /// Jobs by the names that mlaction gives them. ARNs of SageMaker are in lower case.
    fn jobs(&self) -> Vec<String> {
        let lower = self.project.to_lowercase();
        let mut names = vec![self.arn("sagemaker", &format!("training-job/{lower}-*"))];
        if lower != self.project {
            names.push(self.arn("sagemaker", &format!("training-job/{}-*", self.project)));
        }
        names
    }

    fn logs(&self) -> String {
        self.arn("logs", &format!("log-group:{LOGS}:*"))
    }

    fn caller(&self, repository: Option<&EcrPlan>, registry: &RegistryPlan) -> Vec<Statement> {
        let settings = self.settings;
        let mut jobs = vec![
            "sagemaker:CreateTrainingJob",
            "sagemaker:DescribeTrainingJob",
            "sagemaker:StopTrainingJob",
            "sagemaker:AddTags",
            "sagemaker:ListTags",
        ];
        if settings.keep_alive.is_some() {
            jobs.push("sagemaker:UpdateTrainingJob");
        }
        let prefix = self.root.join("*");
        let objects = [
            "s3:GetObject",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ];
        let mut all = vec![
            Statement::new(&jobs, self.jobs()),
            // It has no resource of its own: whoever may search may see every job's description.
            Statement::new(&["sagemaker:Search"], ["*".to_owned()]),
            Statement::new(&["iam:PassRole"], [settings.role.clone()])
                .when(json!({"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}})),
            Statement::new(&objects, [self.objects(&prefix, "")]),
            Statement::new(&["s3:ListBucket"], [self.bucket(self.root)])
                .when(json!({"StringLike": {"s3:prefix": prefix.key()}})),
            Statement::new(
                &["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
                [self.bucket(self.root)],
            ),
            Statement::new(
                &["logs:DescribeLogStreams", "logs:GetLogEvents"],
                [self.logs()],
            ),
        ];
        if settings.look_up_price {
            // NOTE: no resource of it can be named.
            // <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awspricelist.html>
            all.push(Statement::new(&["pricing:GetProducts"], ["*".to_owned()]));
        }
        if let Some(key) = &settings.s3_kms_key {
            let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
            all.push(Statement::new(&actions, [self.key(key)]));
        }
        if let Some(ecr) = repository {
            all.extend(push(ecr, &registry.permissions(), self));
        }
        all
    }

    fn role(
        &self,
        raw: &RawConfig,
        repository: Option<&EcrPlan>,
        data: &[(Location, bool)],
    ) -> Vec<Statement> {
        let settings = self.settings;
        let mut read = vec![self.objects(&self.root.join("data/*"), "")];
        read.extend(data.iter().map(|(location, manifest)| match manifest {
            // NOTE: what a manifest lists is not known here.
            true => format!("{}/*", self.bucket(location)),
            false => self.objects(location, "*"),
        }));
        let mut buckets = vec![self.bucket(self.root)];
        buckets.extend(data.iter().map(|(location, _)| self.bucket(location)));
        let mut seen = std::collections::HashSet::new();
        buckets.retain(|bucket| seen.insert(bucket.clone()));
        let output = self.objects(&self.root.join("output/*"), "");
        if raw.validation.is_some() && settings.validate_on == ValidateOn::Job {
            read.push(output.clone());
        }
        let mut write = vec![output];
        if settings.checkpoints {
            let checkpoints = self.objects(&self.root.join("checkpoints/*"), "");
            read.push(checkpoints.clone());
            write.push(checkpoints);
        }
        let group = self.arn("logs", &format!("log-group:{LOGS}"));
        let logs = [
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ];
        let mut all = vec![
            Statement::new(&["s3:GetObject"], read),
            Statement::new(&["s3:ListBucket"], buckets),
            Statement::new(&["s3:PutObject", "s3:AbortMultipartUpload"], write),
            Statement::new(&logs, [group, self.logs()]),
            Statement::new(&["cloudwatch:PutMetricData"], ["*".to_owned()])
                .when(json!({"StringEquals": {"cloudwatch:namespace": LOGS}})),
        ];
        if let Some(ecr) = repository {
            let pull = [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ];
            let account = ecr.account.as_deref().unwrap_or(self.account);
            all.push(Statement::new(
                &["ecr:GetAuthorizationToken"],
                ["*".to_owned()],
            ));
            all.push(Statement::new(&pull, [ecr.arn(account)]));
        }
        if let Some(key) = &settings.s3_kms_key {
            let actions = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"];
            all.push(Statement::new(&actions, [self.key(key)]));
        }
        if let Some(key) = &settings.volume_kms_key {
            all.push(Statement::new(&["kms:CreateGrant"], [self.key(key)]));
        }
        if !settings.subnets.is_empty() {
            all.push(Statement::new(&VPC, ["*".to_owned()]));
        }
        all
    }
}

/// What SageMaker does in a VPC.
const VPC: [&str; 9] = [
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
];

/// Publishing the image: the token is nobody's resource, keys are not the repository's.
fn push(ecr: &EcrPlan, actions: &[String], names: &Names<'_>) -> Vec<Statement> {
    let of = |is_meant: &dyn Fn(&str) -> bool| -> Vec<&str> {
        let actions = actions.iter().map(String::as_str);
        actions.filter(|action| is_meant(action)).collect()
    };
    const TOKEN: &str = "ecr:GetAuthorizationToken";
    let account = ecr.account.as_deref().unwrap_or(names.account);
    let mut all = vec![
        Statement::new(&[TOKEN], ["*".to_owned()]),
        Statement::new(
            &of(&|action| action.starts_with("ecr:") && action != TOKEN),
            [ecr.arn(account)],
        ),
    ];
    if let Some(key) = &ecr.kms_key {
        let keys = of(&|action| action.starts_with("kms:"));
        if !keys.is_empty() {
            all.push(Statement::new(&keys, [names.key(key)]));
        }
    }
    all
}

/// Data that lies in S3 as it is, and whether it is a manifest.
fn own_data(raw: &RawConfig) -> Vec<(Location, bool)> {
    let used = raw.used_channels();
    let channels = used.iter().filter_map(|name| raw.data.get(name));
    channels
        .filter(|channel| is_s3(&channel.path))
        .filter_map(|channel| Some((Location::parse(&channel.path).ok()?, channel.manifest)))
        .collect()
}
