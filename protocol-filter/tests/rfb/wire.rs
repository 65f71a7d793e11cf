//! A filter between two ends that a test plays, and the messages that it plays them with.

use sallyport_protocol_filter::rfb::{Filter, Message, Noted, Operation, Rules};
use sallyport_protocol_filter::{Journal, Malformed, Now, Outbound, ProtocolFilter, Side};

/// A connection through a filter.
pub(crate) struct Wire {
    pub(crate) filter: Filter,
    pub(crate) to_client: Vec<u8>,
    pub(crate) to_server: Vec<u8>,
    pub(crate) notes: Vec<String>,
    /// What a recording would hold, in its order.
    pub(crate) tape: Vec<Taped>,
    pub(crate) malformed: Option<Malformed>,
    pub(crate) now_ms: u64,
    /// What the filter has not taken yet.
    waiting: [Vec<u8>; 2],
    /// The most bytes that are offered at a time.
    pub(crate) cut: Box<dyn FnMut() -> usize>,
}

/// A piece of a recording that a playback is told of.
#[derive(Debug, Clone)]
pub(crate) enum Taped {
    Noted(Noted),
    ToClient(Vec<u8>),
}

struct Notes<'a>(&'a mut Vec<String>, &'a mut Vec<Taped>);

impl Journal<Filter> for Notes<'_> {
    fn note(&mut self, operation: &Operation<'_>) {
        let Operation { side, kind, message, verdict, .. } = operation;
        self.0.push(format!("{side} {kind}: {message}: {}", verdict.word()));
        self.1.extend(noted(*side, message).map(Taped::Noted));
    }
}

fn noted(side: Side, message: &Message<'_>) -> Option<Noted> {
    match *message {
        Message::Version { used, .. } if side == Side::Client => Some(Noted::Version(used)),
        Message::SecurityChoice(security) => Some(Noted::SecurityChoice(security)),
        Message::ServerInit { width, height, format, .. } => Some(Noted::ServerInit { width, height, format }),
        Message::SetPixelFormat(format) => Some(Noted::SetPixelFormat(format)),
        _ => None,
    }
}

impl Wire {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            filter: Filter::new(rules),
            to_client: Vec::new(),
            to_server: Vec::new(),
            notes: Vec::new(),
            tape: Vec::new(),
            malformed: None,
            now_ms: 0,
            waiting: [Vec::new(), Vec::new()],
            cut: Box::new(|| usize::MAX),
        }
    }

    /// A connection whose screen is open: 3.8, no authentication, 64 by 48, [`RGB32`], ready for every encoding that may pass.
    pub(crate) fn open(rules: Rules) -> Self {
        let mut wire = Self::new(rules);
        wire.shake_hands();
        wire
    }

    pub(crate) fn shake_hands(&mut self) {
        self.shake_hands_noted();
        assert_eq!(self.malformed, None);
        self.forget();
    }

    /// As [`Wire::shake_hands`], and keeps what passed.
    pub(crate) fn shake_hands_noted(&mut self) {
        self.server(b"RFB 003.008\n")
            .client(b"RFB 003.008\n")
            .server(&[1, 1])
            .client(&[1])
            .server(&[0; 4])
            .client(&[1]);
        self.server(&server_init(64, 48, RGB32));
        self.client(&set_encodings(&[0, 1, 2, 5, 16, -223, -224, -239, -240, -307]));
    }

    /// What has passed and was noted so far is of no interest.
    pub(crate) fn forget(&mut self) {
        self.to_client.clear();
        self.to_server.clear();
        self.notes.clear();
    }

    pub(crate) fn client(&mut self, bytes: &[u8]) -> &mut Self {
        self.send(Side::Client, bytes)
    }

    pub(crate) fn server(&mut self, bytes: &[u8]) -> &mut Self {
        self.send(Side::Server, bytes)
    }

    /// As the caller of a filter does it: what is not taken is offered again, with what follows, once the other side was heard.
    pub(crate) fn send(&mut self, side: Side, bytes: &[u8]) -> &mut Self {
        self.waiting[side as usize].extend_from_slice(bytes);
        let other = if side == Side::Client { Side::Server } else { Side::Client };
        while self.offer(side) | self.offer(other) {}
        self
    }

    fn offer(&mut self, side: Side) -> bool {
        let mut progress = false;
        while !self.waiting[side as usize].is_empty() && self.malformed.is_none() {
            let most = (self.cut)().max(1).min(self.waiting[side as usize].len());
            let now = Now { unix_ms: 0, monotonic_ms: self.now_ms };
            let mut out = Outbound::default();
            let bytes = self.waiting[side as usize][..most].to_vec();
            match self.filter.receive(side, &bytes, now, &mut out, &mut Notes(&mut self.notes, &mut self.tape)) {
                Ok(taken) => {
                    self.waiting[side as usize].drain(..taken);
                    progress |= taken > 0;
                    self.keep(&out);
                    if taken == 0 {
                        break;
                    }
                }
                Err(malformed) => {
                    self.keep(&out);
                    self.malformed = Some(malformed);
                }
            }
        }
        progress
    }

    pub(crate) fn tick(&mut self) -> &mut Self {
        let mut out = Outbound::default();
        let now = Now { unix_ms: 0, monotonic_ms: self.now_ms };
        self.filter.tick(now, &mut out, &mut Notes(&mut self.notes, &mut self.tape));
        self.keep(&out);
        self
    }

    pub(crate) fn finish(&mut self, side: Side) -> Result<(), Malformed> {
        self.filter.finish(side)
    }

    fn keep(&mut self, out: &Outbound) {
        self.to_client.extend_from_slice(&out.to_client);
        if !out.to_client.is_empty() {
            self.tape.push(Taped::ToClient(out.to_client.clone()));
        }
        self.to_server.extend_from_slice(&out.to_server);
    }

    /// Why the connection was refused as malformed.
    pub(crate) fn reason(&self) -> &'static str {
        self.malformed.as_ref().map_or("", |malformed| malformed.reason)
    }
}

