//! Stores each mail as a file.

use std::path::Path;

/// Writes a mail into `folder`, and creates the folder if necessary.
pub(super) async fn store(folder: &Path, name: &str, mail: &[u8]) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    // Write under another name and rename, so that nobody reads a partial mail.
    let unfinished = folder.join(format!("{name}.part"));
    tokio::fs::write(&unfinished, mail).await?;
    tokio::fs::rename(&unfinished, folder.join(format!("{name}.eml"))).await
}
