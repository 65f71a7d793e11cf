//! `ssh alice@broker code`: a fresh code for connections that are open already, since nothing can be asked while a forwarded
//! connection opens.

use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg};
use sallyport_policy::Proof;

use crate::audit::AuditEvent;
use crate::identity::MultiFactor;
use crate::session::{Authenticated, JUST_GIVEN, Session};
use crate::ssh::admission::prove_again;
use crate::ssh::say_and_close;

/// How long a person may look for their code.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest line that is read.
const LONGEST_LINE: usize = 64;

/// Asks for a code, unless the login has just asked for one, and lets it count for what follows from the same machine with
/// the same key.
pub(in crate::ssh) async fn renew(mut channel: Channel<Msg>, session: Arc<Session<Authenticated>>) {
    match given(&mut channel, &session).await {
        Ok(sentence) => {
            let said = async {
                channel.extended_data(1, format!("{sentence}\r\n").as_bytes()).await?;
                channel.exit_status(0).await?;
                channel.eof().await?;
                channel.close().await
            };
            let told: Result<(), russh::Error> = said.await;
            tracing::debug!(told = told.is_ok(), "A code was given");
        }
        Err(sentence) => say_and_close(Some(channel), sentence.to_owned()).await,
    }
}

async fn given(channel: &mut Channel<Msg>, session: &Session<Authenticated>) -> Result<&'static str, &'static str> {
    let now = session.broker().now();
    let just_given = |proof: &Proof| proof.kind.is_second() && now.duration_since(proof.at) < JUST_GIVEN;
    if session.proof().proofs().iter().any(just_given) {
        return lease(session, session.proof().clone()).await;
    }
    let code = tokio::time::timeout(PATIENCE, ask(channel)).await.ok().flatten().ok_or("No code was given.")?;
    lease(session, prove_again(session, &code).await?).await
}

async fn ask(channel: &mut Channel<Msg>) -> Option<String> {
    // Not on standard output, which may be a script's.
    channel.extended_data(1, &b"Code: "[..]).await.ok()?;
    let mut line = Vec::new();
    loop {
        match channel.wait().await? {
            ChannelMsg::Data { data } => {
                for byte in data.iter().copied() {
                    match byte {
                        b'\r' | b'\n' => return String::from_utf8(line).ok(),
                        3 | 4 => return None,
                        8 | 127 => drop(line.pop()),
                        _ if line.len() < LONGEST_LINE => line.push(byte),
                        _ => return None,
                    }
                }
            }
            ChannelMsg::Eof if !line.is_empty() => return String::from_utf8(line).ok(),
            ChannelMsg::Eof | ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

async fn lease(session: &Session<Authenticated>, mut proof: MultiFactor) -> Result<&'static str, &'static str> {
    const TROUBLE: &str = "The broker cannot check this now. Try again later.";
    let broker = session.broker();
    let duration = crate::ssh::longest_lease_of(broker, proof.subject()).max(JUST_GIVEN);
    let granted = broker.identities.grant_lease(&mut proof, duration, broker.now()).await.map_err(|error| {
        tracing::warn!(%error, "A lease could not be granted");
        TROUBLE
    })?;
    if let Some(lease) = granted {
        let event = AuditEvent::LeaseGranted {
            identity: proof.identity().to_string(),
            source: session.source().to_string(),
            lease: lease.id.to_string(),
            factor: lease.factor.to_string(),
            expires_at: lease.expires_at,
        };
        broker.audit.record(event).await.map_err(|error| {
            tracing::error!(%error, "A lease could not be audited");
            TROUBLE
        })?;
    }
    Ok(if duration > JUST_GIVEN {
        "Thank you. Connect again: the code counts for as long as your role allows."
    } else {
        "Thank you. Connect again within a minute."
    })
}
