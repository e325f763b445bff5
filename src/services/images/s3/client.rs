//! The SDK, set up: where it finds region and credentials, how it speaks TLS, how long it waits.

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

/// Until there is a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(1);
/// Until one try is answered; the SDK tries three times.
const ATTEMPT: Duration = Duration::from_secs(5);
/// What other stores want a request to be signed for when nobody says anything.
const ANY_REGION: &str = "us-east-1";

/// A client for this region and end point. Credentials are those of the SDK's default chain (environment, profile, role of
/// the instance by IMDSv2) and are looked for when the first request needs them, and again before they end.
pub(super) async fn build(region: Option<&str>, endpoint: Option<&str>) -> Result<Client> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https()?);
    match (region, endpoint) {
        (Some(region), _) => loader = loader.region(Region::new(region.to_owned())),
        // Outside AWS nobody should wait for the instance's answer.
        (None, Some(_)) => {
            let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(Region::from_static(ANY_REGION));
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
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
    let mut config = Builder::from(&shared).timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        // Other stores seldom have a name for each bucket, and refuse the checksums that newer SDKs add.
        config = config
            .endpoint_url(endpoint)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(config.build()))
}

/// rustls with ring, as everywhere here, trusting whom the system trusts.
fn https() -> Result<SharedHttpClient> {
    // A machine without any authorities still speaks to http:// end points; https:// is refused then.
    let has_roots = !rustls_native_certs::load_native_certs().certs.is_empty();
    let roots = TrustStore::empty().with_native_roots(has_roots);
    let context = TlsContext::builder().with_trust_store(roots).build().map_err(Error::internal)?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}
