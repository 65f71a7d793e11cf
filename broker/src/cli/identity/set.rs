//! `sallyport identity set`: what somebody was added with, changed.

use std::str::FromStr;

use jiff::Timestamp;
use sallyport_policy::IdentityId;

use super::failed;
use crate::cli::{CliError, Context, printable};
use crate::identity::admin::{Admin, IdentityChange};

/// `sallyport identity set …`
#[derive(Debug, clap::Args)]
pub struct SetIdentity {
    /// The name at login
    name: IdentityId,
    #[command(flatten)]
    what: Changes,
}

/// At least one of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// The name for people
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// A group, in place of all before; may be repeated (`identity groups` takes them all away)
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// When it ends by itself, as `2027-01-31T17:00:00+01:00`, or `never`; a time that has passed ends it now
    #[arg(long, value_name = "TIME")]
    valid_until: Option<Bound>,
}

/// When somebody's time ends by itself.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Never,
    At(Timestamp),
}

impl FromStr for Bound {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        if text == "never" { Ok(Self::Never) } else { text.parse().map(Self::At) }
    }
}

/// Changes it, and says what is otherwise now.
pub(super) async fn run(
    admin: &Admin,
    command: SetIdentity,
    context: &Context,
    now: Timestamp,
) -> Result<(), CliError> {
    let SetIdentity { name, what: Changes { display_name, groups, valid_until } } = command;
    let change = IdentityChange {
        display_name,
        groups: (!groups.is_empty()).then(|| groups.into_iter().collect()),
        valid_until: valid_until.map(|bound| match bound {
            Bound::Never => None,
            Bound::At(at) => Some(at),
        }),
    };
    let changed = admin.set(&name, &change, now).await.map_err(failed)?;
    if context.json() {
        let (changes, leases) = (&changed.changes, changed.leases);
        return context
            .print_json(&serde_json::json!({ "identity": name, "changes": changes, "leases_ended": leases }));
    }
    let mut said: String = changed.changes.iter().map(|change| format!("{}\n", printable(change))).collect();
    if said.is_empty() {
        said = "Everything is as it was.\n".to_owned();
    }
    if changed.leases > 0 {
        said.push_str(&format!("leases ended: {}\n", changed.leases));
    }
    context.print(&said)
}
