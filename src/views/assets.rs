//! The files of static/, embedded in the binary, and the addresses under which browsers may cache them for ever.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::Permissions;
use std::io::{self, Write};
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use actix_web::http::header::Encoding;
use actix_web::web::Bytes;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "static"]
#[exclude = "*.md"]
struct Files;

/// Writes every file and its compressed forms as HASH/static/NAME into a folder, for a proxy to serve. Deletes nothing:
/// an older release that runs beside this one has other addresses and needs its own files.
pub fn write_to(folder: &Path) -> io::Result<()> {
    for (name, asset) in ASSETS.iter() {
        let file = folder.join(&asset.version).join("static").join(name.as_ref());
        for (encoding, bytes) in &asset.forms {
            let suffix = COMPRESSED.iter().find(|(of, _)| of == encoding).map_or("", |(_, suffix)| suffix);
            write(&file.with_added_extension(suffix), bytes)?;
        }
    }
    Ok(())
}

/// Writes a file atomically: a concurrent reader gets the old content or the new one.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
    new.write_all(bytes)?;
    new.persist(file)?;
    Ok(())
}

/// A file of static/. Responses share its bytes.
pub struct Asset {
    /// The first 6 bytes of the content's SHA-256, in hexadecimal.
    version: String,
    /// The URL; it contains the version, so a changed file has another URL.
    address: String,
    pub content_type: &'static str,
    /// The bytes as they are, and compressed for clients that accept brotli or gzip (scripts/precompress makes these).
    pub forms: Vec<(Encoding, Bytes)>,
}

/// The compressed encodings and their file extensions.
static COMPRESSED: LazyLock<[(Encoding, &str); 2]> =
    LazyLock::new(|| [(Encoding::brotli(), "br"), (Encoding::gzip(), "gz")]);

static ASSETS: LazyLock<HashMap<Cow<'static, str>, Asset>> =
    LazyLock::new(|| Files::iter().filter_map(|name| Some((name.clone(), Asset::load(&name)?))).collect());

/// URL of a file of static/. Templates name only files that exist; a test follows every link of every page.
pub fn asset(name: &str) -> &'static str {
    ASSETS.get(name).map_or("/static/missing", |asset| asset.address.as_str())
}

pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.get(name)
}

impl Asset {
    /// `None` for the compressed form of another file.
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
        let compressed = COMPRESSED.iter().filter_map(|(encoding, suffix)| {
            Some((encoding.clone(), bytes(Files::get(&format!("{name}.{suffix}"))?.data)))
        });
        let version = hex::encode(&file.metadata.sha256_hash()[..6]);
        Some(Asset {
            address: format!("/static/{name}?v={version}"),
            version,
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
