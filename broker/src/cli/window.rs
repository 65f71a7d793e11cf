//! Write windows: letting somebody write certain points for a time.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{
    AssetId, IdentityId, Opening, Policy, ServiceName, Subject, WindowPoints, WriteWindow, may_open,
};
use serde::Serialize;

use super::{CliError, Context, NOT_GENUINE, Row};
use crate::audit::AuditEvent;
use crate::store::Listed;
use crate::store::windows::WindowRow;

/// `sallyport window …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Let somebody write points of an asset for a time; it closes by itself
    Open(Box<Open>),
    /// List the windows that are open or will be
    List {
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// Close a window before its time, in the middle of a connection too
    Close {
        /// The window, as listed
        window: String,
    },
}

/// `sallyport window open`
#[derive(Debug, clap::Args)]
pub struct Open {
    /// Who may write
    #[arg(long, value_name = "NAME")]
    identity: IdentityId,
    /// On which asset
    #[arg(long)]
    asset: AssetId,
    /// By which of its services
    #[arg(long, default_value = "modbus")]
    service: ServiceName,
    /// What: `40101-40110`, `register 100-109`, `coil 7`, `tag NAME`, parted by commas
    #[arg(long)]
    points: WindowPoints,
    /// On which unit [default: every unit but 0]
    #[arg(long)]
    unit: Option<u8>,
    /// From when, as 2026-12-01T06:00:00Z, 2026-12-01T06:00:00[Europe/Oslo] or 06:00[Europe/Oslo] [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, written in the same way; the first moment after the window
    #[arg(long, value_name = "TIME", required_unless_present = "minutes", conflicts_with = "minutes")]
    until: Option<String>,
    /// For how many minutes
    #[arg(long = "for", value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    minutes: Option<u32>,
    /// Who opens it: somebody whose role may, and not the person themselves
    #[arg(long = "by", value_name = "NAME")]
    opened_by: IdentityId,
    /// The work permit or ticket it is for
    #[arg(long)]
    ticket: Option<String>,
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let now = Timestamp::now();
    match command {
        Command::Open(open) => {
            let window = open.open(context, now).await?;
            context.print_list(&[View::new(WindowRow { window, closed: None }, now)])
        }
        Command::List { all } => {
            let rows = context.rows().await?.write_windows(all, now).await.map_err(CliError::failed)?;
            context.print_list(&rows.into_iter().map(|row| View::listed(row, now)).collect::<Vec<_>>())
        }
        Command::Close { window } => {
            let (store, audit) = (context.store().await?, context.audit().await?);
            let mut write = store.begin_write().await.map_err(CliError::failed)?;
            let by = context.actor();
            let closed = write.close_window(&window.to_lowercase(), by, now).await.map_err(CliError::failed)?;
            let closed = closed.ok_or_else(|| CliError::Failed(format!("no window `{window}` that is open")))?;
            let event = AuditEvent::WindowClosed {
                window: closed.window.id.to_string(),
                identity: closed.window.identity.to_string(),
                asset: closed.window.asset.to_string(),
            };
            audit.record_in(&mut write, event).await.map_err(CliError::failed)?;
            write.commit().await.map_err(CliError::failed)?;
            context.print_list(&[View::new(closed, now)])
        }
    }
}

impl Open {
    async fn open(self, context: &Context, now: Timestamp) -> Result<WriteWindow, CliError> {
        let from = self.from.as_deref().map_or(Ok(now), |text| moment(text, now)).map_err(CliError::Usage)?;
        let until = match (self.until.as_deref(), self.minutes) {
            (Some(text), _) => moment(text, from).map_err(CliError::Usage)?,
            (None, minutes) => from
                .checked_add(SignedDuration::from_mins(i64::from(minutes.unwrap_or(0))))
                .map_err(|_| CliError::Usage("the window would end after the year 9999".to_owned()))?,
        };
        let id = ulid::Ulid::generate().to_string().to_lowercase();
        let window = WriteWindow {
            id: id.parse().map_err(CliError::failed)?,
            identity: self.identity,
            asset: self.asset,
            service: self.service,
            points: self.points,
            unit: self.unit,
            from,
            until,
            opened_by: self.opened_by,
            ticket: self.ticket,
        };
        let policy = in_force(context).await?;
        let (opener, person) = (subject(context, &window.opened_by).await?, subject(context, &window.identity).await?);
        let rule = match may_open(&policy, &opener, &person, &window, now) {
            Opening::Permit(rule) => rule.to_string(),
            Opening::Deny(denial) => return Err(CliError::Failed(denial.to_string())),
        };
        let (store, audit) = (context.store().await?, context.audit().await?);
        let mut write = store.begin_write().await.map_err(CliError::failed)?;
        let event = AuditEvent::WindowOpened {
            window: window.id.to_string(),
            identity: window.identity.to_string(),
            asset: window.asset.to_string(),
            service: window.service.to_string(),
            points: window.points.to_string(),
            from: window.from,
            until: window.until,
            opened_by: window.opened_by.to_string(),
            ticket: window.ticket.clone(),
            rule,
        };
        let entry = audit.prepare(&event).map_err(CliError::failed)?;
        write.open_window(&window, entry.id()).await.map_err(CliError::failed)?;
        audit.record_prepared_in(&mut write, entry).await.map_err(CliError::failed)?;
        write.commit().await.map_err(CliError::failed)?;
        Ok(window)
    }
}

