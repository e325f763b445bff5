//! Pictures of posts, by their keys.

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

/// The image store. Clones share it.
#[derive(Clone)]
pub struct Images {
    backend: Backend,
    call_stats: CallStats,
}

#[derive(Clone)]
enum Backend {
    /// A folder: for development and a single instance.
    Folder(Folder),
    /// A bucket, of AWS or of a store that is compatible.
    S3(Arc<S3>),
}

impl Images {
    /// The store that the settings name. Connects to nothing yet.
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

    /// Stores a picture under a key of [`new_key`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not take it, or does not say so: it may be there all the same.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let put = async {
            match &self.backend {
                Backend::Folder(folder) => folder.put(key, &bytes).await,
                Backend::S3(s3) => s3.put(key, bytes).await,
            }
        };
        self.call_stats.watch(put).await
    }

    /// The picture with this key.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or the key is none of ours; [`Error::Unavailable`] when nobody knows.
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
        self.call_stats.watch(get).await?.ok_or(Error::NotFound)
    }

    /// How many bytes the picture with this key has; it is not fetched for that.
    ///
    /// # Errors
    /// As those of [`Images::get`].
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
        self.call_stats.watch(length).await?.ok_or(Error::NotFound)
    }

    /// Removes a picture, if it is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it may still be there.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let delete = async {
            match &self.backend {
                Backend::Folder(folder) => folder.delete(key).await,
                Backend::S3(s3) => s3.delete(key).await,
            }
        };
        self.call_stats.watch(delete).await
    }

    /// Asks whether the store is there and may be used.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn ping(&self) -> Result<()> {
        let ping = async {
            match &self.backend {
                Backend::Folder(folder) => folder.ping().await,
                Backend::S3(s3) => s3.ping().await,
            }
        };
        self.call_stats.watch(ping).await
    }

    /// The address of the store, for who wants to look at the way there; none for a folder.
    ///
    /// # Errors
    /// When nobody says in which region of AWS the bucket is.
    pub async fn origin(&self) -> Result<Option<String>> {
        match &self.backend {
            Backend::Folder(_) => Ok(None),
            Backend::S3(s3) => s3.origin().await.map(Some),
        }
    }

    /// Asks for something that only who has good credentials is told, in a way that the refusal says what is wrong with
    /// them.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn sign_in(&self) -> Result<()> {
        match &self.backend {
            Backend::Folder(_) => Ok(()),
            Backend::S3(s3) => self.call_stats.watch(s3.sign_in()).await,
        }
    }

    /// In which region the bucket is, if the store says so.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn bucket_region(&self) -> Result<Option<String>> {
        match &self.backend {
            Backend::Folder(_) => Ok(None),
            Backend::S3(s3) => self.call_stats.watch(s3.bucket_region()).await,
        }
    }

    /// How it is doing.
    pub fn call_stats(&self) -> &CallStats {
        &self.call_stats
    }

    /// Where it is.
    pub fn address(&self) -> String {
        match &self.backend {
            Backend::Folder(folder) => folder.address(),
            Backend::S3(s3) => s3.address(),
        }
    }

    /// Requests to it that are under way, and how many there can be; a folder knows no bounds.
    pub fn in_use(&self) -> Option<(usize, usize)> {
        match &self.backend {
            Backend::Folder(_) => None,
            Backend::S3(s3) => Some(s3.in_use()),
        }
    }

    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Folder(_) => "a folder",
            Backend::S3(_) => "S3",
        }
    }
}

/// A key for a new picture: random, so nobody guesses it, and nothing of a user's file name gets into a path.
pub fn new_key(format: Format) -> Result<String> {
    Ok(format!("{}.{}", random_hex::<16>()?, format.extension()))
}

/// 32 hexadecimal digits and an extension: what [`new_key`] makes.
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
