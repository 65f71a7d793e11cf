//! What a person's connection to the broker leads through to: a jump, which ends at the broker as SSH, or a forwarded
//! stream. Either goes to one service of the plant file, or nowhere.

use russh::Channel;
use russh::server::{ChannelOpenHandle, Msg};
use sallyport_policy::{AssetId, FactorKind, NeedFactors};
use tokio_util::sync::CancellationToken;

use crate::live::{End, Target};
use crate::login::breaking::needs_approval;
use crate::login::step_up;
use crate::login::target::{self, Lead, Nowhere};
use crate::session::{Authenticated, Authorization, Authorized, Session, printable};
use crate::ssh::channel::ChannelCaller;
use crate::ssh::channel::flow::Flow;
use crate::tcp::{Caller, NoStream, Stream};

/// A direct-tcpip channel as the client asked for it.
pub(in crate::ssh) struct DirectTcpip {
    pub(in crate::ssh) channel: Channel<Msg>,
    pub(in crate::ssh) reply: ChannelOpenHandle,
    pub(in crate::ssh) host: String,
    /// Zero where it was no port at all.
    pub(in crate::ssh) port: u16,
    /// Where the client says the connection comes from.
    pub(in crate::ssh) originator: String,
}

impl DirectTcpip {
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

    /// Where it leads, for this person.
    pub(in crate::ssh) fn lead(&self, session: &Session<Authenticated>) -> Result<Lead, Nowhere> {
        let policy = session.broker().policy.current();
        target::forward(&policy, session.claimant(), &self.host, self.port)
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

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// It reached its asset.
    Reached,
    /// It was refused, by the broker or because the asset was not there.
    Refused,
}

/// A stream to a service, from the question whether it may be to its end.
pub(super) async fn stream(
    session: &Session<Authenticated>,
    target: Target,
    asked: DirectTcpip,
    gone: CancellationToken,
    flow: Flow,
) -> Carried {
    let DirectTcpip { channel, reply, originator, .. } = asked;
    let asset = target.asset.clone();
    let caller = ChannelCaller { channel, reply, originator, gone, flow };
    let sentence = match authorize(session, target).await {
        Authorization::Authorized(authorized) => return run(*authorized, caller).await,
        Authorization::NeedFactors(need) => factors_due(session, &asset, &need),
        Authorization::NeedApproval(_) => needs_approval(session, &asset).await,
        Authorization::Denied(refusal) => refusal.sentence(asset.as_str()),
    };
    caller.turn_away(NoStream::Prohibited, sentence).await;
    Carried::Refused
}

/// Both outcomes are on the record, and the person has been told.
async fn run(authorized: Session<Authorized>, caller: ChannelCaller) -> Carried {
    match authorized.run(Stream(caller)).await {
        Ok(End::AssetUnreachable) => Carried::Refused,
        Ok(end) => {
            tracing::debug!(end = end.word(), "Stream over");
            Carried::Reached
        }
        Err(refusal) => {
            tracing::debug!(%refusal, "Stream not started");
            Carried::Refused
        }
    }
}

/// A second factor that was given since, on another connection (`ssh alice@broker code`), counts here too. Where only a passkey will
/// do, the channel waits for it.
async fn authorize(session: &Session<Authenticated>, target: Target) -> Authorization {
    let answer = session.authorize(target.clone()).await;
    let Authorization::NeedFactors(need) = &answer else { return answer };
    if !FactorKind::SECOND.iter().any(|kind| need.accepts(*kind)) {
        return answer;
    }
    if let Some(renewed) = step_up::renewed(session).await {
        let again = renewed.authorize(target.clone()).await;
        if !matches!(again, Authorization::NeedFactors(_)) {
            return again;
        }
    }
    if !need.accepts(FactorKind::WebAuthn) {
        return answer;
    }
    match step_up::confirmed(session, &target).await {
        Ok(confirmed) => confirmed.authorize(target).await,
        Err(reason) => {
            tracing::debug!(reason, "A stream was not confirmed");
            answer
        }
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
    format!("{asset} asks for {}, and it was not confirmed in the portal.", kinds.join(" or "))
}
