//! What is tried: each thing that must fail, and beside it what must succeed, so that a door that is shut to everybody proves nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use russh::client::Msg;
use russh::{Channel, ChannelStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

use super::asset::{Assets, OTHER, READ, WRITE};
use super::laid_out::{CANARY, CAP, Keeping, WINDOWED, new_key, open_window};
use super::person::{CANARY_ANSWERS_WITHIN, Shown, Unanswered, Within};
use super::tried::{Must, Tried, Try};
use crate::broker::Broker;
use crate::store::envelopes::GLASS;
use crate::totp::TotpSettings;

/// Where the tries are made.
pub(super) struct Ground<'a> {
    pub(super) broker: &'a Broker,
    pub(super) door: SocketAddr,
    pub(super) keeping: &'a Keeping,
    pub(super) assets: &'a Assets,
}

impl Ground<'_> {
    /// Makes them all, one after the other.
    pub(super) async fn try_everything(&self) -> Vec<Tried> {
        let mut tried = Vec::new();
        let code = self.code(0);
        match self.person(Some(&self.keeping.key), &code).at(self.door).await {
            Ok(Some(within)) => {
                tried.push(WITH_BOTH_FACTORS.came_to(true, "it got through"));
                self.try_within(&within, &mut tried).await;
                within.leave().await;
            }
            Ok(None) => tried.push(WITH_BOTH_FACTORS.came_to(false, "it was refused")),
            Err(error) => tried.push(WITH_BOTH_FACTORS.answered(Err(error))),
        }
        self.try_envelope(&mut tried).await;
        self.try_door(&code, &mut tried).await;
        tried
    }

    /// What somebody tries who is in.
    async fn try_within(&self, within: &Within, tried: &mut Vec<Tried>) {
        let opened = |opened: Result<Option<Channel<Msg>>, Unanswered>| opened.map(|channel| channel.is_some());
        tried.push(UNKNOWN_ASSET.answered(opened(within.open("canary-9", 502).await)));
        let forbidden = opened(within.open("canary-2", self.assets.forbidden.port()).await);
        tried.push(UNGRANTED_ASSET.answered(forbidden.map(|through| through || self.assets.forbidden_was_reached())));
        match within.open("canary-1", self.assets.controller.port()).await {
            Ok(Some(channel)) => {
                let mut controller = Controller { stream: channel.into_stream(), number: 0 };
                self.try_registers(&mut controller, tried).await;
                self.try_window(&mut controller, tried).await;
            }
            Ok(None) => tried.push(A_READ.came_to(false, "its asset was refused")),
            Err(error) => tried.push(A_READ.answered(Err(error))),
        }
        self.try_recorder(within, tried).await;
    }

    async fn try_registers(&self, controller: &mut Controller, tried: &mut Vec<Tried>) {
        tried.push(A_READ.answered(controller.ask(READ, 0, 1).await));
        let (allowed, denied, beyond) = (100, 200, 100);
        tried.push(ALLOWED_REGISTER.answered(controller.ask(WRITE, allowed, 7).await));
        let through = controller.ask(WRITE, denied, 7).await;
        tried.push(DENIED_REGISTER.answered(through.map(|through| through || self.assets.was_asked(WRITE, denied))));
        tried.push(DENIED_VALUE.answered(controller.ask(WRITE, beyond, 11).await));
    }

    /// A window is opened, is seen to be open, and is seen to be over when its time is.
    async fn try_window(&self, controller: &mut Controller, tried: &mut Vec<Tried>) {
        let until = match open_window(self.broker, WINDOW).await {
            Ok(until) => until,
            Err(error) => return tried.push(OPEN_WINDOW.unknown(&error.to_string())),
        };
        let mut open = Ok(false);
        while Timestamp::now() < until {
            open = controller.ask(WRITE, WINDOWED, 1).await;
            if !matches!(open, Ok(false)) {
                break;
            }
            sleep(BETWEEN_TRIES).await;
        }
        tried.push(OPEN_WINDOW.answered(open));
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        sleep(left + AFTER_THE_WINDOW).await;
        tried.push(EXPIRED_WINDOW.answered(controller.ask(WRITE, WINDOWED, 2).await));
    }

    /// More is sent than a recording takes: what is not recorded must not arrive.
    async fn try_recorder(&self, within: &Within, tried: &mut Vec<Tried>) {
        let stream = match within.open("canary-1", self.assets.swallows.port()).await {
            Ok(Some(channel)) => channel.into_stream(),
            Ok(None) => return tried.push(SOME_BYTES.came_to(false, "its asset was refused")),
            Err(error) => return tried.push(SOME_BYTES.answered(Err(error))),
        };
        let (mut from, mut to) = tokio::io::split(stream);
        let sending = async {
            let mut sent = 0;
            // New each time, so that nothing of it can be made smaller.
            let mut noise = vec![0; 16 * 1024];
            while sent < 4 * CAP {
                rand::fill(&mut noise[..]);
                if to.write_all(&noise).await.is_err() {
                    break;
                }
                sent += u64::try_from(noise.len()).unwrap_or(u64::MAX);
            }
            std::future::pending::<()>().await;
        };
        // Its end is heard, whatever becomes of what is sent.
        let ending = async {
            let mut rest = Vec::new();
            drop(from.read_to_end(&mut rest).await);
        };
        let over = async {
            tokio::select! {
                () = sending => {}
                () = ending => {}
            }
        };
        let ended = timeout(RECORDER_GIVES_UP_WITHIN, over).await.is_ok();
        let arrived = self.assets.swallowed();
        tried.push(SOME_BYTES.came_to(arrived > 0, &format!("{arrived} bytes arrived")));
        let saw = format!(
            "{arrived} bytes arrived of a recording of {CAP}, and the session {}",
            if ended { "ended" } else { "went on" }
        );
        tried.push(FULL_RECORDER.came_to(arrived > CAP || !ended, &saw));
    }

    /// One envelope opens once: whoever has its code afterwards, elsewhere, has nothing.
    async fn try_envelope(&self, tried: &mut Vec<Tried>) {
        let opening = |from| {
            let answers = vec![self.keeping.envelope.expose().clone(), "the canary sings".to_owned()];
            Shown { name: GLASS, key: None, answers, from }
        };
        match opening(Ipv4Addr::LOCALHOST).at(self.door).await {
            Ok(Some(within)) => {
                tried.push(SEALED_ENVELOPE.came_to(true, "it got through"));
                within.leave().await;
            }
            other => return tried.push(SEALED_ENVELOPE.answered(other.map(|within| within.is_some()))),
        }
        tried.push(USED_ENVELOPE.answered(let_in(opening(OTHER), self.door).await));
    }

    /// What a stranger tries, and somebody who has a part of what it takes.
    async fn try_door(&self, used: &str, tried: &mut Vec<Tried>) {
        let (key, stranger) = (Some(&self.keeping.key), new_key());
        let nobody = Shown { name: "nobody", ..self.person(Some(&stranger), "000000") };
        for (what, shown) in [
            (NO_FACTOR, self.person(None, "")),
            (UNKNOWN_PERSON, nobody),
            (WRONG_KEY, self.person(Some(&stranger), &self.code(1))),
            (FIRST_FACTOR_ALONE, self.person(key, "")),
            (USED_CODE, self.person(key, used)),
            (WRONG_CODE, self.person(key, &self.wrong_code())),
        ] {
            tried.push(what.answered(let_in(shown, self.door).await));
        }
    }

    fn person<'a>(&self, key: Option<&'a russh::keys::PrivateKey>, answer: &str) -> Shown<'a> {
        Shown { name: CANARY, key, answers: vec![answer.to_owned()], from: Ipv4Addr::LOCALHOST }
    }

    /// The code of the authenticator, so many steps from now.
    fn code(&self, later: i64) -> String {
        let settings = TotpSettings::default();
        settings.code(&self.keeping.seed, settings.step(Timestamp::now()) + later).expose().clone()
    }

    /// One that is no code of these minutes.
    fn wrong_code(&self) -> String {
        let near: Vec<String> = (-3..=3).map(|step| self.code(step)).collect();
        (0..).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap_or_default()
    }
}

