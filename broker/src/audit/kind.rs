//! What is known of an event, whatever it holds: its code, how much it matters, who did it, what an outage does to it.

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The ordinary course of things.
    Info,
    /// Worth a look in a review: a refusal, an administrative change.
    Notice,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Alert,
}

impl Severity {
    /// The word for it in documents and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

/// Who did what an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doer {
    /// The identity the event names (for a refused login: the name that was claimed).
    Identity,
    /// The process that records it: the broker itself, or the operating system user who ran the command.
    Process,
}

/// What happens to an event while the database is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It belongs to something that goes on: it waits on disk.
    Spools,
    /// Recording it fails, and so does what it would have recorded.
    Fails,
}

/// What is known of an event's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    /// The stable code: `SP-` and four digits.
    pub code: &'static str,
    /// The stable dotted name.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Who its actor is.
    pub doer: Doer,
    /// What happens to it while the database is away.
    pub outage: Outage,
    /// The requirements of IEC 62443-3-3 that it is evidence for, as `1.1, 2.1 RE 3`; or `none: ` and why there is none.
    pub serves: &'static str,
    /// What it means, a line per element.
    pub meaning: &'static [&'static str],
    /// Its fields: name, type, meaning.
    pub fields: &'static [(&'static str, &'static str, &'static str)],
}

/// Makes the enum of all events, and what is known of each, from one list.
macro_rules! events {
    ($(
        $(#[doc = $meaning:literal])+
        $variant:ident = $code:literal $name:literal $severity:ident $doer:ident $outage:ident $($serves:literal)? {
            $( #[doc = $about:literal] $field:ident : $type:ty, )*
        }
    )*) => {
        /// One security event.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(tag = "event")]
        pub enum AuditEvent {
            $(
                $(#[doc = $meaning])+
                #[serde(rename = $name)]
                $variant { $( #[doc = $about] $field: $type, )* },
            )*
        }

        impl AuditEvent {
            /// Every kind of event, in the order of the document.
            pub const KINDS: &'static [EventKind] = &[$( EventKind {
                code: $code,
                name: $name,
                severity: Severity::$severity,
                doer: Doer::$doer,
                outage: Outage::$outage,
                serves: concat!($($serves)?),
                meaning: &[$($meaning),+],
                fields: &[$( (stringify!($field), stringify!($type), $about) ),*],
            } ),*];

            /// What kind of event this is.
            pub fn kind(&self) -> &'static EventKind {
                let code = match self { $( Self::$variant { .. } => $code, )* };
                // The list holds every variant: both come from the same lines.
                Self::KINDS.iter().find(|kind| kind.code == code).unwrap_or(&Self::KINDS[0])
            }
        }
    };
}

pub(super) use events;
