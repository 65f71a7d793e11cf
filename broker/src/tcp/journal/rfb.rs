//! Messages of RFB, as entries of the recording. What is enough to draw the screen again is in fields of their own.

use sallyport_protocol_filter::rfb::{Message, Operation};

use super::fields::{Field, Fields};

pub(super) fn entry<'a>(operation: &'a Operation<'_>) -> Fields<'a> {
    let mut entry = Fields::begin("vnc", operation.phase, &operation.side);
    entry.put("name", Field::Text(operation.message.name()));
    entry.put("kind", Field::Text(operation.kind.word()));
    details(&mut entry, &operation.message);
    entry.end(operation.verdict, operation)
}

/// How many messages an entry stands for.
pub(super) fn count(message: &Message<'_>) -> u64 {
    match message {
        Message::Counted { count, .. } => *count,
        _ => 1,
    }
}

fn details<'a>(entry: &mut Fields<'a>, message: &'a Message<'_>) {
    match message {
        Message::Version { named: (major, minor), used } => {
            entry.put("named", Field::Named(*major, *minor));
            entry.put("used", Field::Shown(used));
        }
        Message::SecurityTypes { offered, kept } => {
            entry.put("offered", Field::Numbers(offered));
            entry.put("kept", Field::Numbers(kept));
        }
        Message::SecurityChoice(security) => entry.put("security", Field::Number(security.number().into())),
        Message::LetIn => {}
        // RFB's texts are Latin-1 by the RFC and UTF-8 in practice.
        Message::Refused { reason } => entry.put("reason", Field::Sent(reason)),
        Message::ClientInit { shared, used } => {
            entry.put("shared", Field::Flag(*shared));
            entry.put("used", Field::Flag(*used));
        }
        Message::ServerInit { width, height, format, name } => {
            size(entry, *width, *height);
            entry.put("format", Field::Hex(format.encode()));
            entry.put("desktop", Field::Sent(name));
        }
        Message::SetPixelFormat(format) => entry.put("format", Field::Hex(format.encode())),
        Message::SetEncodings { kept, left_out, .. } => {
            entry.put("kept", Field::Encodings(kept));
            entry.put("left_out", Field::Number((*left_out).into()));
        }
        Message::Key { down, keysym } => {
            entry.put("down", Field::Flag(*down));
            entry.put("keysym", Field::Number((*keysym).into()));
        }
        Message::Buttons { before, after, x, y } => {
            entry.put("before", Field::Number((*before).into()));
            entry.put("after", Field::Number((*after).into()));
            entry.put("x", Field::Number((*x).into()));
            entry.put("y", Field::Number((*y).into()));
        }
        Message::CutText { length } => entry.put("length", Field::Number((*length).into())),
        Message::DesktopSize { width, height } => size(entry, *width, *height),
        Message::DesktopName(name) => entry.put("desktop", Field::Sent(name)),
        Message::Released { keys, buttons } => {
            entry.put("keys", Field::Number((*keys).into()));
            entry.put("buttons", Field::Number((*buttons).into()));
        }
        Message::Counted { count, .. } => entry.put("count", Field::Number(*count)),
    }
}

fn size(entry: &mut Fields<'_>, width: u16, height: u16) {
    entry.put("width", Field::Number(width.into()));
    entry.put("height", Field::Number(height.into()));
}
