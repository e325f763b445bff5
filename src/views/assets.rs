//! The files of static/, which are part of the binary, and the addresses under which browsers may keep them for ever.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use rust_embed::RustEmbed;

use crate::models::secret::hex;

#[derive(RustEmbed)]
#[folder = "static"]
#[exclude = "*.md"]
struct Files;

/// A file and what it is.
pub struct Asset {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// For the header `Content-Type`.
    pub content_type: &'static str,
}

/// Address by name: the content's hash is in it, so a changed file has another address.
static ADDRESSES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let version = |name: &str| Files::get(name).map(|file| hex(&file.metadata.sha256_hash()[..6]));
    let address = |name: &str| format!("/static/{name}?v={}", version(name).unwrap_or_default());
    Files::iter().map(|name| (name.to_string(), address(&name))).collect()
});

/// Address of a file of static/. Templates name only files that exist; a test follows every link of every page.
pub fn asset(name: &str) -> &'static str {
    ADDRESSES.get(name).map_or("/static/missing", String::as_str)
}

/// A file of static/ by its name.
pub fn find(name: &str) -> Option<Asset> {
    let content_type = match name.rsplit_once('.')?.1 {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    };
    Some(Asset { bytes: Files::get(name)?.data, content_type })
}
