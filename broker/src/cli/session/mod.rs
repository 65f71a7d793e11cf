//! `sallyport session`: what is live, what was, and ending what must not go on.

mod ending;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_policy::Terms;
use serde::Serialize;

use super::{CliError, Context, Row};
use crate::app::{ClosedOut, Closing};
use crate::store::Store;
use crate::store::brokers::BrokerSeen;
use crate::store::sessions::{Session, SessionFilter};

/// `sallyport session …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List sessions, the newest first
    List {
        /// Only what is live now
        #[arg(long)]
        live: bool,
        /// Only of this identity
        #[arg(long)]
        identity: Option<String>,
        /// Only to this asset
        #[arg(long)]
        asset: Option<String>,
        /// Only to assets in this zone
        #[arg(long)]
        zone: Option<String>,
        /// Only what this broker carries
        #[arg(long, value_name = "NAME")]
        broker: Option<String>,
        /// Only since (as in `2026-11-23T06:00:00Z`)
        #[arg(long)]
        since: Option<Timestamp>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show one session, with the files that passed
    Show {
        /// Its id, or how it begins
        id: String,
    },
    /// Give an end to what a broker left open that does not come back under its name; without a name, list such brokers
    CloseLost {
        /// Its name
        #[arg(long, value_name = "NAME")]
        broker: Option<String>,
    },
    /// End a live session, or all that go to an asset or a zone or are somebody's, on whichever broker
    End(ending::EndSessions),
}

#[derive(Debug, Serialize)]
struct Line {
    id: String,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    end: Option<String>,
    end_detail: Option<String>,
    end_asked_by: Option<String>,
    end_asked_for: Option<String>,
    identity: String,
    source: String,
    asset: String,
    zone: String,
    service: String,
    account: String,
    form: String,
    broker: String,
    rule: String,
}

impl From<Session> for Line {
    fn from(session: Session) -> Self {
        let Session { start, end, end_asked, .. } = session;
        let (ended_at, word, detail) = match end {
            Some(end) => (Some(end.at), Some(end.word), Some(end.detail)),
            None => (None, None, None),
        };
        let (asked_by, asked_for) = end_asked.map(|asked| (asked.by, asked.reason)).unzip();
        Self {
            id: start.id,
            started_at: start.started_at,
            ended_at,
            end: word,
            end_detail: detail,
            end_asked_by: asked_by,
            end_asked_for: asked_for.flatten(),
            identity: start.identity,
            source: start.source,
            asset: start.asset,
            zone: start.zone,
            service: start.service,
            account: start.account,
            form: start.form,
            broker: start.broker,
            rule: start.rule,
        }
    }
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] =
        &["session", "started", "for", "identity", "asset", "service", "account", "form", "source", "broker", "end"];

    fn cells(&self) -> Vec<String> {
        let until = self.ended_at.unwrap_or_else(Timestamp::now);
        let lasted = until.duration_since(self.started_at);
        vec![
            self.id.clone(),
            format!("{:.0}", self.started_at),
            format!("{}:{:02}:{:02}", lasted.as_hours(), lasted.as_mins() % 60, lasted.as_secs() % 60),
            self.identity.clone(),
            self.asset.clone(),
            self.service.clone(),
            self.account.clone(),
            self.form.clone(),
            self.source.clone(),
            self.broker.clone(),
            match (&self.end, &self.end_asked_by) {
                (Some(end), _) => end.clone(),
                (None, Some(by)) => format!("(live; end asked by {by})"),
                (None, None) => "(live)".to_owned(),
            },
        ]
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    line: Line,
    terms: serde_json::Value,
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    at: Timestamp,
    direction: String,
    via: String,
    path: String,
    size: u64,
    sha256: Option<String>,
    complete: bool,
}

impl Row for File {
    const COLUMNS: &'static [&'static str] = &["at", "direction", "via", "size", "sha256", "complete", "path"];

    fn cells(&self) -> Vec<String> {
        vec![
            format!("{:.0}", self.at),
            self.direction.clone(),
            self.via.clone(),
            self.size.to_string(),
            self.sha256.clone().unwrap_or_else(|| "-".to_owned()),
            if self.complete { "yes" } else { "no" }.to_owned(),
            self.path.clone(),
        ]
    }
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let store = context.store().await?;
    match command {
        Command::List { live, identity, asset, zone, broker, since, limit } => {
            let filter = SessionFilter {
                live,
                identity,
                asset,
                zone,
                broker,
                since,
                limit: Some(limit),
                ..SessionFilter::default()
            };
            let sessions = store.sessions(&filter).await.map_err(CliError::failed)?;
            context.print_list(&sessions.into_iter().map(Line::from).collect::<Vec<_>>())
        }
        Command::Show { id } => show(&id, context).await,
        Command::CloseLost { broker: Some(broker) } => close_lost(&broker, context).await,
        Command::CloseLost { broker: None } => context.print_list(&open_at_brokers(store).await?),
        Command::End(ends) => ending::run(ends, context).await,
    }
}

