//! What people do in the portal, from the command line: invitations, and the factors that they enrol there.

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{FactorKind, IdentityId};
use serde::Serialize;

use super::failed;
use crate::cli::{CliError, Context, NOT_GENUINE, Row};
use crate::identity::admin::Admin;

/// Makes an invitation and shows its link, once.
pub(super) async fn invite(
    admin: &Admin,
    name: &IdentityId,
    hours: u16,
    context: &Context,
    now: Timestamp,
) -> Result<(), CliError> {
    let portal = context.config()?.portal.as_ref().ok_or_else(|| {
        CliError::Failed("there is no portal to invite anybody to: configure `[portal]` first".to_owned())
    })?;
    let valid_for = SignedDuration::from_hours(i64::from(hours));
    let secret = admin.invite(name, valid_for, now).await.map_err(failed)?;
    let link = format!("{}/invitation/{}", portal.origin, secret.expose());
    let expires_at = now.saturating_add(valid_for).unwrap_or(now);
    if context.json() {
        let shown = serde_json::json!({ "identity": name, "link": link, "expires_at": expires_at });
        return context.print_json(&shown);
    }
    context.print(&format!(
        "{link}\n\nIt opens once, until {expires_at}, and enrols a passkey or security key for {name}. Give it to nobody else.\n"
    ))
}

/// Lists what somebody can prove themselves with.
pub(super) async fn list_factors(name: &IdentityId, context: &Context) -> Result<(), CliError> {
    let store = context.rows().await?;
    let failed = CliError::failed;
    let identity = name.as_str();
    let mut factors = Vec::new();
    for key in store.keys(identity).await.map_err(failed)? {
        let (key, fault) = key.into_parts();
        factors.push(Factor {
            kind: fault.map_or_else(|| key.kind.to_string(), |_| NOT_GENUINE.to_owned()),
            credential: key.fingerprint,
            name: String::new(),
            added_at: Some(key.added_at),
            used_at: None,
        });
    }
    for passkey in store.passkeys(identity).await.map_err(failed)? {
        let (passkey, fault) = passkey.into_parts();
        factors.push(Factor {
            kind: fault.map_or_else(|| FactorKind::WebAuthn.to_string(), |_| NOT_GENUINE.to_owned()),
            credential: passkey.credential,
            name: passkey.name,
            added_at: Some(passkey.added_at),
            used_at: passkey.used_at,
        });
    }
    if let Some(totp) = store.totp(identity).await.map_err(failed)? {
        factors.push(Factor {
            kind: FactorKind::Totp.to_string(),
            credential: FactorKind::Totp.to_string(),
            name: String::new(),
            added_at: Some(totp.enrolled_at),
            used_at: None,
        });
    }
    let left = store.recovery_codes_left(identity).await.map_err(failed)?;
    if left > 0 {
        factors.push(Factor {
            kind: FactorKind::RecoveryCode.to_string(),
            credential: format!("{left} left"),
            name: String::new(),
            added_at: None,
            used_at: None,
        });
    }
    context.print_list(&factors)
}

#[derive(Serialize)]
struct Factor {
    kind: String,
    credential: String,
    name: String,
    added_at: Option<Timestamp>,
    used_at: Option<Timestamp>,
}

impl Row for Factor {
    const COLUMNS: &'static [&'static str] = &["kind", "credential", "name", "added", "last used"];

    fn cells(&self) -> Vec<String> {
        let time = |at: Option<Timestamp>| at.map(|at| format!("{at:.0}")).unwrap_or_default();
        vec![self.kind.clone(), self.credential.clone(), self.name.clone(), time(self.added_at), time(self.used_at)]
    }
}