async fn let_in(shown: Shown<'_>, door: SocketAddr) -> Result<bool, Unanswered> {
    let within = shown.at(door).await?;
    let through = within.is_some();
    if let Some(within) = within {
        within.leave().await;
    }
    Ok(through)
}

/// The controller, through the canary.
struct Controller {
    stream: ChannelStream<Msg>,
    number: u16,
}

impl Controller {
    /// Asks for something: whether it was done. An exception is a refusal; the end of the connection is none.
    async fn ask(&mut self, function: u8, address: u16, value: u16) -> Result<bool, Unanswered> {
        self.number += 1;
        let ([a, b], [c, d], [e, f]) = (self.number.to_be_bytes(), address.to_be_bytes(), value.to_be_bytes());
        let asking = async {
            self.stream.write_all(&[a, b, 0, 0, 0, 6, 1, function, c, d, e, f]).await?;
            let mut head = [0; 8];
            self.stream.read_exact(&mut head).await?;
            let rest = usize::from(u16::from_be_bytes([head[4], head[5]])).saturating_sub(2);
            self.stream.read_exact(&mut vec![0; rest.min(MOST_ANSWERED)]).await?;
            Ok::<u8, std::io::Error>(head[7])
        };
        let deadline = Instant::now() + CANARY_ANSWERS_WITHIN;
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(Ok(answered)) => Ok(answered == function),
            Ok(Err(_)) => Err(Unanswered::Ended),
            Err(_) => Err(Unanswered::TooLate),
        }
    }
}

