//! Amazon ECR: token, what it has under a tag, and the repository.

mod prepare;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_ecr::Client as Sdk;
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bollard::Docker;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::credentials::{self, Credentials, Login};
use super::engine_push::{Logins, PushProgress, Wanted, push};
use super::oci::{Client, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use super::plan::{EcrPlan, RegistryPlan};
use super::reference::{Repository, is_loopback};
use super::{Manifest, Published, Registry, hex, publish_error};
use crate::aws::damaged::Whole;
use crate::aws::errors::Doing;
use crate::error::{ExitCode, Result};
use crate::image::BuiltImage;

/// A token is good for 12 hours; one that ends sooner than this is replaced before a push.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

/// A repository in Amazon ECR.
pub struct Ecr {
    plan: EcrPlan,
    platform: String,
    sdk: Sdk,
    http: Client,
    /// Another host than AWS's own: a stand-in on this machine.
    host: Option<String>,
    token: Mutex<Option<Token>>,
    repository: OnceLock<(Repository, String)>,
    warnings: Mutex<Vec<String>>,
    now: fn() -> Timestamp,
}

#[derive(Clone)]
struct Token {
    login: Login,
    account: Option<String>,
    until: Timestamp,
}

impl Ecr {
    /// The repository of a plan, with a configuration for the plan's region; `env` says where the
    /// registry is when it is a stand-in on this machine (`AWS_ENDPOINT_URL_ECR`), and proxies.
    #[must_use]
    pub fn new(
        plan: EcrPlan,
        platform: &str,
        config: &SdkConfig,
        env: &BTreeMap<String, String>,
    ) -> Self {
        // NOTE: an API on this machine is a stand-in, and has its registry on the same port.
        let set = |name: &str| env.get(name).and_then(|url| url.parse::<http::Uri>().ok());
        let endpoint = set("AWS_ENDPOINT_URL_ECR").or_else(|| set("AWS_ENDPOINT_URL"));
        let own = aws_sdk_ecr::config::Builder::from(config);
        let own = own.interceptor(Whole).retry_classifier(Whole);
        let host = endpoint.and_then(|url| Some(url.authority()?.to_string()));
        Self {
            platform: platform.to_owned(),
            sdk: Sdk::from_conf(own.build()),
            http: Client::new(env, Credentials::from_environment(&BTreeMap::new())),
            host: host.filter(|host| is_loopback(host)),
            token: Mutex::default(),
            repository: OnceLock::new(),
            warnings: Mutex::default(),
            now: Timestamp::now,
            plan,
        }
    }

    /// What is not as the configuration wants it, and was respected; each said once.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(text);
    }

    fn arn(&self) -> String {
        self.plan.arn(self.plan.account.as_deref().unwrap_or("*"))
    }

    /// Makes an action with its words for an error.
    fn failed<E>(
        &self,
        what: &str,
        action: &str,
        cause: &aws_sdk_ecr::error::SdkError<E>,
    ) -> crate::error::Error
    where
        E: aws_sdk_ecr::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let arn = self.arn();
        let resource = match action {
            "ecr:GetAuthorizationToken" => "*",
            _ => &arn,
        };
        let doing = Doing {
            what,
            action,
            resource,
            region: &self.plan.region,
            code: ExitCode::Publish,
        };
        doing.error(cause)
    }

    /// A token that is good for another hour, or a new one when that is asked for.
    async fn token(&self, is_fresh: bool) -> Result<Token> {
        let held = self
            .token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(token) = held.filter(|token| !is_fresh && (self.now)() < token.until) {
            return Ok(token);
        }
        let answer = self.sdk.get_authorization_token().send().await;
        let answer = answer.map_err(|cause| {
            self.failed("sign in to Amazon ECR", "ecr:GetAuthorizationToken", &cause)
        })?;
        let broken = || {
            credentials::error("Amazon ECR gave a token that is none")
                .hint("check AWS_ENDPOINT_URL; if it is AWS itself, try again")
        };
        let data = answer.authorization_data().first().ok_or_else(broken)?;
        let pair = data.authorization_token().ok_or_else(broken)?;
        let pair = BASE64_STANDARD.decode(pair).map_err(|_| broken())?;
        let pair = String::from_utf8(pair).map_err(|_| broken())?;
        let (user, password) = pair.split_once(':').ok_or_else(broken)?;
        let end = data
            .expires_at()
            .and_then(|end| Timestamp::from_second(end.secs()).ok());
        let end = end.unwrap_or_else(|| (self.now)());
        let endpoint = data.proxy_endpoint().unwrap_or_default();
        let host = endpoint.trim_start_matches("https://");
        let account = host.split('.').next().filter(|account| account.len() == 12);
        let token = Token {
            login: Login::new(user, password),
            account: account.map(str::to_owned),
            until: end.saturating_sub(MARGIN).unwrap_or(end),
        };
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(token.clone());
        Ok(token)
    }

    /// Where images are. The account is the token's when none is configured and none was told.
    async fn place(&self) -> Result<&Repository> {
        if let Some((repository, _)) = self.repository.get() {
            return Ok(repository);
        }
        let account = match (&self.host, &self.plan.account) {
            (None, None) => self.token(false).await?.account,
            _ => None,
        };
        self.place_of(account.as_deref())
    }

    /// Where images are, in an account when none is configured.
    fn place_of(&self, account: Option<&str>) -> Result<&Repository> {
        let host = match (&self.host, self.plan.account.as_deref().or(account)) {
            (Some(host), _) => host.clone(),
            (None, Some(account)) => self.plan.host(account),
            (None, None) => {
                return Err(
                    credentials::error("Amazon ECR does not say whose registry it is")
                        .hint("set `account` in `[registry]`"),
                );
            }
        };
        let text = format!("{host}/{}", self.plan.repository);
        let repository = Repository::parse(&text).map_err(publish_error)?;
        Ok(&self.repository.get_or_init(|| (repository, text)).0)
    }
}

