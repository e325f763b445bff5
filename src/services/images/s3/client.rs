//! Configures the AWS SDK: region, credentials, TLS and timeouts.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::error::{Error, Result};

/// Timeout for connecting, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout for one attempt; the SDK makes up to three.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The region that other stores expect in signatures by default.
const DEFAULT_REGION: &str = "us-east-1";

/// Builds a client. Credentials come from the SDK's default chain (environment, profile, instance role by IMDSv2). The
/// SDK loads them at the first request and renews them before they expire.
pub(super) async fn build(region: Option<&str>, endpoint: Option<&str>) -> Result<Client> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https()?);
    match (region, endpoint) {
        (Some(region), _) => loader = loader.region(Region::new(region.to_owned())),
        // Without the instance metadata service: outside AWS it does not answer, and the SDK would wait for it.
        (None, Some(_)) => {
            let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(Region::from_static(DEFAULT_REGION));
            loader = loader.region(chain);
        }
        (None, None) => {}
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(Error::unavailable(
            "nobody says in which region the bucket is; set AWS_INTRO_SAMPLE_S3_REGION or AWS_REGION",
        ));
    }
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let mut config = Builder::from(&shared).timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        // Other stores seldom support virtual-hosted buckets, and refuse the checksums that newer SDKs add.
        config = config
            .endpoint_url(endpoint)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(config.build()))
}

/// rustls with ring, as everywhere in this application, with the system's root certificates.
fn https() -> Result<SharedHttpClient> {
    // A machine without root certificates can still use http:// endpoints; https:// fails.
    let has_roots = !rustls_native_certs::load_native_certs().certs.is_empty();
    let roots = TrustStore::empty().with_native_roots(has_roots);
    let context = TlsContext::builder().with_trust_store(roots).build().map_err(Error::internal)?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}
