//! The names of the plant file, each a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than a user name or a certificate can carry with ease.
    #[error("a name has at most {MAX_LENGTH} characters")]
    TooLong,
    /// Starts with a mark, which command lines would take for an option or a path.
    #[error("a name begins with a letter or a digit")]
    BadStart,
    /// Contains something else than letters, digits, `.`, `_` and `-`.
    #[error("a name has only letters, digits, `.`, `_` and `-`, not {0:?}")]
    BadCharacter(char),
}

/// The longest name, in bytes.
const MAX_LENGTH: usize = 64;

/// ASCII letters, digits, `.`, `_`, `-`; a letter or digit first. So no name can hold the `:` and `@` of a direct login.
fn check(text: &str) -> Result<(), NameError> {
    let first = text.chars().next().ok_or(NameError::Empty)?;
    if text.len() > MAX_LENGTH {
        return Err(NameError::TooLong);
    }
    if let Some(bad) = text.chars().find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return Err(NameError::BadCharacter(bad));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::BadStart);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! plain_name {
    ($(#[$doc:meta])* $name:ident) => {
        name!($(#[$doc])* $name);

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }
    };
}

plain_name! {
    /// A zone of the plant.
    ZoneId
}
plain_name! {
    /// An asset of the plant.
    AssetId
}
plain_name! {
    /// A service of an asset, as `ssh` or `modbus`.
    ServiceName
}
plain_name! {
    /// A person, as they log in to the broker.
    IdentityId
}
plain_name! {
    /// A role of the plant file.
    RoleId
}
plain_name! {
    /// A write window.
    WindowId
}
plain_name! {
    /// Something that somebody asks others to approve.
    RequestId
}
name! {
    /// A login on an asset; or [`AccountName::none`] for a protocol that has no logins.
    AccountName
}

impl AccountName {
    /// The account of a request for a service whose protocol knows no logins (Modbus, plain tcp); written `-`.
    pub fn none() -> Self {
        Self("-".to_owned())
    }

    /// Is this the account of a protocol without logins?
    pub fn is_none(&self) -> bool {
        self.0 == "-"
    }
}

impl FromStr for AccountName {
    type Err = NameError;

    /// As other names; a leading `_` is allowed (service accounts have it), and `-` alone is [`AccountName::none`].
    fn from_str(text: &str) -> Result<Self, NameError> {
        let checked = if text == "-" { Ok(()) } else { check(text.strip_prefix('_').unwrap_or(text)) };
        checked.map(|()| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn names_hold_nothing_that_a_login_or_a_path_would_misread() {
        for good in ["a", "ews-1", "PLC_7.b", "10.1", &"x".repeat(64)] {
            assert_eq!(good.parse::<AssetId>().unwrap().as_str(), good);
        }
        assert_eq!("".parse::<AssetId>(), Err(NameError::Empty));
        assert_eq!("x".repeat(65).parse::<AssetId>(), Err(NameError::TooLong));
        for bad in ["-x", ".x", "_x"] {
            assert_eq!(bad.parse::<IdentityId>(), Err(NameError::BadStart), "{bad}");
        }
        for bad in ["a:b", "a@b", "a/b", "a b", "é", "a\0", "a\n"] {
            assert!(matches!(bad.parse::<IdentityId>(), Err(NameError::BadCharacter(_))), "{bad:?}");
        }
    }

    #[test]
    fn an_account_may_begin_with_an_underscore_and_may_be_none() {
        assert_eq!("_svc".parse::<AccountName>().unwrap().as_str(), "_svc");
        assert!("-".parse::<AccountName>().unwrap().is_none());
        assert!("--".parse::<AccountName>().is_err());
        assert!("_".parse::<AccountName>().is_err());
    }

    #[test]
    fn serde_checks_too() {
        assert_eq!(serde_json::from_str::<ZoneId>("\"cell-1\"").unwrap(), "cell-1".parse().unwrap());
        assert!(serde_json::from_str::<ZoneId>("\"cell 1\"").is_err());
    }
}
