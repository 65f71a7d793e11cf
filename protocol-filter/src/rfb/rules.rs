//! What a person may do with a screen beside looking at it.

use crate::{Cause, Mode, Verdict};

/// The rights of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Keys and pointer.
    pub input: bool,
    /// Text cut at the person's tool may go to the asset.
    pub clipboard_to_asset: bool,
    /// Text cut on the asset may come to the person's tool.
    pub clipboard_from_asset: bool,
    /// Whether what is not allowed is dropped or only noted.
    pub mode: Mode,
}

impl Rules {
    /// Looks, and nothing else.
    #[must_use]
    pub const fn view_only() -> Self {
        Self { input: false, clipboard_to_asset: false, clipboard_from_asset: false, mode: Mode::Enforce }
    }

    /// Looks, types and clicks; no clipboard.
    #[must_use]
    pub const fn interactive() -> Self {
        Self { input: true, ..Self::view_only() }
    }

    /// What of these rights is left to somebody who only looks on: the picture, and what it brings.
    #[must_use]
    pub const fn viewing(self) -> Self {
        let clipboard_from_asset = self.clipboard_from_asset || matches!(self.mode, Mode::Observe);
        Self { clipboard_from_asset, ..Self::view_only() }
    }

    /// The verdict on keys and pointer, and on a connection that would end those of others.
    pub(super) fn on_input(self) -> Verdict<'static> {
        self.verdict(self.input, INPUT)
    }

    pub(super) fn on_cut_text_to_asset(self) -> Verdict<'static> {
        self.verdict(self.clipboard_to_asset, CLIPBOARD_TO_ASSET)
    }

    pub(super) fn on_cut_text_from_asset(self) -> Verdict<'static> {
        self.verdict(self.clipboard_from_asset, CLIPBOARD_FROM_ASSET)
    }

    fn verdict(self, allowed: bool, rule: &'static str) -> Verdict<'static> {
        match (allowed, self.mode) {
            (true, _) => Verdict::Pass { rule },
            (false, Mode::Observe) => Verdict::WouldDeny { rule, cause: Cause::Function },
            (false, Mode::Enforce) => Verdict::Deny { rule, cause: Cause::Function },
        }
    }
}

const INPUT: &str = "input";
const CLIPBOARD_TO_ASSET: &str = "clipboard-to-asset";
const CLIPBOARD_FROM_ASSET: &str = "clipboard-from-asset";

/// What belongs to looking passes under every rule.
pub(super) const VIEW: Verdict<'static> = Verdict::Pass { rule: "view" };
/// Keys and buttons that were down when the right to press them ended are let go.
pub(super) const RELEASE: Verdict<'static> = Verdict::Pass { rule: "release" };
/// Messages of extensions are never legal, since what would make them so is taken out of what the tool asks for.
pub(super) const NO_EXTENSION: Verdict<'static> = Verdict::Deny { rule: "extensions", cause: Cause::Function };
/// Only security types whose handshake can be followed.
pub(super) const NO_SECURITY: Verdict<'static> = Verdict::Deny { rule: "security-types", cause: Cause::Function };
