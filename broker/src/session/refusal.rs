//! Why a session is refused: in full for log and audit, and in one plain sentence for the person.

use sallyport_policy::{Denial, DenialReason, Unmet, ZoneId};

/// Why not. The reason is for log and audit; the person sees [`Refusal::sentence`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy denies it.
    #[error("denied: {0}")]
    Denied(String),
    /// As many sessions as their grant allows are live, and nothing else stands in the way.
    #[error("denied: {0} sessions by this grant are live, and it allows no more")]
    Concurrent(u32),
    /// The policy would permit it, and nobody may reach that zone now.
    #[error("denied: zone `{zone}` is isolated: {reason}")]
    Isolated {
        /// The zone.
        zone: ZoneId,
        /// Why, as whoever isolated it wrote.
        reason: String,
    },
    /// They ask for sessions faster than anybody works.
    #[error("denied: sessions are asked for faster than the terms `sessions` of their roles allow")]
    TooFast,
    /// The emergency by which they came is over.
    #[error("denied: the emergency is over")]
    EmergencyOver,
    /// The identity is locked, expired or removed.
    #[error("the identity is not in good standing: {0}")]
    Standing(String),
    /// The decision could not be made or put on the record.
    #[error("the broker cannot decide now: {0}")]
    Unavailable(String),
}

impl Refusal {
    /// One plain sentence. Unknown and forbidden look the same.
    #[must_use]
    pub fn sentence(&self, host: &str) -> String {
        match self {
            Refusal::Denied(_) | Refusal::Standing(_) => not_for_you(host),
            Refusal::Concurrent(limit) => no_more_than(*limit),
            Refusal::Isolated { zone, reason } => format!("{zone} is isolated: {}", printable(reason)),
            Refusal::TooFast => {
                "You start sessions faster than your roles allow. Wait a moment, then try again.".to_owned()
            }
            Refusal::EmergencyOver => "The emergency is over. It takes another envelope.".to_owned(),
            Refusal::Unavailable(_) => "The broker can start no session now; tell your administrator.".to_owned(),
        }
    }
}

/// The one sentence for what does not exist, is forbidden, or is outside its time.
#[must_use]
pub fn not_for_you(host: &str) -> String {
    format!("You may not reach `{}` now, or it does not exist.", printable(host))
}

/// The sentence for a limit of sessions that is reached.
pub(super) fn no_more_than(limit: u32) -> String {
    match limit {
        1 => "You have 1 session there already, and your role allows no more. End it first.".to_owned(),
        _ => format!("You have {limit} sessions there already, and your role allows no more. End one first."),
    }
}

/// What a person wrote comes back to their terminal only as plain characters.
pub(crate) fn printable(text: &str) -> String {
    sallyport_plain::excerpt(text, 80)
}

/// A grant that would permit but for the number of sessions says so; all other denials sound alike.
pub(super) fn refusal(denial: &Denial) -> Refusal {
    let only_too_many = |unmet: &Vec<Unmet>| match unmet.as_slice() {
        [Unmet::Concurrent { limit, .. }] => Some(*limit),
        _ => None,
    };
    match &denial.reason {
        DenialReason::Unmet(grants) => grants.iter().find_map(|(_, unmet)| only_too_many(unmet)),
        DenialReason::UnknownAsset(_)
        | DenialReason::UnknownService { .. }
        | DenialReason::UnknownAccount { .. }
        | DenialReason::NoConduit { .. }
        | DenialReason::Forbidden { .. }
        | DenialReason::NoGrant => None,
    }
    .map_or_else(|| Refusal::Denied(denial.to_string()), Refusal::Concurrent)
}
