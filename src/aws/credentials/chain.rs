//! AWS's own chain: variables, profile, single sign-on, web identity, the machine's role.

use aws_config::ConfigLoader;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};

use crate::aws::loader;

/// The chain as it is each time that it is asked: the SDK's own reads a profile once, and never
/// learns that its file was written anew.
#[derive(Debug)]
pub(in crate::aws) struct Chain {
    region: String,
}

impl Chain {
    /// The chain; nobody is asked. The region is where single sign-on and roles are asked for.
    pub(in crate::aws) fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
        }
    }

    async fn ask(&self) -> provider::Result {
        let loader: ConfigLoader = loader(&self.region);
        let config = loader.load().await;
        match config.credentials_provider() {
            Some(chain) => chain.provide_credentials().await,
            None => Err(CredentialsError::not_loaded("there is no chain")),
        }
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.ask())
    }
}
