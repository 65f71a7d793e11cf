//! `ssh alice@broker request …`, and `approve`, `deny`, `withdraw` and `requests`: approvals for whoever has no browser at hand.

use std::sync::Arc;
use std::time::Duration;

use russh::Channel;
use russh::server::Msg;

use super::code::ask;
use super::print;
use crate::approval::{Approver, NotApprover};
use crate::identity::{MultiFactor, Offer};
use crate::login::confirmation::Outcome;
use crate::login::{requesting, step_up};
use crate::session::{Authenticated, Session};
use crate::ssh::say_and_close;

/// How long somebody may look for what proves them.
const PROVEN_WITHIN: Duration = Duration::from_secs(150);

/// What is said about requests, with the words behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    List,
    Request(String),
    Approve(String),
    Deny(String),
    Withdraw(String),
}

impl Said {
    /// Nothing where the line is about something else.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let rest = rest.trim().to_owned();
        match word {
            "requests" if rest.is_empty() => Some(Self::List),
            "request" => Some(Self::Request(rest)),
            "approve" => Some(Self::Approve(rest)),
            "deny" => Some(Self::Deny(rest)),
            "withdraw" => Some(Self::Withdraw(rest)),
            _ => None,
        }
    }
}

/// Does it, and says what came of it.
pub(super) async fn answer_to(said: Said, mut channel: Channel<Msg>, session: Arc<Session<Authenticated>>) {
    let outcome = match said {
        Said::List => Ok(listed(requesting::overview(&session).await)),
        Said::Request(words) => requesting::request(&session, &words).await,
        Said::Withdraw(words) => requesting::withdraw(&session, &words).await,
        Said::Deny(words) => requesting::deny(&session, &words).await,
        Said::Approve(id) => approve(&mut channel, &session, &id).await,
    };
    match outcome {
        Ok(text) => print(channel, format!("{}\n", text.trim_end())).await,
        Err(sentence) => say_and_close(Some(channel), sentence).await,
    }
}

fn listed(overview: String) -> String {
    if overview.is_empty() { "Nothing is asked for: by you, or of you.".to_owned() } else { overview }
}

/// Whatever leases they have: who approves has given a second factor just now, at this login or for this.
async fn approve(channel: &mut Channel<Msg>, session: &Session<Authenticated>, id: &str) -> Result<String, String> {
    let (seen, line) = requesting::to_approve(session, id).await?;
    let approver = match Approver::of(session.broker(), session.proof()).await {
        Ok(approver) => approver,
        Err(NotApprover::Stale) => {
            let proving = tokio::time::timeout(PROVEN_WITHIN, prove(channel, session, &line));
            let proof = proving.await.map_err(|_| "No second factor was given.".to_owned())??;
            Approver::of(session.broker(), &proof).await.map_err(|error| requesting::not_approver(&error))?
        }
        Err(error) => return Err(requesting::not_approver(&error)),
    };
    requesting::approve(session, &approver, id, seen).await
}

/// Asks for a second factor, by a code or in the portal, whichever they have.
async fn prove(
    channel: &mut Channel<Msg>,
    session: &Session<Authenticated>,
    line: &str,
) -> Result<MultiFactor, String> {
    let nothing = || "No second factor was given.".to_owned();
    show(channel, &format!("{line}\nTo approve it, confirm that it is you.\n")).await.ok_or_else(nothing)?;
    let code =
        session.broker().identities.has_authenticator(session.proof().identity()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "Whether there is an authenticator cannot be looked up");
            true
        });
    let offered = match step_up::wait_for(session, format!("approve {line}"), "an open login (approve)").await {
        Ok(mut waiting) => {
            show(channel, &format!("{}\n", waiting.words())).await.ok_or_else(nothing)?;
            let typed = match code {
                true => ask(channel, "Code, or Enter once confirmed: ").await.ok_or_else(nothing)?,
                false => String::new(),
            };
            if !typed.trim().is_empty() {
                step_up::prove_again(session, Offer::Code(&typed)).await
            } else {
                match waiting.outcome().await {
                    Outcome::Confirmed => step_up::prove_again(session, Offer::Confirmation(waiting.id())).await,
                    outcome => Err(outcome.sentence()),
                }
            }
        }
        Err(_) if code => {
            let typed = ask(channel, "Code: ").await.ok_or_else(nothing)?;
            step_up::prove_again(session, Offer::Code(&typed)).await
        }
        Err(error) => return Err(format!("This takes a second factor that is given now: {}", error.sentence())),
    };
    offered.map_err(ToOwned::to_owned)
}

async fn show(channel: &Channel<Msg>, text: &str) -> Option<()> {
    channel.extended_data(1, text.replace('\n', "\r\n").as_bytes()).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_requests_is_taken() {
        assert_eq!(Said::read(b"requests"), Some(Said::List));
        assert_eq!(Said::read(b"approve  k7wq "), Some(Said::Approve("k7wq".to_owned())));
        assert_eq!(Said::read(b"request"), Some(Said::Request(String::new())));
        for other in ["requests all", "requested x", "approval", ""] {
            assert_eq!(Said::read(other.as_bytes()), None, "{other}");
        }
    }
}
