//! GitHub: what a runner of GitHub Actions reads of a step.

pub mod log;
pub mod runner;
