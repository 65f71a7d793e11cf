//! What opens emergencies while the database is away, in `sallyport check`: is it there, is it a broker's, and how old is it?

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::app::kept;
use crate::config::Config;
use crate::emergency::SNAPSHOT;
use crate::vault::MasterKey;

/// Looks at the snapshot of this broker.
pub(super) fn look(config: &Config, now: Timestamp) -> Option<Finding> {
    // That there is no key was told already.
    let master = MasterKey::load(&config.master_key).ok()?;
    let path = config.audit_spool.with_file_name(SNAPSHOT);
    if !path.exists() {
        let says = "there is none: while the database is away nothing can be opened";
        return Some(Finding::warn(WHAT, says, "start the broker, which keeps it; its log says why where it cannot"));
    }
    Some(match kept(&path, &master) {
        Ok(kept) => age(kept.made_at, now),
        Err(reason) => Finding::fail(WHAT, reason, "remove it: a running broker writes it anew within half a minute"),
    })
}

fn age(made_at: Timestamp, now: Timestamp) -> Finding {
    let age = now.duration_since(made_at);
    let says = format!("of {made_at:.0}, {} minutes old", age.as_mins());
    if age > OLD {
        let mend = "start the broker, or see its log: envelopes that were sealed or revoked since are not in it";
        return Finding::warn(WHAT, says, mend);
    }
    if age.is_negative() {
        return Finding::warn(WHAT, format!("of {made_at:.0}, which is yet to come"), "set the clock");
    }
    Finding::ok(WHAT, says)
}

const WHAT: &str = "snapshot";
/// A running broker writes it every five minutes; the alert in deploy/prometheus has the same bound.
const OLD: SignedDuration = SignedDuration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_nobody_keeps_any_more_is_told_with_its_age() {
        let made_at = Timestamp::UNIX_EPOCH;
        let told = |seconds: i64| {
            let finding = age(made_at, Timestamp::from_second(seconds).unwrap_or(made_at));
            format!("{:?}: {}", finding.state, finding.says)
        };
        assert_eq!(told(299), "Ok: of 1970-01-01T00:00:00Z, 4 minutes old");
        assert_eq!(told(900), "Ok: of 1970-01-01T00:00:00Z, 15 minutes old");
        assert_eq!(told(901), "Warn: of 1970-01-01T00:00:00Z, 15 minutes old");
        assert_eq!(told(-1), "Warn: of 1970-01-01T00:00:00Z, which is yet to come");
    }
}
