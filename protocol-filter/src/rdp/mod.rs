//! RDP, as far as it is in the clear: the negotiation of a security protocol (MS-RDPBCGR 1.3.1.1).
//!
//! [`Filter`] reads the connection request and its confirmation, encodes them anew, and can demand TLS or network level
//! authentication. **What follows is passed on unread in both directions**: what is inside the TLS connection (channels,
//! drives, clipboard, CVE-2019-0708) nobody sees here.
//!
//! The protocols that a tool asks for are not reduced to those that the rules allow: the server repeats them inside the
//! encrypted connection, and a tool that finds others than it asked for takes that for an attack. The rules hold all the
//! same, since the server's choice is checked: a weaker one never reaches the tool.

mod negotiation;
mod shown;

pub use negotiation::{Confirm, Cookie, Negotiation, Protocols, Request};

use negotiation::{Confirmed, tpkt_length};

pub use crate::{Ended, Mode};

use crate::{Cause, Journal, Kind, Malformed, Now, Outbound, Phase, ProtocolFilter, Side, Verdict};

/// What a connection must be secured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The least.
    pub require: Require,
    /// Whether what falls short is refused or only noted.
    pub mode: Mode,
}

/// The least that is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Require {
    /// Whatever the two ends agree on.
    #[default]
    Any,
    /// TLS, with whatever inside.
    Tls,
    /// Network level authentication: CredSSP, over TLS.
    Nla,
}

/// One message with its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Who sent it.
    pub side: Side,
    /// Always [`Kind::Session`].
    pub kind: Kind,
    /// Its place in the exchange.
    pub phase: Phase,
    /// What it says.
    pub message: Message<'a>,
    /// What is done with it.
    pub verdict: Verdict<'a>,
}

/// A decoded message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// The tool asks for a connection.
    Request(Request<'a>),
    /// The asset answers. After anything but a failure the rest is opaque.
    Confirm(Confirm),
}

/// The filter of one RDP connection.
///
/// A side that speaks before its turn is not heard: its bytes are not taken until then.
#[derive(Debug)]
pub struct Filter {
    rules: Rules,
    stage: Stage,
    /// The beginning of the message that is being read: at most 259 bytes.
    partial: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    Request,
    Confirm { asked: Option<Protocols> },
    Opaque,
    Ended(Ended),
    Malformed(Malformed),
}

impl Filter {
    /// A filter for a connection that has just begun.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, stage: Stage::Request, partial: Vec::new() }
    }

    /// Takes bytes into the message that is being read, until it is whole.
    fn gather(&mut self, bytes: &mut &[u8]) -> Result<bool, &'static str> {
        loop {
            let wanted = match self.partial.first_chunk() {
                Some(head) => tpkt_length(*head)?,
                None => 4,
            };
            if self.partial.len() == wanted && wanted > 4 {
                return Ok(true);
            }
            let (now, rest) = bytes.split_at((wanted - self.partial.len()).min(bytes.len()));
            if now.is_empty() {
                return Ok(false);
            }
            self.partial.extend_from_slice(now);
            *bytes = rest;
        }
    }

    fn request(&mut self, out: &mut Outbound, journal: &mut dyn Journal<Self>) -> Result<Stage, &'static str> {
        let request = Request::decode(&self.partial)?;
        let verdict = self.rules.verdict(self.rules.require.is_offered_by(request.protocols()));
        note(Side::Client, Phase::Request, Message::Request(request), verdict, journal);
        if !verdict.passes() {
            return Ok(self.deny(out));
        }
        request.encode(&mut out.to_server);
        Ok(Stage::Confirm { asked: request.negotiation.map(|negotiation| negotiation.protocols) })
    }

    fn confirm(
        &mut self,
        asked: Option<Protocols>,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<Stage, &'static str> {
        let confirmed = Confirmed::decode(&self.partial)?;
        let selected = match (confirmed.confirm, asked) {
            (Confirm::Plain, _) => Protocols(Protocols::RDP),
            (Confirm::Selected(_) | Confirm::Failure { .. }, None) => {
                return Err("an answer to a negotiation that was not asked for");
            }
            (Confirm::Selected(Negotiation { protocols, .. }), Some(asked)) => {
                if protocols.0 & !asked.0 != 0 || !(protocols.0 == Protocols::RDP || protocols.0.is_power_of_two()) {
                    return Err("a security protocol that was not asked for");
                }
                protocols
            }
            (Confirm::Failure { .. }, Some(_)) => {
                note(Side::Server, Phase::Response, Message::Confirm(confirmed.confirm), PASS, journal);
                confirmed.encode(&mut out.to_client);
                return Ok(Stage::Ended(Ended::Refused));
            }
        };
        let verdict = self.rules.verdict(self.rules.require.is_met_by(selected));
        note(Side::Server, Phase::Response, Message::Confirm(confirmed.confirm), verdict, journal);
        if !verdict.passes() {
            return Ok(self.deny(out));
        }
        confirmed.encode(&mut out.to_client);
        Ok(Stage::Opaque)
    }

    fn deny(&self, out: &mut Outbound) -> Stage {
        Confirmed::failure(self.rules.require.failure_code()).encode(&mut out.to_client);
        Stage::Ended(Ended::Denied)
    }

    fn take(
        &mut self,
        from: Side,
        bytes: &[u8],
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, &'static str> {
        let mut rest = bytes;
        loop {
            let next = match (&self.stage, from) {
                (Stage::Opaque, from) => {
                    let other = match from {
                        Side::Client => Side::Server,
                        Side::Server => Side::Client,
                    };
                    out.to(other).extend_from_slice(rest);
                    return Ok(bytes.len());
                }
                // Nothing passes any more, and nobody waits for it.
                (Stage::Ended(_) | Stage::Malformed(_), _) => return Ok(bytes.len()),
                (Stage::Request, Side::Server) | (Stage::Confirm { .. }, Side::Client) => {
                    return Ok(bytes.len() - rest.len());
                }
                (Stage::Request, Side::Client) => {
                    if !self.gather(&mut rest)? {
                        return Ok(bytes.len());
                    }
                    self.request(out, journal)?
                }
                (Stage::Confirm { asked }, Side::Server) => {
                    let asked = *asked;
                    if !self.gather(&mut rest)? {
                        return Ok(bytes.len());
                    }
                    self.confirm(asked, out, journal)?
                }
            };
            self.stage = next;
            self.partial.clear();
        }
    }
}

