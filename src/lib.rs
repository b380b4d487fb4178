//! `mlaction` takes a machine-learning project in a Git repository from data to a gated,
//! reported model.
//!
//! The folder order is the flow:
//!
//! ```text
//! flags + mlaction.toml → config → plan → run (image → registry → destination → metrics) → report
//! ```
//!
//! `config` and the environment become one printable [`plan`] value, offline; a destination
//! executes that value; metrics are read from what it wrote, gated against limits and a
//! baseline, and become one [`report::Report`] with several faces.

pub mod atomic;
pub mod aws;
pub mod cli;
pub mod commands;
pub mod config;
pub mod context;
pub mod data;
pub mod destination;
pub mod error;
pub mod github;
pub mod image;
pub mod metrics;
pub mod plan;
pub mod record;
pub mod registry;
pub mod report;
pub mod run;
pub mod scaffold;
pub mod talk;
pub(crate) mod transport;
