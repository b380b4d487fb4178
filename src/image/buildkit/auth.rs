//! Credentials for the registries that base images and caches come from.

use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use super::session::Failure;
use crate::registry::credentials::{Credentials, Login};

/// What the engine may know of our logins: the one for the registry that it asks for.
#[derive(Clone)]
pub(super) struct Logins {
    credentials: Credentials,
    failure: Failure,
}

impl Logins {
    pub(super) fn new(credentials: Credentials, failure: Failure) -> Self {
        Self {
            credentials,
            failure,
        }
    }
}

#[tonic::async_trait]
impl Auth for Logins {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        let login = self.credentials.for_host(&host).await.map_err(|error| {
            self.failure.set(error);
            Status::unavailable("no credentials")
        })?;
        let response = match login {
            None => CredentialsResponse::default(),
            // NOTE: a secret without a user is an identity token.
            Some(Login {
                user,
                password,
                is_token,
            }) => CredentialsResponse {
                username: if is_token { String::new() } else { user },
                secret: password.expose_secret().to_owned(),
            },
        };
        Ok(Response::new(response))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }
}
