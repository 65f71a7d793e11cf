//! Breaking the glass: whoever logs in as `glass` is asked for the code of an envelope and for a reason, and for nothing else. No
//! database is asked on the way, and nobody who guesses keeps the right code waiting.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Asking, Attempt, Left, State, Step};
use crate::audit::AuditEvent;
use crate::emergency::{Circumstances, EnvelopeCode, NotOpened, Recognised};
use crate::identity::MultiFactor;
use crate::listen::Progress;
use crate::logging::counted;
use crate::login::admission::Question;
use crate::login::name::LoginName;
use crate::store::envelopes::GLASS;

/// Codes that were typed wrongly on one connection: it costs nothing to be told so, and somebody under stress mistypes often.
const MOST_MISTYPED: u8 = 12;
/// Codes that open nothing on one connection.
const MOST_GUESSES: u8 = 3;
/// A reason that says nothing is asked for again.
const SHORTEST_REASON: usize = 4;

/// At the terminals of everybody else: it is the control room's, and they may be in its way.
const ALARM: &str = "ALARM: an envelope was opened in an emergency.";
const BEGIN: &str =
    "EMERGENCY ACCESS. Type the code of the envelope: five groups of five letters. Everything is recorded.";
const NEXT: &str = "This takes another envelope, of another holder. Type its code.";
const REASON: &str =
    "The code is right. Say in a few words what has happened; it is put on the record, and the alarm is raised.";

/// Somebody who is breaking the glass.
#[derive(Debug)]
pub(super) struct Breaking {
    login: LoginName,
    envelopes: Vec<Recognised>,
    mistyped: u8,
    guesses: u8,
    due: Due,
}

#[derive(Debug)]
enum Due {
    Code,
    Reason,
    /// They have been told that it is open.
    Nothing(Box<MultiFactor>),
}

impl Attempt {
    /// Whether it is the name under which envelopes are opened.
    pub(super) fn is_glass(name: &str) -> bool {
        name == GLASS || name.strip_prefix(GLASS).is_some_and(|rest| rest.starts_with(':'))
    }

    /// Asks for the code.
    pub(super) fn ask_envelope(&mut self, name: &str) -> Step {
        let Ok(login) = LoginName::parse(name) else { return self.hang_up() };
        let breaking = Breaking { login, envelopes: Vec::new(), mistyped: 0, guesses: 0, due: Due::Code };
        self.ask_breaking(breaking, BEGIN.to_owned())
    }

    /// The same question again, for a client that begins anew.
    pub(super) fn ask_breaking_again(&mut self, breaking: Breaking) -> Step {
        let words = match (&breaking.due, breaking.envelopes.is_empty()) {
            (Due::Code, true) => BEGIN,
            (Due::Code, false) => NEXT,
            (Due::Reason, _) => REASON,
            (Due::Nothing(_), _) => return self.told_again(breaking),
        };
        self.ask_breaking(breaking, words.to_owned())
    }

    /// What was typed: a code, or the reason.
    pub(super) async fn answer_breaking(&mut self, breaking: Breaking, typed: &str) -> Step {
        match breaking.due {
            Due::Code => self.code_typed(breaking, typed).await,
            Due::Reason => self.reason_typed(breaking, typed).await,
            Due::Nothing(proof) => self.logged_in(&breaking.login, *proof, Vec::new(), Asking::Now).await,
        }
    }

    async fn code_typed(&mut self, mut breaking: Breaking, typed: &str) -> Step {
        let code = match EnvelopeCode::parse(typed) {
            Ok(code) => code,
            Err(fault) => {
                breaking.mistyped += 1;
                if breaking.mistyped >= MOST_MISTYPED {
                    return self.hang_up();
                }
                return self.ask_breaking(breaking, format!("Not yet: {fault}."));
            }
        };
        let emergencies = Arc::clone(&self.broker().emergencies);
        let recognised = emergencies.recognise(&code, self.broker().now()).await;
        let fits = recognised.and_then(|next| emergencies.goes_with(&breaking.envelopes, &next).map(|()| next));
        match fits {
            Ok(next) => {
                // What was open is entered again by one code.
                let open = next.is_open();
                breaking.envelopes.push(next);
                if open {
                    return self.open(breaking, "").await;
                }
                if breaking.envelopes.len() < self.envelopes_wanted(&breaking) {
                    return self.ask_breaking(breaking, NEXT.to_owned());
                }
                self.pass.reached(Progress::FirstFactor);
                breaking.due = Due::Reason;
                self.ask_breaking(breaking, REASON.to_owned())
            }
            Err(refused) => self.not_opened(breaking, refused).await,
        }
    }

    async fn reason_typed(&mut self, breaking: Breaking, typed: &str) -> Step {
        let reason = sallyport_plain::printable(typed.trim()).into_owned();
        if reason.chars().count() < SHORTEST_REASON {
            return self.ask_breaking(breaking, "A few words, please: what has happened?".to_owned());
        }
        self.open(breaking, &reason).await
    }

