//! Values that no log, error or debug output may show, and the one that development makes for itself.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The fewest characters of a SECRET_KEY_BASE.
pub(super) const MIN_CHARS: usize = 64;

/// A value that only [`Secret::expose`] reveals. Not secrecy's SecretString, which cannot be compared: two names of one
/// setting must agree.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself: for the service that needs it, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A new SECRET_KEY_BASE: 64 random bytes in 128 hexadecimal digits.
    pub fn random() -> Result<Secret, getrandom::Error> {
        random_hex::<64>().map(Secret)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret of a development folder, made at the first start and the same ever after, so that a restart logs
/// nobody out.
pub(super) fn kept_in(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join("secret_key_base");
    if !path.try_exists()? {
        create(data_dir, &path)?;
    }
    let text = fs::read_to_string(&path)?;
    let secret = text.trim_end();
    if secret.chars().count() < MIN_CHARS {
        return Err(io::Error::new(ErrorKind::InvalidData, "the file secret_key_base is damaged, delete it"));
    }
    Ok(Secret(secret.to_owned()))
}

/// Writes a draft and links it to its place: the file is whole from the moment it is there, and of two processes
/// that start together one is first and both then read its secret.
fn create(data_dir: &Path, path: &Path) -> io::Result<()> {
    // Besides this secret the folder holds password digests and mails with live links.
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let secret = Secret::random().map_err(no_randomness)?;
    let draft = path.with_extension(random_hex::<8>().map_err(no_randomness)?);
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
            writeln!(file, "{}", secret.expose())?;
            file.sync_all()?;
            fs::hard_link(&draft, path)
        });
    fs::remove_file(&draft)?;
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn random_hex<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn no_randomness(error: getrandom::Error) -> io::Error {
    io::Error::other(error.to_string())
}
