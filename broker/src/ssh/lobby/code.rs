//! `ssh alice@broker code`: a fresh code for connections that are open already, since nothing can be asked while a forwarded
//! connection opens.

use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg};

use crate::identity::Offer;
use crate::login::step_up;
use crate::session::{Authenticated, Session};
use crate::ssh::say_and_close;

/// How long a person may look for their code.
const CODE_WITHIN: Duration = Duration::from_secs(120);
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
    if step_up::just_given(session) {
        return step_up::renew(session, session.proof().clone()).await;
    }
    let code =
        tokio::time::timeout(CODE_WITHIN, ask(channel, "Code: ")).await.ok().flatten().ok_or("No code was given.")?;
    step_up::renew(session, step_up::prove_again(session, Offer::Code(&code)).await?).await
}

/// Asks for a line, which is not shown. Nothing where the person leaves instead.
pub(super) async fn ask(channel: &mut Channel<Msg>, prompt: &str) -> Option<String> {
    // Not on standard output, which may be a script's.
    channel.extended_data(1, prompt.as_bytes()).await.ok()?;
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
