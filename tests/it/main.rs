//! Black-box tests: they drive the real binary in a clean environment.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod action;
mod init;
mod logs;
mod metrics;
mod offline;
mod project;
mod reference;
mod registry_http;
mod runner;
mod sagemaker;
mod stopping;
mod template;
mod toolkit;
mod train;
mod with_rig;
mod workflows;
