//! The files of static/, which are part of the binary, and the addresses under which browsers may keep them for ever.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;
use std::sync::LazyLock;

use actix_web::http::header::Encoding;
use actix_web::web::Bytes;
use rust_embed::RustEmbed;

use crate::models::secret::hex;

#[derive(RustEmbed)]
#[folder = "static"]
#[exclude = "*.md"]
struct Files;

/// A file and what it is. Nothing of it is copied for an answer.
pub struct Asset {
    /// Where browsers find it: the content's hash is in it, so a changed file has another address.
    address: String,
    /// For the header `Content-Type`.
    pub content_type: &'static str,
    /// Its bytes as they are, and smaller for those who understand brotli or gzip (scripts/precompress made these).
    pub forms: Vec<(Encoding, Bytes)>,
}

static ASSETS: LazyLock<HashMap<Cow<'static, str>, Asset>> =
    LazyLock::new(|| Files::iter().filter_map(|name| Some((name.clone(), Asset::load(&name)?))).collect());

/// Address of a file of static/. Templates name only files that exist; a test follows every link of every page.
pub fn asset(name: &str) -> &'static str {
    ASSETS.get(name).map_or("/static/missing", |asset| asset.address.as_str())
}

/// A file of static/ by its name.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.get(name)
}

impl Asset {
    /// Nothing for what is no file of its own, but the compressed form of one.
    fn load(name: &str) -> Option<Asset> {
        let content_type = match name.rsplit_once('.')?.1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "txt" => "text/plain; charset=utf-8",
            _ => return None,
        };
        let file = Files::get(name)?;
        let compressed = [(Encoding::brotli(), "br"), (Encoding::gzip(), "gz")].into_iter();
        let compressed = compressed.filter_map(|(encoding, suffix)| {
            Some((encoding, bytes(Files::get(&format!("{name}.{suffix}"))?.data)))
        });
        Some(Asset {
            address: format!("/static/{name}?v={}", hex(&file.metadata.sha256_hash()[..6])),
            content_type,
            forms: iter::once((Encoding::identity(), bytes(file.data))).chain(compressed).collect(),
        })
    }
}

fn bytes(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    }
}
