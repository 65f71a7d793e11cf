//! One sentence and what to do next: for everything that is no page of its own.

use askama::Template;

use super::frame::{Frame, Place};
use super::words::{self, Saying};

/// One sentence and what to do next.
#[derive(Template)]
#[template(path = "notice.html")]
pub struct Notice {
    /// What is around it.
    pub frame: Frame,
    /// What it is, in a few words.
    pub title: String,
    /// The sentence.
    pub sentence: String,
    /// What to do next.
    pub next: Link,
}

/// A way on.
#[derive(Clone, Debug)]
pub struct Link {
    /// A path of ours.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl Notice {
    /// There is no such page, or not for this person: nobody learns which.
    #[must_use]
    pub fn not_found(frame: Frame) -> Self {
        Self::new(frame, &words::NOT_FOUND)
    }

    /// Signed out, as they wished.
    #[must_use]
    pub fn signed_out(frame: Frame) -> Self {
        Self::new(frame, &words::SIGNED_OUT)
    }

    /// The page was older than the session, or came from elsewhere: nothing was done.
    #[must_use]
    pub fn stale(frame: Frame) -> Self {
        Self::new(frame, &words::STALE)
    }

    /// Too much at once from there.
    #[must_use]
    pub fn too_many(frame: Frame) -> Self {
        Self::new(frame, &words::TOO_MANY)
    }

    /// Something of ours failed: nothing was done.
    #[must_use]
    pub fn failed(frame: Frame) -> Self {
        Self::new(frame, &words::FAILED)
    }

    /// The link of an invitation counts no longer, or never did.
    #[must_use]
    pub fn invitation_over(frame: Frame) -> Self {
        Self::new(frame, &words::INVITATION_OVER)
    }

    /// The page that says this.
    #[must_use]
    pub fn new(frame: Frame, said: &Saying) -> Self {
        let next = Link { path: said.path.to_owned(), text: said.way_on.to_owned() };
        Self { frame, title: said.title.to_owned(), sentence: said.sentence.to_owned(), next }
    }
}