impl Ecr {
    /// The client, signed in.
    pub(super) async fn client(&self) -> Result<&Client> {
        self.login(false).await?;
        Ok(&self.http)
    }
}

impl Logins for Ecr {
    async fn login(&self, is_fresh: bool) -> Result<Option<Login>> {
        let token = self.token(is_fresh).await?;
        let repository = self.place().await?;
        // ECR takes the token as a password: no need to ask it how to sign in.
        self.http.sign_in(repository, &token.login);
        Ok(Some(token.login))
    }
}

impl Registry for Ecr {
    async fn find(&self, tag: &str) -> Result<Option<Manifest>> {
        // NOTE: DescribeImages does not say how large the manifest is, and cannot be verified.
        let mut request = self
            .sdk
            .batch_get_image()
            .repository_name(&self.plan.repository)
            .set_registry_id(self.plan.account.clone())
            .image_ids(ImageIdentifier::builder().image_tag(tag).build());
        for accepted in [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX] {
            request = request.accepted_media_types(accepted);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(cause) if is_code(&cause, "RepositoryNotFoundException") => {
                return match self.plan.create {
                    true => Ok(None),
                    false => Err(self.missing()),
                };
            }
            Err(cause) => {
                return Err(self.failed("look for the image", "ecr:BatchGetImage", &cause));
            }
        };
        let Some(image) = answer.images().first() else {
            let failure = answer.failures().first();
            return match failure.and_then(|failure| failure.failure_code()) {
                None
                | Some(
                    ImageFailureCode::ImageNotFound | ImageFailureCode::ImageTagDoesNotMatchDigest,
                ) => Ok(None),
                Some(code) => Err(
                    publish_error(format!("Amazon ECR cannot say what `{tag}` is"))
                        .because(code.as_str()),
                ),
            };
        };
        let body = image.image_manifest().unwrap_or_default();
        let digest = format!("sha256:{}", hex(&Sha256::digest(body)));
        let said = image
            .image_id()
            .and_then(|id| id.image_digest())
            .unwrap_or_default();
        if digest != said {
            return Err(
                publish_error(format!("Amazon ECR gave a broken answer about `{tag}`"))
                    .because(format!("it says `{said}`, its bytes are `{digest}`")),
            );
        }
        self.place_of(image.registry_id())?;
        Ok(Some(Manifest {
            digest,
            media_type: image
                .image_manifest_media_type()
                .unwrap_or(DOCKER_MANIFEST)
                .to_owned(),
            size: body.len() as u64,
        }))
    }

    async fn publish(
        &self,
        docker: &Docker,
        built: &BuiltImage,
        tag: &str,
        progress: &mut dyn FnMut(PushProgress),
    ) -> Result<Published> {
        let repository = self.place().await?;
        if let Some(manifest) = self.find(tag).await? {
            return super::there(repository, tag, manifest);
        }
        self.prepare().await?;
        let wanted = Wanted {
            platform: &self.platform,
            docker_types: true,
        };
        let pushed = push(
            docker, &self.http, built, repository, tag, wanted, self, progress,
        )
        .await?;
        Ok(Published::new(repository, pushed))
    }

    /// The bare name until the account is known, when none is configured.
    fn repository(&self) -> &str {
        match self.repository.get() {
            Some((_, text)) => text,
            None => &self.plan.repository,
        }
    }

    fn permissions(&self) -> Vec<String> {
        RegistryPlan::Ecr(self.plan.clone()).permissions()
    }
}

fn is_code<E>(cause: &aws_sdk_ecr::error::SdkError<E>, code: &str) -> bool
where
    E: aws_sdk_ecr::error::ProvideErrorMetadata,
{
    cause.as_service_error().and_then(|error| error.code()) == Some(code)
}
