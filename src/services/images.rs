//! The store for the pictures of posts.

mod folder;
mod recent;
mod s3;

use std::sync::Arc;

use actix_web::web::Bytes;

use self::folder::Folder;
use self::s3::S3;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::models::picture::Format;
use crate::models::values::token::random_hex;
use crate::telemetry::call_stats::CallStats;

/// Clones share the store.
#[derive(Clone)]
pub struct Images {
    backend: Backend,
    call_stats: CallStats,
}

#[derive(Clone)]
enum Backend {
    /// For development and a single instance.
    Folder(Folder),
    /// A bucket in AWS or in an S3-compatible store.
    S3(Arc<S3>),
}

impl Images {
    /// Does not connect yet.
    pub fn new(config: &Config) -> Images {
        let backend = match &config.images {
            config::Images::Folder(folder) => Backend::Folder(Folder::new(folder.clone())),
            config::Images::S3 { bucket, region } => {
                let endpoint = config.s3_endpoint.as_ref().map(config::AppUrl::origin);
                Backend::S3(Arc::new(S3::new(bucket.clone(), region.clone(), endpoint)))
            }
        };
        Images { backend, call_stats: CallStats::default() }
    }

    /// Stores a picture under a key made by [`new_key`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store refuses it or does not answer. The picture may have been stored all the
    /// same.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let put = async {
            match &self.backend {
                Backend::Folder(folder) => folder.put(key, &bytes).await,
                Backend::S3(s3) => s3.put(key, bytes).await,
            }
        };
        self.call_stats.observe(put).await
    }

    /// # Errors
    /// [`Error::NotFound`] when there is no such picture or the key is malformed; [`Error::Unavailable`] when the store
    /// fails.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        if !is_key(key) {
            return Err(Error::NotFound);
        }
        let get = async {
            match &self.backend {
                Backend::Folder(folder) => folder.get(key).await,
                Backend::S3(s3) => s3.get(key).await,
            }
        };
        self.call_stats.observe(get).await?.ok_or(Error::NotFound)
    }

    /// The size of a picture in bytes, without fetching it.
    ///
    /// # Errors
    /// The same as for [`Images::get`].
    pub async fn length(&self, key: &str) -> Result<u64> {
        if !is_key(key) {
            return Err(Error::NotFound);
        }
        let length = async {
            match &self.backend {
                Backend::Folder(folder) => folder.length(key).await,
                Backend::S3(s3) => s3.length(key).await,
            }
        };
        self.call_stats.observe(length).await?.ok_or(Error::NotFound)
    }

    /// Deletes a picture. Succeeds if there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the picture may still exist.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let delete = async {
            match &self.backend {
                Backend::Folder(folder) => folder.delete(key).await,
                Backend::S3(s3) => s3.delete(key).await,
            }
        };
        self.call_stats.observe(delete).await
    }

    /// Checks that the store exists and can be used.
    ///
    /// # Errors
    /// The text says what is wrong and what to do.
    pub async fn ping(&self) -> Result<()> {
        let ping = async {
            match &self.backend {
                Backend::Folder(folder) => folder.ping().await,
                Backend::S3(s3) => s3.ping().await,
            }
        };
        self.call_stats.observe(ping).await
    }

    /// The URL of the S3 endpoint, for network diagnostics; `None` for a folder.
    ///
    /// # Errors
    /// When no AWS region is configured.
    pub async fn origin(&self) -> Result<Option<String>> {
        match &self.backend {
            Backend::Folder(_) => Ok(None),
            Backend::S3(s3) => s3.origin().await.map(Some),
        }
    }

    /// Tests the credentials with a request whose error response says what is wrong with them.
    ///
    /// # Errors
    /// The text says what is wrong and what to do.
    pub async fn sign_in(&self) -> Result<()> {
        match &self.backend {
            Backend::Folder(_) => Ok(()),
            Backend::S3(s3) => self.call_stats.observe(s3.sign_in()).await,
        }
    }

    /// The bucket's region, if the store reports one.
    ///
    /// # Errors
    /// The text says what is wrong and what to do.
    pub async fn bucket_region(&self) -> Result<Option<String>> {
        match &self.backend {
            Backend::Folder(_) => Ok(None),
            Backend::S3(s3) => self.call_stats.observe(s3.bucket_region()).await,
        }
    }

    pub fn call_stats(&self) -> &CallStats {
        &self.call_stats
    }

    /// The location, for display.
    pub fn address(&self) -> String {
        match &self.backend {
            Backend::Folder(folder) => folder.address(),
            Backend::S3(s3) => s3.address(),
        }
    }

    /// The number of running requests and its maximum; `None` for a folder, which has no limit.
    pub fn in_use(&self) -> Option<(usize, usize)> {
        match &self.backend {
            Backend::Folder(_) => None,
            Backend::S3(s3) => Some(s3.in_use()),
        }
    }

    /// Name of the backend, for display.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Folder(_) => "a folder",
            Backend::S3(_) => "S3",
        }
    }
}

/// A random key for a new picture: it cannot be guessed, and no part of the user's file name gets into a path.
pub fn new_key(format: Format) -> Result<String> {
    Ok(format!("{}.{}", random_hex::<16>()?, format.extension()))
}

/// Whether this has the format of [`new_key`]: 32 lower-case hexadecimal digits and an extension.
pub fn is_key(key: &str) -> bool {
    key.split_once('.').is_some_and(|(random, extension)| {
        random.len() == 32
            && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && matches!(extension, "jpg" | "png" | "gif")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_keys() {
        assert!(is_key(&new_key(Format::Gif).unwrap()));
        assert!(is_key("0123456789abcdef0123456789abcdef.png"));
        for other in [
            "",
            "../../etc/passwd",
            "0123456789abcdef0123456789abcdef.svg",
            "0123456789abcdef0123456789abcdef",
            "0123456789ABCDEF0123456789ABCDEF.png",
            "/123456789abcdef0123456789abcdef.png",
        ] {
            assert!(!is_key(other), "{other}");
        }
    }
}
