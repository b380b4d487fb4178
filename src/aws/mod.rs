//! Amazon Web Services: who asks, one configuration for all clients, and their errors in words.

pub mod credentials;
pub mod damaged;
pub mod errors;
pub mod prices;
pub mod s3;
pub mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::identity::IdentityCache;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

use self::credentials::{Chain, GithubRole, Held, Session};
use self::settings::{AwsPlan, SignIn};

/// A TCP connection stands after this long.
const CONNECT: Duration = Duration::from_secs(10);

/// One request is answered after this long.
const ATTEMPT: Duration = Duration::from_secs(30);

/// A call with its repetitions takes no longer than this.
const WHOLE: Duration = Duration::from_secs(120);

/// How often a request is sent at most while AWS is busy.
const ATTEMPTS: u32 = 5;

/// Who asks AWS in a region. Its clones share the credentials.
#[derive(Debug, Clone)]
pub struct Access {
    /// The configuration of all clients.
    pub config: SdkConfig,
    /// The credentials that they use.
    pub credentials: Held,
    /// How long credentials of no use are put up with while a job runs.
    pub wait: Duration,
}

impl Access {
    /// Reads files and variables; nobody is asked for credentials yet. Without a plan, AWS's own
    /// chain is asked for them; `env` has the right to ask GitHub for a token.
    pub async fn new(region: &str, plan: Option<&AwsPlan>, env: &BTreeMap<String, String>) -> Self {
        let credentials = match plan.map(|plan| &plan.sign_in) {
            None | Some(SignIn::OwnChain {}) => Held::new(Chain::new(region)),
            Some(SignIn::GithubToken {
                role,
                audience,
                duration_seconds,
                session,
            }) => {
                let session = Session {
                    role: role.clone(),
                    audience: audience.clone(),
                    name: session.clone(),
                };
                let duration = Duration::from_secs(*duration_seconds);
                Held::new(GithubRole::new(session, duration, region, env).await)
            }
        };
        let config = loader(region)
            .credentials_provider(credentials.clone())
            .identity_cache(IdentityCache::no_cache())
            .load()
            .await;
        Self {
            config,
            credentials,
            wait: plan.map_or(Duration::ZERO, AwsPlan::wait),
        }
    }
}

/// The configuration of all clients for a region: credentials by AWS's own chain (variables,
/// profile, single sign-on, web identity, the machine's role), endpoints as `AWS_ENDPOINT_URL` and
/// its kin say, TLS and proxies as everywhere in this program.
#[must_use]
pub fn loader(region: &str) -> ConfigLoader {
    // NOTE: the trust store is read when the first request is sent, not before.
    let http = Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        let provider = Provider::Rustls(CryptoMode::Ring);
        connector.tls_provider(provider).build()
    });
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(WHOLE)
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts)
}
