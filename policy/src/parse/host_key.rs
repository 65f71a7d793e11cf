//! The shape of a pinned host key.

use data_encoding::BASE64;

/// Algorithms that a host proves itself with, and how many fields their public keys have.
const ALGORITHMS: [(&str, usize); 5] = [
    ("ssh-ed25519", 2),
    ("ecdsa-sha2-nistp256", 3),
    ("ecdsa-sha2-nistp384", 3),
    ("ecdsa-sha2-nistp521", 3),
    ("ssh-rsa", 3),
];

/// RSA moduli shorter than this can be had by others.
const RSA_BYTES: usize = 256;

/// Why a text is not a public host key. No variant holds the text: it could be a private key, pasted by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostKeyError {
    #[error("a private key does not belong in the plant file: replace this key on the asset, and write its public key")]
    Private,
    #[error("a host key is a line such as `ssh-ed25519 AAAA…`, as `ssh-keyscan` prints after the host's name")]
    Malformed,
    #[error("a host key is of one of the kinds ssh-ed25519, ecdsa-sha2-nistp256/384/521 and ssh-rsa")]
    Algorithm,
    #[error("a host key stands without its host's name: leave out what comes before `{0}`")]
    Named(&'static str),
    #[error("the key's base64 text is damaged")]
    Damaged,
    #[error("an RSA host key has at least 2048 bits")]
    WeakRsa,
}

/// Checks an OpenSSH public key line, and gives it without its comment.
pub(crate) fn check(line: &str) -> Result<String, HostKeyError> {
    if line.contains("PRIVATE KEY") {
        return Err(HostKeyError::Private);
    }
    if line.contains(['\n', '\r']) {
        return Err(HostKeyError::Malformed);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(algorithm), Some(text)) = (words.next(), words.next()) else { return Err(HostKeyError::Malformed) };
    let kind = |word: &str| ALGORITHMS.into_iter().find(|(name, _)| *name == word);
    let (_, fields) = match (kind(algorithm), kind(text)) {
        (Some(kind), _) => kind,
        // As `ssh-keyscan` and `known_hosts` have it.
        (None, Some((name, _))) => return Err(HostKeyError::Named(name)),
        (None, None) => return Err(HostKeyError::Algorithm),
    };
    let blob = BASE64.decode(text.as_bytes()).map_err(|_| HostKeyError::Damaged)?;
    let parts = strings(&blob).ok_or(HostKeyError::Damaged)?;
    if parts.len() != fields || parts.first() != Some(&algorithm.as_bytes()) || parts.iter().any(|p| p.is_empty()) {
        return Err(HostKeyError::Damaged);
    }
    match (algorithm, parts.last().map_or(0, |key| key.len())) {
        ("ssh-ed25519", 32) => {}
        ("ssh-ed25519", _) => return Err(HostKeyError::Damaged),
        ("ssh-rsa", length) if length < RSA_BYTES => return Err(HostKeyError::WeakRsa),
        _ => {}
    }
    Ok(format!("{algorithm} {text}"))
}

/// The length-prefixed strings (RFC 4251, section 5) that a key's blob consists of.
fn strings(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(part);
        blob = rest;
    }
    Some(parts)
}
