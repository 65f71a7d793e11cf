//! What a person's connection to the broker leads through to: a jump, which ends at the broker as SSH, or a forwarded
//! stream. Either goes to one service of the plant file, or nowhere.

use std::sync::Arc;

use russh::Channel;
use russh::server::{ChannelOpenHandle, Msg};
use sallyport_policy::{AccountName, Asset, AssetId, FactorKind, NeedFactors, Policy, Protocol, Service, ServiceName};
use tokio_util::sync::CancellationToken;

use crate::live::{Form, Target};
use crate::session::{Authenticated, Authorization, Caller, Session, not_for_you, printable};
use crate::ssh::channel::flow::Flow;

/// A direct-tcpip channel as the client asked for it.
pub(in crate::ssh) struct Asked {
    pub(in crate::ssh) channel: Channel<Msg>,
    pub(in crate::ssh) reply: ChannelOpenHandle,
    pub(in crate::ssh) host: String,
    /// Zero where it was no port at all.
    pub(in crate::ssh) port: u16,
    /// Where the client says the connection comes from.
    pub(in crate::ssh) originator: String,
}

/// What it leads to.
pub(in crate::ssh) enum Lead {
    /// An ssh service: the broker ends the SSH inside.
    Jump { asset: AssetId, service: ServiceName },
    /// Any other: a session of its own.
    Stream(Target),
}

/// Why it leads nowhere.
pub(in crate::ssh) struct Nowhere {
    /// For the audit chain.
    pub(in crate::ssh) reason: &'static str,
    /// For the person.
    pub(in crate::ssh) sentence: String,
}

impl Asked {
    pub(in crate::ssh) fn new(
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        host: &str,
        port: u32,
        from: (&str, u32),
    ) -> Self {
        Self {
            channel,
            reply,
            host: host.to_owned(),
            port: u16::try_from(port).unwrap_or(0),
            originator: format!("{}:{}", printable(from.0), from.1),
        }
    }

    /// One service of the plant file that some grant of theirs names, or nothing.
    pub(in crate::ssh) fn lead(&self, session: &Session<Authenticated>) -> Result<Lead, Nowhere> {
        let policy = session.broker().policy.current();
        // `-L 5900:keeper@hmi-1:5900`: no asset has `@` in its name, so that an account before it can be meant.
        let (account, host) = match self.host.rsplit_once('@') {
            Some((account, host)) => (Some(account.parse::<AccountName>().map_err(|_| self.unknown())?), host),
            None => (None, self.host.as_str()),
        };
        // `ssh -J` without a port says 22, and a tool says its protocol's usual port: by its plant name, that is the asset's one
        // service of that protocol, wherever it listens.
        let by_name = || usual(&policy, host, self.port);
        let (asset, service) = policy.locate(host, self.port).or_else(by_name).ok_or_else(|| self.unknown())?;
        let granted = policy.accounts(session.proof().subject(), &asset.id, &service.name);
        if granted.is_empty() {
            return Err(self.nowhere("no grant names it for this identity"));
        }
        if service.protocol == Protocol::Ssh {
            // Which account, the login inside says.
            let (asset, service) = (asset.id.clone(), service.name.clone());
            return if account.is_none() { Ok(Lead::Jump { asset, service }) } else { Err(self.unknown()) };
        }
        let account = match (account, granted.as_slice()) {
            (Some(account), _) => account,
            (None, [only]) => only.clone(),
            (None, several) => return Err(which_account(&asset.id, self.port, several)),
        };
        Ok(Lead::Stream(Target {
            asset: asset.id.clone(),
            service: service.name.clone(),
            account,
            form: Form::Forward,
        }))
    }

    fn unknown(&self) -> Nowhere {
        self.nowhere("not a service of the plant file")
    }

    fn nowhere(&self, reason: &'static str) -> Nowhere {
        Nowhere { reason, sentence: not_for_you(&self.host) }
    }

