//! What happens on a filtered connection, as bytes: a fuzzer can vary it, a capture can be written as it, and so can a person.
//!
//! The first byte chooses the rules and the second how the streams are cut. Then come events: a byte that says what, two that are a
//! number, the most significant first, and for the first two kinds as many bytes as the number says, or as are left.

use sallyport_protocol_filter::Side;

/// A whole connection.
pub(crate) struct Script<'a> {
    /// Which rules it begins with: each target has its own.
    pub(crate) rules: u8,
    /// How the streams are cut the third time.
    pub(crate) cut: u8,
    pub(crate) events: Vec<Event<'a>>,
}

pub(crate) enum Event<'a> {
    /// 0 the client, 1 the server: it sends so many bytes, which follow.
    Bytes(Side, &'a [u8]),
    /// 2: so many milliseconds pass.
    Later(u64),
    /// 3: other rules are in force from now on.
    Rules(u8),
}

impl<'a> Script<'a> {
    /// Any bytes are a script.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let (head, mut rest) = bytes.split_at(bytes.len().min(2));
        let byte = |place: usize| head.get(place).copied().unwrap_or_default();
        let mut events = Vec::new();
        while let Some((&[kind, high, low], after)) = rest.split_first_chunk() {
            let number = u16::from_be_bytes([high, low]);
            rest = after;
            events.push(match kind % 4 {
                2 => Event::Later(number.into()),
                3 => Event::Rules(low),
                side => {
                    let (sent, after) = rest.split_at(rest.len().min(number.into()));
                    rest = after;
                    Event::Bytes(if side == 0 { Side::Client } else { Side::Server }, sent)
                }
            });
        }
        Self { rules: byte(0), cut: byte(1), events }
    }
}

/// How many bytes are offered at a time.
#[derive(Clone, Copy)]
pub(crate) enum Cut {
    /// All that there are.
    Whole,
    /// One.
    Single,
    /// So many and so many, repeatably.
    Mixed(u64),
}

impl Cut {
    /// Never none.
    pub(crate) fn next(&mut self) -> usize {
        match self {
            Cut::Whole => usize::MAX,
            Cut::Single => 1,
            Cut::Mixed(state) => {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Five bits: 1 to 32.
                1 + (*state >> 59) as usize
            }
        }
    }
}
