//! What people ask others to approve.

use jiff::Timestamp;
use sallyport_policy::{Policy, RequestState, ServiceName, lasting_text};
use serde::Serialize;

use super::{CliError, Context, NOT_GENUINE, Row};
use crate::approval::Desk;
use crate::audit::AuditEvent;
use crate::store::Listed;
use crate::store::requests::{ClosedRequest, Closing, RequestRow};

/// `sallyport request …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what waits for an approval, and what was approved
    List {
        /// Also what is over, denied or withdrawn, as far as it is kept
        #[arg(long)]
        all: bool,
    },
    /// Show one, with who has approved it
    Show {
        /// The request, as listed
        request: String,
    },
    /// Deny one, also after it was approved: what began by it ends
    Deny {
        /// The request, as listed
        request: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::List { all } => context.print_list(&views(all, context).await?),
        Command::Show { request } => {
            let id = request.to_lowercase();
            let found = views(true, context).await?.into_iter().find(|view| view.request == id);
            context.print_one(&found.ok_or_else(|| CliError::Failed(format!("no request `{id}`")))?)
        }
        Command::Deny { request, reason } => deny(&request.to_lowercase(), &reason, context).await,
    }
}

async fn deny(id: &str, reason: &str, context: &Context) -> Result<(), CliError> {
    let (store, audit) = (context.store().await?, context.audit().await?);
    let mut write = store.begin_write().await.map_err(CliError::failed)?;
    let reason = sallyport_plain::printable(reason).into_owned();
    let closing = ClosedRequest {
        at: Timestamp::now(),
        by: context.actor().to_owned(),
        closing: Closing::Denied,
        reason: reason.clone(),
    };
    let closed = write.close_request(id, &closing).await.map_err(CliError::failed)?;
    let row = closed.ok_or_else(|| CliError::Failed(format!("no request `{id}` that is open")))?;
    let event = AuditEvent::RequestDenied {
        identity: row.request.identity.to_string(),
        request: row.request.id.to_string(),
        asset: row.request.asset.to_string(),
        reason,
    };
    audit.record_in(&mut write, event).await.map_err(CliError::failed)?;
    write.commit().await.map_err(CliError::failed)?;
    context.print_list(&[View::new(row, Vec::new(), RequestState::Over)])
}

async fn views(all: bool, context: &Context) -> Result<Vec<View>, CliError> {
    let (store, now) = (context.rows().await?, Timestamp::now());
    let plant = store.current_plant().await.map_err(CliError::failed)?;
    let policy = match plant {
        Some(plant) => Policy::parse(&plant.files).map_err(|errors| CliError::Setup(errors.to_string()))?,
        None => Policy::empty(),
    };
    let desk = Desk::new(store, &policy, now);
    let mut views = Vec::new();
    for listed in store.access_requests(all, now).await.map_err(CliError::failed)? {
        views.push(view(listed, desk).await?);
    }
    views.retain(|view| all || view.open);
    Ok(views)
}

async fn view(listed: Listed<RequestRow>, desk: Desk<'_>) -> Result<View, CliError> {
    let (row, fault) = listed.into_parts();
    if fault.is_some() {
        let view = View::new(row, Vec::new(), RequestState::Gone);
        return Ok(View { state: NOT_GENUINE.to_owned(), open: true, ..view });
    }
    let seen = desk.look(row).await.map_err(CliError::failed)?;
    let by = seen.approvals.iter().map(|approval| approval.approver.to_string()).collect();
    Ok(View::new(seen.row, by, seen.state))
}

#[derive(Serialize)]
struct View {
    request: String,
    identity: String,
    asset: String,
    services: Vec<String>,
    role: String,
    grant: usize,
    reason: String,
    permit: Option<String>,
    seconds: i64,
    source: String,
    asked_at: Timestamp,
    approved_by: Vec<String>,
    state: String,
    until: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    closed_by: Option<String>,
    closed_for: Option<String>,
    #[serde(skip)]
    open: bool,
}

impl View {
    fn new(row: RequestRow, approved_by: Vec<String>, state: RequestState) -> Self {
        let RequestRow { request, source, closed } = row;
        let (word, until) = match (&closed, &state) {
            (Some(closed), _) => (closed.closing.as_str().to_owned(), None),
            (None, RequestState::Waiting { given, needed, until }) => {
                (format!("waits, {given} of {needed}"), Some(*until))
            }
            (None, RequestState::Approved { until }) => ("approved".to_owned(), Some(*until)),
            (None, RequestState::Over) => ("over".to_owned(), None),
            (None, RequestState::Gone) => ("not in the plant any more".to_owned(), None),
        };
        Self {
            open: closed.is_none() && state.is_open(),
            request: request.id.to_string(),
            identity: request.identity.to_string(),
            asset: request.asset.to_string(),
            services: request.services.iter().map(ServiceName::to_string).collect(),
            role: request.role.to_string(),
            grant: request.grant,
            reason: request.reason,
            permit: request.permit,
            seconds: request.duration.as_secs(),
            source,
            asked_at: request.asked_at,
            approved_by,
            state: word,
            until,
            closed_at: closed.as_ref().map(|closed| closed.at),
            closed_by: closed.as_ref().map(|closed| closed.by.clone()),
            closed_for: closed.map(|closed| closed.reason),
        }
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] =
        &["request", "identity", "asset", "services", "for", "permit", "reason", "approved by", "state", "until"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.request.clone(),
            self.identity.clone(),
            self.asset.clone(),
            self.services.join("+"),
            lasting_text(jiff::SignedDuration::from_secs(self.seconds)),
            self.permit.clone().unwrap_or_default(),
            self.reason.clone(),
            self.approved_by.join(", "),
            self.state.clone(),
            self.until.map(|until| format!("{until:.0}")).unwrap_or_default(),
        ]
    }
}
