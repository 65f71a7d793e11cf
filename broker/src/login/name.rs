//! The name that somebody logs in under, taken apart: `alice`, `alice:ews-1`, `alice:operator@ews-1`.

use sallyport_policy::{AccountName, IdentityId};

/// Longest user name that is looked at; longer ones are refused unread.
const LONGEST: usize = 256;

/// Who logs in, and where to, if the name says so.
///
/// The grammar is `identity [ ":" [ account "@" ] asset ]`. The asset is kept as written: it may be a plant name or an
/// address, and only the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoginName {
    /// The person.
    pub(super) identity: IdentityId,
    /// Where they want to go in the direct form; `None` is the lobby (and `-J`).
    pub(super) target: Option<DirectTarget>,
}

/// The part behind the colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirectTarget {
    /// The login on the asset, where the person named one.
    pub(super) account: Option<AccountName>,
    /// The asset as written.
    pub(super) host: String,
}

/// What is wrong with a user name. Never shown to the person: an unknown name looks the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LoginError {
    /// Longer than any name can be.
    #[error("user name longer than {LONGEST} bytes")]
    TooLong,
    /// The part before the colon is no identity name.
    #[error("no identity name before `:`")]
    Identity,
    /// The part before `@` is no account name.
    #[error("no account name before `@`")]
    Account,
    /// The asset is empty or has characters that no name or address has.
    #[error("no asset name after `:`")]
    Asset,
}

impl LoginName {
    /// Takes a user name apart.
    ///
    /// # Errors
    /// Any name outside the grammar.
    pub(super) fn parse(name: &str) -> Result<LoginName, LoginError> {
        if name.len() > LONGEST {
            return Err(LoginError::TooLong);
        }
        // An identity may contain a colon only as the group prefix of a federated name, which is not offered here:
        // the first colon always starts the target.
        let (identity, target) = match name.split_once(':') {
            None => (name, None),
            Some((identity, target)) => (identity, Some(target)),
        };
        let identity = identity.parse().map_err(|_| LoginError::Identity)?;
        let target = target.map(DirectTarget::parse).transpose()?;
        Ok(LoginName { identity, target })
    }
}

impl DirectTarget {
    fn parse(text: &str) -> Result<DirectTarget, LoginError> {
        let (account, host) = match text.rsplit_once('@') {
            None => (None, text),
            Some((account, host)) => (Some(account.parse().map_err(|_| LoginError::Account)?), host),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(LoginError::Asset);
        }
        Ok(DirectTarget { account, host: host.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn check(name: &str, expected: &str) {
        let found = match LoginName::parse(name) {
            Err(error) => format!("error: {error}"),
            Ok(login) => match login.target {
                None => format!("{}", login.identity),
                Some(t) => format!(
                    "{} -> {} at {}",
                    login.identity,
                    t.account.map_or_else(|| "(any)".to_owned(), |a| a.to_string()),
                    t.host
                ),
            },
        };
        assert_eq!(found, expected, "{name:?}");
    }

    #[test]
    fn the_forms_of_the_design() {
        check("alice", "alice");
        check("alice:ews-1", "alice -> (any) at ews-1");
        check("alice:operator@ews-1", "alice -> operator at ews-1");
        check("alice:operator@10.10.1.20", "alice -> operator at 10.10.1.20");
        check("alice:operator@fd00::20", "alice -> operator at fd00::20");
    }

    #[test]
    fn tricks_are_refused() {
        check("", "error: no identity name before `:`");
        check(":ews-1", "error: no identity name before `:`");
        check("alice:", "error: no asset name after `:`");
        check("alice:@ews-1", "error: no account name before `@`");
        check("alice:operator@", "error: no asset name after `:`");
        check("alice:operator@ews-1/../x", "error: no asset name after `:`");
        check("alice:operator@ews-1\n", "error: no asset name after `:`");
        check("alice\0", "error: no identity name before `:`");
        check("alice:op erator@ews-1", "error: no account name before `@`");
        check("../alice", "error: no identity name before `:`");
        check(&"a".repeat(257), "error: user name longer than 256 bytes");
    }
}
