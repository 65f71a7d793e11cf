//! Every figure there is, with what it says. A figure without a label is there from the start: an alert that waits for it must not wait for the
//! first time that something goes wrong.

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// Goes up and down; the value that it begins with, where it has one before it was looked at.
    Gauge(Option<f64>),
    /// Only goes up.
    Counter,
    /// Only goes up, and has a label; the values of it that are there from the start.
    Labelled(&'static str, &'static [&'static str]),
    /// A distribution.
    Histogram,
}

/// One figure: its name, what it is, and what it says.
struct Family(&'static str, Form, &'static str);

/// Says what each figure is, to whoever reads them, and puts those there that can be.
pub(super) fn describe() {
    for Family(name, form, help) in FAMILIES {
        match form {
            Form::Gauge(begins) => {
                metrics::describe_gauge!(*name, *help);
                if let Some(begins) = begins {
                    metrics::gauge!(*name).set(*begins);
                }
            }
            Form::Counter => {
                metrics::describe_counter!(*name, *help);
                metrics::counter!(*name).increment(0);
            }
            Form::Labelled(label, values) => {
                metrics::describe_counter!(*name, *help);
                values.iter().for_each(|value| metrics::counter!(*name, *label => *value).increment(0));
            }
            Form::Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
    metrics::gauge!("sallyport_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

const ZERO: Form = Form::Gauge(Some(0.0));
/// Not there before somebody has looked.
const SEEN: Form = Form::Gauge(None);

/// Whoever counts by such names puts them there.
const BY_NAME: Form = Form::Labelled("", &[]);

const FAMILIES: &[Family] = &[
    Family("sallyport_build_info", SEEN, "Always 1; the version is a label"),
    Family("sallyport_ready", SEEN, "1 while the broker can take sessions, as /readyz says it"),
    Family("sallyport_sessions_live", ZERO, "Sessions that live in this broker"),
    Family("sallyport_sessions_started_total", Form::Counter, "Sessions that began"),
    Family(
        "sallyport_sessions_ended_total",
        Form::Labelled("end", &["left"]),
        "Sessions that ended, by the word of their end",
    ),
    Family("sallyport_connections_waiting", ZERO, "Connections that have not logged in"),
    Family(
        "sallyport_connections_turned_away_total",
        Form::Labelled("reason", &["rate", "source", "waiting", "full"]),
        "Connections refused before login, by reason",
    ),
    Family("sallyport_detections_total", BY_NAME, "Scans, storms, guessing and the like, by kind"),
    Family("sallyport_outbound_waiting_bytes", SEEN, "Bytes that wait on disk for a receiver of events"),
    Family("sallyport_outbound_sent_total", BY_NAME, "Events and heads of the chain sent to a receiver"),
    Family("sallyport_outbound_lost_total", BY_NAME, "Events lost for a receiver; the chain has them"),
    Family("sallyport_outbound_failures_total", BY_NAME, "Times that a receiver took nothing"),
    Family("sallyport_audit_events_total", BY_NAME, "Audit events, by code and by what became of them"),
    Family("sallyport_audit_unawaited_total", Form::Counter, "Audit events on record for which nobody waited any more"),
    Family("sallyport_audit_reconciled_total", Form::Counter, "Audit events that entered the chain after an outage"),
    Family("sallyport_audit_waiting_events", ZERO, "Audit events that wait on disk for the database"),
    Family("sallyport_audit_batch_events", Form::Histogram, "Audit events that were entered together"),
    Family(
        "sallyport_audit_write_seconds",
        Form::Histogram,
        "How long the database took to enter a batch of audit events",
    ),
    Family(
        "sallyport_audit_not_handed_on_total",
        Form::Counter,
        "Batches of events that receivers are told of from the chain instead, in a flood",
    ),
    Family(
        "sallyport_audit_chain_broken",
        ZERO,
        "1 since this broker has found that the audit chain was changed or does not verify",
    ),
    Family(
        "sallyport_rows_refused_total",
        Form::Labelled("table", &["identities"]),
        "Rows that count as not there: no broker wrote them so, by table",
    ),
    Family("sallyport_rows_untold_total", Form::Counter, "Such rows of which there were too many to tell of each"),
    Family("sallyport_database_up", ZERO, "1 while the database answers"),
    Family("sallyport_database_available", ZERO, "1 while changes are heard from the database"),
    Family("sallyport_plant_version", SEEN, "Version of the plant in force"),
    Family("sallyport_plant_refused_total", Form::Counter, "Applied plants that could not be put in force"),
    Family("sallyport_clock_jumps_total", Form::Counter, "Times the clock moved otherwise than time passed"),
    Family("sallyport_glass_broken_total", Form::Counter, "Emergencies that were opened on this broker"),
    Family("sallyport_emergencies_open", ZERO, "Emergencies that go on on this broker"),
    Family(
        "sallyport_emergency_readings_total",
        Form::Counter,
        "Times that what emergencies need was read from the database",
    ),
    Family(
        "sallyport_emergency_snapshot_age_seconds",
        SEEN,
        "Since what emergencies need was last written to disk: it is written every five minutes, and at every change",
    ),
    Family("sallyport_reviews_due", ZERO, "Emergencies that nobody else has looked at, with time left"),
    Family("sallyport_reviews_overdue", ZERO, "Emergencies that nobody else has looked at in time"),
    Family("sallyport_recording_written_bytes_total", Form::Counter, "Bytes of recordings written since the start"),
    Family("sallyport_recordings_failed_total", Form::Counter, "Recordings that failed while they were written"),
    Family("sallyport_recording_free_bytes", SEEN, "Room on the disk of the recordings"),
    Family("sallyport_recording_critical_bytes", SEEN, "Room below which no session begins"),
    Family(
        "sallyport_recording_fill_bytes_per_hour",
        SEEN,
        "Bytes that the disk of the recordings loses in an hour, as of late",
    ),
    Family("sallyport_recording_disk_level", SEEN, "0: room enough; 1: low; 2: very low; 3: no session begins"),
    Family("sallyport_recording_reserve_bytes", SEEN, "Room on disk that is kept for emergencies"),
    Family(
        "sallyport_recording_reserve_open",
        SEEN,
        "1 while that room is being spent, and no ordinary session can be recorded",
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The names of figures in the sources, but for this file.
    fn named(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                named(&path, found);
            } else if path.extension().is_some_and(|name| name == "rs") && !path.ends_with("metrics/families.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let macros = text.match_indices("\"sallyport_").filter(|(at, _)| text[..*at].trim_end().ends_with('('));
                for (at, _) in macros {
                    let name = text[at + 1..].split('"').next().unwrap();
                    found.insert(name.to_owned());
                }
            }
        }
    }

    #[test]
    fn every_figure_that_is_counted_is_described_and_named_as_prometheus_wants_it() {
        let mut used = BTreeSet::from(["sallyport_build_info".to_owned()]);
        named(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        let described: BTreeSet<String> = FAMILIES.iter().map(|Family(name, ..)| (*name).to_owned()).collect();
        assert_eq!(described.len(), FAMILIES.len(), "one is described twice");
        assert_eq!(used, described);
        for Family(name, form, help) in FAMILIES {
            let counts = matches!(form, Form::Counter | Form::Labelled(..));
            assert_eq!(name.ends_with("_total"), counts, "{name}");
            assert!(help.len() > 10 && !help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
        }
    }

    #[test]
    fn the_page_has_every_figure_with_its_kind_and_what_it_says_and_no_other() {
        let page = include_str!("../../../docs/metrics.md");
        let rows: Vec<Vec<&str>> = page
            .lines()
            .filter(|line| line.starts_with("| `sallyport_"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        for Family(name, form, help) in FAMILIES {
            let kind = match form {
                Form::Gauge(_) => "gauge",
                Form::Counter | Form::Labelled(..) => "counter",
                Form::Histogram => "histogram",
            };
            let row =
                rows.iter().find(|row| row[0] == format!("`{name}`")).unwrap_or_else(|| panic!("no row of {name}"));
            assert_eq!((row[1], row[3]), (kind, *help), "{name}");
        }
        assert_eq!(rows.len(), FAMILIES.len());
    }
}
