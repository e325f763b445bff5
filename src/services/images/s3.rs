//! Stores pictures in an S3 bucket, or in an S3-compatible store. The bucket stays private: requests never contain an
//! ACL, and the application or CloudFront serves the pictures.

mod client;
mod fault;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web::Bytes;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::recent::Recent;
use crate::error::{Error, Result};
use crate::models::picture::Format;

/// `Cache-Control` for CloudFront and browsers. The content of a key never changes.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Timeout for a whole operation, including retries and the response body.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);
/// Maximum number of concurrent reads.
const MAX_READS: usize = 8;
/// Maximum number of all other concurrent requests. Separate, so that readers do not block people who post.
const MAX_WRITES: usize = 8;
/// Upper bound for waiting for a permit, so that a hanging store does not make all requests hang.
const MAX_WAIT: Duration = Duration::from_secs(2);

pub(super) struct S3 {
    bucket: String,
    /// `None`: the SDK's default chain finds it (AWS_REGION, profile, instance metadata).
    region: Option<String>,
    /// Only for stores other than AWS.
    endpoint: Option<String>,
    reads: Semaphore,
    writes: Semaphore,
    /// Whether the last write failed. If so, [`ping`](Self::ping) also tests writing.
    refused_write: AtomicBool,
    recent: Recent,
    connected: OnceCell<Connected>,
}

/// Determined by the first request.
struct Connected {
    client: Client,
    encryption: Option<ServerSideEncryption>,
}

impl S3 {
    pub(super) fn new(bucket: String, region: Option<String>, endpoint: Option<String>) -> S3 {
        S3 {
            bucket,
            region,
            endpoint,
            reads: Semaphore::new(MAX_READS),
            writes: Semaphore::new(MAX_WRITES),
            refused_write: AtomicBool::new(false),
            recent: Recent::default(),
            connected: OnceCell::new(),
        }
    }

