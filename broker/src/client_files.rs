//! What an ssh client needs to know of the broker and of the plant behind it.

use std::collections::BTreeSet;

use sallyport_policy::{AccountName, Place, Policy, Protocol, Subject};

use crate::login::local_forward;

/// The broker as a workstation reaches it.
pub(crate) struct BrokerAddress<'a> {
    /// Name or address.
    pub(crate) host: &'a str,
    /// Port.
    pub(crate) port: u16,
    /// Who logs in.
    pub(crate) user: Option<&'a str>,
}

/// The text for `~/.ssh/config`.
pub(crate) fn ssh_config_text(policy: &Policy, broker: &BrokerAddress<'_>, subject: Option<&Subject>) -> String {
    let mut text = format!("Host broker\n    HostName {}\n    Port {}\n", broker.host, broker.port);
    if let Some(user) = broker.user {
        text.push_str(&format!("    User {user}\n"));
    }
    for Place { asset, service } in ssh_places(policy) {
        let accounts: Vec<String> = match subject {
            Some(subject) => {
                policy.accounts(subject, &asset.id, &service.name).iter().map(ToString::to_string).collect()
            }
            None => asset.accounts.keys().map(ToString::to_string).collect(),
        };
        if accounts.is_empty() {
            continue;
        }
        text.push_str(&format!("\nHost {}\n    ProxyJump broker\n", asset.id));
        // With several accounts to choose from, the person says which: `ssh ACCOUNT@ASSET`.
        if let [account] = accounts.as_slice() {
            text.push_str(&format!("    User {account}\n"));
        }
        if service.port != 22 {
            text.push_str(&format!("    Port {}\n    HostKeyAlias {}\n", service.port, asset.id));
        }
    }
    for forward in forwards(policy, subject) {
        let Forward { name, argument } = forward;
        let (local, remote) = argument.split_once(':').unwrap_or_default();
        text.push_str(&format!("\nHost {name}\n    HostName {}\n    Port {}\n", broker.host, broker.port));
        if let Some(user) = broker.user {
            text.push_str(&format!("    User {user}\n"));
        }
        // `ssh NAME` is all there is to type: it opens the port and runs nothing.
        text.push_str(&format!(
            "    LocalForward {local} {remote}\n    ExitOnForwardFailure yes\n    SessionType none\n"
        ));
    }
    text
}

/// A service that is reached through a port of the person's own machine.
struct Forward {
    name: String,
    /// What stands behind `-L`.
    argument: String,
}

fn forwards(policy: &Policy, subject: Option<&Subject>) -> Vec<Forward> {
    let mut forwards = Vec::new();
    for Place { asset, service } in policy.places().filter(|place| place.service.protocol != Protocol::Ssh) {
        let accounts = match subject {
            Some(subject) => policy.accounts(subject, &asset.id, &service.name),
            None if service.protocol.has_accounts() => asset.accounts.keys().cloned().collect(),
            None => vec![AccountName::none()],
        };
        let name = format!("{}-{}", asset.id, service.name);
        match accounts.as_slice() {
            [] => {}
            [_] => forwards.push(Forward { name, argument: local_forward(&asset.id, service.port, None) }),
            several => forwards.extend(several.iter().map(|account| Forward {
                name: format!("{name}-{account}"),
                argument: local_forward(&asset.id, service.port, Some(account)),
            })),
        }
    }
    forwards
}

/// The text for `known_hosts`. Names are listed one by one: the authority speaks for nobody else.
pub(crate) fn known_hosts_text(policy: &Policy, names: &[String], ports: &[u16], authority: &str) -> String {
    let mut own: BTreeSet<String> = names.iter().cloned().collect();
    own.insert("broker".to_owned());
    let with_ports = own.iter().flat_map(|name| ports.iter().map(move |port| format!("[{name}]:{port}")));
    let patterns: Vec<String> = own.iter().cloned().chain(with_ports).collect();
    let assets = ssh_places(policy).map(|Place { asset, service }| {
        let (id, address, port) = (&asset.id, asset.address, service.port);
        match port {
            22 => format!("{id},{address}"),
            _ => format!("{id},{address},[{id}]:{port},[{address}]:{port}"),
        }
    });
    std::iter::once(patterns.join(","))
        .chain(assets)
        .map(|hosts| format!("@cert-authority {hosts} {authority}\n"))
        .collect()
}

fn ssh_places(policy: &Policy) -> impl Iterator<Item = Place<'_>> {
    policy.places().filter(|place| place.service.protocol == Protocol::Ssh)
}
