//! Tests that need the rig (`tests/rig/up`): Docker Engines, a registry, their programs.

mod action;
mod build;
mod containers;
mod context;
mod credentials;
mod ecr;
mod github;
mod identity;
mod image_of_action;
mod images;
mod killed;
mod registry;
mod runner;
mod s3;
mod sagemaker;
mod sagemaker_baseline;
mod sagemaker_jobs;
mod sagemaker_nodes;
mod sagemaker_results;
mod sagemaker_toolkit;
mod support;