    /// Refuses it: on the record, and with a sentence.
    pub(in crate::ssh) async fn refuse(self, session: &Session<Authenticated>, nowhere: Nowhere) {
        // Refused either way; that it could not be put on record is said instead of the sentence.
        let recorded = session.refuse_on_record(&self.host, self.port, nowhere.reason).await;
        tracing::debug!(recorded = recorded.is_ok(), reason = nowhere.reason, "A channel leads nowhere");
        let sentence = recorded.map_or_else(|refusal| refusal.sentence(&self.host), |()| nowhere.sentence);
        self.turn_away(sentence).await;
    }

    pub(in crate::ssh) async fn turn_away(self, reason: String) {
        self.reply.reject(russh::ChannelOpenFailure::Other { code: 1, reason }).await;
    }
}

fn which_account(asset: &AssetId, port: u16, several: &[AccountName]) -> Nowhere {
    let names: Vec<_> = several.iter().map(AccountName::as_str).collect();
    let sentence = format!(
        "Several accounts are yours on {asset}: say which, as in {}@{asset}:{port}. They are {}.",
        names[0],
        names.join(", ")
    );
    Nowhere { reason: "several accounts are granted and none was named", sentence }
}

/// A stream to a service, from the question whether it may be to its end.
pub(in crate::ssh) async fn stream(
    session: Arc<Session<Authenticated>>,
    target: Target,
    asked: Asked,
    gone: CancellationToken,
    flow: Flow,
) {
    let Asked { channel, reply, originator, .. } = asked;
    let asset = target.asset.clone();
    let caller = Caller { channel, reply, originator, gone, flow };
    let sentence = match authorize(&session, target).await {
        Authorization::Authorized(authorized) => {
            // Both outcomes are on the record, and the person has been told.
            return match authorized.run_stream(caller).await {
                Ok(end) => tracing::debug!(end = end.word(), "Stream over"),
                Err(refusal) => tracing::debug!(%refusal, "Stream not started"),
            };
        }
        Authorization::NeedFactors(need) => factors_due(&session, &asset, &need),
        Authorization::NeedApproval(_) => {
            format!("{asset} needs somebody's approval first, which this version of the broker cannot ask for.")
        }
        Authorization::Denied(refusal) => refusal.sentence(asset.as_str()),
    };
    caller.turn_away(sentence).await;
}

/// The one service that an asset of this name has of the protocol whose usual port this is.
fn usual<'a>(policy: &'a Policy, host: &str, port: u16) -> Option<(&'a Asset, &'a Service)> {
    let asset = policy.assets().find(|asset| asset.id.as_str().eq_ignore_ascii_case(host))?;
    let mut services = asset.services.values().filter(|service| service.protocol.usual_port() == Some(port));
    services.next().filter(|_| services.next().is_none()).map(|service| (asset, service))
}

/// A code that was given since, on another connection (`ssh alice@broker code`), counts here too.
async fn authorize(session: &Session<Authenticated>, target: Target) -> Authorization {
    let answer = session.authorize(target.clone()).await;
    let renewed = match &answer {
        Authorization::NeedFactors(need) if need.accepts(FactorKind::Totp) => session.renewed().await,
        Authorization::NeedFactors(_)
        | Authorization::Authorized(_)
        | Authorization::NeedApproval(_)
        | Authorization::Denied(_) => None,
    };
    match renewed {
        Some(renewed) => renewed.authorize(target).await,
        None => answer,
    }
}

/// Nothing can be asked while a channel opens: the person is told where they are asked.
fn factors_due(session: &Session<Authenticated>, asset: &AssetId, need: &NeedFactors) -> String {
    if need.accepts(FactorKind::Totp) {
        let identity = session.proof().identity();
        return format!(
            "{asset} asks for a fresh code. Give one with: ssh {identity}@broker code, then connect again."
        );
    }
    let kinds: Vec<_> = need.any_of.iter().map(ToString::to_string).collect();
    format!("{asset} asks for {}, which this version of the broker cannot take over ssh.", kinds.join(" or "))
}
