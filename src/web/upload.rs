//! The form of a post: a text and perhaps a picture, which goes to disk while it arrives and is refused as soon as it is
//! too large.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::web::Payload;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::form::{Form, in_time};
use crate::error::{Error, Result};

/// Largest picture, in bytes.
pub const MAX_PICTURE: usize = 5 * 1024 * 1024;
/// Everything around the picture, in bytes.
const MAX_REST: usize = 16 * 1024;
/// Parts of a form; ours has two.
const MOST_PARTS: usize = 16;
/// How long a picture may take to arrive: 5 MB at 700 kbit/s.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What was sent.
#[derive(Default)]
pub struct PostForm {
    /// The text, as typed.
    pub content: String,
    /// The picture.
    pub picture: Upload,
}

/// A picture as it was sent.
#[derive(Default)]
pub enum Upload {
    /// None.
    #[default]
    None,
    /// In a file without a name, which is gone when it is closed.
    File(File),
    /// Larger than [`MAX_PICTURE`]; the rest was not read.
    TooLarge,
    /// There was no room to keep it while it arrives; the rest was not read.
    NotKept,
}

impl PostForm {
    /// Reads the form from a multipart body; a form without a picture may as well come in the plain encoding.
    ///
    /// # Errors
    /// [`Error::BadRequest`], [`Error::TooLarge`] and [`Error::TooSlow`], as the names say.
    pub async fn read(req: &HttpRequest, body: Payload) -> Result<PostForm> {
        let is_multipart = req
            .headers()
            .get("content-type")
            .is_some_and(|value| value.as_bytes().starts_with(b"multipart/form-data"));
        if !is_multipart {
            let content = Form::of(req)?.get("micropost[content]").to_owned();
            return Ok(PostForm { content, picture: Upload::None });
        }
        in_time(TIMEOUT, read_parts(Multipart::new(req.headers(), body))).await
    }
}

async fn read_parts(mut parts: Multipart) -> Result<PostForm> {
    let mut form = PostForm::default();
    let (mut has_content, mut has_picture) = (false, false);
    let mut count = 0;
    while let Some(part) = parts.next().await {
        let part = part.map_err(broken)?;
        count += 1;
        if count > MOST_PARTS {
            return Err(Error::BadRequest("There are too many fields in the form.".into()));
        }
        let (twice, picture) = match part.name() {
            Some("micropost[content]") => (std::mem::replace(&mut has_content, true), false),
            Some("micropost[picture]") => (std::mem::replace(&mut has_picture, true), true),
            _ => (false, false),
        };
        if twice {
            return Err(Error::BadRequest("A field of the form was sent more than once.".into()));
        }
        if picture {
            form.picture = match read_picture(part).await {
                Err(Error::Unavailable(error)) => {
                    tracing::error!(error, "no room to keep a picture while it arrives");
                    Upload::NotKept
                }
                read => read?,
            };
            if matches!(form.picture, Upload::TooLarge | Upload::NotKept) {
                return Ok(form);
            }
        } else {
            let is_content = part.name() == Some("micropost[content]");
            let text = read_text(part).await?;
            if is_content {
                form.content = text;
            }
        }
    }
    Ok(form)
}

async fn read_text(mut part: Field) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(broken)?;
        if bytes.len() + chunk.len() > MAX_REST {
            return Err(Error::TooLarge("The text of a form may hold 16 kB at most.".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A browser sends an empty part when no file was chosen.
async fn read_picture(mut part: Field) -> Result<Upload> {
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(Error::unavailable)?);
    let mut size = 0;
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(broken)?;
        size += chunk.len();
        if size > MAX_PICTURE {
            return Ok(Upload::TooLarge);
        }
        file.write_all(&chunk).await.map_err(Error::unavailable)?;
    }
    if size == 0 {
        return Ok(Upload::None);
    }
    file.flush().await.map_err(Error::unavailable)?;
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0)).map_err(Error::unavailable)?;
    Ok(Upload::File(file))
}

fn broken(error: MultipartError) -> Error {
    tracing::debug!(%error, "multipart");
    Error::BadRequest("The form could not be read; it may have broken off before its end.".into())
}
