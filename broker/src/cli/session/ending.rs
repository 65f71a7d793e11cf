//! `sallyport session end`: one session, or all that reach an asset, a zone, or are somebody's.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use sallyport_policy::{AssetId, IdentityId, Policy, ZoneId};
use serde::Serialize;
use tokio::time::Instant;

use crate::cli::{CliError, Context, Row, printable, reason};
use crate::session::ask_ends;
use crate::store::Store;
use crate::store::end_asked::{AskEnd, EndAsked};
use crate::store::sessions::{NewSession, Session};

/// `sallyport session end …`
#[derive(Debug, clap::Args)]
pub struct EndSessions {
    #[command(flatten)]
    which: Which,
    /// Why: it is on the record, and the sessions' people read it
    #[arg(long, value_name = "TEXT", required_unless_present = "id")]
    reason: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Exactly one of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Its id, or how it begins
    id: Option<String>,
    /// Every session to this asset
    #[arg(long, value_name = "NAME")]
    asset: Option<AssetId>,
    /// Every session to an asset in this zone
    #[arg(long, value_name = "NAME")]
    zone: Option<ZoneId>,
    /// Every session of this identity
    #[arg(long, value_name = "NAME")]
    identity: Option<IdentityId>,
    /// Every session there is
    #[arg(long)]
    all: bool,
}

/// Asks for the ends, waits until the brokers have made them, and says what became of each.
pub(super) async fn run(ends: EndSessions, context: &Context) -> Result<(), CliError> {
    let EndSessions { which, reason, yes } = ends;
    let reason = reason.as_deref().map(reason::checked).transpose()?;
    let sessions = which.live(context.store().await?).await?;
    if sessions.is_empty() {
        which.check_name(context).await?;
        return said(&which, &[], context);
    }
    if which.id.is_none() && !yes {
        for session in &sessions {
            let NewSession { id, identity, asset, service, broker, .. } = &session.start;
            eprintln!("{}", printable(&format!("{id}  {identity} to {asset}/{service} by {broker}")));
        }
        if !context.confirm(&format!("End {}?", counted(sessions.len())), "--yes")? {
            return Err(CliError::Failed("nothing was ended".to_owned()));
        }
    }
    let wish = EndAsked { at: Timestamp::now(), by: context.actor().to_owned(), reason: reason.map(str::to_owned) };
    let outcomes = end(&sessions, &wish, context).await?;
    said(&which, &outcomes, context)?;
    judge(&outcomes)?;
    let since = match which.id {
        Some(_) => Vec::new(),
        None => which.live(context.store().await?).await?,
    };
    if since.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "{} began meanwhile and goes on: `sallyport zone isolate`, `identity lock` or a forbid lets none begin",
        counted(since.len())
    )))
}

impl Which {
    /// What of these lives.
    async fn live(&self, store: &Store) -> Result<Vec<Session>, CliError> {
        if let Some(id) = &self.id {
            let session = store.session(id).await.map_err(CliError::failed)?;
            return match session.end {
                None => Ok(vec![session]),
                Some(_) => Err(CliError::Failed(format!("session `{}` has ended already", session.start.id))),
            };
        }
        let mut live = store.live_sessions(None).await.map_err(CliError::failed)?;
        live.retain(|session| self.names(&session.start));
        Ok(live)
    }

    fn names(&self, session: &NewSession) -> bool {
        let is = |wanted: Option<&str>, name: &str| wanted.is_some_and(|wanted| wanted == name);
        self.all
            || is(self.asset.as_ref().map(AssetId::as_str), &session.asset)
            || is(self.zone.as_ref().map(ZoneId::as_str), &session.zone)
            || is(self.identity.as_ref().map(IdentityId::as_str), &session.identity)
    }

    /// Nothing lives under a mistyped name either: whoever types one has ended nothing, and is told so.
    async fn check_name(&self, context: &Context) -> Result<(), CliError> {
        let store = context.rows().await?;
        let unknown = |text: String| Err(CliError::Failed(text));
        if let Some(identity) = &self.identity {
            let known = store.identity(identity.as_str()).await.map_err(CliError::failed)?;
            return known.map_or_else(|| unknown(format!("no identity `{identity}`")), |_| Ok(()));
        }
        let plant = store.current_plant().await.map_err(CliError::failed)?;
        let Some(policy) = plant.and_then(|plant| Policy::parse(&plant.files).ok()) else { return Ok(()) };
        match (&self.asset, &self.zone) {
            (Some(asset), _) if policy.asset(asset).is_none() => unknown(format!("the plant has no asset `{asset}`")),
            (_, Some(zone)) if policy.zone(zone).is_none() => unknown(format!("the plant has no zone `{zone}`")),
            _ => Ok(()),
        }
    }
}

