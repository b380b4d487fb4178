//! GitHub: what a runner of GitHub Actions reads of a step, and what started the step.

pub mod chat;
pub mod event;
pub mod guard;
pub mod log;
mod names;
pub mod runner;