/// 32 bits, little-endian, eight bits a colour: red at 16, green at 8, blue at 0.
pub(crate) const RGB32: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
/// 16 bits, little-endian: 5, 6, 5.
pub(crate) const RGB16: [u8; 16] = [16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
/// 8 bits: 2, 2, 2.
pub(crate) const RGB8: [u8; 16] = [8, 8, 0, 1, 0, 3, 0, 3, 0, 3, 4, 2, 0, 0, 0, 0];
/// 8 bits that name an entry of the colour map.
pub(crate) const MAPPED: [u8; 16] = [8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(crate) fn server_init(width: u16, height: u16, format: [u8; 16]) -> Vec<u8> {
    [&width.to_be_bytes()[..], &height.to_be_bytes(), &format, &[0, 0, 0, 5], b"tank1"].concat()
}

pub(crate) fn set_pixel_format(format: [u8; 16]) -> Vec<u8> {
    [&[0, 0, 0, 0][..], &format].concat()
}

pub(crate) fn set_encodings(numbers: &[i32]) -> Vec<u8> {
    let mut bytes = vec![2, 0];
    bytes.extend_from_slice(&(numbers.len() as u16).to_be_bytes());
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
    bytes
}

pub(crate) fn request(incremental: bool) -> Vec<u8> {
    vec![3, u8::from(incremental), 0, 0, 0, 0, 0, 64, 0, 48]
}

pub(crate) fn key(down: bool, keysym: u32) -> Vec<u8> {
    [&[4, u8::from(down), 0, 0][..], &keysym.to_be_bytes()].concat()
}

pub(crate) fn pointer(buttons: u8, x: u16, y: u16) -> Vec<u8> {
    [&[5, buttons][..], &x.to_be_bytes(), &y.to_be_bytes()].concat()
}

/// Both directions: 6 from the client, 3 from the server.
pub(crate) fn cut_text(kind: u8, text: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text].concat()
}

pub(crate) fn update(rectangles: &[Vec<u8>]) -> Vec<u8> {
    [vec![0, 0], (rectangles.len() as u16).to_be_bytes().to_vec(), rectangles.concat()].concat()
}

pub(crate) fn rectangle(area: [u16; 4], encoding: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = area.iter().flat_map(|number| number.to_be_bytes()).collect();
    bytes.extend_from_slice(&encoding.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}
