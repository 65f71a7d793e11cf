//! Passwords: argon2id, off the runtime's threads, in the queue of `hashing.rs`, and the same work for a name that is not
//! known.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hashing::{Asker, Full, Queue, Worker};
use crate::vault::Secret;

/// Makes and checks password hashes.
#[derive(Debug)]
pub(crate) struct Passwords {
    queue: Arc<Queue>,
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
    /// Nobody looked: too many wait.
    Busy,
}

/// Why a password could not be hashed or checked at all.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The hash in the store cannot be read, or memory ran out.
    #[error("cannot compute a password hash: {0}")]
    Hash(String),
    /// Too many hashes wait already.
    #[error("too many passwords wait to be looked at")]
    Busy,
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
    pub(crate) fn new() -> Result<Self, PasswordError> {
        let mut random = [0_u8; 64];
        rand::fill(&mut random);
        // No hash has to be computed for it: it is what random bytes are, and no password has it.
        let nobody = phc(&random[..SALT], &random[SALT..][..HASH])?;
        Ok(Self { queue: Queue::new(), nobody })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: Secret<String>) -> Result<String, PasswordError> {
        let worker = self.queue.worker(Asker::Own).await.map_err(|Full| PasswordError::Busy)?;
        compute(worker, move |worker| hash(worker, password.expose().as_bytes())).await
    }

    /// Checks a password against a hash. Without one the same work is done for nothing. Where too many wait, nothing is done
    /// for either.
    pub(crate) async fn check(
        &self,
        stored: Option<String>,
        password: Secret<String>,
        asker: Asker,
    ) -> Result<PasswordVerdict, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        let Ok(worker) = self.queue.worker(asker).await else { return Ok(PasswordVerdict::Busy) };
        compute(worker, move |worker| {
            let right = verify(worker, &stored, bounded(password.expose()))?;
            match known && right && password.expose().len() <= LONGEST {
                false => Ok(PasswordVerdict::Wrong),
                true if is_current(&stored) => Ok(PasswordVerdict::Right { rehashed: None }),
                true => Ok(PasswordVerdict::Right { rehashed: Some(hash(worker, password.expose().as_bytes())?) }),
            }
        })
        .await
    }
}

/// The worker goes with the work: a caller that gives up does not make room for more of it.
async fn compute<T: Send + 'static>(
    mut worker: Worker,
    work: impl FnOnce(&mut Worker) -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    let worked = tokio::task::spawn_blocking(move || work(&mut worker));
    worked.await.map_err(|_| PasswordError::Stopping)?
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
fn today() -> Result<Params, PasswordError> {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH)).map_err(trouble)
}

fn hash(worker: &mut Worker, password: &[u8]) -> Result<String, PasswordError> {
    let (mut salt, mut out) = ([0_u8; SALT], Zeroizing::new([0_u8; HASH]));
    rand::fill(&mut salt);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, today()?);
    compute_hash(worker, &argon2, password, &salt, &mut *out)?;
    phc(&salt, &*out)
}

/// A hash as it is stored.
fn phc(salt: &[u8], hash: &[u8]) -> Result<String, PasswordError> {
    let stored = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&today()?).map_err(trouble)?,
        salt: Some(Salt::new(salt).map_err(trouble)?),
        hash: Some(Output::new(hash).map_err(trouble)?),
    };
    Ok(stored.to_string())
}

fn verify(worker: &mut Worker, stored: &str, password: &[u8]) -> Result<bool, PasswordError> {
    let parsed = PasswordHash::new(stored).map_err(trouble)?;
    let (Some(salt), Some(expected)) = (&parsed.salt, &parsed.hash) else {
        return Err(PasswordError::Hash("it has no salt or no hash".to_owned()));
    };
    let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).map_err(trouble)?;
    let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).map_err(trouble)?;
    let params = Params::try_from(&parsed).map_err(trouble)?;
    let mut out = Zeroizing::new(vec![0_u8; expected.len()]);
    let argon2 = Argon2::new(algorithm, version, params);
    compute_hash(worker, &argon2, password, salt, &mut out)?;
    Ok(out.as_slice().ct_eq(expected.as_bytes()).into())
}

