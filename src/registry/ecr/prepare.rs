//! The repository in Amazon ECR: made when it is missing, respected as it is when it is there.

use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability,
    Repository as Description,
};

use super::{Ecr, is_code};
use crate::error::{Error, Result};
use crate::registry::plan::{EcrPlan, lifecycle};
use crate::registry::publish_error;

impl Ecr {
    /// Makes sure that the repository is there; settings of one that is there are respected.
    pub(super) async fn prepare(&self) -> Result<()> {
        let (name, account) = (&self.plan.repository, self.plan.account.clone());
        let answer = self
            .sdk
            .describe_repositories()
            .repository_names(name)
            .set_registry_id(account)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                if let Some(found) = answer.repositories().first() {
                    self.compare(found);
                }
                Ok(())
            }
            Err(cause) if is_code(&cause, "RepositoryNotFoundException") => {
                match self.plan.create {
                    true => self.create().await,
                    false => Err(self.missing()),
                }
            }
            // Knowing the settings is a courtesy; the push will show whether it is there.
            Err(cause) if is_code(&cause, "AccessDeniedException") => {
                let error =
                    self.failed("look at the repository", "ecr:DescribeRepositories", &cause);
                self.warn(format!("{error}; its settings are not known"));
                Ok(())
            }
            Err(cause) => {
                Err(self.failed("look at the repository", "ecr:DescribeRepositories", &cause))
            }
        }
    }

    pub(super) fn missing(&self) -> Error {
        let EcrPlan {
            repository, region, ..
        } = &self.plan;
        publish_error(format!(
            "there is no repository `{repository}` in `{region}`"
        ))
        .because("`create` is false in `[registry]`")
        .hint("create it, set `create = true`, or correct `repository`, `region` or `account`")
    }

    async fn create(&self) -> Result<()> {
        let plan = &self.plan;
        let encryption = plan.kms_key.as_ref().map(|key| {
            EncryptionConfiguration::builder()
                .encryption_type(EncryptionType::Kms)
                .kms_key(key)
                .build()
        });
        let encryption = encryption
            .transpose()
            .map_err(|cause| publish_error(cause.to_string()))?;
        let mutability = match plan.immutable_tags {
            true => ImageTagMutability::Immutable,
            false => ImageTagMutability::Mutable,
        };
        let scanning = ImageScanningConfiguration::builder()
            .scan_on_push(plan.scan_on_push)
            .build();
        let created = self
            .sdk
            .create_repository()
            .repository_name(&plan.repository)
            .set_registry_id(plan.account.clone())
            .image_tag_mutability(mutability)
            .image_scanning_configuration(scanning)
            .set_encryption_configuration(encryption)
            .send()
            .await;
        match created {
            Ok(_) => {}
            // Somebody else was faster, with settings of their own.
            Err(cause) if is_code(&cause, "RepositoryAlreadyExistsException") => return Ok(()),
            Err(cause) => {
                return Err(self.failed("create the repository", "ecr:CreateRepository", &cause));
            }
        }
        let Some(policy) = lifecycle(plan) else {
            return Ok(());
        };
        let set = self
            .sdk
            .put_lifecycle_policy()
            .repository_name(&plan.repository)
            .set_registry_id(plan.account.clone())
            .lifecycle_policy_text(policy)
            .send()
            .await;
        if let Err(cause) = set {
            let error = self.failed("set the lifecycle policy", "ecr:PutLifecyclePolicy", &cause);
            self.warn(format!(
                "the repository was created, but images will not expire: {error}"
            ));
        }
        Ok(())
    }

    fn compare(&self, found: &Description) {
        let plan = &self.plan;
        let is_immutable = matches!(
            found.image_tag_mutability(),
            Some(ImageTagMutability::Immutable | ImageTagMutability::ImmutableWithExclusion)
        );
        let scans = found
            .image_scanning_configuration()
            .is_some_and(|scan| scan.scan_on_push());
        for (key, wanted, is) in [
            ("immutable_tags", plan.immutable_tags, is_immutable),
            ("scan_on_push", plan.scan_on_push, scans),
        ] {
            if wanted != is {
                let name = &plan.repository;
                self.warn(format!(
                    "`{key}` is {is} for the existing repository `{name}`, and {wanted} in `[registry]`: left as it is"
                ));
            }
        }
        let key = found
            .encryption_configuration()
            .and_then(|encryption| encryption.kms_key());
        if plan.kms_key.is_some() && key.is_none() {
            let name = &plan.repository;
            self.warn(format!(
                "the existing repository `{name}` is not encrypted with `kms_key`: that can only be chosen when it is created"
            ));
        }
    }
}
