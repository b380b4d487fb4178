//! Amazon ECR: token, repository, settings, error wording.
