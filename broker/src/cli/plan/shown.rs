//! What a plan does to people and to what lives, in lines.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::access::{AccessChange, Consequences, EndingLease, EndingSession, EndingWindow};

/// How much of everything.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// How many people gain something, and how many accounts of services in all.
    gains: Count,
    loses: Count,
    keeps_otherwise: Count,
    sessions: usize,
    leases: usize,
    windows: usize,
}

/// Accounts of services, of how many people.
#[derive(Debug, Serialize)]
struct Count {
    people: usize,
    ways: usize,
}

impl Count {
    fn of(changes: &[AccessChange]) -> Self {
        let people: BTreeSet<_> = changes.iter().map(|change| &change.identity).collect();
        Self { people: people.len(), ways: changes.len() }
    }

    fn said(&self, one: &str, more: &str) -> String {
        let Self { people, ways } = self;
        let verb = if *people == 1 { one } else { more };
        format!("{} {verb} {}", number(*people, "person", "people"), number(*ways, "way in", "ways in"))
    }
}

impl Summary {
    pub(super) fn of(consequences: &Consequences) -> Self {
        let Consequences { access, sessions, leases, windows } = consequences;
        Self {
            gains: Count::of(&access.gains),
            loses: Count::of(&access.loses),
            keeps_otherwise: Count::of(&access.keeps_otherwise),
            sessions: sessions.len(),
            leases: leases.len(),
            windows: windows.len(),
        }
    }
}

/// The same in one sentence.
pub(super) fn summary(summary: &Summary) -> String {
    let Summary { gains, loses, keeps_otherwise, sessions, leases, windows } = summary;
    [
        gains.said("gains", "gain"),
        loses.said("loses", "lose"),
        keeps_otherwise.said("keeps otherwise", "keep otherwise"),
        number(*sessions, "live session ends", "live sessions end"),
        number(*leases, "lease counts no more", "leases count no more"),
        number(*windows, "write window shuts", "write windows shut"),
    ]
    .join(", ")
}

fn number(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Who gains and loses what, and what ends; nothing, where nobody is touched.
pub(super) fn people(consequences: &Consequences) -> String {
    let Consequences { access, sessions, leases, windows } = consequences;
    let mut text = String::new();
    let mut part = |heading: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{heading}:\n"));
            lines.iter().take(SHOWN).for_each(|line| text.push_str(&format!("  {line}\n")));
            if lines.len() > SHOWN {
                text.push_str(&format!("  … and {} more; all of them with `--json`\n", lines.len() - SHOWN));
            }
        }
    };
    part("People gain", ways("+", &access.gains));
    part("People lose", ways("-", &access.loses));
    part("People keep, on other conditions", ways("~", &access.keeps_otherwise));
    let session = |ending: &EndingSession| {
        let EndingSession { id, identity, asset, service, account, started_at, certain, why, .. } = ending;
        let whether = if *certain { "" } else { "perhaps, by what was proven: " };
        format!("{id} {identity} to {asset} {service} as {account}, since {started_at:.0}: {whether}{why}")
    };
    part("Live sessions end", sessions.iter().map(session).collect());
    let lease = |lease: &EndingLease| format!("{} of {}, proven {:.0}", lease.id, lease.identity, lease.proved_at);
    part("Leases count no more", leases.iter().map(lease).collect());
    let window = |ending: &EndingWindow| {
        let window = &ending.window;
        format!("{} of {} on {} {}: {}", window.id, window.identity, window.asset, window.service, ending.why)
    };
    part("Write windows shut", windows.iter().map(window).collect());
    text
}

/// A line for each person and service: its accounts, by what, and what of it changes.
fn ways(sign: &str, changes: &[AccessChange]) -> Vec<String> {
    let mut lines: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for change in changes {
        let AccessChange { identity, asset, service, account, rule, what, .. } = change;
        let what: Vec<&str> = what.iter().map(String::as_str).collect();
        let what = if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) };
        let accounts = lines.entry((format!("{identity} {asset} {service}"), format!(" by {rule}{what}"))).or_default();
        if !account.is_none() {
            accounts.insert(account.to_string());
        }
    }
    let line = |((way, rule), accounts): ((String, String), BTreeSet<String>)| {
        let accounts: Vec<String> = accounts.into_iter().collect();
        let accounts = if accounts.is_empty() { String::new() } else { format!(" as {}", accounts.join(", ")) };
        format!("{sign} {way}{accounts}{rule}")
    };
    lines.into_iter().map(line).collect()
}

/// How many lines of each kind are shown.
const SHOWN: usize = 20;
