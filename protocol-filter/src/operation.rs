//! What decoded messages of every protocol have in common: their kind, their place in an exchange, and the verdict.

use std::fmt;

/// What an operation does to the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Looks at the process.
    Read,
    /// Changes a value of the process.
    Write,
    /// Changes how the device runs: restart, listen only, clear counters, start, stop.
    Control,
    /// Changes what the device runs: programs, files, configuration, and what cannot be told from it.
    Program,
    /// Looks at the device, or tests it.
    Diagnose,
    /// Belongs to the connection itself.
    Session,
}

impl Kind {
    /// Every kind that a rule can name.
    pub const RULED: [Kind; 5] = [Kind::Read, Kind::Write, Kind::Control, Kind::Program, Kind::Diagnose];

    /// The word for it, in plant files and evidence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Control => "control",
            Kind::Program => "program",
            Kind::Diagnose => "diagnose",
            Kind::Session => "session",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which part of an exchange a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Asks for something.
    Request,
    /// Answers a request that was passed.
    Response,
    /// Asks for nothing and answers nothing.
    Notice,
}

/// Why an operation is denied; decides how the denial is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No rule names such an operation at all.
    Function,
    /// Rules name such operations, but not there.
    Address,
    /// There, but not with this value or so large a step.
    Value,
    /// There and with this value, but not that often.
    Rate,
    /// A rule would allow it at another time.
    Window,
}

impl Cause {
    /// The word for it, in evidence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Cause::Function => "function",
            Cause::Address => "address",
            Cause::Value => "value",
            Cause::Rate => "rate",
            Cause::Window => "window",
        }
    }
}

/// What is done with what no rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// It passes, and the verdict says that it would have been denied.
    Observe,
}

/// What is done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict<'a> {
    /// It goes on.
    Pass {
        /// The rule that allowed it.
        rule: &'a str,
    },
    /// It goes on, since the rules only observe; enforced, they would deny it.
    WouldDeny {
        /// The rule that stood nearest, or the name of the rules.
        rule: &'a str,
        /// Why.
        cause: Cause,
    },
    /// It is answered by the filter and goes no further.
    Deny {
        /// The rule that stood nearest, or the name of the rules.
        rule: &'a str,
        /// Why.
        cause: Cause,
    },
}

impl Verdict<'_> {
    /// The word for it, in evidence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Pass { .. } => "pass",
            Verdict::WouldDeny { .. } => "would-deny",
            Verdict::Deny { .. } => "deny",
        }
    }

    /// Does the message go on?
    #[must_use]
    pub const fn passes(self) -> bool {
        match self {
            Verdict::Pass { .. } | Verdict::WouldDeny { .. } => true,
            Verdict::Deny { .. } => false,
        }
    }
}