    pub(super) async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let put = self.with_permit(&self.writes, async |store| {
            let put = self.put_request(store, key, bytes).send().await;
            put.map(|_| ()).map_err(|error| self.fault(&store.client, &error))
        });
        let put = put.await;
        self.refused_write.store(put.is_err(), Ordering::Relaxed);
        put
    }

    fn put_request(&self, store: &Connected, key: &str, bytes: Vec<u8>) -> PutObjectFluentBuilder {
        store
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(Format::of_key(key).content_type())
            .cache_control(IMMUTABLE)
            .set_server_side_encryption(store.encryption.clone())
            .body(ByteStream::from(bytes))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        if let Some(picture) = self.recent.get(key) {
            return Ok(Some(picture));
        }
        let get = self.with_permit(&self.reads, async |store| {
            match store.client.get_object().bucket(&self.bucket).key(key).send().await {
                Ok(answer) => {
                    let body = answer.body.collect().await.map_err(Error::unavailable)?;
                    Ok(Some(body.into_bytes()))
                }
                Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => {
                    Ok(None)
                }
                Err(error) => Err(self.fault(&store.client, &error)),
            }
        });
        let picture = get.await?;
        if let Some(picture) = &picture {
            self.recent.put(key, picture);
        }
        Ok(picture)
    }

    pub(super) async fn length(&self, key: &str) -> Result<Option<u64>> {
        if let Some(picture) = self.recent.get(key) {
            return Ok(Some(picture.len() as u64));
        }
        self.with_permit(&self.reads, async |store| {
            match store.client.head_object().bucket(&self.bucket).key(key).send().await {
                Ok(head) => Ok(head.content_length.and_then(|length| u64::try_from(length).ok())),
                Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
                Err(error) => Err(self.fault(&store.client, &error)),
            }
        })
        .await
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        self.recent.remove(key);
        self.with_permit(&self.writes, async |store| {
            let delete = store.client.delete_object().bucket(&self.bucket).key(key).send().await;
            delete.map(|_| ()).map_err(|error| self.fault(&store.client, &error))
        })
        .await
    }

    /// Checks that the bucket exists. After a failed write it also puts, reads and deletes a test object, until that
    /// succeeds. It does not always do so, because versioned buckets would keep every test object.
    pub(super) async fn ping(&self) -> Result<()> {
        self.bucket_region().await?;
        if self.refused_write.load(Ordering::Relaxed) {
            let key = super::new_key(Format::Png)?;
            self.put(&key, b"probe".to_vec()).await?;
            let read = self.get(&key).await;
            self.delete(&key).await?;
            read?;
        }
        Ok(())
    }

    pub(super) async fn bucket_region(&self) -> Result<Option<String>> {
        self.with_permit(&self.writes, async |store| {
            let head = store.client.head_bucket().bucket(&self.bucket).send().await;
            head.map(|head| head.bucket_region).map_err(|error| self.fault(&store.client, &error))
        })
        .await
    }

    /// Lists the bucket, because a response to HEAD has no body and so does not say why a request is refused.
    pub(super) async fn sign_in(&self) -> Result<()> {
        self.with_permit(&self.writes, async |store| {
            let list = store.client.list_objects_v2().bucket(&self.bucket).max_keys(1).send().await;
            list.map(|_| ()).map_err(|error| self.fault(&store.client, &error))
        })
        .await
    }

    pub(super) async fn origin(&self) -> Result<String> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        let client = client::build(self.region.as_deref(), None).await?;
        let region = client.config().region().map_or("", AsRef::as_ref);
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        Ok(format!("https://s3.{region}.amazonaws.com{china}"))
    }

    pub(super) fn address(&self) -> String {
        match (&self.endpoint, self.region()) {
            (Some(endpoint), _) => format!("s3://{} at {endpoint}", self.bucket),
            (None, Some(region)) => format!("s3://{} in {region}", self.bucket),
            (None, None) => format!("s3://{}", self.bucket),
        }
    }

    pub(super) fn in_use(&self) -> (usize, usize) {
        let free = self.reads.available_permits() + self.writes.available_permits();
        ((MAX_READS + MAX_WRITES).saturating_sub(free), MAX_READS + MAX_WRITES)
    }

    /// The region in use, else the configured one if there was no request yet.
    fn region(&self) -> Option<&str> {
        let found = self.connected.get().and_then(|store| store.client.config().region());
        found.map(|region| region.as_ref()).or(self.region.as_deref())
    }

    /// Runs a request with one of `permits`, within [`OPERATION_TIMEOUT`].
    async fn with_permit<T>(
        &self,
        permits: &Semaphore,
        question: impl AsyncFnOnce(&Connected) -> Result<T>,
    ) -> Result<T> {
        let asking = async {
            let Ok(Ok(_permit)) = timeout(MAX_WAIT, permits.acquire()).await else {
                return Err(Error::unavailable("too many requests to S3 are under way"));
            };
            question(self.connected.get_or_try_init(|| self.connect()).await?).await
        };
        let late = |_| Err(Error::unavailable(format!("{} did not answer in time", self.address())));
        timeout(OPERATION_TIMEOUT, asking).await.unwrap_or_else(late)
    }

    async fn connect(&self) -> Result<Connected> {
        let client = client::build(self.region.as_deref(), self.endpoint.as_deref()).await?;
        let encryption = self.encryption(&client).await?;
        Ok(Connected { client, encryption })
    }

    /// The value of the server-side encryption header. Some buckets refuse uploads without it. But it would override a
    /// bucket's default KMS key, so such buckets get no header. Without the permission s3:GetEncryptionConfiguration,
    /// this assumes that the bucket has no KMS key. Stores other than AWS get no header: MinIO, for example, refuses it
    /// if no keys are set up.
    async fn encryption(&self, client: &Client) -> Result<Option<ServerSideEncryption>> {
        if self.endpoint.is_some() {
            return Ok(None);
        }
        let rules = match client.get_bucket_encryption().bucket(&self.bucket).send().await {
            Ok(answer) => answer.server_side_encryption_configuration.map(|found| found.rules),
            Err(error) if matches!(status(&error), Some(403 | 404)) => None,
            Err(error) => return Err(self.fault(client, &error)),
        };
        let own_key = rules.unwrap_or_default().iter().any(|rule| {
            let default = rule.apply_server_side_encryption_by_default.as_ref();
            default.is_some_and(|default| default.sse_algorithm != ServerSideEncryption::Aes256)
        });
        Ok((!own_key).then_some(ServerSideEncryption::Aes256))
    }

    fn fault<E>(&self, client: &Client, error: &SdkError<E>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let region = client.config().region().map_or("", AsRef::as_ref);
        fault::describe(&self.bucket, region, error)
    }
}

/// The HTTP status, if there was a response.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(encryption: Option<ServerSideEncryption>) -> Connected {
        let config = aws_sdk_s3::Config::builder().behavior_version_latest().build();
        Connected { client: Client::from_conf(config), encryption }
    }

    #[test]
    fn a_put_says_what_it_is_and_asks_for_encryption_but_for_no_access() {
        let s3 = S3::new("uploads".into(), None, None);
        let put = s3.put_request(&store(Some(ServerSideEncryption::Aes256)), "k.png", vec![1]);
        assert_eq!((put.get_bucket().as_deref(), put.get_key().as_deref()), (Some("uploads"), Some("k.png")));
        assert_eq!(put.get_content_type().as_deref(), Some("image/png"));
        assert_eq!(put.get_cache_control().as_deref(), Some("public, max-age=31536000, immutable"));
        assert_eq!(put.get_server_side_encryption(), &Some(ServerSideEncryption::Aes256));
        assert_eq!((put.get_acl(), put.get_grant_read()), (&None, &None));
        let put = s3.put_request(&store(None), "k.png", vec![1]);
        assert_eq!(put.get_server_side_encryption(), &None);
    }
}
