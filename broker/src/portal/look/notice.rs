//! One sentence and what to do next: for everything that is no page of its own.

use askama::Template;

use super::frame::{Frame, Place};
use super::words;

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
        Self::new(frame, words::NOT_FOUND, ("/", words::TO_START))
    }

    /// Signed out, as they wished.
    #[must_use]
    pub fn signed_out(frame: Frame) -> Self {
        Self::new(frame, words::SIGNED_OUT, ("/sign-in", words::TO_SIGN_IN))
    }

    /// The page was older than the session, or came from elsewhere: nothing was done.
    #[must_use]
    pub fn stale(frame: Frame) -> Self {
        Self::new(frame, words::STALE, ("/", words::TO_START))
    }

    /// Too much at once from there.
    #[must_use]
    pub fn too_many(frame: Frame) -> Self {
        Self::new(frame, words::TOO_MANY, ("/sign-in", words::TO_SIGN_IN))
    }

    /// Something of ours failed: nothing was done.
    #[must_use]
    pub fn failed(frame: Frame) -> Self {
        Self::new(frame, words::FAILED, ("/", words::TO_START))
    }

    /// The link of an invitation counts no longer, or never did.
    #[must_use]
    pub fn invitation_over(frame: Frame) -> Self {
        Self::new(frame, words::INVITATION_OVER, ("/sign-in", words::TO_SIGN_IN))
    }

    /// A title and a sentence, and a path with what it says.
    #[must_use]
    pub fn new(frame: Frame, (title, sentence): (&str, &str), (path, text): (&str, &str)) -> Self {
        let next = Link { path: path.to_owned(), text: text.to_owned() };
        Self { frame, title: title.to_owned(), sentence: sentence.to_owned(), next }
    }
}
