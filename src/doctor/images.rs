//! The check of the picture store: an S3 bucket or a folder.

use std::time::{Duration, Instant};

use url::Url;

use super::network::Server;
use super::{Check, Failed, NO_RESPONSE_ADVICE, Problem, folder, milliseconds};
use crate::config::{AppUrl, Config, Images as Setting};
use crate::error::{Error, Result};
use crate::models::picture::Format;
use crate::services::images::{Images, new_key};
use crate::tls;

/// Longer than the SDK's own time-outs, because its errors say more. Finding credentials alone may take seconds.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);
const REGION: &str = "set AWS_INTRO_SAMPLE_S3_REGION (or AWS_REGION) to the region of the bucket";
const CA_ADVICE: &str = "install the certificate authorities of the system (the package ca-certificates), or, for a \
    store of your own, add its authority to them";

pub(super) async fn run(config: &Config) -> Check {
    let images = Images::new(config);
    if let Setting::Folder(path) = &config.images {
        let address = format!("a folder, {}", images.address());
        let mut check = Check::begin("pictures", &address, &["folder", "round trip"]);
        let done = in_folder(&mut check, path, &images).await;
        return check.end(done);
    }
    // Without an endpoint it is AWS: the address depends on the region, and there is always TLS.
    let endpoint = config.s3_endpoint.as_ref();
    let has_tls = endpoint.is_none_or(AppUrl::is_https);
    let steps = ["address", "name", "port", "TLS", "sign-in", "region", "round trip"];
    let skips = |step: &&str| match *step {
        "address" => endpoint.is_some(),
        "TLS" => !has_tls,
        _ => false,
    };
    let steps: Vec<_> = steps.into_iter().filter(|step| !skips(step)).collect();
    let mut check = Check::begin("pictures", &images.address(), &steps);
    let done = in_bucket(&mut check, &images, endpoint, has_tls).await;
    check.end(done)
}

async fn in_folder(check: &mut Check, path: &std::path::Path, images: &Images) -> Result<(), Failed> {
    check.step("folder", folder(path, "IMAGES_URL")).await?;
    round_trip(check, images).await
}

async fn in_bucket(
    check: &mut Check,
    images: &Images,
    endpoint: Option<&AppUrl>,
    has_tls: bool,
) -> Result<(), Failed> {
    let origin = match endpoint {
        Some(endpoint) => endpoint.origin(),
        None => {
            let address = async {
                let origin = images.origin().await.map_err(|error| Problem::of(&error, REGION))?;
                let origin = origin.unwrap_or_default();
                Ok((origin.clone(), origin))
            };
            check.step_within(STEP_TIMEOUT, "address", REGION, address).await?
        }
    };
    let url = Url::parse(&origin).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_matches(['[', ']']);
    let server = Server {
        host,
        port: url.as_ref().and_then(Url::port_or_known_default).unwrap_or(443),
        what: "S3",
        unreachable_advice: Some(
            "let this machine out: its security group needs an outbound rule for the port (443), and its subnet a route to \
             the internet (a NAT gateway) or a gateway end point for S3",
        ),
        setting: "AWS_INTRO_SAMPLE_S3_REGION (or AWS_ENDPOINT_URL_S3)",
        ca_advice: CA_ADVICE,
        no_tls_advice: "set http:// instead of https:// in AWS_ENDPOINT_URL_S3 if the store has no TLS, or the \
            right port",
    };
    let stream = server.reach(check).await?;
    if has_tls {
        server.begin_tls(check, stream, tls::roots(None)).await?;
    }
    let advice = "look how the store is doing";
    let sign_in = async {
        let start = Instant::now();
        images.sign_in().await.map_err(|error| Problem::of(&error, advice))?;
        Ok(((), format!("the credentials are good for the bucket ({})", milliseconds(start))))
    };
    check.step_within(STEP_TIMEOUT, "sign-in", NO_RESPONSE_ADVICE, sign_in).await?;
    let region = async {
        let region = images.bucket_region().await.map_err(|error| Problem::of(&error, advice))?;
        Ok((
            (),
            region.map_or_else(
                || "the store does not say".to_owned(),
                |region| format!("the bucket is in {region}"),
            ),
        ))
    };
    check.step_within(STEP_TIMEOUT, "region", NO_RESPONSE_ADVICE, region).await?;
    round_trip(check, images).await
}

async fn round_trip(check: &mut Check, images: &Images) -> Result<(), Failed> {
    let trip = async {
        let start = Instant::now();
        put_get_delete(images).await.map_err(|error| Problem::of(&error, "look how the store is doing"))?;
        Ok(((), format!("an object was put, read and deleted ({})", milliseconds(start))))
    };
    check.step_within(STEP_TIMEOUT, "round trip", NO_RESPONSE_ADVICE, trip).await
}

async fn put_get_delete(images: &Images) -> Result<()> {
    let (key, bytes) = (new_key(Format::Png)?, b"doctor".to_vec());
    images.put(&key, bytes.clone()).await?;
    let read = images.get(&key).await;
    images
        .delete(&key)
        .await
        .map_err(|error| Error::unavailable(format!("{} (the object {key} is left)", error.text())))?;
    match read? {
        read if read == bytes => Ok(()),
        _ => Err(Error::unavailable("what was put is not what was read")),
    }
}
