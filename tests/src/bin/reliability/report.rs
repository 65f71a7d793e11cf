//! Figures, each beside what it must be; on the terminal, and in docs/reliability.md.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use sallyport_tests::repository;

/// What was measured, or seen.
pub(crate) struct Figure {
    what: String,
    measured: String,
    /// What it must be, and whether it is; none where it is only told.
    must: Option<(String, bool)>,
}

impl Figure {
    /// Only told.
    pub(crate) fn told(what: &str, measured: impl ToString) -> Figure {
        Figure { what: what.to_owned(), measured: measured.to_string(), must: None }
    }

    /// It must be this, and nothing else.
    pub(crate) fn exactly<T: PartialEq + ToString>(what: &str, measured: T, must: T) -> Figure {
        let met = measured == must;
        Figure { what: what.to_owned(), measured: measured.to_string(), must: Some((must.to_string(), met)) }
    }

    /// A time that may last so long and no longer.
    pub(crate) fn within(what: &str, measured: Duration, most: Duration) -> Figure {
        let must = (format!("≤ {}", seconds(most)), measured <= most);
        Figure { what: what.to_owned(), measured: seconds(measured), must: Some(must) }
    }

    /// A number that may be so large and no larger.
    pub(crate) fn at_most(what: &str, measured: f64, most: f64, unit: &str) -> Figure {
        let must = (format!("≤ {most} {unit}"), measured <= most);
        Figure { what: what.to_owned(), measured: format!("{measured:.1} {unit}"), must: Some(must) }
    }

    /// Whether something is so, in words; `seen` is what was there.
    pub(crate) fn holds(what: &str, holds: bool, seen: impl ToString) -> Figure {
        let seen = seen.to_string().replace('|', "\\|");
        let measured = if seen.is_empty() { if holds { "yes" } else { "no" }.to_owned() } else { seen };
        Figure { what: what.to_owned(), measured, must: Some(("so".to_owned(), holds)) }
    }

    /// The same, of one of several things.
    pub(crate) fn of(mut self, thing: &str) -> Figure {
        self.what = format!("{thing}: {}", self.what);
        self
    }

    fn met(&self) -> bool {
        self.must.as_ref().is_none_or(|(_, met)| *met)
    }
}

/// What a row gave.
pub(crate) struct Report {
    pub(crate) row: &'static str,
    pub(crate) begun: jiff::Timestamp,
    pub(crate) command: String,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// Whether everything is as it must be.
    pub(crate) fn met(&self) -> bool {
        self.figures.iter().all(Figure::met)
    }

    /// A line for each figure.
    pub(crate) fn lines(&self) -> String {
        let mut text = String::new();
        for Figure { what, measured, must } in &self.figures {
            let must = match must {
                Some((must, true)) => format!("   (must be {must}: met)"),
                Some((must, false)) => format!("   (must be {must}: MISSED)"),
                None => String::new(),
            };
            writeln!(text, "{}: {what}: {measured}{must}", self.row).unwrap();
        }
        text
    }

    /// Puts the figures into docs/reliability.md; what people wrote around them stays.
    pub(crate) fn write(&self) {
        let (begin, end) =
            (format!("<!-- written by `{}` -->", self.mark()), format!("<!-- end of `{}` -->", self.mark()));
        let path = repository().join("docs/reliability.md");
        let old = fs::read_to_string(&path).expect("docs/reliability.md");
        let (before, rest) = old.split_once(&begin).expect("the mark where the row begins");
        let after = rest.split_once(&end).expect("the mark where the row ends").1;
        let new = format!("{before}{begin}\n\n{}\n{end}{after}", self.markdown());
        fs::write(&path, new).expect("docs/reliability.md can be written");
        eprintln!("{}: written to docs/reliability.md", self.row);
    }

    fn mark(&self) -> String {
        format!("scripts/reliability {}", self.row)
    }

    fn markdown(&self) -> String {
        let took = self.begun.duration_until(jiff::Timestamp::now()).as_secs();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let date = self.begun.to_zoned(jiff::tz::TimeZone::UTC).strftime("%-d %B %Y");
        let mut text = format!(
            "`{}` on {date}, {} min {} s on {cores} cores, clients and assets on the same ones:\n\n\
             | what | measured | must be | |\n|---|---|---|---|\n",
            self.command,
            took / 60,
            took % 60
        );
        for Figure { what, measured, must } in &self.figures {
            let (must, word) = match must {
                Some((must, true)) => (must.as_str(), "met"),
                Some((must, false)) => (must.as_str(), "**missed**"),
                None => ("", ""),
            };
            writeln!(text, "| {what} | {measured} | {must} | {word} |").unwrap();
        }
        text
    }
}

/// Seconds, as a person reads them.
fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
