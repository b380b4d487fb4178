//! GitHub: what a runner of GitHub Actions reads of a step, what started the step, and what the
//! step says on GitHub.

pub mod body;
pub mod chat;
pub mod check;
pub mod event;
pub mod guard;
pub mod log;
mod names;
pub mod runner;
