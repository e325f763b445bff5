//! Argon2id with reused working memory. Allocating and freeing 19 MiB for each password leaves gaps that small
//! allocations fill, so the heap grows for the next password: 200 concurrent log-ins took 1 GB.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{Error as HashError, Result as HashResult};
use argon2::{Algorithm, Argon2, Block, CustomizedPasswordHasher, Params, Version};

use crate::error::{Error, Result};

/// Length of the salt in bytes, as RFC 9106 recommends.
const SALT_BYTES: usize = 16;

/// Hashes; its blanket `PasswordVerifier` implementation compares in constant time. Clones share the memory.
#[derive(Clone)]
pub(super) struct Hasher {
    params: Params,
    /// Buffers not in use. There are as many buffers as threads ever hashed at the same time.
    spare: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Hasher {
    pub(super) fn new(params: Params) -> Hasher {
        Hasher { params, spare: Arc::default() }
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// The PHC string of a password.
    pub(super) fn hash(&self, password: &str) -> Result<String> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(Error::internal)?;
        let hash = self.hash_password_with_params(password.as_bytes(), &salt, self.params.clone());
        Ok(hash.map_err(failed)?.to_string())
    }

    /// A PHC string that no password matches: its output is random. Verifying against it costs as much as any other.
    pub(super) fn unmatchable(&self) -> Result<String> {
        let (mut salt, mut output) = ([0; SALT_BYTES], [0; Params::DEFAULT_OUTPUT_LEN]);
        getrandom::fill(&mut salt).map_err(Error::internal)?;
        getrandom::fill(&mut output).map_err(Error::internal)?;
        let hash = phc(Algorithm::default(), Version::default(), &self.params, &salt, &output);
        Ok(hash.map_err(failed)?.to_string())
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CustomizedPasswordHasher<PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> HashResult<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let argon2 = Argon2::new(algorithm, version, params);
        let params = argon2.params();
        let mut buffer = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = buffer.get_mut(..length).ok_or(HashError::OutputSize)?;

        let mut memory = self.spare().pop().unwrap_or_default();
        memory.resize(params.block_count(), Block::new());
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, &mut memory);
        self.spare().push(memory);
        hashed?;

        phc(algorithm, version, params, salt, output)
    }
}

/// An error of the library, which means a wrong parameter.
pub(super) fn failed(error: impl Display) -> Error {
    Error::internal(format!("argon2: {error}"))
}

fn phc(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    salt: &[u8],
    output: &[u8],
) -> HashResult<PasswordHash> {
    Ok(PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(Salt::new(salt)?),
        hash: Some(Output::new(output)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{PasswordHasher, PasswordVerifier};

    #[test]
    fn agrees_with_the_library_whatever_was_in_the_memory_before() {
        let hasher = Hasher::new(Params::new(256, 2, 1, None).unwrap());
        let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, hasher.params().clone());
        for (n, params) in [(256, 2), (64, 1), (512, 3), (256, 2)].into_iter().enumerate() {
            let other = Argon2::new(
                Algorithm::Argon2id,
                Version::V0x13,
                Params::new(params.0, params.1, 1, None).unwrap(),
            );
            let password = format!("correct horse {n}");
            let theirs = other.hash_password(password.as_bytes()).unwrap();
            assert!(hasher.verify_password(password.as_bytes(), &theirs).is_ok());
            assert!(hasher.verify_password(b"wrong", &theirs).is_err());
            let ours = PasswordHash::new(&hasher.hash(&password).unwrap()).unwrap();
            assert!(library.verify_password(password.as_bytes(), &ours).is_ok());
        }
        assert_eq!(hasher.spare().len(), 1, "used again and again");
    }
}