/// With the worker's own memory. A stored hash that asks for more than today's is none of ours.
fn compute_hash(
    worker: &mut Worker,
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), PasswordError> {
    let (params, most) = (argon2.params(), today()?.block_count());
    if params.block_count() > most || params.t_cost() > MOST_PASSES {
        return Err(PasswordError::Hash("it asks for more memory or passes than are used here".to_owned()));
    }
    argon2.hash_password_into_with_memory(password, salt, out, worker.memory(most)).map_err(trouble)
}

fn trouble(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Hash(error.to_string())
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
const MOST_PASSES: u32 = 16;
const SALT: usize = 16;
const HASH: usize = 32;
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
    use argon2::password_hash::PasswordHasher;

    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_any_other_is_wrong() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let check = |password: &str| passwords.check(Some(stored.clone()), secret(password), Asker::Own);
        assert!(matches!(check("correct horse battery").await.unwrap(), PasswordVerdict::Right { rehashed: None }));
        for wrong in ["correct horse batterz", "", "correct horse battery "] {
            assert!(matches!(check(wrong).await.unwrap(), PasswordVerdict::Wrong));
        }
    }

    #[tokio::test]
    async fn without_a_hash_nothing_is_right() {
        let passwords = Passwords::new().unwrap();
        assert!(matches!(
            passwords.check(None, secret("anything at all"), Asker::Own).await.unwrap(),
            PasswordVerdict::Wrong
        ));
    }

    #[tokio::test]
    async fn a_hash_with_older_parameters_is_replaced_when_its_password_is_seen() {
        let older = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(1024, 1, 1, None).unwrap());
        let stored = older.hash_password(b"correct horse battery").unwrap().to_string();
        let passwords = Passwords::new().unwrap();
        let verdict = passwords.check(Some(stored), secret("correct horse battery"), Asker::Own).await.unwrap();
        let PasswordVerdict::Right { rehashed: Some(new) } = verdict else { unreachable!("{verdict:?}") };
        assert!(new.contains("m=19456,t=2,p=1"));
        let again = passwords.check(Some(new), secret("correct horse battery"), Asker::Own).await.unwrap();
        assert!(matches!(again, PasswordVerdict::Right { rehashed: None }));
    }

    #[tokio::test]
    async fn more_than_a_password_may_have_is_never_right() {
        let passwords = Passwords::new().unwrap();
        let longest = "x".repeat(LONGEST);
        let stored = passwords.hash(secret(&longest)).await.unwrap();
        let verdict = passwords.check(Some(stored), secret(&(longest + "y")), Asker::Own).await.unwrap();
        assert!(matches!(verdict, PasswordVerdict::Wrong));
    }

    #[tokio::test]
    async fn what_this_library_hashed_by_itself_is_still_right() {
        let stored = Argon2::new(Algorithm::Argon2id, Version::V0x13, today().unwrap());
        let stored = stored.hash_password(b"correct horse battery").unwrap().to_string();
        let passwords = Passwords::new().unwrap();
        let verdict = passwords.check(Some(stored), secret("correct horse battery"), Asker::Own).await.unwrap();
        assert!(matches!(verdict, PasswordVerdict::Right { rehashed: None }));
    }

    #[tokio::test]
    async fn a_stored_hash_cannot_ask_for_more_memory_than_there_is() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash(secret("correct horse battery")).await.unwrap();
        for more in ["m=4194304,t=2,p=1", "m=19456,t=4000000,p=1"] {
            let greedy = stored.replace("m=19456,t=2,p=1", more);
            let verdict = passwords.check(Some(greedy), secret("correct horse battery"), Asker::Own).await;
            assert!(matches!(verdict, Err(PasswordError::Hash(_))), "{verdict:?}");
        }
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
