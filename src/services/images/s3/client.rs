//! Configures the AWS SDK: region, credentials, TLS and timeouts.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation};

use crate::aws;
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
    let mut loader = aws::loader()?;
    match (region, endpoint) {
        (Some(region), _) => loader = loader.region(Region::new(region.to_owned())),
        (None, Some(_)) => loader = loader.region(aws::region_or(DEFAULT_REGION)),
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
