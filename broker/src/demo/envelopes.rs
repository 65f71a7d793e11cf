//! The envelopes of the demo: two are sealed when it first starts, and their codes kept in a file beside it, which no plant would do.

use std::fs;

use jiff::Timestamp;

use super::DemoError;
use super::prepare::{Home, replace};
use crate::broker::Broker;
use crate::emergency::{EnvelopeCode, Sealing};

/// The section of the demo's plant that they open.
const RULE: &str = "control-room";
const FILE: &str = "envelopes.txt";

impl Home {
    /// The codes, one a line, behind the number of their envelope.
    pub(super) async fn envelopes(&self, broker: &Broker) -> Result<Vec<String>, DemoError> {
        let path = self.dir().join(FILE);
        if let Ok(text) = fs::read_to_string(&path) {
            return Ok(text.lines().map(ToOwned::to_owned).collect());
        }
        let mut lines = Vec::new();
        let mut write = broker.store.begin_write().await?;
        for holder in ["control room", "shift lead"] {
            let code = EnvelopeCode::generate();
            let at = Timestamp::now();
            let sealing = Sealing { rule: RULE, holder: Some(holder), expires_at: None, by: "demo", at };
            let number = sealing.enter(&mut write, &broker.audit, &code).await?;
            lines.push(format!("{number}  {}", code.groups().expose().join("-")));
        }
        replace(&path, 0o600, (lines.join("\n") + "\n").as_bytes())?;
        write.commit().await?;
        Ok(lines)
    }
}
