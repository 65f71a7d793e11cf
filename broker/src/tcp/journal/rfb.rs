//! Messages of RFB, as entries of the recording. What is enough to draw the screen again is in fields of their own.

use data_encoding::HEXLOWER;
use sallyport_protocol_filter::rfb::{Encoding, Message, Operation, Security};
use serde_json::{Map, Value, json};

use super::Entry;

pub(super) fn entry(operation: &Operation<'_>) -> Value {
    let mut entry = Entry::begin("vnc", operation.phase, operation.side);
    entry.put("name", operation.message.name());
    entry.put("kind", operation.kind.word());
    entry.fields.append(&mut details(&operation.message));
    entry.end(operation.verdict, operation)
}

/// How many messages an entry stands for.
pub(super) fn count(message: &Message<'_>) -> u64 {
    match message {
        Message::Counted { count, .. } => *count,
        _ => 1,
    }
}

fn details(message: &Message<'_>) -> Map<String, Value> {
    let details = match *message {
        Message::Version { named: (major, minor), used } => {
            json!({ "named": format!("{major}.{minor}"), "used": used.to_string() })
        }
        Message::SecurityTypes { offered, kept } => json!({ "offered": offered, "kept": kept }),
        Message::SecurityChoice(security) => json!({ "security": number(security) }),
        Message::LetIn => json!({}),
        Message::Refused { reason } => json!({ "reason": words(reason) }),
        Message::ClientInit { shared, used } => json!({ "shared": shared, "used": used }),
        Message::ServerInit { width, height, format, name } => json!({
            "width": width, "height": height, "format": HEXLOWER.encode(&format.encode()), "desktop": words(name),
        }),
        Message::SetPixelFormat(format) => json!({ "format": HEXLOWER.encode(&format.encode()) }),
        Message::SetEncodings { kept, left_out, .. } => {
            json!({ "kept": kept.iter().map(|kept| Encoding::number(*kept)).collect::<Vec<_>>(), "left_out": left_out })
        }
        Message::Key { down, keysym } => json!({ "down": down, "keysym": keysym }),
        Message::Buttons { before, after, x, y } => json!({ "before": before, "after": after, "x": x, "y": y }),
        Message::CutText { length } => json!({ "length": length }),
        Message::DesktopSize { width, height } => json!({ "width": width, "height": height }),
        Message::DesktopName(name) => json!({ "desktop": words(name) }),
        Message::Released { keys, buttons } => json!({ "keys": keys, "buttons": buttons }),
        Message::Counted { count, .. } => json!({ "count": count }),
    };
    match details {
        Value::Object(details) => details,
        _ => Map::new(),
    }
}

const fn number(security: Security) -> u8 {
    match security {
        Security::None => 1,
        Security::VncAuthentication => 2,
    }
}

/// RFB's texts are Latin-1 by the RFC and UTF-8 in practice.
fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
