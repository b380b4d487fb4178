//! GitHub: the event that started a workflow, what its runner reads of a step, and what a run says
//! on a pull request.

pub mod api;
pub mod body;
pub mod chat;
pub mod check;
pub mod check_run;
pub mod comment;
pub mod entry;
pub mod event;
pub mod guard;
pub mod inputs;
pub mod limits;
pub mod log;
mod names;
pub mod runner;
pub mod state;
pub mod subject;
pub mod tell;