    async fn open(&mut self, breaking: Breaking, reason: &str) -> Step {
        let broker = Arc::clone(self.broker());
        let reason = crate::audit::shortened(reason);
        // What puts it on record wants room too, where the disk is full. Without any, the opening itself says so.
        if let Err(error) = broker.recordings.may_start_in_emergency() {
            tracing::warn!(%error, "An emergency is opened on a disk without room");
        }
        // By itself: a connection that is gone in the middle must not leave a code that is spent and has opened nothing.
        let opening = {
            let (broker, envelopes, source) =
                (Arc::clone(&broker), breaking.envelopes.clone(), self.source.to_canonical());
            tokio::spawn(async move {
                let by = Circumstances { reason: &reason, source, now: broker.now() };
                broker.emergencies.open(&broker.policy.current(), &envelopes, by).await
            })
        };
        let opened = opening.await.unwrap_or_else(|error| Err(NotOpened::Unrecorded(error.to_string())));
        match opened {
            Ok(opened) => match MultiFactor::by_envelope(opened, self.source, broker.now()) {
                Ok(proof) => {
                    if !breaking.envelopes.iter().any(Recognised::is_open) {
                        broker.live.tell_everybody(ALARM);
                    }
                    self.tell_open(breaking, proof)
                }
                Err(error) => {
                    counted!(error, "The name of whoever opens an envelope is none", %error);
                    self.hang_up()
                }
            },
            Err(refused) => self.not_opened(breaking, refused).await,
        }
    }

    /// Says for how long, before they are let in.
    fn tell_open(&mut self, mut breaking: Breaking, proof: MultiFactor) -> Step {
        let left = proof.emergency().map_or(SignedDuration::ZERO, |opening| opening.left());
        let until = self.broker().now().saturating_add(left).unwrap_or(self.broker().now());
        let instruction = format!(
            "OPEN: {} for {}, until {until:.0}. You are told 5 minutes and 1 minute before; another envelope gives more.",
            proof.emergency().map_or("", |opening| opening.rule()),
            minutes(left)
        );
        breaking.due = Due::Nothing(Box::new(proof));
        self.state = State::Breaking(Box::new(breaking));
        Step::Ask(Question { instruction, prompt: None, echo: false })
    }

    /// What opens nothing is on the record, counted where it comes in floods; a typed code that is right tells what became of it.
    async fn not_opened(&mut self, mut breaking: Breaking, refused: NotOpened) -> Step {
        let event = AuditEvent::GlassRefused {
            identity: GLASS.to_owned(),
            source: self.source.to_string(),
            envelope: refused.envelope(),
            reason: refused.to_string(),
        };
        let audit = &self.broker().audit;
        let recorded = match refused.envelope() {
            // Somebody has the right code of an envelope: that is heard of whatever else comes from there.
            Some(_) => audit.record_enduring(event).await,
            // What strangers type does not wait on disk: they could fill it, and then nothing could be opened any more.
            None => match self.entrance.glass_refused(self.source, event) {
                Some(event) => audit.record(event).await,
                None => Ok(()),
            },
        };
        if let Err(error) = recorded {
            // Nobody gets in by what is refused; and one whose refusal cannot be recorded may have the right code next.
            counted!(error, "A refused envelope could not be audited", %error);
        }
        breaking.guesses += 1;
        if breaking.guesses >= MOST_GUESSES {
            return self.farewell(&refused.sentence());
        }
        breaking.due = Due::Code;
        breaking.envelopes.clear();
        self.ask_breaking(breaking, refused.sentence())
    }

    fn envelopes_wanted(&self, breaking: &Breaking) -> usize {
        let policy = self.broker().policy.current();
        let rule = breaking.envelopes.first().and_then(|first| policy.emergency(first.rule()));
        rule.map_or(1, |rule| usize::try_from(rule.envelopes).unwrap_or(1))
    }

    fn ask_breaking(&mut self, breaking: Breaking, instruction: String) -> Step {
        let prompt = match breaking.due {
            Due::Code => "Code: ",
            Due::Reason | Due::Nothing(_) => "Reason: ",
        };
        self.state = State::Breaking(Box::new(breaking));
        // Shown as it is typed: 25 letters are hard to type unseen, and the code is used up by it.
        Step::Ask(Question { instruction, prompt: Some(prompt.to_owned()), echo: true })
    }

    fn told_again(&mut self, breaking: Breaking) -> Step {
        self.state = State::Breaking(Box::new(breaking));
        Step::Ask(Question { instruction: String::new(), prompt: None, echo: false })
    }

    /// Nobody proves a first factor under this name.
    pub(super) fn envelope_only(&self) -> Step {
        Step::Left(Left::Envelope)
    }
}

fn minutes(left: SignedDuration) -> String {
    match left.as_mins() {
        0 => format!("{} s", left.as_secs()),
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}
