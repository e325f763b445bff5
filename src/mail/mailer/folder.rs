//! Mails as files, one each.

use std::path::Path;

/// Writes a mail into a folder, which is made with the first of them.
pub(super) async fn store(folder: &Path, name: &str, mail: &[u8]) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    // Under another name until it is whole, so that nobody reads half a mail.
    let unfinished = folder.join(format!("{name}.part"));
    tokio::fs::write(&unfinished, mail).await?;
    tokio::fs::rename(&unfinished, folder.join(format!("{name}.eml"))).await
}
