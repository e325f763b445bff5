//! AWS calls that belong to no single service: settings stored in Secrets Manager or Parameter Store, and IAM tokens to
//! sign in to RDS. Credentials, profile and endpoints come from the AWS SDK. These few requests are built and signed
//! here, because the SDK's clients for them would add 3 MB.

pub mod client;
pub mod rds_token;
pub mod secrets;

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::error::{Error, Result};
use crate::tls;

/// The SDK's configuration, without a region.
pub fn loader() -> Result<ConfigLoader> {
    Ok(aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https()?))
}

/// The region from the environment or the profile, else `default`. Does not ask the instance metadata service: outside
/// AWS it does not answer, and the SDK would wait for it.
pub fn region_or(default: impl Into<String>) -> RegionProviderChain {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::new(default.into()))
}

/// The SDK's configuration and credentials.
async fn load(region: &str) -> Result<(SdkConfig, Credentials)> {
    let config = loader()?.region(region_or(region)).load().await;
    let credentials = credentials(&config).await?;
    Ok((config, credentials))
}

/// Credentials from the SDK's default chain: environment, profile, role of the container or of the instance.
async fn credentials(config: &SdkConfig) -> Result<Credentials> {
    const ADVICE: &str = "give the instance a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let provider = config.credentials_provider();
    let provider = provider.ok_or_else(|| Error::unavailable(format!("no credentials of AWS; {ADVICE}")))?;
    let credentials = provider.provide_credentials().await;
    credentials.map_err(|error| Error::unavailable(format!("no credentials of AWS ({error}); {ADVICE}")))
}

/// rustls with ring, as everywhere in this application, with the system's root certificates.
fn https() -> Result<SharedHttpClient> {
    // A machine without root certificates can still use http:// endpoints; https:// fails.
    let has_roots = !tls::system_roots().is_empty();
    let roots = TrustStore::empty().with_native_roots(has_roots);
    let context = TlsContext::builder().with_trust_store(roots).build().map_err(Error::internal)?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}
