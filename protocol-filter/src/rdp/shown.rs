//! Operations in words, one line each, for people.

use std::fmt;

use super::negotiation::{Confirm, Cookie, Negotiation, Protocols, Request};
use super::{Message, Operation};
use crate::Verdict;

/// `request for tls, credssp (user `alice`), denied: function (require-nla)`.
impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)?;
        match self.verdict {
            Verdict::Pass { .. } => Ok(()),
            Verdict::WouldDeny { rule, cause } => write!(f, ", would be denied: {} ({rule})", cause.word()),
            Verdict::Deny { rule, cause } => write!(f, ", denied: {} ({rule})", cause.word()),
        }
    }
}

/// The cookie is escaped.
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Request(Request { cookie, negotiation, correlation, .. }) => {
                f.write_str("request")?;
                match negotiation {
                    Some(Negotiation { flags, protocols }) => {
                        write!(f, " for {protocols}")?;
                        if *flags != 0 {
                            write!(f, " flags {flags:#04x}")?;
                        }
                    }
                    None => f.write_str(" without negotiation")?,
                }
                match cookie {
                    Some(Cookie::User(user)) => write!(f, " (user `{}`)", user.escape_ascii())?,
                    Some(Cookie::Token(token)) => write!(f, " (token `{}`)", token.escape_ascii())?,
                    None => {}
                }
                if let Some(correlation) = correlation {
                    f.write_str(" correlation ")?;
                    correlation.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                }
                Ok(())
            }
            Message::Confirm(Confirm::Plain) => f.write_str("confirmed without negotiation"),
            Message::Confirm(Confirm::Selected(Negotiation { flags, protocols })) => {
                write!(f, "selected {protocols} flags {flags:#04x}")
            }
            Message::Confirm(Confirm::Failure { code }) => write!(f, "failure {code} ({})", failure(*code)),
        }
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Protocols::RDP {
            return f.write_str("rdp");
        }
        let mut rest = self.0;
        for (bit, name) in NAMES {
            if self.any_of(bit) {
                rest &= !bit;
                write!(f, "{name}{}", if self.0 & !((bit << 1) - 1) == 0 { "" } else { ", " })?;
            }
        }
        if rest == 0 { Ok(()) } else { write!(f, "{rest:#x}") }
    }
}

const NAMES: [(u32, &str); 5] = [
    (Protocols::TLS, "tls"),
    (Protocols::CREDSSP, "credssp"),
    (Protocols::RDSTLS, "rdstls"),
    (Protocols::CREDSSP_EX, "credssp-ex"),
    (Protocols::AAD, "aad"),
];

/// As MS-RDPBCGR names it.
const fn failure(code: u32) -> &'static str {
    match code {
        1 => "SSL_REQUIRED_BY_SERVER",
        2 => "SSL_NOT_ALLOWED_BY_SERVER",
        3 => "SSL_CERT_NOT_ON_SERVER",
        4 => "INCONSISTENT_FLAGS",
        5 => "HYBRID_REQUIRED_BY_SERVER",
        6 => "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
        _ => "unknown",
    }
}
