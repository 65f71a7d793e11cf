//! One try, and what came of it.

use serde::Serialize;

use super::person::Unanswered;
use crate::cli::Row;

/// What must come of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Must {
    /// It is refused.
    Fail,
    /// It succeeds: where nothing does, that nothing gets through proves nothing.
    Succeed,
}

/// A try, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tried {
    /// What was tried.
    pub(super) what: &'static str,
    must: Must,
    /// Whether it came as it must.
    pub(super) held: bool,
    /// The requirement of IEC 62443-3-3 that it is evidence for.
    serves: &'static str,
    /// What was seen.
    saw: String,
}

/// A try that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try {
    pub(super) what: &'static str,
    pub(super) must: Must,
    pub(super) serves: &'static str,
}

impl Try {
    /// It came to this: whether it got through, and what was seen.
    pub(super) fn came_to(self, through: bool, saw: &str) -> Tried {
        let held = through == (self.must == Must::Succeed);
        Tried { what: self.what, must: self.must, held, serves: self.serves, saw: saw.to_owned() }
    }

    /// It got through or was refused, or nobody knows: then it did not hold.
    pub(super) fn answered(self, through: Result<bool, Unanswered>) -> Tried {
        match through {
            Ok(true) => self.came_to(true, "it got through"),
            Ok(false) => self.came_to(false, "it was refused"),
            Err(error) => self.unknown(&error.to_string()),
        }
    }

    /// Nobody knows what came of it: then it did not hold.
    pub(super) fn unknown(self, why: &str) -> Tried {
        Tried { held: false, ..self.came_to(false, why) }
    }
}

impl Tried {
    /// One line for the audit chain.
    pub(super) fn line(&self) -> String {
        let (held, must) = (if self.held { "held" } else { "FAILED" }, self.must.word());
        format!("{held}: {} must {must}; {} (SR {})", self.what, self.saw, self.serves)
    }
}

impl Must {
    fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Succeed => "succeed",
        }
    }
}

impl Row for Tried {
    const COLUMNS: &'static [&'static str] = &["", "what", "must", "saw", "proves"];

    fn cells(&self) -> Vec<String> {
        let held = if self.held { "ok" } else { "FAIL" };
        let proves = format!("SR {}", self.serves);
        vec![held.to_owned(), self.what.to_owned(), self.must.word().to_owned(), self.saw.clone(), proves]
    }
}
