//! Tests whether a folder can be used by using it. Checking permissions is not enough: root ignores them, and a full or
//! read-only disk does not change them.

use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Writes, reads and deletes a file in this folder. If the folder does not exist yet, because the first real file
/// creates it, uses the nearest existing parent instead.
pub async fn write_read_delete(folder: &Path) -> io::Result<()> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || try_out(&folder)).await?
}

fn try_out(folder: &Path) -> io::Result<()> {
    const TEXT: &[u8] = b"a probe";
    let existing = folder.ancestors().find(|folder| folder.exists());
    let existing = existing.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut file = tempfile::Builder::new().prefix(".probe-").tempfile_in(existing)?;
    file.write_all(TEXT)?;
    file.rewind()?;
    let mut read = Vec::new();
    file.read_to_end(&mut read)?;
    file.close()?;
    if read == TEXT { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}
