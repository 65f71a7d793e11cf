//! From the versions to the screen's size: one side at a time has something to say.

use super::Desk;
use super::encoding::Encodings;
use super::feed::Feed;
use super::follow::Follow;
use super::operation::{Message, Operation, Security, Version};
use super::pixel_format::PixelFormat;
use super::rectangle::Body;
use super::rules::{NO_SECURITY, VIEW};
use super::sink::Reason;
use crate::{Ended, Phase, Side, Verdict};

/// What is expected next.
#[derive(Debug)]
pub(super) enum Handshake {
    ServerVersion,
    ClientVersion {
        offered: Version,
    },
    /// 3.3: the type that the server decided. Later: how many it offers.
    Security {
        version: Version,
    },
    SecurityTypes {
        version: Version,
        count: u8,
    },
    SecurityChoice {
        version: Version,
        kept: Vec<u8>,
    },
    Challenge {
        version: Version,
    },
    Response {
        version: Version,
    },
    SecurityResult {
        version: Version,
    },
    ReasonLength {
        refusal: Refusal,
    },
    Reason {
        refusal: Refusal,
        length: usize,
    },
    ClientInit,
    ServerInit,
    Name {
        width: u16,
        height: u16,
        format: PixelFormat,
        length: usize,
    },
}

/// What a reason follows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// 3.3: security type 0.
    Type,
    /// 3.7 and 3.8: no security types.
    NoTypes,
    /// 3.8: a security result other than 0.
    Result(u32),
}

/// What a step led to.
pub(super) enum Step {
    /// Bytes are missing.
    Wait,
    Next(Handshake),
    /// The screen is open.
    Open(Follow),
    /// Nothing more may pass.
    End(Ended),
}

impl Desk<'_> {
    fn note(&mut self, side: Side, phase: Phase, message: Message<'_>, verdict: Verdict<'_>) {
        self.journal.note(&Operation::session(side, phase, message, verdict));
    }
}

impl Handshake {
    /// The most that a reason may hold.
    pub(super) const MOST_REASON: usize = 4096;

    /// Whose turn it is.
    pub(super) fn turn(&self) -> Side {
        match self {
            Handshake::ClientVersion { .. }
            | Handshake::SecurityChoice { .. }
            | Handshake::Response { .. }
            | Handshake::ClientInit => Side::Client,
            Handshake::ServerVersion
            | Handshake::Security { .. }
            | Handshake::SecurityTypes { .. }
            | Handshake::Challenge { .. }
            | Handshake::SecurityResult { .. }
            | Handshake::ReasonLength { .. }
            | Handshake::Reason { .. }
            | Handshake::ServerInit
            | Handshake::Name { .. } => Side::Server,
        }
    }

    /// Some of a message was read, and the rest was not.
    pub(super) fn is_within_message(&self) -> bool {
        match self {
            Handshake::SecurityTypes { .. }
            | Handshake::ReasonLength { .. }
            | Handshake::Reason { .. }
            | Handshake::Name { .. } => true,
            Handshake::ServerVersion
            | Handshake::ClientVersion { .. }
            | Handshake::Security { .. }
            | Handshake::SecurityChoice { .. }
            | Handshake::Challenge { .. }
            | Handshake::Response { .. }
            | Handshake::SecurityResult { .. }
            | Handshake::ClientInit
            | Handshake::ServerInit => false,
        }
    }

    /// One step of the side whose turn it is.
    pub(super) fn step(&self, feed: &mut Feed<'_, '_>, desk: &mut Desk<'_>) -> Result<Step, Reason> {
        match self {
            Handshake::ServerVersion => server_version(feed, desk),
            Handshake::ClientVersion { offered } => client_version(*offered, feed, desk),
            Handshake::Security { version: Version::V3_3 } => security_type(feed, desk),
            Handshake::Security { version } => {
                feed.begin_message();
                let Some([count]) = feed.field() else { return Ok(Step::Wait) };
                Ok(Step::Next(match count {
                    0 => Handshake::ReasonLength { refusal: Refusal::NoTypes },
                    count => Handshake::SecurityTypes { version: *version, count },
                }))
            }
            Handshake::SecurityTypes { version, count } => security_types(*version, *count, feed, desk),
            Handshake::SecurityChoice { version, kept } => security_choice(*version, kept, feed, desk),
            Handshake::Challenge { version } => {
                feed.begin_message();
                let Some(challenge) = feed.field::<16>() else { return Ok(Step::Wait) };
                desk.out.to_client.extend_from_slice(&challenge);
                Ok(Step::Next(Handshake::Response { version: *version }))
            }
            Handshake::Response { version } => {
                feed.begin_message();
                let Some(response) = feed.field::<16>() else { return Ok(Step::Wait) };
                desk.out.to_server.extend_from_slice(&response);
                Ok(Step::Next(Handshake::SecurityResult { version: *version }))
            }
            Handshake::SecurityResult { version } => security_result(*version, feed, desk),
            Handshake::ReasonLength { refusal } => {
                let Some(length) = feed.field().map(u32::from_be_bytes) else { return Ok(Step::Wait) };
                match usize::try_from(length) {
                    Ok(length) if length <= Self::MOST_REASON => {
                        Ok(Step::Next(Handshake::Reason { refusal: *refusal, length }))
                    }
                    _ => Err("a reason that is longer than 4096 bytes"),
                }
            }
            Handshake::Reason { refusal, length } => {
                let mut reason = vec![0; *length];
                if !feed.fill(&mut reason) {
                    return Ok(Step::Wait);
                }
                desk.note(Side::Server, Phase::Response, Message::Refused { reason: &reason }, VIEW);
                refusal.encode(&reason, &mut desk.out.to_client);
                Ok(Step::End(Ended::Refused))
            }
            Handshake::ClientInit => client_init(feed, desk),
            Handshake::ServerInit => server_init(feed),
            Handshake::Name { width, height, format, length } => {
                let mut name = vec![0; *length];
                if !feed.fill(&mut name) {
                    return Ok(Step::Wait);
                }
                let follow = Follow::new(*width, *height, *format, Encodings::RAW)?;
                let message = Message::ServerInit { width: *width, height: *height, format: *format, name: &name };
                desk.note(Side::Server, Phase::Response, message, VIEW);
                let out = &mut desk.out.to_client;
                out.extend_from_slice(&width.to_be_bytes());
                out.extend_from_slice(&height.to_be_bytes());
                out.extend_from_slice(&format.encode());
                put_text(&name, out);
                Ok(Step::Open(follow))
            }
        }
    }
}