const fn must_fail(what: &'static str, serves: &'static str) -> Try {
    Try { what, must: Must::Fail, serves }
}

const fn must_succeed(what: &'static str, serves: &'static str) -> Try {
    Try { what, must: Must::Succeed, serves }
}

const WITH_BOTH_FACTORS: Try = must_succeed("a login with a key and a code", "1.1 RE 2");
const NO_FACTOR: Try = must_fail("a login without a factor", "1.1");
const UNKNOWN_PERSON: Try = must_fail("a login of nobody", "1.1");
const WRONG_KEY: Try = must_fail("a login with somebody else's key", "1.1, 1.9");
const FIRST_FACTOR_ALONE: Try = must_fail("a login with a key alone", "1.1 RE 2");
const USED_CODE: Try = must_fail("a login with a code that was used", "1.1 RE 2, 1.5");
const WRONG_CODE: Try = must_fail("a login with a wrong code", "1.1 RE 2, 1.11");
const UNKNOWN_ASSET: Try = must_fail("a session to an asset that is not there", "2.1");
const UNGRANTED_ASSET: Try = must_fail("a session to an asset without a grant", "2.1, 5.2");
const A_READ: Try = must_succeed("a read of a register", "2.1");
const ALLOWED_REGISTER: Try = must_succeed("a write of a register that the filter allows", "2.1");
const DENIED_REGISTER: Try = must_fail("a write of a register that it does not", "2.1, 3.5");
const DENIED_VALUE: Try = must_fail("a write of a value beyond its limit", "2.1, 3.5");
const OPEN_WINDOW: Try = must_succeed("a write in an open window", "2.1");
const EXPIRED_WINDOW: Try = must_fail("a write in a window that is over", "2.1");
const SOME_BYTES: Try = must_succeed("a stream that is recorded", "2.8");
const FULL_RECORDER: Try = must_fail("a stream beyond what its recording holds", "2.10");
const SEALED_ENVELOPE: Try = must_succeed("an emergency by a sealed envelope", "2.1 RE 3");
const USED_ENVELOPE: Try = must_fail("an emergency by an envelope that was used", "1.5, 2.1 RE 3");

/// How long the window is open: longer than a change takes to be in force.
const WINDOW: SignedDuration = SignedDuration::from_secs(3);
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
/// A window is over at its end, and not a moment later.
const AFTER_THE_WINDOW: Duration = Duration::from_millis(20);
/// With the grace of `view-only`.
const RECORDER_GIVES_UP_WITHIN: Duration = Duration::from_secs(30);
const MOST_ANSWERED: usize = 260;
