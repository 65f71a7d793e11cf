//! RDP's negotiation, as entries of the recording.

use sallyport_protocol_filter::rdp::{Confirm, Cookie, Message, Negotiation, Operation, Protocols, Request};

use super::fields::{Field, Fields};

pub(super) fn entry<'a>(operation: &'a Operation<'_>) -> Fields<'a> {
    let mut entry = Fields::begin("rdp", operation.phase, &operation.side);
    entry.put("kind", Field::Text(operation.kind.word()));
    match &operation.message {
        Message::Request(request) => asked(&mut entry, request),
        Message::Confirm(confirm) => answered(&mut entry, confirm),
    }
    entry.end(operation.verdict, operation)
}

fn asked<'a>(entry: &mut Fields<'a>, request: &'a Request<'_>) {
    entry.put("name", Field::Text("connection-request"));
    match request.cookie {
        // The name that was typed at the tool; nobody has checked it.
        Some(Cookie::User(user)) => entry.put("user", Field::Sent(user)),
        Some(Cookie::Token(token)) => entry.put("token", Field::Sent(token)),
        None => {}
    }
    if let Some(negotiation) = &request.negotiation {
        protocols(entry, "requested", negotiation);
    }
    if let Some(correlation) = request.correlation {
        entry.put("correlation", Field::Hex(correlation));
    }
}

fn answered<'a>(entry: &mut Fields<'a>, confirm: &'a Confirm) {
    entry.put("name", Field::Text("connection-confirm"));
    match confirm {
        Confirm::Plain => entry.put("selected", Field::Shown(&Protocols(Protocols::RDP))),
        Confirm::Selected(negotiation) => protocols(entry, "selected", negotiation),
        Confirm::Failure { code } => entry.put("failure", Field::Number((*code).into())),
    }
}

fn protocols<'a>(entry: &mut Fields<'a>, name: &'static str, negotiation: &'a Negotiation) {
    entry.put(name, Field::Shown(&negotiation.protocols));
    entry.put("flags", Field::Number(negotiation.flags.into()));
}