fn server_version(feed: &mut Feed<'_, '_>, desk: &mut Desk<'_>) -> Result<Step, Reason> {
    feed.begin_message();
    let Some(line) = feed.field() else { return Ok(Step::Wait) };
    let named = version(line).ok_or("no RFB version: something else answers on this port")?;
    let offered = Version::of(named).ok_or("an RFB version before 3.3")?;
    desk.note(Side::Server, Phase::Notice, Message::Version { named, used: offered }, VIEW);
    desk.out.to_client.extend_from_slice(offered.line());
    Ok(Step::Next(Handshake::ClientVersion { offered }))
}

fn client_version(offered: Version, feed: &mut Feed<'_, '_>, desk: &mut Desk<'_>) -> Result<Step, Reason> {
    feed.begin_message();
    let Some(line) = feed.field() else { return Ok(Step::Wait) };
    let named = version(line).ok_or("no RFB version: the tool speaks something else")?;
    // A tool that names a version above the one it was offered means its own.
    let used = Version::of(named).ok_or("an RFB version before 3.3")?.min(offered);
    desk.note(Side::Client, Phase::Notice, Message::Version { named, used }, VIEW);
    desk.out.to_server.extend_from_slice(used.line());
    Ok(Step::Next(Handshake::Security { version: used }))
}

/// 3.3: the server decides.
fn security_type(feed: &mut Feed<'_, '_>, desk: &mut Desk<'_>) -> Result<Step, Reason> {
    feed.begin_message();
    let Some(number) = feed.field().map(u32::from_be_bytes) else { return Ok(Step::Wait) };
    if number == 0 {
        return Ok(Step::Next(Handshake::ReasonLength { refusal: Refusal::Type }));
    }
    let Some(security) = Security::from_number(number) else {
        let offered = [u8::try_from(number).unwrap_or(u8::MAX)];
        return Ok(deny(Refusal::Type, &offered, desk));
    };
    let kept = [security.number()];
    desk.note(Side::Server, Phase::Notice, Message::SecurityTypes { offered: &kept, kept: &kept }, VIEW);
    desk.out.to_client.extend_from_slice(&number.to_be_bytes());
    Ok(Step::Next(match security {
        Security::None => Handshake::ClientInit,
        Security::VncAuthentication => Handshake::Challenge { version: Version::V3_3 },
    }))
}

fn security_types(version: Version, count: u8, feed: &mut Feed<'_, '_>, desk: &mut Desk<'_>) -> Result<Step, Reason> {
    let mut offered = [0; u8::MAX as usize];
    let offered = &mut offered[..usize::from(count)];
    if !feed.fill(offered) {
        return Ok(Step::Wait);
    }
    let kept: Vec<u8> =
        offered.iter().copied().filter(|number| Security::from_number(u32::from(*number)).is_some()).collect();
    let Ok(count @ 1..) = u8::try_from(kept.len()) else {
        return Ok(deny(Refusal::NoTypes, offered, desk));
    };
    desk.note(Side::Server, Phase::Notice, Message::SecurityTypes { offered, kept: &kept }, VIEW);
    desk.out.to_client.push(count);
    desk.out.to_client.extend_from_slice(&kept);
    Ok(Step::Next(Handshake::SecurityChoice { version, kept }))
}

