//! Passwords and tokens.
//!
//! A password is kept as an argon2id hash with a salt of its own, a token (256 random bits) only as
//! its SHA-256: a copy of the database lets nobody in. Checking a password that belongs to nobody
//! does the same work as checking a real one. Called by login, the checks of credentials and the commands.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// Hashes at a time: each takes 19 MiB, and a crowd at the login must not take all memory.
const AT_A_TIME: usize = 4;

/// Counts the hashes, which are nearly all the work of a login.
const HASHES: &str = "overseas_password_hashes_total";

static TURNS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// Hashing failed: a defect or no memory.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(String);

/// Longest password in bytes: hashing takes time in proportion, and nobody types as much.
pub const LONGEST_PASSWORD: usize = 1024;

/// A password of a length that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too few characters.
    #[error("too short, at least {0} characters are needed")]
    Short(usize),
    /// Too many bytes.
    #[error("too long, at most {LONGEST_PASSWORD} bytes are taken")]
    Long,
}

/// Holds a new password to the rule for its length; `shortest` is in characters.
///
/// # Errors
/// [`PasswordError`].
pub fn check_length(password: &str, shortest: usize) -> Result<(), PasswordError> {
    if password.chars().count() < shortest {
        return Err(PasswordError::Short(shortest));
    }
    if password.len() > LONGEST_PASSWORD { Err(PasswordError::Long) } else { Ok(()) }
}

/// A token that was just made. The text is shown to its owner once and not stored.
pub struct NewToken {
    /// What the caller sends; 43 characters of base64url.
    pub text: String,
    /// What is stored.
    pub hash: [u8; 32],
}

/// Makes a token.
#[must_use]
pub fn new_token() -> NewToken {
    let bytes: [u8; 32] = rand::random();
    let text = URL_SAFE_NO_PAD.encode(bytes);
    NewToken { hash: token_hash(&text), text }
}

/// What is stored of a token.
#[must_use]
pub fn token_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Hashes a password. Takes some 20 ms of a core and 19 MiB (the crate's defaults follow OWASP's
/// advice), so it is run on the blocking pool.
///
/// # Errors
/// [`HashError`] when there is no memory.
pub async fn hash_password(password: &str) -> Result<String, HashError> {
    let _turn = TURNS.acquire().await.map_err(|error| HashError(error.to_string()))?;
    metrics::counter!(HASHES).increment(1);
    let password = password.to_owned();
    let work = move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string());
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| HashError(error.to_string()))?
        .map_err(|error| HashError(error.to_string()))
}

/// A hash that no password fits.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| {
    let password: [u8; 32] = rand::random();
    Argon2::default().hash_password(&password).ok().map(|hash| hash.to_string())
});

/// Whether the password fits the hash. Without a hash the work is done all the same and the answer is no.
pub async fn verify_password(password: &str, hash: Option<&str>) -> bool {
    let Ok(_turn) = TURNS.acquire().await else { return false };
    metrics::counter!(HASHES).increment(1);
    let password = password.to_owned();
    let known = hash.is_some();
    let hash = hash.map(str::to_owned);
    let work = move || {
        let Some(hash) = hash.or_else(|| NOBODY.clone()) else { return false };
        PasswordHash::new(&hash)
            .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(false) && known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_kept_as_argon2id_and_fits_only_itself() {
        let hash = hash_password("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_ne!(hash, hash_password("correct horse").await.unwrap());
        assert!(verify_password("correct horse", Some(&hash)).await);
        assert!(!verify_password("correct horsf", Some(&hash)).await);
        assert!(!verify_password("correct horse", None).await);
        assert!(!verify_password("x", Some("not a hash")).await);
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, two) = (new_token(), new_token());
        assert_eq!(one.text.len(), 43);
        assert_ne!(one.text, two.text);
        assert_eq!(token_hash(&one.text), one.hash);
    }
}
