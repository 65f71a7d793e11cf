//! `sallyport ssh-config`, `known-hosts` and `user-ca`: what workstations and assets need.

use std::collections::BTreeSet;

use sallyport_policy::{AccountName, Asset, IdentityId, Policy, Protocol, Service, Subject};

use super::{CliError, Context};
use crate::plant::PolicyCell;
use crate::tcp::local_forward;
use crate::vault::KeyName;

/// `sallyport ssh-config`
#[derive(Debug, clap::Args)]
pub struct SshConfig {
    /// Only what this identity's roles reach, with their login
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Name or address of the broker as workstations know it [default: the first of `[ssh] names`]
    #[arg(long, value_name = "HOST")]
    broker: Option<String>,
    /// Port of the broker as workstations know it [default: the first of `[listen] ssh`]
    #[arg(long)]
    port: Option<u16>,
}

/// Prints a `Host` block for the broker and one per asset.
pub async fn ssh_config(arguments: SshConfig, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let host = match &arguments.broker {
        Some(host) => host.clone(),
        None => config.ssh.names.first().cloned().unwrap_or_else(|| config.name.clone()),
    };
    let port = arguments.port.unwrap_or_else(|| listening_ports(config)[0]);
    let subject = match &arguments.identity {
        Some(name) => Some(subject(name, context).await?),
        None => None,
    };
    let policy = policy(context).await?;
    let user = arguments.identity.as_deref();
    context.print(&ssh_config_text(&policy, &Broker { host: &host, port, user }, subject.as_ref()))
}

/// The broker as a workstation reaches it.
pub(crate) struct Broker<'a> {
    /// Name or address.
    pub(crate) host: &'a str,
    /// Port.
    pub(crate) port: u16,
    /// Who logs in.
    pub(crate) user: Option<&'a str>,
}

/// The text for `~/.ssh/config`.
pub(crate) fn ssh_config_text(policy: &Policy, broker: &Broker<'_>, subject: Option<&Subject>) -> String {
    let mut text = format!("Host broker\n    HostName {}\n    Port {}\n", broker.host, broker.port);
    if let Some(user) = broker.user {
        text.push_str(&format!("    User {user}\n"));
    }
    for (asset, service) in ssh_services(policy) {
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
    for (asset, service) in services(policy).filter(|(_, service)| service.protocol != Protocol::Ssh) {
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

/// Prints the lines for `known_hosts`: the broker's host authority, for the broker's names and for every asset.
pub async fn known_hosts(context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let policy = policy(context).await?;
    let authority = public_line(context, KeyName::HostCa).await?;
    context.print(&known_hosts_text(&policy, &config.ssh.names, &listening_ports(config), &authority))
}

/// The text for `known_hosts`. Names are listed one by one: the authority speaks for nobody else.
pub(crate) fn known_hosts_text(policy: &Policy, names: &[String], ports: &[u16], authority: &str) -> String {
    let mut own: BTreeSet<String> = names.iter().cloned().collect();
    own.insert("broker".to_owned());
    let with_ports = own.iter().flat_map(|name| ports.iter().map(move |port| format!("[{name}]:{port}")));
    let patterns: Vec<String> = own.iter().cloned().chain(with_ports).collect();
    let assets = ssh_services(policy).map(|(asset, service)| {
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

/// Prints the authority whose certificates assets must trust (`TrustedUserCAKeys`).
pub async fn user_ca(context: &Context) -> Result<(), CliError> {
    let line = public_line(context, KeyName::UserCa).await?;
    context.print(&format!("{line}\n"))
}

async fn public_line(context: &Context, key: KeyName) -> Result<String, CliError> {
    context.vault().await?.public_key(key).to_openssh().map_err(CliError::failed)
}

async fn policy(context: &Context) -> Result<std::sync::Arc<Policy>, CliError> {
    Ok(PolicyCell::load(context.rows().await?).await.map_err(CliError::setup)?.current())
}

async fn subject(name: &str, context: &Context) -> Result<Subject, CliError> {
    let identity = IdentityId::try_from(name).map_err(CliError::failed)?;
    let row = context.rows().await?.identity(name).await.map_err(CliError::failed)?;
    let row = row.ok_or_else(|| CliError::Failed(format!("there is no identity `{name}`")))?;
    Ok(Subject { identity, groups: row.into_inner().member_of })
}

fn ssh_services(policy: &Policy) -> impl Iterator<Item = (&Asset, &Service)> {
    services(policy).filter(|(_, service)| service.protocol == Protocol::Ssh)
}

fn services(policy: &Policy) -> impl Iterator<Item = (&Asset, &Service)> {
    policy.assets().flat_map(|asset| asset.services.values().map(move |service| (asset, service)))
}

fn listening_ports(config: &crate::config::Config) -> Vec<u16> {
    let ports: BTreeSet<u16> = config.listen.ssh.iter().map(std::net::SocketAddr::port).collect();
    if ports.is_empty() { vec![2222] } else { ports.into_iter().collect() }
}