/// Nothing that the server offers can be followed: the tool hears it as if from the server.
fn deny(refusal: Refusal, offered: &[u8], desk: &mut Desk<'_>) -> Step {
    desk.note(Side::Server, Phase::Notice, Message::SecurityTypes { offered, kept: &[] }, NO_SECURITY);
    refusal.encode(b"Sallyport cannot follow any security type that this VNC server offers", &mut desk.out.to_client);
    Step::End(Ended::Denied)
}

fn security_choice(
    version: Version,
    kept: &[u8],
    feed: &mut Feed<'_, '_>,
    desk: &mut Desk<'_>,
) -> Result<Step, Reason> {
    feed.begin_message();
    let Some([number]) = feed.field() else { return Ok(Step::Wait) };
    let security = Security::from_number(u32::from(number))
        .filter(|_| kept.contains(&number))
        .ok_or("a security type that was not offered")?;
    desk.note(Side::Client, Phase::Request, Message::SecurityChoice(security), VIEW);
    desk.out.to_server.push(security.number());
    Ok(Step::Next(match (security, version) {
        (Security::VncAuthentication, _) => Handshake::Challenge { version },
        (Security::None, Version::V3_8) => Handshake::SecurityResult { version },
        (Security::None, Version::V3_3 | Version::V3_7) => Handshake::ClientInit,
    }))
}

fn security_result(version: Version, feed: &mut Feed<'_, '_>, desk: &mut Desk<'_>) -> Result<Step, Reason> {
    feed.begin_message();
    let Some(result) = feed.field().map(u32::from_be_bytes) else { return Ok(Step::Wait) };
    match (result, version) {
        (0, _) => {
            desk.note(Side::Server, Phase::Response, Message::LetIn, VIEW);
            desk.out.to_client.extend_from_slice(&result.to_be_bytes());
            Ok(Step::Next(Handshake::ClientInit))
        }
        // 2 says "too many attempts".
        (1 | 2, Version::V3_8) => Ok(Step::Next(Handshake::ReasonLength { refusal: Refusal::Result(result) })),
        (1 | 2, Version::V3_3 | Version::V3_7) => {
            desk.note(Side::Server, Phase::Response, Message::Refused { reason: b"" }, VIEW);
            desk.out.to_client.extend_from_slice(&result.to_be_bytes());
            Ok(Step::End(Ended::Refused))
        }
        _ => Err("an unknown security result"),
    }
}

fn client_init(feed: &mut Feed<'_, '_>, desk: &mut Desk<'_>) -> Result<Step, Reason> {
    feed.begin_message();
    let Some([flag]) = feed.field() else { return Ok(Step::Wait) };
    // Only zero or not means something; other bits switch on extensions of some servers.
    let shared = flag != 0;
    // Not to share ends the connections of others, the control room's perhaps: that is more than to look.
    let verdict = if shared { VIEW } else { desk.rules.on_input() };
    let used = shared || !verdict.passes();
    desk.note(Side::Client, Phase::Request, Message::ClientInit { shared, used }, verdict);
    desk.out.to_server.push(u8::from(used));
    Ok(Step::Next(Handshake::ServerInit))
}

fn server_init(feed: &mut Feed<'_, '_>) -> Result<Step, Reason> {
    feed.begin_message();
    let Some(head) = feed.field() else { return Ok(Step::Wait) };
    let Init { width, height, format, name } = Init::decode(&head)?;
    Ok(Step::Next(Handshake::Name { width, height, format, length: name }))
}

/// What a ServerInit says before the desktop's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Init {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) format: PixelFormat,
    /// How long the name is.
    pub(super) name: usize,
}

impl Init {
    pub(super) const LENGTH: usize = 24;

    pub(super) fn decode(head: &[u8; Self::LENGTH]) -> Result<Self, Reason> {
        let [w1, w0, h1, h0, rest @ ..] = head;
        let (format, name) = rest.split_at(PixelFormat::LENGTH);
        let format = match format.first_chunk() {
            Some(format) => PixelFormat::decode(format)?,
            None => return Err("no pixel format"),
        };
        let name = name.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if name > Body::MOST_NAME {
            return Err("a desktop's name that is longer than 4096 bytes");
        }
        Ok(Self { width: u16::from_be_bytes([*w1, *w0]), height: u16::from_be_bytes([*h1, *h0]), format, name })
    }
}

impl Refusal {
    fn encode(self, reason: &[u8], out: &mut Vec<u8>) {
        match self {
            Refusal::Type => out.extend_from_slice(&0_u32.to_be_bytes()),
            Refusal::NoTypes => out.push(0),
            Refusal::Result(result) => out.extend_from_slice(&result.to_be_bytes()),
        }
        put_text(reason, out);
    }
}

/// A text behind its length. Every text that is passed on is far shorter than 4 GiB.
pub(super) fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(text);
}

/// `RFB 003.008` and a line feed: major and minor.
pub(super) fn version(line: [u8; 12]) -> Option<(u16, u16)> {
    let [b'R', b'F', b'B', b' ', a, b, c, b'.', d, e, f, b'\n'] = line else { return None };
    Some((decimal([a, b, c])?, decimal([d, e, f])?))
}

fn decimal(digits: [u8; 3]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0')))
}
