//! The sentences that handlers say. Those of a page stand in its template.

/// Name or password, and nobody learns which.
pub const WRONG_SIGN_IN: &str = "That did not work. Check the name and the password, and try again.";
/// The second factor.
pub const WRONG_CODE: &str = "That code did not work. Wait for the next one, and type it as the app shows it.";
/// What a passkey showed was not believed.
pub const WRONG_KEY: &str = "That key was not accepted. Try again, or use another factor of yours.";
/// The number of the terminal.
pub const WRONG_NUMBER: &str = "That is not the number that the terminal shows.";
/// What a script is told that changes factors too long after the last proof.
pub const PROVE_AGAIN: &str = "It was too long ago that you proved who you are. Reload this page, and prove it again.";
/// The sign-in took too long, or too many guesses.
pub const SIGN_IN_OVER: &str = "This sign-in is over. Begin again.";

/// What a page says that is one sentence.
#[derive(Clone, Copy, Debug)]
pub struct Saying {
    /// What it is, in a few words.
    pub title: &'static str,
    /// The sentence.
    pub sentence: &'static str,
    /// Where to go then: a path of ours.
    pub path: &'static str,
    /// What the way there is called.
    pub way_on: &'static str,
}

/// A path that leads nowhere.
pub const NOT_FOUND: Saying = Saying {
    title: "There is nothing here",
    sentence: "The address may be mistyped, or what was here may be over.",
    path: "/",
    way_on: TO_START,
};
/// After signing out.
pub const SIGNED_OUT: Saying = Saying {
    title: "You are signed out",
    sentence: "Your ssh sessions go on. End them on the page Sessions, or in their terminals.",
    path: "/sign-in",
    way_on: TO_SIGN_IN,
};
/// A form that was not this session's.
pub const STALE: Saying = Saying {
    title: "This page was out of date",
    sentence: "Nothing was changed. Open the page again, and do it from there.",
    path: "/",
    way_on: TO_START,
};
/// More at once than one person does.
pub const TOO_MANY: Saying = Saying {
    title: "Too many attempts",
    sentence: "Wait a minute, then try again.",
    path: "/sign-in",
    way_on: TO_SIGN_IN,
};
/// A failure of ours.
pub const FAILED: Saying = Saying {
    title: "That could not be done",
    sentence: "Nothing was changed. Try again; if it stays so, tell your administrator.",
    path: "/",
    way_on: TO_START,
};
/// An invitation that does not count.
pub const INVITATION_OVER: Saying = Saying {
    title: "This invitation no longer works",
    sentence: "An invitation works once and only for a while. Ask your administrator for a new one.",
    path: "/sign-in",
    way_on: TO_SIGN_IN,
};

const TO_START: &str = "Go to the start page";
const TO_SIGN_IN: &str = "Sign in";
