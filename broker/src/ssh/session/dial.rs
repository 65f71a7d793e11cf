//! Dialling an asset over SSH: its pinned keys, the account's credential, and what goes on record when it fails.

use std::sync::Arc;

use russh::keys::HashAlg;
use russh::keys::ssh_key::PublicKey;
use sallyport_policy::{AccountAuth, AccountName, AssetId, ChannelKind};

use crate::audit::AuditEvent;
use crate::live::End;
use crate::session::{Leg, Recorded};
use crate::ssh::Flow;
use crate::ssh::session::asset::{self, AssetConnection, AssetCredential, DialError, Peer};
use crate::vault::{AssetLogin, Credential, Extension, Secret, Vault};

/// Connects, checks the host key, logs in with the account's credential.
pub(in crate::ssh) async fn connect(
    recorded: &Recorded,
    typed: Option<Secret<String>>,
    flow: Flow,
) -> Result<AssetConnection, DialError> {
    let Leg::Ssh { pinned, algorithms, auth } = recorded.leg() else { return Err(DialError::NotSsh) };
    let pinned: Vec<PublicKey> = pinned.iter().filter_map(|line| PublicKey::from_openssh(line).ok()).collect();
    let credential = credential(recorded, *auth, typed).await?;
    let peer = Peer {
        address: recorded.address(),
        pinned: &pinned,
        algorithms: *algorithms,
        account: &recorded.target().account,
        flow,
    };
    asset::dial(peer, credential, recorded.broker().config.ssh.dial_timeout).await
}

async fn credential(
    recorded: &Recorded,
    auth: AccountAuth,
    typed: Option<Secret<String>>,
) -> Result<AssetCredential, DialError> {
    let (vault, target) = (&recorded.broker().vault, recorded.target());
    match auth {
        AccountAuth::Certificate => {
            let terms = recorded.terms();
            let mut extensions = Vec::new();
            if terms.allows(ChannelKind::Shell) || terms.allows(ChannelKind::Exec) {
                extensions.push(Extension::Pty);
            }
            if terms.allows(ChannelKind::Forward) {
                extensions.push(Extension::PortForwarding);
            }
            let login = AssetLogin {
                account: target.account.as_str(),
                identity: recorded.subject().identity.as_str(),
                session: recorded.id(),
                extensions: &extensions,
                at_any_time: recorded.in_emergency(),
            };
            let (key, certificate) = vault
                .asset_login(&login, recorded.broker().now())
                .map_err(|error| DialError::Vault(error.to_string()))?;
            Ok(AssetCredential::Certificate { key: Arc::new(key), certificate: Box::new(certificate) })
        }
        AccountAuth::Password | AccountAuth::Key => stored(vault, &target.asset, &target.account).await,
        AccountAuth::Prompt => typed.map(AssetCredential::Password).ok_or(DialError::NoCredential),
    }
}

/// What the vault keeps for an account.
pub(super) async fn stored(
    vault: &Vault,
    asset: &AssetId,
    account: &AccountName,
) -> Result<AssetCredential, DialError> {
    let stored = vault.account_credential(asset.as_str(), account.as_str()).await;
    match stored.map_err(|error| DialError::Vault(error.to_string()))? {
        Some(Credential::Password(password)) => Ok(AssetCredential::Password(password)),
        Some(Credential::Key(key)) => Ok(AssetCredential::Key(Arc::from(key))),
        None => Err(DialError::NoCredential),
    }
}

fn dial_end(error: &DialError) -> End {
    match error {
        DialError::Unpinned | DialError::HostKey { .. } => End::HostKeyMismatch,
        DialError::Unreachable(_) | DialError::TooSlow(_) | DialError::Protocol(_) | DialError::NotSsh => {
            End::AssetUnreachable
        }
        DialError::NothingInCommon(_) => End::AssetNotUnderstood { reason: error.to_string() },
        DialError::Login | DialError::NoCredential | DialError::Vault(_) => End::AssetRefusedLogin,
    }
}

fn fingerprint(line: &str) -> Option<String> {
    PublicKey::from_openssh(line).ok().map(|key| key.fingerprint(HashAlg::Sha256).to_string())
}

/// Puts on record why there is no connection to the asset, and says which end that is.
pub(in crate::ssh) async fn not_dialled(recorded: &Recorded, error: &DialError) -> End {
    let end = dial_end(error);
    tracing::warn!(session = recorded.id(), asset = %recorded.target().asset, %error, "No connection to the asset");
    let noted = async {
        recorded.notice(serde_json::json!({ "notice": end.word(), "reason": error.to_string() }))?;
        if let DialError::HostKey { shown } = error {
            host_key_mismatch(recorded, shown).await?;
        }
        if matches!(error, DialError::Login | DialError::NoCredential) {
            login_refused(recorded, error).await?;
        }
        Ok(())
    };
    match noted.await {
        Ok(()) => end,
        Err(unrecorded) => unrecorded,
    }
}

async fn host_key_mismatch(recorded: &Recorded, shown: &str) -> Result<(), End> {
    let pinned = match recorded.leg() {
        Leg::Ssh { pinned, .. } => pinned.as_slice(),
        Leg::Stream { .. } => &[],
    };
    let (session, identity) = recorded.names();
    let event = AuditEvent::HostKeyMismatch {
        session: Some(session),
        identity,
        asset: recorded.target().asset.to_string(),
        expected: pinned.iter().filter_map(|line| fingerprint(line)).collect(),
        presented: shown.to_owned(),
    };
    recorded.audit(event).await
}

async fn login_refused(recorded: &Recorded, error: &DialError) -> Result<(), End> {
    let (session, identity) = recorded.names();
    let event = AuditEvent::AssetLoginRefused {
        session: Some(session),
        identity,
        asset: recorded.target().asset.to_string(),
        account: recorded.target().account.to_string(),
        reason: error.to_string(),
    };
    recorded.audit(event).await
}
