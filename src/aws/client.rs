//! Signed calls to AWS services with the JSON 1.1 protocol: Secrets Manager and Systems Manager.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::web::Bytes;
use aws_config::SdkConfig;
use aws_sdk_s3::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::service_config::ServiceConfigKey;
use hyper::Request;
use rustls::ClientConfig;
use serde_json::Value;
use url::Url;

use crate::aws;
use crate::error::{Error, Result};
use crate::http;
use crate::tls;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const MAX_ATTEMPTS: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The names that AWS uses for a service.
pub struct Service {
    /// Name in signatures and host names.
    pub name: &'static str,
    /// Name in profiles.
    pub id: &'static str,
    /// Variable that overrides its endpoint, for tests and private networks; AWS_ENDPOINT_URL overrides those of all
    /// services.
    pub endpoint_env: &'static str,
}

/// An error response of the service.
pub struct Refusal {
    /// For example `AccessDeniedException`.
    pub code: String,
    pub message: String,
}

pub struct Client {
    config: SdkConfig,
    credentials: Credentials,
    tls: Arc<ClientConfig>,
}

impl Client {
    pub async fn load(region: &str) -> Result<Client> {
        let (config, credentials) = aws::load(region).await?;
        Ok(Client { config, credentials, tls: tls::client(None)? })
    }

    /// Calls an action. Retries after throttling, server errors and connection errors.
    pub async fn call(
        &self,
        service: &Service,
        (region, domain): (&str, &str),
        action: &str,
        input: &Value,
    ) -> Result<Result<Value, Refusal>> {
        let url = self.endpoint(service, region, domain)?;
        let mut attempts = 1;
        loop {
            let answer = self.try_call(&url, service, region, action, input).await;
            let is_transient = match &answer {
                Ok((status, Err(refusal))) => *status >= 500 || refusal.code.starts_with("Thrott"),
                Ok((_, Ok(_))) => false,
                Err(_) => true,
            };
            if !is_transient || attempts == MAX_ATTEMPTS {
                return answer.map(|(_, answer)| answer);
            }
            tokio::time::sleep(RETRY_PAUSE * attempts).await;
            attempts += 1;
        }
    }

    async fn try_call(
        &self,
        url: &Url,
        service: &Service,
        region: &str,
        action: &str,
        input: &Value,
    ) -> Result<(u16, Result<Value, Refusal>)> {
        let body = input.to_string();
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", action)];
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(Error::internal)?;
        let signable = SignableRequest::new(
            "POST",
            url.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let (signed, _) =
            sign(signable.map_err(Error::internal)?, &params.into()).map_err(Error::internal)?.into_parts();
        let request = headers
            .into_iter()
            .chain(signed.headers())
            .fold(Request::post("/"), |request, (name, value)| request.header(name, value));
        let answer = http::send(url, request, Bytes::from(body.clone()), &self.tls).await?;
        let status = answer.status().as_u16();
        let value: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if answer.status().is_success() {
            return Ok((status, Ok(value)));
        }
        let text = |names: [&str; 2]| names.iter().find_map(|name| value[*name].as_str()).unwrap_or_default();
        // The code may have a namespace prefix: `com.amazonaws.ssm#ParameterNotFound`.
        let code = text(["__type", "code"]).rsplit('#').next().unwrap_or_default();
        let code = if code.is_empty() { format!("status {status}") } else { code.to_owned() };
        Ok((status, Err(Refusal { code, message: text(["message", "Message"]).to_owned() })))
    }

    /// The service's endpoint from environment or profile, else the one set for all services, else the region's.
    fn endpoint(&self, service: &Service, region: &str, domain: &str) -> Result<Url> {
        let key = ServiceConfigKey::builder()
            .service_id(service.id)
            .env(service.endpoint_env)
            .profile("endpoint_url")
            .build()
            .map_err(Error::internal)?;
        let own = self.config.service_config().and_then(|config| config.load_config(key));
        let stated = own.or_else(|| self.config.endpoint_url().map(str::to_owned));
        let url = stated.unwrap_or_else(|| format!("https://{}.{region}.{domain}/", service.name));
        let url =
            Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.ok_or_else(|| {
            let name = service.endpoint_env;
            Error::internal(format!(
                "{name} or AWS_ENDPOINT_URL is no URL; set https://HOST[:PORT], or remove it"
            ))
        })
    }
}