async fn in_force(context: &Context) -> Result<Policy, CliError> {
    let plant = context.rows().await?.current_plant().await.map_err(CliError::failed)?;
    let plant = plant.ok_or_else(|| CliError::Setup("no plant is in force yet; see `sallyport apply`".to_owned()))?;
    Policy::parse(&plant.files).map_err(|errors| CliError::Setup(errors.to_string()))
}

/// Somebody in good standing, with their groups.
async fn subject(context: &Context, identity: &IdentityId) -> Result<Subject, CliError> {
    let row = context.rows().await?.identity(identity.as_str()).await.map_err(CliError::failed)?;
    let row = row.ok_or_else(|| CliError::Failed(format!("no identity `{identity}`")))?;
    match crate::identity::Standing::of(identity, row, Timestamp::now()) {
        crate::identity::Standing::Active { subject, .. } => Ok(subject),
        crate::identity::Standing::Locked { .. }
        | crate::identity::Standing::Removed
        | crate::identity::Standing::Expired { .. }
        | crate::identity::Standing::Unknown => {
            Err(CliError::Failed(format!("`{identity}` is locked, removed or expired")))
        }
    }
}

/// An instant, or the next time that a clock in a time zone shows `14:30`.
fn moment(text: &str, after: Timestamp) -> Result<Timestamp, String> {
    if let Some(instant) = sallyport_policy::instant(text) {
        return Ok(instant);
    }
    let wrong = || {
        format!(
            "`{text}`: write a time as 2026-12-01T14:30:00Z, 2026-12-01T14:30:00[Europe/Oslo] or 14:30[Europe/Oslo]"
        )
    };
    let (time, zone) = text.strip_suffix(']').and_then(|text| text.split_once('[')).ok_or_else(wrong)?;
    let time: Time = time.parse().map_err(|_| wrong())?;
    let zone = TimeZone::get(zone).map_err(|_| format!("`{zone}` is no time zone"))?;
    let day = after.to_zoned(zone.clone()).date();
    let days = [Ok(day), day.tomorrow()];
    let mut moments = days.into_iter().flatten().filter_map(|day| day.to_datetime(time).to_zoned(zone.clone()).ok());
    moments.find(|moment| moment.timestamp() > after).map(|moment| moment.timestamp()).ok_or_else(wrong)
}

#[derive(Serialize)]
struct View {
    #[serde(flatten)]
    window: WriteWindow,
    state: &'static str,
    closed_at: Option<Timestamp>,
    closed_by: Option<String>,
}

impl View {
    fn listed(row: Listed<WindowRow>, now: Timestamp) -> Self {
        let (row, fault) = row.into_parts();
        let view = Self::new(row, now);
        if fault.is_some() { Self { state: NOT_GENUINE, ..view } } else { view }
    }

    fn new(row: WindowRow, now: Timestamp) -> Self {
        let state = match &row.closed {
            Some(_) => "closed",
            None if row.window.until <= now => "over",
            None if now < row.window.from => "to come",
            None => "open",
        };
        let (closed_at, closed_by) = row.closed.unzip();
        Self { window: row.window, state, closed_at, closed_by }
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] =
        &["window", "identity", "asset", "service", "points", "from", "until", "opened by", "ticket", "state"];

    fn cells(&self) -> Vec<String> {
        let window = &self.window;
        vec![
            window.id.to_string(),
            window.identity.to_string(),
            window.asset.to_string(),
            window.service.to_string(),
            window.points.to_string(),
            format!("{:.0}", window.from),
            format!("{:.0}", window.until),
            window.opened_by.to_string(),
            window.ticket.clone().unwrap_or_default(),
            self.state.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_clock_time_is_the_next_in_its_zone() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let noon = at("2026-12-01T12:00:00Z");
        assert_eq!(moment("14:30[Europe/Oslo]", noon).unwrap(), at("2026-12-01T13:30:00Z"));
        assert_eq!(moment("12:59[Europe/Oslo]", noon).unwrap(), at("2026-12-02T11:59:00Z"));
        assert_eq!(moment("2026-12-01T14:30:00+01:00", noon).unwrap(), at("2026-12-01T13:30:00Z"));
        for wrong in ["14:30", "", "25:00[Europe/Oslo]", "14:30[Nowhere/Land]", "tomorrow"] {
            assert!(moment(wrong, noon).is_err(), "{wrong}");
        }
    }
}
