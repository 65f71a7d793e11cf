//! What SIGHUP renews: the names of the broker, its notice, and which user certificates count. No session and no connection ends by it.

use tracing::{error, info};

use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::config::Config;
use crate::identity::CertificateRules;

/// Reads the configuration anew. What cannot be read or put on record changes nothing, loudly.
pub(super) async fn reload(broker: &Broker) {
    let path = broker.config.path.clone();
    let config = match tokio::task::spawn_blocking(move || Config::load(&path)).await {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => {
            return error!(%error, "SIGHUP: the new configuration does not hold; everything stays as it is");
        }
        Err(error) => return error!(%error, "SIGHUP: the new configuration was not read; everything stays as it is"),
    };
    let rules = match CertificateRules::new(&config.ssh.user_ca, config.ssh.revoked.iter().cloned()) {
        Ok(rules) => rules,
        Err(error) => return error!(%error, "SIGHUP: `user_ca` does not hold; everything stays as it is"),
    };
    let event = AuditEvent::BrokerReloaded {
        names: config.ssh.names.clone(),
        user_authorities: config
            .ssh
            .user_ca
            .iter()
            .map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
            .collect(),
        revoked: config.ssh.revoked.iter().map(ToString::to_string).collect(),
    };
    if let Err(error) = broker.audit.record(event).await {
        return error!(%error, "SIGHUP: it cannot be put on record; everything stays as it is");
    }
    broker.greetings.renew(&config.ssh);
    broker.identities.renew_certificates(rules);
    info!(
        names = ?config.ssh.names,
        "SIGHUP: `names`, `login_notice`, `user_ca` and `revoked` of `[ssh]` are renewed; whatever else has changed counts from the next start"
    );
}
