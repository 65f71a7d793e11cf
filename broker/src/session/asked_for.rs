//! Who asked for what, in the words of the audit chain: the one place where a decision becomes an event of it.

use std::net::IpAddr;

use sallyport_policy::{Decision, IdentityId};

use crate::audit::AuditEvent;
use crate::live::Target;

/// Who asked, from where, and for what.
#[derive(Debug, Clone)]
pub(super) struct AskedFor {
    identity: String,
    source: String,
    asset: String,
    service: String,
    /// Empty where no account was looked at.
    account: String,
}

impl AskedFor {
    /// A target of the plant file.
    pub(super) fn target(identity: &IdentityId, source: IpAddr, target: &Target) -> Self {
        let Target { asset, service, account, form: _ } = target;
        Self {
            identity: identity.to_string(),
            source: source.to_string(),
            asset: asset.to_string(),
            service: service.to_string(),
            account: account.to_string(),
        }
    }

    /// What is no target: a host, fit to be shown, and what was wanted of it.
    pub(super) fn written(identity: &IdentityId, source: IpAddr, host: String, service: String) -> Self {
        let (identity, source) = (identity.to_string(), source.to_string());
        Self { identity, source, asset: host, service, account: String::new() }
    }

    /// What the policy has decided.
    pub(super) fn decided(self, decision: &Decision) -> AuditEvent {
        let session = None;
        match decision {
            Decision::Deny(denial) => self.denied(denial.to_string()),
            Decision::Permit(permit) => {
                let Self { identity, source, asset, service, account } = self;
                let rule = permit.rule.to_string();
                AuditEvent::DecisionPermitted { identity, source, asset, service, account, session, rule }
            }
            Decision::NeedFactors(need) => {
                let Self { identity, source, asset, service, account } = self;
                let reason = need.to_string();
                AuditEvent::DecisionNeedsFactors { identity, source, asset, service, account, session, reason }
            }
            Decision::NeedApproval(rule) => {
                let Self { identity, source, asset, service, account } = self;
                let reason = rule.to_string();
                AuditEvent::DecisionNeedsApproval { identity, source, asset, service, account, session, reason }
            }
        }
    }

    /// They do not get it, by the policy or by what else stands in the way.
    pub(super) fn denied(self, reason: String) -> AuditEvent {
        let Self { identity, source, asset, service, account } = self;
        AuditEvent::DecisionDenied { identity, source, asset, service, account, session: None, reason }
    }
}
