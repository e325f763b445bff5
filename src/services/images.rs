//! Pictures of posts, by their keys.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::models::picture::Picture;
use crate::models::secret::random_hex;

/// The image store. Clones share it.
#[derive(Clone)]
pub struct Images {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    /// A folder: for development and a single instance.
    Folder(PathBuf),
}

impl Images {
    /// The store in a folder, which is made when the first picture comes.
    pub fn in_folder(folder: PathBuf) -> Images {
        Images { backend: Backend::Folder(folder) }
    }

    /// Stores a picture; gives its key: random, so nobody guesses it, and nothing of a user's file name gets into a path.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not take it.
    pub async fn put(&self, picture: Picture) -> Result<String> {
        let key = format!("{}.{}", random_hex::<16>()?, picture.format.extension());
        let Backend::Folder(folder) = &self.backend;
        let stored = async {
            tokio::fs::create_dir_all(folder).await?;
            // Under another name until it is whole, so that nobody is served half a picture.
            let unfinished = folder.join(format!("{key}.part"));
            tokio::fs::write(&unfinished, &picture.bytes).await?;
            tokio::fs::rename(&unfinished, folder.join(&key)).await
        };
        stored.await.map_err(Error::unavailable)?;
        Ok(key)
    }

    /// The picture with this key.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or the key is none of ours.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>> {
        if !is_key(key) {
            return Err(Error::NotFound);
        }
        let Backend::Folder(folder) = &self.backend;
        tokio::fs::read(folder.join(key)).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NotFound,
            _ => Error::unavailable(error),
        })
    }

    /// Removes pictures that no post has any more. What cannot be removed is noted in the log; no person waits for it.
    pub async fn delete(&self, keys: impl IntoIterator<Item = String>) {
        let Backend::Folder(folder) = &self.backend;
        for key in keys {
            if let Err(error) = tokio::fs::remove_file(folder.join(&key)).await {
                tracing::warn!(key, %error, "a picture that nobody needs could not be removed");
            }
        }
    }
}

/// 32 hexadecimal digits and an extension: what [`Images::put`] makes.
fn is_key(key: &str) -> bool {
    key.split_once('.').is_some_and(|(random, extension)| {
        random.len() == 32
            && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && matches!(extension, "jpg" | "png" | "gif")
    })
}

#[cfg(test)]
mod tests {
    use super::is_key;

    #[test]
    fn knows_its_keys() {
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
