//! Secrets, which no log, error or debug output may show, and the secret that development creates.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Minimum length of SECRET_KEY_BASE in characters.
pub(super) const MIN_CHARS: usize = 64;

/// A value that only [`Secret::expose`] reveals. Not secrecy's `SecretString`, which cannot be compared: two variables
/// of one setting must have equal values.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself. Only for the service that needs it, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A new SECRET_KEY_BASE: 64 random bytes as 128 hexadecimal digits.
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

/// The secret stored in `data_dir`. The first start creates it and later starts reuse it, so that a restart logs nobody
/// out.
pub(super) fn load_or_create(data_dir: &Path) -> io::Result<Secret> {
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

/// Writes a temporary file and then links it to `path`, so that no process sees an incomplete file. If two processes
/// start together, one of them creates the link and both read the same secret.
fn create(data_dir: &Path, path: &Path) -> io::Result<()> {
    // Mode 0700: the folder also contains password digests and mails with valid links.
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
