//! Passwords: argon2id, off the runtime's threads, a bounded number at once, and the same work for a name that is not known.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::vault::Secret;

/// Makes and checks password hashes.
#[derive(Debug)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    /// What is hashed against when there is no hash: nobody knows its password.
    nobody: String,
}

/// What a check found.
#[derive(Debug)]
pub(crate) enum PasswordVerdict {
    /// It is the password. Where it was hashed with other parameters than today's, a new hash comes along.
    Right { rehashed: Option<String> },
    /// It is not, or there is none.
    Wrong,
}

/// Why a password could not be hashed or checked at all.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The hash in the store cannot be read, or memory ran out.
    #[error("cannot compute a password hash: {0}")]
    Hash(String),
    /// The runtime is shutting down.
    #[error("the broker is stopping")]
    Stopping,
}

/// Why a new password is not good enough.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Too short.
    #[error("a password has at least {SHORTEST} characters; this one has {0}")]
    Short(usize),
    /// Too long.
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// Control characters cannot be typed at every prompt.
    #[error("a password cannot hold control characters")]
    Control,
    /// Too few different characters, or one everybody tries first.
    #[error("this password is among the first that anybody would try")]
    Guessable,
    /// Contains the identity's own name.
    #[error("a password cannot hold the name of its identity")]
    Name,
}

impl Passwords {
    /// As many at once as there are processors.
    pub(crate) fn new() -> Result<Self, PasswordError> {
        let mut random = [0_u8; 32];
        rand::fill(&mut random);
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self { running: Arc::new(Semaphore::new(at_once)), nobody: hash(&random)? })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: Secret<String>) -> Result<String, PasswordError> {
        self.compute(move || hash(password.expose().as_bytes())).await
    }

    /// Checks a password against a hash. Without one the same work is done for nothing.
    pub(crate) async fn check(
        &self,
        stored: Option<String>,
        password: Secret<String>,
    ) -> Result<PasswordVerdict, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        self.compute(move || {
            let right = verify(&stored, bounded(password.expose()))?;
            match known && right && password.expose().len() <= LONGEST {
                false => Ok(PasswordVerdict::Wrong),
                true if is_current(&stored) => Ok(PasswordVerdict::Right { rehashed: None }),
                true => Ok(PasswordVerdict::Right { rehashed: Some(hash(password.expose().as_bytes())?) }),
            }
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PasswordError::Stopping)?;
        // The permit goes with the work: a caller that gives up does not make room for more of it.
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        worked.await.map_err(|_| PasswordError::Stopping)?
    }
}

/// The rules for a new password: length, and not the first guess (NIST SP 800-63B: no composition rules).
pub fn check_strength(password: &Secret<String>, identity: &str) -> Result<(), WeakPassword> {
    let text = password.expose();
    let length = text.chars().count();
    if length < SHORTEST {
        return Err(WeakPassword::Short(length));
    }
    if text.len() > LONGEST {
        return Err(WeakPassword::Long);
    }
    if text.chars().any(char::is_control) {
        return Err(WeakPassword::Control);
    }
    let lower = text.to_lowercase();
    let different = lower.chars().collect::<std::collections::BTreeSet<_>>().len();
    if different < 5 || FIRST_GUESSES.iter().any(|guess| repeats(&lower, guess)) {
        return Err(WeakPassword::Guessable);
    }
    if identity.len() >= 4 && lower.contains(&identity.to_lowercase()) {
        return Err(WeakPassword::Name);
    }
    Ok(())
}

/// OWASP's first choice for argon2id where memory is shared by many: 19 MiB, two passes, one lane.
fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, PasswordError> {
    let hashed = argon2()?.hash_password(password).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(hashed.to_string())
}

fn verify(stored: &str, password: &[u8]) -> Result<bool, PasswordError> {
    use argon2::password_hash::Error;
    let parsed = PasswordHash::new(stored).map_err(|error| PasswordError::Hash(error.to_string()))?;
    match argon2()?.verify_password(password, &parsed) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Hash(error.to_string())),
    }
}

fn is_current(stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|parsed| {
        let today = Params::try_from(&parsed)
            .is_ok_and(|params| (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES));
        parsed.algorithm == argon2::ARGON2ID_IDENT && today
    })
}

/// What is fed to the hash: never more than a password may have, however much was sent.
fn bounded(password: &str) -> &[u8] {
    let bytes = password.as_bytes();
    &bytes[..bytes.len().min(LONGEST)]
}

/// Whether `text` is `guess`, perhaps several times, perhaps with a few characters more.
fn repeats(text: &str, guess: &str) -> bool {
    text.replace(guess, "").chars().count() <= 3
}

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SHORTEST: usize = 12;
const LONGEST: usize = 512;
const FIRST_GUESSES: [&str; 10] = [
    "password",
    "passw0rd",
    "123456789012",
    "1234567890",
    "12345678",
    "qwertyuiop",
    "letmein",
    "welcome",
    "administrator",
    "sallyport",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_any_other_is_wrong() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let check = |password: &str| passwords.check(Some(stored.clone()), secret(password));
        assert!(matches!(check("correct horse battery").await.unwrap(), PasswordVerdict::Right { rehashed: None }));
        for wrong in ["correct horse batterz", "", "correct horse battery "] {
            assert!(matches!(check(wrong).await.unwrap(), PasswordVerdict::Wrong));
        }
    }

    #[tokio::test]
    async fn without_a_hash_nothing_is_right() {
        let passwords = Passwords::new().unwrap();
        assert!(matches!(passwords.check(None, secret("anything at all")).await.unwrap(), PasswordVerdict::Wrong));
    }

    #[tokio::test]
    async fn a_hash_with_older_parameters_is_replaced_when_its_password_is_seen() {
        let older = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(1024, 1, 1, None).unwrap());
        let stored = older.hash_password(b"correct horse battery").unwrap().to_string();
        let passwords = Passwords::new().unwrap();
        let verdict = passwords.check(Some(stored), secret("correct horse battery")).await.unwrap();
        let PasswordVerdict::Right { rehashed: Some(new) } = verdict else { unreachable!("{verdict:?}") };
        assert!(new.contains("m=19456,t=2,p=1"));
        let again = passwords.check(Some(new), secret("correct horse battery")).await.unwrap();
        assert!(matches!(again, PasswordVerdict::Right { rehashed: None }));
    }

    #[tokio::test]
    async fn more_than_a_password_may_have_is_never_right() {
        let passwords = Passwords::new().unwrap();
        let longest = "x".repeat(LONGEST);
        let stored = passwords.hash(secret(&longest)).await.unwrap();
        let verdict = passwords.check(Some(stored), secret(&(longest + "y"))).await.unwrap();
        assert!(matches!(verdict, PasswordVerdict::Wrong));
    }

    #[test]
    fn weak_passwords_are_refused_with_the_rule_they_break() {
        let check = |text: &str| check_strength(&secret(text), "alice");
        assert_eq!(check("short one"), Err(WeakPassword::Short(9)));
        assert_eq!(check(&"long ".repeat(200)), Err(WeakPassword::Long));
        assert_eq!(check("with a\ttab in it"), Err(WeakPassword::Control));
        assert_eq!(check("aaaaaaaaaaaaaaaa"), Err(WeakPassword::Guessable));
        assert_eq!(check("passwordpassword1"), Err(WeakPassword::Guessable));
        assert_eq!(check("i am Alice of cell 1"), Err(WeakPassword::Name));
        assert_eq!(check("correct horse battery"), Ok(()));
    }
}
