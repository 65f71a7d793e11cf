//! `sallyport ssh-config`, `known-hosts` and `user-ca`: what workstations and assets need.

use std::collections::BTreeSet;

use sallyport_policy::{IdentityId, Policy, Subject};

use super::output::tell;
use super::{CliError, Context};
use crate::client_files::{BrokerAddress, known_hosts_text, ssh_config_text};
use crate::plant::PolicyCell;
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
    if !config.ssh.names.contains(&host) {
        tell(&format!(
            "warning: `{host}` is not in `[ssh] names`, so the host certificate will not fit there; add it, and reload the broker"
        ));
    }
    let port = arguments.port.unwrap_or_else(|| listening_ports(config)[0]);
    let subject = match &arguments.identity {
        Some(name) => Some(subject(name, context).await?),
        None => None,
    };
    let policy = policy(context).await?;
    let user = arguments.identity.as_deref();
    context.print(&ssh_config_text(&policy, &BrokerAddress { host: &host, port, user }, subject.as_ref()))
}

/// Prints the lines for `known_hosts`: the broker's host authority, for the broker's names and for every asset; while it is changed, both.
pub async fn known_hosts(context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let policy = policy(context).await?;
    let ports = listening_ports(config);
    let text = |authority: &String| known_hosts_text(&policy, &config.ssh.names, &ports, authority);
    context.print(&public_lines(context, KeyName::HostCa).await?.iter().map(text).collect::<String>())
}

/// Prints the authority whose certificates assets must trust (`TrustedUserCAKeys`); while it is changed, both.
pub async fn user_ca(context: &Context) -> Result<(), CliError> {
    let lines = public_lines(context, KeyName::UserCa).await?;
    context.print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// The key in use first, then whichever else somebody may have to rely on.
async fn public_lines(context: &Context, key: KeyName) -> Result<Vec<String>, CliError> {
    let keys = context.vault().await?.public_keys(key);
    keys.into_iter().map(|key| key.to_openssh().map_err(CliError::failed)).collect()
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

fn listening_ports(config: &crate::config::Config) -> Vec<u16> {
    let ports: BTreeSet<u16> = config.listen.ssh.iter().map(std::net::SocketAddr::port).collect();
    if ports.is_empty() { vec![2222] } else { ports.into_iter().collect() }
}