/// What became of a session whose end was asked for.
#[derive(Debug, Serialize)]
struct Outcome {
    session: String,
    identity: String,
    asset: String,
    service: String,
    broker: String,
    ended: bool,
    broker_seen_at: Option<Timestamp>,
    /// Why it has not ended, as far as that is known.
    trouble: Option<String>,
}

impl Row for Outcome {
    const COLUMNS: &'static [&'static str] = &["session", "identity", "asset", "service", "broker", "result"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.session.clone(),
            self.identity.clone(),
            self.asset.clone(),
            self.service.clone(),
            self.broker.clone(),
            self.trouble.clone().unwrap_or_else(|| "ended".to_owned()),
        ]
    }
}

async fn end(sessions: &[Session], wish: &EndAsked, context: &Context) -> Result<Vec<Outcome>, CliError> {
    let (store, audit) = (context.store().await?, context.audit().await?);
    // Not all at once: whoever waits for the database meanwhile gets a turn.
    for some in sessions.chunks(AT_ONCE) {
        let some: Vec<NewSession> = some.iter().map(|session| session.start.clone()).collect();
        for asked in ask_ends(store, audit, &some, wish).await.map_err(CliError::failed)? {
            match asked {
                AskEnd::Asked | AskEnd::AskedBefore | AskEnd::Ended => {}
                AskEnd::Unknown => return Err(CliError::Failed("a session is gone from the database".to_owned())),
            }
        }
    }
    let open = still_open(store, sessions).await?;
    let outcome = |session: &Session| {
        let now = Timestamp::now();
        let open = open.iter().find(|open| open.start.id == session.start.id);
        Outcome {
            session: session.start.id.clone(),
            identity: session.start.identity.clone(),
            asset: session.start.asset.clone(),
            service: session.start.service.clone(),
            broker: session.start.broker.clone(),
            ended: open.is_none(),
            broker_seen_at: open.unwrap_or(session).broker_seen_at,
            trouble: open.map(|open| trouble(open, now)),
        }
    };
    Ok(sessions.iter().map(outcome).collect())
}

/// Which of them have no end yet when their brokers have had time for it. Nobody waits for a broker that is silent.
async fn still_open(store: &Store, sessions: &[Session]) -> Result<Vec<Session>, CliError> {
    let asked: BTreeSet<&str> = sessions.iter().map(|session| session.start.id.as_str()).collect();
    let until = Instant::now() + MADE_WITHIN;
    loop {
        let mut open = store.live_sessions(None).await.map_err(CliError::failed)?;
        open.retain(|session| asked.contains(session.start.id.as_str()));
        let now = Timestamp::now();
        if open.iter().all(|session| session.is_orphaned(NO_BROKER, now)) || Instant::now() >= until {
            return Ok(open);
        }
        tokio::time::sleep(TO_LOOK_AGAIN).await;
    }
}

/// Why a session has not ended, by what is known of its broker.
fn trouble(session: &Session, now: Timestamp) -> String {
    let broker = &session.start.broker;
    match session.broker_seen_at.map(|seen| now.duration_since(seen).as_secs()) {
        None => format!("not ended: {broker} was never heard of"),
        Some(ago) => format!("not ended: {broker} was last heard of {ago} s ago"),
    }
}

fn said(which: &Which, outcomes: &[Outcome], context: &Context) -> Result<(), CliError> {
    match (outcomes, &which.id) {
        ([outcome], Some(_)) if context.json() => context.print_json(outcome),
        _ if context.json() => context.print_json(outcomes),
        ([], _) => context.print("No such session is live.\n"),
        ([outcome], Some(_)) if outcome.ended => context.print(&format!("Session {} has ended.\n", outcome.session)),
        _ => {
            context.print_list(outcomes)?;
            let ended = outcomes.iter().filter(|outcome| outcome.ended).count();
            context.print(&format!("{} of {} ended.\n", ended, counted(outcomes.len())))
        }
    }
}

fn judge(outcomes: &[Outcome]) -> Result<(), CliError> {
    let open: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.ended).collect();
    let Some(first) = open.first() else { return Ok(()) };
    let trouble = first.trouble.as_deref().unwrap_or_default();
    Err(CliError::Failed(format!(
        "{} asked to end: {trouble}; where a broker does not come back: `sallyport session close-lost`",
        match open.len() {
            1 => format!("session {} was", first.session),
            many => format!("{many} sessions were"),
        }
    )))
}

fn counted(sessions: usize) -> String {
    if sessions == 1 { "1 session".to_owned() } else { format!("{sessions} sessions") }
}

/// So many ends are one transaction.
const AT_ONCE: usize = 100;
/// A broker looks when it is told, and every five seconds anyway.
const MADE_WITHIN: Duration = Duration::from_secs(12);
const TO_LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A command is no broker, and none lives because it runs.
const NO_BROKER: &str = "";
