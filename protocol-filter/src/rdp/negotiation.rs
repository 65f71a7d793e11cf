//! The two messages in the clear: the connection request and its confirmation (MS-RDPBCGR 2.2.1.1 and 2.2.1.2), one TPKT each.

/// What the tool asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Whom the connection is for, or where a balancer shall send it.
    pub cookie: Option<Cookie<'a>>,
    /// The security protocols; a tool from before they could be negotiated names none.
    pub negotiation: Option<Negotiation>,
    /// Names the connection in the logs of both ends.
    pub correlation: Option<[u8; 16]>,
    source: [u8; 2],
}

/// The line before the negotiation. The tool's bytes: printable, but whatever it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie<'a> {
    /// `mstshash`: the name that the person typed, possibly cut short.
    User(&'a [u8]),
    /// Another line: a token of a balancer.
    Token(&'a [u8]),
}

/// Flags and security protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiation {
    /// Flags, as MS-RDPBCGR numbers them.
    pub flags: u8,
    /// Protocols, one bit each.
    pub protocols: Protocols,
}

/// Security protocols, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols(pub u32);

/// What the asset answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// An asset from before protocols could be negotiated, or to such a tool.
    Plain,
    /// It chose one.
    Selected(Negotiation),
    /// It offers none that was asked for.
    Failure {
        /// Why, as MS-RDPBCGR numbers it.
        code: u32,
    },
}

/// A confirmation, and what it says of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confirmed {
    pub(super) confirm: Confirm,
    references: [u8; 4],
}

impl Protocols {
    /// RDP's own encryption, which is none to speak of.
    pub const RDP: u32 = 0;
    /// TLS.
    pub const TLS: u32 = 1;
    /// CredSSP over TLS: network level authentication.
    pub const CREDSSP: u32 = 2;
    /// RDSTLS, for redirected connections.
    pub const RDSTLS: u32 = 4;
    /// CredSSP with early authorization.
    pub const CREDSSP_EX: u32 = 8;
    /// Entra ID over TLS.
    pub const AAD: u32 = 16;

    /// Network level authentication, in both forms.
    pub const NLA: u32 = Self::CREDSSP | Self::CREDSSP_EX;
    /// All that run inside TLS.
    pub const WITHIN_TLS: u32 = Self::TLS | Self::RDSTLS | Self::AAD | Self::NLA;

    /// Is one of `others` among them?
    #[must_use]
    pub const fn any_of(self, others: u32) -> bool {
        self.0 & others != 0
    }
}

const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;
const CORRELATION_PRESENT: u8 = 8;
const NEGOTIATION_REQUEST: u8 = 1;
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;
const CORRELATION: u8 = 6;

/// How long a TPKT is, by its first four bytes. The X.224 header's own length is one byte, so that no more than 259 can be.
pub(super) fn tpkt_length(head: [u8; 4]) -> Result<usize, &'static str> {
    let [3, 0, l1, l0] = head else { return Err("no TPKT: something else than RDP") };
    match usize::from(u16::from_be_bytes([l1, l0])) {
        length @ 11..=MOST => Ok(length),
        _ => Err("a TPKT that is shorter or longer than a connection request or confirmation can be"),
    }
}

/// The longest message in the clear.
const MOST: usize = 4 + 1 + 254;

impl<'a> Request<'a> {
    /// Reads a whole TPKT.
    pub(super) fn decode(tpkt: &'a [u8]) -> Result<Self, &'static str> {
        let (references, mut data) = header(tpkt, CONNECTION_REQUEST).ok_or("no X.224 connection request")?;
        let [0, 0, s1, s0] = references else { return Err("a connection request that answers another") };
        let cookie = match data {
            [] | [NEGOTIATION_REQUEST, ..] => None,
            _ => Some(Cookie::decode(&mut data)?),
        };
        let negotiation = match data {
            [] => None,
            _ => Some(Negotiation::decode(NEGOTIATION_REQUEST, &mut data)?),
        };
        let announced = negotiation.is_some_and(|negotiation| negotiation.flags & CORRELATION_PRESENT != 0);
        let correlation = match (announced, data) {
            (false, []) => None,
            (true, [CORRELATION, 0, 36, 0, rest @ ..]) if rest.len() == 32 => rest.first_chunk().copied(),
            _ => return Err("bytes in the connection request that mean nothing"),
        };
        Ok(Self { cookie, negotiation, source: [s1, s0], correlation })
    }

    /// As it is written.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut data = Vec::with_capacity(MOST);
        if let Some(cookie) = self.cookie {
            cookie.encode(&mut data);
        }
        if let Some(negotiation) = self.negotiation {
            negotiation.encode(NEGOTIATION_REQUEST, &mut data);
        }
        if let Some(correlation) = self.correlation {
            data.extend_from_slice(&[CORRELATION, 0, 36, 0]);
            data.extend_from_slice(&correlation);
            data.extend_from_slice(&[0; 16]);
        }
        let [s1, s0] = self.source;
        put(CONNECTION_REQUEST, [0, 0, s1, s0], &data, out);
    }

