//! Passwords: which ones are accepted (ASVS 6.2), and Argon2id on a bounded number of threads (OWASP Password Storage).

mod hasher;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params, PasswordVerifier};
use unicode_normalization::UnicodeNormalization;

use self::hasher::Hasher;
use super::validation::{BLANK, FieldErrors, UNUSABLE, has_unusable_characters, too_long};
use crate::cpu_pool::CpuPool;
use crate::error::Result;

/// Shortest password, in characters.
pub const MIN: usize = 8;
/// Longest password, in characters. Bounds the work; nothing is truncated.
pub const MAX: usize = 128;

/// Longest wait for a free thread.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The 3,000 most common passwords of at least [`MIN`] characters; source: static/vendor/LICENSES.md.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// A new password that passed the rules, in NFC.
pub struct NewPassword(String);

impl NewPassword {
    /// Validates a password and its confirmation; adds problems to `errors`.
    pub fn parse(typed: &str, confirmation: &str, errors: &mut FieldErrors) -> Option<NewPassword> {
        let password = composed(typed);
        let length = password.chars().count();
        let before = errors.len();
        if password.trim().is_empty() {
            errors.add("password", BLANK);
        } else if length < MIN {
            errors.add("password", format!("is too short (minimum is {MIN} characters)"));
        } else if length > MAX {
            errors.add("password", too_long(MAX));
        } else if has_unusable_characters(&password, true) {
            errors.add("password", UNUSABLE);
        } else if COMMON.contains(password.to_lowercase().as_str()) {
            errors.add("password", "is one of the most common ones; please choose another");
        }
        if typed != confirmation {
            errors.add("password_confirmation", "doesn't match Password");
        }
        (errors.len() == before).then_some(NewPassword(password))
    }
}

/// Hashes and verifies passwords, each in about 20 ms and 19 MiB. Clones share the bound on concurrent work.
#[derive(Clone)]
pub struct Passwords {
    threads: CpuPool,
    hasher: Hasher,
    /// Verified against when there is no account, so that an unknown address takes as long as a wrong password.
    dummy_digest: Arc<str>,
}

impl Passwords {
    /// Argon2id with 19 MiB, 2 passes, 1 lane: the first choice of the OWASP Password Storage Cheat Sheet.
    pub fn new() -> Result<Passwords> {
        Passwords::with_cost(19 * 1024, 2)
    }

    /// Argon2id with this much memory in KiB and this many passes. For tests: most of them check no password, and would
    /// spend a third of their time on hashing.
    pub fn with_cost(memory: u32, passes: u32) -> Result<Passwords> {
        let params = Params::new(memory, passes, 1, None).map_err(hasher::failed)?;
        let hasher = Hasher::new(params);
        let dummy_digest = hasher.unmatchable()?.into();
        Ok(Passwords { threads: CpuPool::new(MAX_WAIT)?, hasher, dummy_digest })
    }

    pub fn threads(&self) -> &CpuPool {
        &self.threads
    }

    /// The PHC string of a password. [`Error::Busy`] if the thread pool cannot start the work in time.
    pub async fn hash(&self, password: &NewPassword) -> Result<String> {
        self.hash_unchecked(&password.0).await
    }

    /// Like [`hash`](Self::hash), for a password that was not chosen in a form (the seeds' passwords).
    pub async fn hash_unchecked(&self, password: &str) -> Result<String> {
        let (hasher, password) = (self.hasher.clone(), password.to_owned());
        self.threads.run(move || hasher.hash(&password)).await?
    }

    /// Whether the password matches the digest. Without a digest it never does, but the check takes the same time.
    /// [`Error::Busy`] if the thread pool cannot start the work in time.
    pub async fn matches(&self, typed: &str, digest: Option<&str>) -> Result<bool> {
        let password = composed(typed);
        if password.chars().count() > MAX {
            return Ok(false);
        }
        let known = digest.is_some();
        let digest = digest.unwrap_or(&self.dummy_digest).to_owned();
        let hasher = self.hasher.clone();
        let fits = self
            .threads
            .run(move || {
                PasswordHash::new(&digest)
                    .is_ok_and(|digest| hasher.verify_password(password.as_bytes(), &digest).is_ok())
            })
            .await?;
        Ok(fits && known)
    }

    /// A new digest for a password that was just verified, if the stored one was made with other parameters.
    pub async fn renew(&self, password: &str, digest: &str) -> Result<Option<String>> {
        let current = PasswordHash::new(digest).is_ok_and(|digest| {
            digest.algorithm == Algorithm::Argon2id.ident()
                && Params::try_from(&digest).is_ok_and(|params| same_cost(&params, self.hasher.params()))
        });
        if current {
            return Ok(None);
        }
        self.hash_unchecked(&composed(password)).await.map(Some)
    }
}

/// The form that is hashed and counted: NFC, because keyboards differ in how they compose characters.
fn composed(typed: &str) -> String {
    typed.nfc().collect()
}

fn same_cost(a: &Params, b: &Params) -> bool {
    (a.m_cost(), a.t_cost(), a.p_cost()) == (b.m_cost(), b.t_cost(), b.p_cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(password: &str, confirmation: &str) -> Vec<String> {
        let mut errors = FieldErrors::default();
        NewPassword::parse(password, confirmation, &mut errors);
        errors.sentences().collect()
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(problems("      ", "      "), ["Password can't be blank"]);
        assert_eq!(problems("1234567", "1234567"), ["Password is too short (minimum is 8 characters)"]);
        assert_eq!(
            problems("correct horse", "correct hose"),
            ["Password confirmation doesn't match Password"]
        );
        assert!(problems("Password123", "Password123")[0].contains("common"));
        assert!(problems(&"é".repeat(128), &"é".repeat(128)).is_empty());
        assert!(problems(&"é".repeat(129), &"é".repeat(129))[0].contains("too long"));
        assert!(problems("abcdefg\u{FFFD}", "abcdefg\u{FFFD}")[0].contains("cannot be used"));
    }

    #[test]
    fn knows_the_three_thousand_most_common() {
        assert_eq!(COMMON.len(), 3000);
        assert!(COMMON.iter().all(|password| password.chars().count() >= MIN));
    }

    #[tokio::test]
    async fn hashes_with_todays_parameters_and_renews_older_ones() {
        let passwords = Passwords::new().unwrap();
        let digest = passwords.hash_unchecked("correct horse").await.unwrap();
        assert!(digest.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{digest}");
        assert!(passwords.matches("correct horse", Some(&digest)).await.unwrap());
        assert!(!passwords.matches("correct hors", Some(&digest)).await.unwrap());
        assert!(!passwords.matches("correct horse", None).await.unwrap());
        assert!(passwords.renew("correct horse", &digest).await.unwrap().is_none());

        let old = Hasher::new(Params::new(64, 1, 1, None).unwrap()).hash("correct horse").unwrap();
        assert!(passwords.matches("correct horse", Some(&old)).await.unwrap());
        let renewed = passwords.renew("correct horse", &old).await.unwrap().unwrap();
        assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
    }
}
