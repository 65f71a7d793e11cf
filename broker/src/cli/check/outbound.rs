//! Whoever is told of events: can they be reached, and what waits for them?

use std::os::unix::fs::PermissionsExt as _;

use super::Finding;
use crate::config::{Outbound, Receiver, Way};
use crate::outbound::{self, Seen};

const WHAT: &str = "receiver";

pub(super) async fn look(config: &Outbound) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config.receivers.iter().filter_map(open_secret).collect();
    for Seen { name, reached, waiting } in outbound::look(config).await {
        let waits = match waiting {
            None | Some(0) => "nothing waits".to_owned(),
            Some(bytes) => format!("at most {bytes} bytes wait"),
        };
        findings.push(match reached {
            Ok(how) => Finding::ok(WHAT, format!("`{name}`: {how}; {waits}")),
            Err(why) => {
                let mend = "mend the receiver, or its section; what waits goes out by itself then";
                Finding::fail(WHAT, format!("`{name}`: {why}; {waits}"), mend)
            }
        });
    }
    findings
}

/// A secret that everybody on this machine can read.
fn open_secret(receiver: &Receiver) -> Option<Finding> {
    let path = match &receiver.way {
        Way::Webhook(webhook) => &webhook.secret_file,
        Way::Mail(mail) => &mail.login.as_ref()?.password_file,
        Way::File { .. } | Way::Syslog { .. } | Way::Command(_) => return None,
    };
    let open = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0);
    let says = format!("`{}`: everybody on this machine can read `{}`", receiver.name, path.display());
    open.then(|| Finding::warn(WHAT, says, format!("chmod o= {}", path.display())))
}
