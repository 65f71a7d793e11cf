//! Why a factor was not accepted: all of it for the log and the audit, one neutral sentence for the person.

use jiff::Timestamp;
use sallyport_policy::IdentityId;
use webauthn_rs::prelude::WebauthnError;

use super::certificate::CertificateFault;
use super::key::KeyFault;
use super::password::PasswordError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// A factor was not accepted. `Display` is for the log; the person gets [`Refused::sentence`].
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No identity has this name.
    #[error("no such identity")]
    Unknown,
    /// An administrator locked the identity.
    #[error("the identity is locked: {reason}")]
    Locked {
        /// What the administrator wrote.
        reason: String,
    },
    /// The identity was removed.
    #[error("the identity was removed")]
    Removed,
    /// The identity's time is over.
    #[error("the identity was valid until {at}")]
    Expired {
        /// Until when it was valid.
        at: Timestamp,
    },
    /// Not the password.
    #[error("wrong password")]
    WrongPassword,
    /// Too many guesses from here at this name; this one was not even looked at.
    #[error("too many wrong passwords from this source; the next is looked at from {until}")]
    TooManyPasswords {
        /// When the next guess is looked at.
        until: Timestamp,
    },
    /// So many passwords wait to be looked at that this one was not.
    #[error("too many passwords wait to be looked at; this one was not")]
    Busy,
    /// Not a key of this identity, or one that was taken from it.
    #[error("not a key of this identity: {fingerprint}")]
    UnknownKey {
        /// The key that was offered.
        fingerprint: String,
    },
    /// The configuration revokes this key.
    #[error("the key is revoked: {fingerprint}")]
    RevokedKey {
        /// The key that was offered.
        fingerprint: String,
    },
    /// A key of a kind that is not accepted.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// A certificate that is not accepted.
    #[error("certificate refused: {0}")]
    Certificate(#[from] CertificateFault),
    /// The first factor was proven too long ago, or in the future.
    #[error("the first factor is not fresh: proven at {at}")]
    Stale {
        /// When it was proven.
        at: Timestamp,
    },
    /// What was proven before was withdrawn since.
    #[error("what was proven was withdrawn")]
    Withdrawn,
    /// Nothing is enrolled to be asked for.
    #[error("no second factor is enrolled")]
    NoSecondFactor,
    /// Not a code of now, nor a recovery code.
    #[error("wrong code")]
    WrongCode,
    /// Not a code of now, but one of another time near now.
    #[error("wrong code, right {}: is a clock wrong?", away(*.steps))]
    WrongCodeByClock {
        /// How many steps from now it would be right.
        steps: i64,
    },
    /// A code that was used before, here or on another broker.
    #[error("the code was used before")]
    UsedCode,
    /// Too many wrong codes after a right first factor.
    #[error("too many wrong codes; the next is looked at from {until}")]
    TooManyCodes {
        /// When the next code is looked at.
        until: Timestamp,
    },
    /// No passkey is enrolled, or there is no portal to use one in.
    #[error("no passkey is enrolled")]
    NoPasskey,
    /// Not a passkey of this person, or not any more.
    #[error("not a passkey of this person, or used elsewhere at this moment")]
    UnknownPasskey,
    /// What the browser answered does not hold.
    #[error("the passkey's answer is refused: {0}")]
    WebAuthn(#[from] WebauthnError),
    /// Who made the authenticator is not proven, or is nobody whose authenticators are taken.
    #[error("the authenticator's maker is not one of those that are demanded: {0}")]
    NotAttested(WebauthnError),
    /// A key that verifies nobody, of somebody without a password.
    #[error("the key verifies nobody, and the identity has no password to sign in with before it")]
    NeedsPassword,
    /// What the browser answered is longer than any browser's answer.
    #[error("the passkey's answer is longer than any browser's")]
    TooLong,
    /// The counter of a passkey went back: there may be a copy of it.
    #[error("the counter of {credential} went back: there may be a copy of it")]
    CounterWentBack {
        /// Whose.
        identity: IdentityId,
        /// Which one.
        credential: String,
    },
    /// The login was not confirmed in the portal.
    #[error("not confirmed in the portal")]
    NotConfirmed,
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sealed value cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

fn away(steps: i64) -> String {
    let (count, when) = (steps.unsigned_abs(), if steps < 0 { "ago" } else { "from now" });
    format!("{count} {} {when}", if count == 1 { "step" } else { "steps" })
}

impl Refused {
    /// A short stable word for the audit.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-identity",
            Self::Locked { .. } => "locked",
            Self::Removed => "removed",
            Self::Expired { .. } => "expired",
            Self::WrongPassword => "wrong-password",
            Self::TooManyPasswords { .. } => "too-many-passwords",
            Self::Busy => "busy",
            Self::UnknownKey { .. } => "unknown-key",
            Self::RevokedKey { .. } => "revoked-key",
            Self::Key(_) => "unacceptable-key",
            Self::Certificate(fault) => fault.code(),
            Self::Stale { .. } => "stale",
            Self::Withdrawn => "withdrawn",
            Self::NoSecondFactor => "no-second-factor",
            Self::WrongCode | Self::WrongCodeByClock { .. } => "wrong-code",
            Self::UsedCode => "used-code",
            Self::TooManyCodes { .. } => "too-many-codes",
            Self::NoPasskey => "no-passkey",
            Self::UnknownPasskey => "unknown-passkey",
            Self::WebAuthn(_) => "webauthn",
            Self::NotAttested(_) => "not-attested",
            Self::NeedsPassword => "needs-password",
            Self::TooLong => "too-long",
            Self::CounterWentBack { .. } => "counter-went-back",
            Self::NotConfirmed => "not-confirmed",
            Self::Store(_) => "store",
            Self::Vault(_) => "vault",
            Self::Password(_) => "password-hash",
        }
    }

    /// What the person reads. The same for everything that would tell an outsider who exists.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Unknown
            | Self::Locked { .. }
            | Self::Removed
            | Self::Expired { .. }
            | Self::WrongPassword
            | Self::TooManyPasswords { .. }
            | Self::Busy
            | Self::UnknownKey { .. }
            | Self::RevokedKey { .. }
            | Self::Key(_)
            | Self::Certificate(_)
            | Self::Stale { .. }
            | Self::Withdrawn => "Access denied.",
            // From here on the first factor was right.
            Self::NoSecondFactor => "No second factor is enrolled for you. Ask an administrator.",
            Self::WrongCode | Self::WrongCodeByClock { .. } | Self::UsedCode => "This code is not valid.",
            Self::TooManyCodes { .. } => "Too many wrong codes. Wait a while, then try again.",
            Self::NoPasskey => "No passkey is enrolled for you. Ask an administrator for an invitation.",
            Self::WebAuthn(WebauthnError::UserNotVerified) => {
                "This key did not ask for your PIN or finger, and here it must. Set a PIN on it, or use another one."
            }
            Self::NotAttested(_) => "Keys of this make are not taken here. Ask your administrator which are.",
            Self::NeedsPassword => {
                "A key that asks for no PIN counts only after a password, and you have none. Set a PIN on it, or use another one."
            }
            Self::UnknownPasskey | Self::WebAuthn(_) | Self::TooLong => "This passkey was not accepted. Try again.",
            Self::CounterWentBack { .. } => {
                "This passkey was not accepted: there may be a copy of it. Tell your administrator at once."
            }
            Self::NotConfirmed => "This login was not confirmed.",
            Self::Store(_) | Self::Vault(_) | Self::Password(_) => "The broker cannot check this now. Try again later.",
        }
    }

    /// The broker could not judge, rather than judged: an operator should look.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Vault(_) | Self::Password(_))
    }
}
