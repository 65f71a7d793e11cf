//! How a session began: what the audit chain says of it, and what its recording's header does.

use sallyport_session_recorder::Header;
use serde_json::Value;

use crate::audit::AuditEntry;

/// The code of the entry that a session begins with.
pub(super) const STARTED: &str = "SP-3001";

/// What the header says otherwise than the entry.
pub(super) fn differences(header: &Header, entry: &AuditEntry) -> Vec<String> {
    let seq = entry.seq;
    let Ok(event) = serde_json::from_str::<Value>(&entry.event) else {
        return vec![format!("entry {seq} of the audit chain cannot be read")];
    };
    let said = [
        ("session", &header.session),
        ("identity", &header.identity),
        ("source", &header.source),
        ("asset", &header.asset),
        ("zone", &header.zone),
        ("service", &header.service),
        ("account", &header.account),
        ("form", &header.form),
        ("rule", &header.rule),
    ];
    let chain = |what| event[what].as_str().unwrap_or_default();
    let differ = |what: &str, said: &str, chain: &str| {
        (said != chain).then(|| format!("its header has {what} `{said}`, the audit chain `{chain}` (entry {seq})"))
    };
    let differing = said.into_iter().filter_map(|(what, said)| differ(what, said, chain(what)));
    differing.chain(differ("broker", &header.broker, &entry.broker)).collect()
}
