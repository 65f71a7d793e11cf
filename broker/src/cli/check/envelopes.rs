//! Envelopes in `sallyport check`: is there one for each emergency, and for how long?

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_policy::Policy;

use super::Finding;
use crate::emergency::{Emergency, Review};
use crate::store::Store;

/// Looks at every rule, and at every envelope that is sealed.
pub(super) async fn look(policy: &Policy, store: &Store, now: Timestamp) -> Vec<Finding> {
    let rows = match store.envelopes().await {
        Ok(rows) => rows,
        Err(error) => return vec![Finding::fail(ENVELOPES, error.to_string(), "restore the database")],
    };
    // One that is not genuine opens nothing, and is told of among the rows.
    let genuine = rows.into_iter().map(|row| row.into_parts()).filter(|(_, fault)| fault.is_none());
    let sealed: Vec<_> = genuine.map(|(row, _)| row).filter(|row| row.opens(now)).collect();
    let mut of_rule: BTreeMap<&str, u32> = policy.break_glass().map(|glass| (glass.rule.name.as_str(), 0)).collect();
    let mut ending = Vec::new();
    for row in &sealed {
        let Some(count) = of_rule.get_mut(row.rule.as_str()) else {
            ending.push(orphan(row.number, &row.rule));
            continue;
        };
        *count += 1;
        if let Some(days) =
            row.expires_at.map(|at| at.duration_since(now).as_hours() / 24 + 1).filter(|days| *days <= SOON)
        {
            ending.push(ends(row.number, &row.rule, days));
        }
    }
    let mut findings: Vec<Finding> = policy
        .break_glass()
        .filter(|glass| of_rule.get(glass.rule.name.as_str()).is_none_or(|count| *count < glass.envelopes))
        .map(|glass| {
            let name = &glass.rule.name;
            let count = of_rule.get(name.as_str()).copied().unwrap_or(0);
            let says = format!("rule `{name}` has {count} sealed envelopes, and needs {}", glass.envelopes);
            Finding::warn(ENVELOPES, says, format!("sallyport break-glass seal --rule {name} --out FOLDER"))
        })
        .collect();
    findings.extend(ending);
    findings.extend(overdue(store, now).await);
    if findings.is_empty() && !of_rule.is_empty() {
        findings.push(Finding::ok(ENVELOPES, format!("{} sealed", sealed.len())));
    }
    findings
}

/// Emergencies that nobody has looked at in time.
async fn overdue(store: &Store, now: Timestamp) -> Vec<Finding> {
    let emergencies = match Emergency::all(store, now).await {
        Ok(emergencies) => emergencies,
        Err(error) => return vec![Finding::fail("reviews", error.to_string(), "`sallyport audit verify`")],
    };
    let late = emergencies.into_iter().filter(|emergency| matches!(emergency.review, Review::Overdue { .. }));
    let finding = |emergency: Emergency| {
        let says = format!("emergency {} by rule `{}`: {}", emergency.opening, emergency.rule, emergency.review);
        Finding::warn("reviews", says, format!("another person: sallyport break-glass review {}", emergency.opening))
    };
    late.map(finding).collect()
}

fn ends(number: i64, rule: &str, days: i64) -> Finding {
    let says = format!("envelope {number} of rule `{rule}` ends within {days} days");
    Finding::warn(ENVELOPES, says, format!("sallyport break-glass reseal {number} --out FOLDER"))
}

fn orphan(number: i64, rule: &str) -> Finding {
    let says =
        format!("envelope {number} is of rule `{rule}`, which the plant in force does not have: it opens nothing");
    Finding::warn(ENVELOPES, says, format!("sallyport break-glass revoke {number} --reason …, or bring the rule back"))
}

const ENVELOPES: &str = "envelopes";
/// In days.
const SOON: i64 = 30;
