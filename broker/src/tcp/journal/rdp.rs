//! RDP's negotiation, as entries of the recording.

use data_encoding::HEXLOWER;
use sallyport_protocol_filter::rdp::{Confirm, Cookie, Message, Negotiation, Operation, Protocols, Request};
use serde_json::Value;

use super::Entry;

pub(super) fn entry(operation: &Operation<'_>) -> Value {
    let mut entry = Entry::begin("rdp", operation.phase, operation.side);
    entry.put("kind", operation.kind.word());
    match operation.message {
        Message::Request(request) => asked(&mut entry, &request),
        Message::Confirm(confirm) => answered(&mut entry, confirm),
    }
    entry.end(operation.verdict, operation)
}

fn asked(entry: &mut Entry, request: &Request<'_>) {
    entry.put("name", "connection-request");
    match request.cookie {
        // The name that was typed at the tool; nobody has checked it.
        Some(Cookie::User(user)) => entry.put("user", String::from_utf8_lossy(user)),
        Some(Cookie::Token(token)) => entry.put("token", String::from_utf8_lossy(token)),
        None => {}
    }
    if let Some(negotiation) = request.negotiation {
        protocols(entry, "requested", negotiation);
    }
    if let Some(correlation) = request.correlation {
        entry.put("correlation", HEXLOWER.encode(correlation.as_slice()));
    }
}

fn answered(entry: &mut Entry, confirm: Confirm) {
    entry.put("name", "connection-confirm");
    match confirm {
        Confirm::Plain => entry.put("selected", Protocols(Protocols::RDP).to_string()),
        Confirm::Selected(negotiation) => protocols(entry, "selected", negotiation),
        Confirm::Failure { code } => entry.put("failure", code),
    }
}

fn protocols(entry: &mut Entry, name: &str, Negotiation { flags, protocols }: Negotiation) {
    entry.put(name, protocols.to_string());
    entry.put("flags", flags);
}