async fn show(id: &str, context: &Context) -> Result<(), CliError> {
    let store = context.store().await?;
    let session = store.session(id).await.map_err(CliError::failed)?;
    let files = store.files(&session.start.id).await.map_err(CliError::failed)?;
    let terms = serde_json::from_str(&session.start.terms).map_err(CliError::failed)?;
    let files: Vec<File> = files
        .into_iter()
        .map(|file| File {
            at: file.at,
            direction: file.direction,
            via: file.via,
            path: file.path,
            size: file.size,
            sha256: file.sha256,
            complete: file.complete,
        })
        .collect();
    let shown = Shown { line: session.into(), terms, files };
    if context.json() {
        return context.print_json(&shown);
    }
    context.print_one(&shown.line)?;
    let terms = serde_json::from_value(shown.terms.clone()).map(|terms: Terms| terms.on_one_line());
    let terms = terms.unwrap_or_else(|_| shown.terms.to_string());
    let (rule, terms) = (super::printable(&shown.line.rule), super::printable(&terms));
    context.print(&format!("rule   {rule}\nterms  {terms}\n"))?;
    if let Some(detail) = shown.line.end_detail.as_deref().filter(|detail| !detail.is_empty()) {
        context.print(&format!("detail {}\n", super::printable(detail)))?;
    }
    if shown.files.is_empty() { Ok(()) } else { context.print_list(&shown.files) }
}

/// A broker under whose name sessions are open.
#[derive(Debug, Serialize)]
struct OpenAt {
    broker: String,
    open: usize,
    last_heard_of: Option<Timestamp>,
    stopped: bool,
}

impl Row for OpenAt {
    const COLUMNS: &'static [&'static str] = &["broker", "open sessions", "last heard of"];

    fn cells(&self) -> Vec<String> {
        let heard = self.last_heard_of.map(|at| format!("{at:.0}")).unwrap_or_default();
        let heard = if self.stopped { format!("{heard} (stopped)") } else { heard };
        vec![self.broker.clone(), self.open.to_string(), heard]
    }
}

async fn open_at_brokers(store: &Store) -> Result<Vec<OpenAt>, CliError> {
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for session in store.live_sessions(None).await.map_err(CliError::failed)? {
        *open.entry(session.start.broker).or_default() += 1;
    }
    let seen = store.brokers().await.map_err(CliError::failed)?;
    let of = |name: &str| seen.iter().find(|seen| seen.name == name);
    Ok(open
        .into_iter()
        .map(|(broker, open)| OpenAt {
            last_heard_of: of(&broker).map(|seen| seen.seen_at),
            stopped: of(&broker).is_some_and(|seen| seen.instance.is_empty()),
            broker,
            open,
        })
        .collect())
}

async fn close_lost(name: &str, context: &Context) -> Result<(), CliError> {
    let store = context.store().await?;
    let Some(seen) = store.broker(name).await.map_err(CliError::failed)? else {
        let known = store.brokers().await.map_err(CliError::failed)?;
        let known: Vec<String> = known.into_iter().map(|seen| seen.name).collect();
        return Err(CliError::Failed(format!("no broker `{name}` ever ran here; there were: {}", known.join(", "))));
    };
    let closed = close_brokers(&[seen], context).await?;
    told_of(&closed, context)
}

/// Closes what these brokers have left open, unless one of them lives.
pub(super) async fn close_brokers(brokers: &[BrokerSeen], context: &Context) -> Result<Vec<ClosedOut>, CliError> {
    if brokers.iter().any(|seen| !seen.instance.is_empty()) {
        eprintln!("sallyport: listening for a quarter of a minute whether they live");
    }
    let closing = Closing {
        config: context.config()?,
        store: context.store().await?,
        vault: context.vault().await?,
        audit: context.audit().await?,
        by: context.actor(),
    };
    closing.close(brokers).await.map_err(CliError::failed)
}

fn told_of(closed: &[ClosedOut], context: &Context) -> Result<(), CliError> {
    if context.json() {
        let views = closed.iter().map(|closed| {
            serde_json::json!({
                "broker": closed.broker, "sessions": closed.sessions,
                "recordings": closed.recordings, "elsewhere": closed.elsewhere,
            })
        });
        return context.print_json(&views.collect::<Vec<_>>());
    }
    context.print(&closed.iter().map(said_of).collect::<String>())
}

/// What became of one broker's sessions, for people.
pub(super) fn said_of(closed: &ClosedOut) -> String {
    let ClosedOut { broker, sessions, recordings, elsewhere } = closed;
    let broker = super::printable(broker);
    let mut said = format!("Broker `{broker}`: {} sessions have their end, {recordings} recordings.\n", sessions.len());
    if !elsewhere.is_empty() {
        said.push_str(&format!(
            "  {} recordings are open and their files are not here: run this where they are, or bring them.\n",
            elsewhere.len()
        ));
    }
    said
}
