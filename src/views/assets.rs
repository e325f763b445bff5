//! The files of static/, which are part of the binary, and the addresses under which browsers may keep them for ever.

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

/// Writes every file and its compressed forms as HASH/static/NAME into a folder, for a proxy to hand out. It only adds:
/// an older program beside this one has addresses of its own, and the files for them.
///
/// # Errors
/// When the folder cannot be written to.
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

/// Writes a file that may be read at the same time: it is there as a whole, or as it was.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
    new.write_all(bytes)?;
    new.persist(file)?;
    Ok(())
}

/// A file and what it is. Nothing of it is copied for an answer.
pub struct Asset {
    /// Begin of the content's hash.
    version: String,
    /// Where browsers find it: the version is in it, so a changed file has another address.
    address: String,
    /// For the header `Content-Type`.
    pub content_type: &'static str,
    /// Its bytes as they are, and smaller for those who understand brotli or gzip (scripts/precompress made these).
    pub forms: Vec<(Encoding, Bytes)>,
}

/// How they are compressed, and what a file is called that is.
static COMPRESSED: LazyLock<[(Encoding, &str); 2]> =
    LazyLock::new(|| [(Encoding::brotli(), "br"), (Encoding::gzip(), "gz")]);

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
