//! The form of a post: a text and an optional picture. The picture is streamed to a temporary file and refused as soon
//! as it exceeds the limit.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;

use super::disposition::Disposition;
use super::draft::Draft;
use super::form::{Form, in_time};
use crate::error::{Error, Result, unusable};
use crate::models::idempotency_key::IdempotencyKey;
use crate::models::values::token::Digest;

pub const MAX_PICTURE: usize = 5 * 1024 * 1024;
/// Largest field other than the picture, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// Maximum number of parts in a form; ours has three.
const MAX_PARTS: usize = 64;
/// Time within which the form must arrive: 5 MB at 700 kbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

const FIELDS: [&str; 3] = [CONTENT, KEY, PICTURE];
const CONTENT: &str = "micropost[content]";
const KEY: &str = "idempotency_key";
const PICTURE: &str = "micropost[picture]";

#[derive(Default)]
pub struct PostForm {
    pub draft: Draft,
    pub picture: Upload,
}

/// The picture field of the form.
#[derive(Default)]
pub enum Upload {
    #[default]
    None,
    /// An unnamed temporary file, deleted when it is closed, and the digest of its content.
    File(File, Digest),
    /// The chosen file is empty.
    Empty,
    /// The chosen file has a multipart type, as a saved web page (.mht) has; the rest was not read.
    WebPage,
    /// Larger than [`MAX_PICTURE`]; the rest was not read.
    TooLarge,
    /// The temporary file could not be written; the rest was not read.
    NotStored,
}

impl PostForm {
    /// Reads the form from a multipart body. A form without a picture may also be url-encoded. With `keep_picture`
    /// false (the visitor may not post), the picture is read and discarded.
    ///
    /// # Errors
    /// [`Error::BadRequest`], [`Error::TooLarge`] or [`Error::TooSlow`].
    pub async fn read(req: &HttpRequest, body: Payload, keep_picture: bool) -> Result<PostForm> {
        if !req.content_type().eq_ignore_ascii_case("multipart/form-data") {
            let form = Form::of(req)?;
            let draft = Draft {
                content: form.get(CONTENT).to_owned(),
                idempotency_key: IdempotencyKey::parse(form.get(KEY)),
                has_picture: false,
            };
            return Ok(PostForm { draft, picture: Upload::None });
        }
        in_time(BODY_TIMEOUT, read_parts(parts(req, body)?, keep_picture)).await
    }
}

/// The parts of the body. Declared as multipart/mixed, because for form-data actix refuses a part whose
/// Content-Disposition, including the file name, is not UTF-8.
fn parts(req: &HttpRequest, body: Payload) -> Result<Multipart> {
    let content_type =
        req.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parameters = content_type.find(';').map_or("", |at| &content_type[at..]);
    let content_type =
        HeaderValue::from_str(&format!("multipart/mixed{parameters}")).map_err(Error::internal)?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type);
    Ok(Multipart::new(&headers, body))
}

async fn read_parts(mut parts: Multipart, keep_picture: bool) -> Result<PostForm> {
    let mut form = PostForm::default();
    let mut seen = [false; FIELDS.len()];
    let mut count = 0;
    while let Some(part) = parts.next().await {
        if let Err(MultipartError::Nested) = part {
            form.draft.has_picture = true;
            form.picture = Upload::WebPage;
            return Ok(form);
        }
        let part = part.map_err(broken)?;
        count += 1;
        if count > MAX_PARTS {
            return Err(Error::BadRequest("There are too many fields in the form.".into()));
        }
        let header = part.headers().get(CONTENT_DISPOSITION).map(HeaderValue::as_bytes).unwrap_or_default();
        let Some(field) = Disposition::parse(header) else {
            return Err(Error::BadRequest("A field of the form has no name.".into()));
        };
        if let Some(index) = FIELDS.iter().position(|name| *name == field.name)
            && std::mem::replace(&mut seen[index], true)
        {
            return Err(Error::BadRequest("A field of the form was sent more than once.".into()));
        }
        match field.name.as_str() {
            CONTENT => form.draft.content = read_text(part).await?,
            KEY => form.draft.idempotency_key = IdempotencyKey::parse(&read_text(part).await?),
            PICTURE if keep_picture => {
                form.draft.has_picture = field.has_file;
                form.picture = match read_picture(part).await {
                    Err(Error::Unavailable(error)) => {
                        tracing::error!(error, "cannot store an uploaded picture temporarily");
                        Upload::NotStored
                    }
                    Ok(Upload::None) if field.has_file => Upload::Empty,
                    read => read?,
                };
                if matches!(form.picture, Upload::TooLarge | Upload::NotStored) {
                    return Ok(form);
                }
            }
            name => {
                form.draft.has_picture |= name == PICTURE && field.has_file;
                skip(part).await?;
            }
        }
    }
    Ok(form)
}

async fn read_text(mut part: Field) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(broken)?;
        if bytes.len() + chunk.len() > MAX_TEXT {
            return Err(Error::TooLarge("The text of a form may hold 16 kB at most.".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Stores the picture. Browsers send an empty part if no file was chosen.
async fn read_picture(mut part: Field) -> Result<Upload> {
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(no_room)?);
    let (mut size, mut hasher) = (0, Sha256::new());
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(broken)?;
        size += chunk.len();
        if size > MAX_PICTURE {
            return Ok(Upload::TooLarge);
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(no_room)?;
    }
    if size == 0 {
        return Ok(Upload::None);
    }
    file.flush().await.map_err(no_room)?;
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0)).map_err(no_room)?;
    Ok(Upload::File(file, Digest::finish(hasher)))
}

/// Reads and discards a field.
async fn skip(mut part: Field) -> Result<()> {
    let mut size = 0;
    while let Some(chunk) = part.next().await {
        size += chunk.map_err(broken)?.len();
        if size > MAX_PICTURE {
            return Err(Error::TooLarge("The form is larger than this site accepts.".into()));
        }
    }
    Ok(())
}

fn no_room(error: io::Error) -> Error {
    Error::unavailable(unusable(&tempfile::env::temp_dir(), "TMPDIR", error))
}

fn broken(error: MultipartError) -> Error {
    tracing::debug!(%error, "multipart");
    Error::BadRequest("The form could not be read. It may have been cut off before its end.".into())
}
