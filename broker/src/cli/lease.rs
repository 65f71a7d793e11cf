//! Second factors that still count.

use jiff::Timestamp;
use sallyport_policy::IdentityId;
use serde::Serialize;

use super::identity::{admin, failed};
use super::{CliError, Context, NOT_GENUINE, Row};
use crate::store::Listed;
use crate::store::leases::LeaseRow;

/// `sallyport lease …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the leases that count
    List {
        /// Of this identity only
        #[arg(long, value_name = "NAME")]
        identity: Option<IdentityId>,
        /// Also those that have expired or were revoked
        #[arg(long)]
        all: bool,
    },
    /// Revoke leases: the next session asks for a second factor again
    Revoke {
        /// One lease, as listed
        #[arg(required_unless_present_any = ["identity", "everybody"], conflicts_with_all = ["identity", "everybody"])]
        lease: Option<String>,
        /// Every lease of this identity
        #[arg(long, value_name = "NAME", conflicts_with = "everybody")]
        identity: Option<IdentityId>,
        /// Every lease there is
        #[arg(long)]
        everybody: bool,
    },
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let now = Timestamp::now();
    match command {
        Command::List { identity, all } => {
            let identity = identity.as_ref().map(IdentityId::as_str);
            let rows = context.rows().await?.leases(identity, all, now).await.map_err(CliError::failed)?;
            context.print_list(&rows.into_iter().map(|row| View::listed(row, now)).collect::<Vec<_>>())
        }
        Command::Revoke { lease: Some(lease), .. } => {
            let revoked = admin(context).await?.revoke_lease(&lease, now).await.map_err(failed)?;
            let revoked =
                revoked.ok_or_else(|| CliError::Failed(format!("no lease `{lease}` that could be revoked")))?;
            context.print_list(&[View::new(revoked, now)])
        }
        Command::Revoke { lease: None, identity, .. } => {
            let revoked = admin(context).await?.revoke_leases(identity.as_ref(), now).await.map_err(failed)?;
            context.print_list(&revoked.into_iter().map(|row| View::new(row, now)).collect::<Vec<_>>())
        }
    }
}

#[derive(Serialize)]
struct View {
    id: String,
    identity: String,
    credential: String,
    source: String,
    factor: String,
    proved_at: Timestamp,
    expires_at: Timestamp,
    state: &'static str,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
}

impl View {
    fn listed(row: Listed<LeaseRow>, now: Timestamp) -> Self {
        let (row, fault) = row.into_parts();
        let view = Self::new(row, now);
        if fault.is_some() { Self { state: NOT_GENUINE, ..view } } else { view }
    }

    fn new(row: LeaseRow, now: Timestamp) -> Self {
        let state = match &row.revoked {
            Some(_) => "revoked",
            None if row.expires_at <= now => "expired",
            None => "counts",
        };
        let (revoked_at, revoked_by) = row.revoked.unzip();
        Self {
            id: row.id,
            identity: row.identity,
            credential: row.credential,
            source: row.source,
            factor: row.factor.to_string(),
            proved_at: row.proved_at,
            expires_at: row.expires_at,
            state,
            revoked_at,
            revoked_by,
        }
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] =
        &["lease", "identity", "credential", "source", "factor", "proved", "expires", "state"];

    fn cells(&self) -> Vec<String> {
        let Self { id, identity, credential, source, factor, .. } = self;
        let text = [id, identity, credential, source, factor].map(Clone::clone);
        let times = [self.proved_at, self.expires_at].map(|at| format!("{at:.0}"));
        let rest = times.into_iter().chain([self.state.to_owned()]);
        text.into_iter().chain(rest).collect()
    }
}
