//! Training jobs of Amazon SageMaker AI: what is asked for, held against SageMaker's rules, and
//! the exact request; then the job itself.
//!
//! ```text
//! settings → rules, limits → plan, request     nothing asks anybody
//! job (launch · state · logs · fetch)          the live side
//! ```

mod account;
pub mod cost;
mod creating;
mod extra;
mod fetch;
pub mod job;
pub mod jobs;
mod launch;
mod limits;
pub mod location;
mod logs;
pub mod names;
pub mod plan;
pub mod policies;
mod problem;
mod reading;
pub mod request;
mod rules;
pub mod settings;
mod state;
mod stop;
mod supersede;
mod unsigned;

use aws_config::SdkConfig;

use crate::aws::damaged::Whole;

pub use limits::{Asked, check, hyperparameter_sizes};
pub use logs::LogReader;

/// A client of SageMaker.
fn client(config: &SdkConfig) -> aws_sdk_sagemaker::Client {
    let own = aws_sdk_sagemaker::config::Builder::from(config);
    let own = own.interceptor(Whole).retry_classifier(Whole);
    aws_sdk_sagemaker::Client::from_conf(own.build())
}

/// What is wrong, and where in mlaction.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The keys that lead to the place.
    pub place: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Mistake {
    pub(super) fn new<'p>(place: impl IntoIterator<Item = &'p str>, message: String) -> Self {
        Self {
            place: place.into_iter().map(str::to_owned).collect(),
            message,
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
