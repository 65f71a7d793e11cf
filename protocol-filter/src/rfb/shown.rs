//! Operations in words, one line each, for people.

use std::fmt;

use super::encoding::Encoding;
use super::operation::{Message, Operation, Security, Version};
use super::pixel_format::PixelFormat;
use crate::Verdict;

/// `key 0xff0d down, denied: function (input)`.
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

impl Message<'_> {
    /// The word for it, in evidence.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Message::Version { .. } => "version",
            Message::SecurityTypes { .. } => "security-types",
            Message::SecurityChoice(_) => "security-choice",
            Message::LetIn => "let-in",
            Message::Refused { .. } => "refused",
            Message::ClientInit { .. } => "client-init",
            Message::ServerInit { .. } => "server-init",
            Message::SetPixelFormat(_) => "set-pixel-format",
            Message::SetEncodings { .. } => "set-encodings",
            Message::Key { .. } => "key",
            Message::Buttons { .. } => "buttons",
            Message::CutText { .. } => "cut-text",
            Message::DesktopSize { .. } => "desktop-size",
            Message::DesktopName(_) => "desktop-name",
            Message::Released { .. } => "released",
            Message::Counted { what, .. } => what.word(),
        }
    }
}

/// Texts of either side are escaped.
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match *self {
            Message::Version { named: (major, minor), used } => write!(f, " {major}.{minor}, goes on as {used}"),
            Message::SecurityTypes { offered, kept } => write!(f, " {offered:?}, of which pass {kept:?}"),
            Message::SecurityChoice(security) => write!(f, " {security}"),
            Message::LetIn => Ok(()),
            Message::Refused { reason } => write!(f, " `{}`", reason.escape_ascii()),
            Message::ClientInit { shared, used } => {
                f.write_str(if shared { " shared" } else { " not shared" })?;
                f.write_str(if shared == used { "" } else { ", goes on as shared" })
            }
            Message::ServerInit { width, height, format, name } => {
                write!(f, " {width}x{height} {format} `{}`", name.escape_ascii())
            }
            Message::SetPixelFormat(format) => write!(f, " {format}"),
            Message::SetEncodings { kept, left_out, first_left_out } => {
                kept.iter().try_for_each(|encoding| write!(f, " {encoding}"))?;
                if left_out == 0 {
                    return Ok(());
                }
                write!(f, "; {left_out} left out:")?;
                first_left_out.iter().try_for_each(|number| write!(f, " {number}"))?;
                f.write_str(if usize::from(left_out) > first_left_out.len() { " …" } else { "" })
            }
            Message::Key { down, keysym } => write!(f, " {keysym:#06x} {}", if down { "down" } else { "up" }),
            Message::Buttons { before, after, x, y } => write!(f, " {after:#010b} (was {before:#010b}) at {x}, {y}"),
            Message::CutText { length } => write!(f, " of {length} bytes"),
            Message::DesktopSize { width, height } => write!(f, " {width}x{height}"),
            Message::DesktopName(name) => write!(f, " `{}`", name.escape_ascii()),
            Message::Released { keys, buttons } => write!(f, " {keys} keys, buttons {buttons:#010b}"),
            Message::Counted { count, .. } => write!(f, " {count}"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Security::None => "none",
            Security::VncAuthentication => "vnc-authentication",
        })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Raw => "raw",
            Encoding::CopyRect => "copy-rect",
            Encoding::Rre => "rre",
            Encoding::Hextile => "hextile",
            Encoding::Zrle => "zrle",
            Encoding::DesktopSize => "desktop-size",
            Encoding::LastRect => "last-rect",
            Encoding::Cursor => "cursor",
            Encoding::XCursor => "x-cursor",
            Encoding::DesktopName => "desktop-name",
        })
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colours = if self.is_mapped() { "colour map" } else { "true colour" };
        write!(f, "{} bits {colours}", 8 * self.bytes())
    }
}