impl ProtocolFilter for Filter {
    type Rules = Rules;
    type Operation<'a> = Operation<'a>;

    fn receive(
        &mut self,
        from: Side,
        bytes: &[u8],
        _: Now,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, Malformed> {
        if let Stage::Malformed(malformed) = &self.stage {
            return Err(malformed.clone());
        }
        self.take(from, bytes, out, journal).map_err(|reason| {
            let malformed = Malformed::new(from, reason, &self.partial);
            self.stage = Stage::Malformed(malformed.clone());
            malformed
        })
    }

    fn finish(&mut self, side: Side) -> Result<(), Malformed> {
        let turn = match self.stage {
            Stage::Request => Side::Client,
            Stage::Confirm { .. } => Side::Server,
            Stage::Opaque | Stage::Ended(_) | Stage::Malformed(_) => return Ok(()),
        };
        if turn == side && !self.partial.is_empty() {
            return Err(Malformed::new(side, "the stream ends in the middle of a message", &self.partial));
        }
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn tick(&mut self, _: Now, _: &mut Outbound, _: &mut dyn Journal<Self>) {}

    fn ended(&self) -> Option<Ended> {
        match self.stage {
            Stage::Ended(ended) => Some(ended),
            Stage::Request | Stage::Confirm { .. } | Stage::Opaque | Stage::Malformed(_) => None,
        }
    }

    /// A connection that is negotiated already stays as it is.
    fn replace_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }
}

impl Rules {
    fn verdict(self, good_enough: bool) -> Verdict<'static> {
        let (rule, cause) = (self.require.word(), Cause::Function);
        match (good_enough, self.mode) {
            (true, _) => Verdict::Pass { rule },
            (false, Mode::Observe) => Verdict::WouldDeny { rule, cause },
            (false, Mode::Enforce) => Verdict::Deny { rule, cause },
        }
    }
}

impl Require {
    const fn word(self) -> &'static str {
        match self {
            Require::Any => "require-any",
            Require::Tls => "require-tls",
            Require::Nla => "require-nla",
        }
    }

    const fn is_offered_by(self, asked: Protocols) -> bool {
        match self {
            Require::Any => true,
            Require::Tls => asked.any_of(Protocols::WITHIN_TLS),
            Require::Nla => asked.any_of(Protocols::NLA),
        }
    }

    /// `selected` is one protocol.
    const fn is_met_by(self, selected: Protocols) -> bool {
        self.is_offered_by(selected)
    }

    /// SSL_REQUIRED_BY_SERVER, HYBRID_REQUIRED_BY_SERVER.
    const fn failure_code(self) -> u32 {
        match self {
            Require::Any | Require::Tls => 1,
            Require::Nla => 5,
        }
    }
}

const PASS: Verdict<'static> = Verdict::Pass { rule: "negotiation" };

fn note(side: Side, phase: Phase, message: Message<'_>, verdict: Verdict<'_>, journal: &mut dyn Journal<Filter>) {
    journal.note(&Operation { side, kind: Kind::Session, phase, message, verdict });
}