    /// What the tool would settle for.
    #[must_use]
    pub fn protocols(&self) -> Protocols {
        self.negotiation.map_or(Protocols(Protocols::RDP), |negotiation| negotiation.protocols)
    }
}

impl<'a> Cookie<'a> {
    const USER: &'static [u8] = b"Cookie: mstshash=";

    fn decode(data: &mut &'a [u8]) -> Result<Self, &'static str> {
        let end = data.windows(2).position(|two| two == b"\r\n").ok_or("a cookie without an end")?;
        let (line, rest) = data.split_at(end);
        *data = &rest[2..];
        if !line.iter().all(|byte| matches!(byte, b' '..=b'~' | 0x80..)) {
            return Err("a cookie with control characters");
        }
        Ok(line.strip_prefix(Self::USER).map_or(Cookie::Token(line), Cookie::User))
    }

    fn encode(self, out: &mut Vec<u8>) {
        match self {
            Cookie::User(user) => {
                out.extend_from_slice(Self::USER);
                out.extend_from_slice(user);
            }
            Cookie::Token(token) => out.extend_from_slice(token),
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl Negotiation {
    fn decode(kind: u8, data: &mut &[u8]) -> Result<Self, &'static str> {
        let Some(([first, flags, 8, 0, p0, p1, p2, p3], rest)) = data.split_first_chunk() else {
            return Err(NO_NEGOTIATION);
        };
        if *first != kind {
            return Err(NO_NEGOTIATION);
        }
        *data = rest;
        Ok(Self { flags: *flags, protocols: Protocols(u32::from_le_bytes([*p0, *p1, *p2, *p3])) })
    }

    fn encode(self, kind: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&[kind, self.flags, 8, 0]);
        out.extend_from_slice(&self.protocols.0.to_le_bytes());
    }
}

const NO_NEGOTIATION: &str = "no RDP negotiation where there must be one";

impl Confirmed {
    /// Reads a whole TPKT.
    pub(super) fn decode(tpkt: &[u8]) -> Result<Self, &'static str> {
        let (references, mut data) = header(tpkt, CONNECTION_CONFIRM).ok_or("no X.224 connection confirmation")?;
        let confirm = match data {
            [] => Confirm::Plain,
            [NEGOTIATION_FAILURE, 0, ..] => {
                let failure = Negotiation::decode(NEGOTIATION_FAILURE, &mut data)?;
                Confirm::Failure { code: failure.protocols.0 }
            }
            _ => Confirm::Selected(Negotiation::decode(NEGOTIATION_RESPONSE, &mut data)?),
        };
        if data.is_empty() || confirm == Confirm::Plain {
            Ok(Self { confirm, references })
        } else {
            Err("bytes in the connection confirmation that mean nothing")
        }
    }

    /// The failure that tells a tool what it must ask for, as Windows puts it.
    pub(super) fn failure(code: u32) -> Self {
        Self { confirm: Confirm::Failure { code }, references: [0, 0, 0x12, 0x34] }
    }

    /// As it is written.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut data = Vec::with_capacity(8);
        match self.confirm {
            Confirm::Plain => {}
            Confirm::Selected(negotiation) => negotiation.encode(NEGOTIATION_RESPONSE, &mut data),
            Confirm::Failure { code } => {
                Negotiation { flags: 0, protocols: Protocols(code) }.encode(NEGOTIATION_FAILURE, &mut data);
            }
        }
        put(CONNECTION_CONFIRM, self.references, &data, out);
    }
}

/// References and data of a class 0 connection TPDU; all lengths must agree.
fn header(tpkt: &[u8], kind: u8) -> Option<([u8; 4], &[u8])> {
    let (_, x224) = tpkt.split_first_chunk::<4>()?;
    let ([length, code, d1, d0, s1, s0, 0], data) = x224.split_first_chunk()? else { return None };
    (*code == kind && usize::from(*length) + 1 == x224.len()).then_some(([*d1, *d0, *s1, *s0], data))
}

fn put(kind: u8, [d1, d0, s1, s0]: [u8; 4], data: &[u8], out: &mut Vec<u8>) {
    // What was decoded fits: its own length is one byte.
    let length = 6 + data.len() as u8;
    let [l1, l0] = (5 + u16::from(length)).to_be_bytes();
    out.extend_from_slice(&[3, 0, l1, l0, length, kind, d1, d0, s1, s0, 0]);
    out.extend_from_slice(data);
}
