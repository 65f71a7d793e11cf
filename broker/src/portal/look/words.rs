//! The sentences that handlers say. Those of a page stand in its template.

/// Name or password, and nobody learns which.
pub const WRONG_SIGN_IN: &str = "That did not work. Check the name and the password, and try again.";
/// The second factor.
pub const WRONG_CODE: &str = "That code did not work. Wait for the next one, and type it as the app shows it.";
/// What a passkey showed was not believed.
pub const WRONG_KEY: &str = "That key was not accepted. Try again, or use another factor of yours.";
/// The number of the terminal.
pub const WRONG_NUMBER: &str = "That is not the number that the terminal shows.";
/// The sign-in took too long, or too many guesses.
pub const SIGN_IN_OVER: &str = "This sign-in is over. Begin again.";

/// The title and the sentence of a path that leads nowhere.
pub const NOT_FOUND: (&str, &str) =
    ("There is nothing here", "The address may be mistyped, or what was here may be over.");
/// After signing out.
pub const SIGNED_OUT: (&str, &str) =
    ("You are signed out", "Your ssh sessions go on. End them on the page Sessions, or in their terminals.");
/// A form that was not this session's.
pub const STALE: (&str, &str) =
    ("This page was out of date", "Nothing was changed. Open the page again, and do it from there.");
/// More at once than one person does.
pub const TOO_MANY: (&str, &str) = ("Too many attempts", "Wait a minute, then try again.");
/// A failure of ours.
pub const FAILED: (&str, &str) =
    ("That could not be done", "Nothing was changed. Try again; if it stays so, tell your administrator.");
/// An invitation that does not count.
pub const INVITATION_OVER: (&str, &str) = (
    "This invitation no longer works",
    "An invitation works once and only for a while. Ask your administrator for a new one.",
);

/// The way to the first page.
pub const TO_START: &str = "Go to the start page";
/// The way to the sign-in.
pub const TO_SIGN_IN: &str = "Sign in";
