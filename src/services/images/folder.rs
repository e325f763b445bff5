//! Stores pictures in a folder. The first picture creates the folder.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use actix_web::web::Bytes;

use crate::error::{Error, Result, unusable};
use crate::services::probe;

#[derive(Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(folder: PathBuf) -> Folder {
        Folder(folder)
    }

    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let stored = async {
            tokio::fs::create_dir_all(&self.0).await?;
            // Write under another name and rename, so that nobody is served a partial picture.
            let unfinished = self.unfinished(key);
            tokio::fs::write(&unfinished, bytes).await?;
            tokio::fs::rename(&unfinished, self.0.join(key)).await
        };
        stored.await.map_err(|error| self.unusable(error))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.unless_absent(tokio::fs::read(self.0.join(key)).await)?.map(Bytes::from))
    }

    pub(super) async fn length(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.unless_absent(tokio::fs::metadata(self.0.join(key)).await)?.map(|found| found.len()))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        self.unless_absent(tokio::fs::remove_file(self.unfinished(key)).await)?;
        self.unless_absent(tokio::fs::remove_file(self.0.join(key)).await)?;
        Ok(())
    }

    pub(super) async fn ping(&self) -> Result<()> {
        match self.unless_absent(tokio::fs::metadata(&self.0).await)? {
            Some(found) if !found.is_dir() => {
                Err(Error::unavailable(format!("{} is a file; move it away", self.address())))
            }
            _ => probe::write_read_delete(&self.0).await.map_err(Error::unavailable),
        }
    }

    pub(super) fn address(&self) -> String {
        self.0.display().to_string()
    }

    fn unfinished(&self, key: &str) -> PathBuf {
        self.0.join(format!("{key}.part"))
    }

    fn unless_absent<T>(&self, done: io::Result<T>) -> Result<Option<T>> {
        match done {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unusable(error)),
        }
    }

    fn unusable(&self, error: io::Error) -> Error {
        Error::unavailable(unusable(&self.0, "IMAGES_URL", error))
    }
}
