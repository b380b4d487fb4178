//! Where images go, decided: a part of a printable plan, without secrets.

use serde::{Deserialize, Serialize};

/// Where images go: decided, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum RegistryPlan {
    /// Nowhere: the engine that built the image keeps it.
    Local {},
    /// An OCI registry.
    Oci {
        /// `host[:port]/path`, normalised.
        repository: String,
    },
    /// Amazon ECR.
    Ecr(EcrPlan),
}

/// A repository in Amazon ECR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EcrPlan {
    /// The registry's account; the credentials' own when it is left out.
    pub account: Option<String>,
    /// Region.
    pub region: String,
    /// Partition, which follows from the region.
    pub partition: Partition,
    /// Name of the repository.
    pub repository: String,
    /// Whether a missing repository is created.
    pub create: bool,
    /// Whether its tags are immutable then.
    pub immutable_tags: bool,
    /// Whether images are scanned then.
    pub scan_on_push: bool,
    /// How many images its lifecycle policy keeps then; 0 is all.
    pub keep_images: u32,
    /// After how many days images without a tag expire then; 0 is never.
    pub untagged_days: u32,
    /// The KMS key that encrypts it then.
    pub kms_key: Option<String>,
}

/// A part of AWS with accounts and names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partition {
    /// The commercial regions.
    #[serde(rename = "aws")]
    Aws,
    /// China.
    #[serde(rename = "aws-cn")]
    China,
    /// The regions of the government of the United States.
    #[serde(rename = "aws-us-gov")]
    UsGov,
}

impl Partition {
    pub(crate) fn of(region: &str) -> Option<Self> {
        match region {
            region if region.starts_with("cn-") => Some(Self::China),
            region if region.starts_with("us-gov-") => Some(Self::UsGov),
            region
                if ["us-iso", "eu-iso", "eusc-"]
                    .iter()
                    .any(|cut| region.starts_with(cut)) =>
            {
                None
            }
            _ => Some(Self::Aws),
        }
    }

    /// Its name in ARNs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::UsGov => "aws-us-gov",
        }
    }

    /// How its host names end.
    /// <https://docs.aws.amazon.com/general/latest/gr/ecr.html>
    #[must_use]
    pub fn domain(self) -> &'static str {
        match self {
            Self::China => "amazonaws.com.cn",
            Self::Aws | Self::UsGov => "amazonaws.com",
        }
    }
}

impl EcrPlan {
    /// The registry's host for an account.
    #[must_use]
    pub fn host(&self, account: &str) -> String {
        let (region, domain) = (&self.region, self.partition.domain());
        format!("{account}.dkr.ecr.{region}.{domain}")
    }

    /// The repository's ARN for an account.
    #[must_use]
    pub fn arn(&self, account: &str) -> String {
        let (partition, region, name) = (self.partition.name(), &self.region, &self.repository);
        format!("arn:{partition}:ecr:{region}:{account}:repository/{name}")
    }
}

impl RegistryPlan {
    /// Whether images stay in the engine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local {})
    }

    /// Where images go, for people; nothing when they stay in the engine.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match self {
            Self::Local {} => None,
            Self::Oci { repository } => Some(repository.clone()),
            Self::Ecr(plan) => {
                let account = plan.account.as_deref().unwrap_or("ACCOUNT");
                Some(format!("{}/{}", plan.host(account), plan.repository))
            }
        }
    }

    /// The IAM actions that publishing needs, and pulling what is published:
    /// `ecr:GetAuthorizationToken` on every resource, the others on the repository (and, for
    /// `kms:`, on the key).
    /// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html>
    #[must_use]
    pub fn permissions(&self) -> Vec<String> {
        let Self::Ecr(plan) = self else {
            return Vec::new();
        };
        let mut actions = vec![
            "ecr:GetAuthorizationToken",
            "ecr:DescribeRepositories",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
        ];
        if plan.create {
            actions.push("ecr:CreateRepository");
            if plan.keep_images > 0 || plan.untagged_days > 0 {
                actions.push("ecr:PutLifecyclePolicy");
            }
            if plan.kms_key.is_some() {
                actions.extend(["kms:DescribeKey", "kms:CreateGrant", "kms:RetireGrant"]);
            }
        }
        actions.into_iter().map(str::to_owned).collect()
    }
}

/// The lifecycle policy of a new repository; nothing when everything is kept.
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html>
#[must_use]
pub fn lifecycle(plan: &EcrPlan) -> Option<String> {
    let mut rules = Vec::new();
    if plan.untagged_days > 0 {
        rules.push(serde_json::json!({
            "rulePriority": 1,
            "description": "Images without a tag",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": plan.untagged_days,
            },
            "action": {"type": "expire"},
        }));
    }
    if plan.keep_images > 0 {
        rules.push(serde_json::json!({
            "rulePriority": 2,
            "description": "Old images of mlaction",
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": [super::ADDRESS_PREFIX],
                "countType": "imageCountMoreThan",
                "countNumber": plan.keep_images,
            },
            "action": {"type": "expire"},
        }));
    }
    (!rules.is_empty()).then(|| serde_json::json!({ "rules": rules }).to_string())
}
