//! In the steady state an allowed message allocates nothing, and nothing that either side sends makes a connection grow.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use sallyport_protocol_filter::modbus::{Filter, Limits, Mode, Operation, Rule, Rules};
use sallyport_protocol_filter::{Journal, Kind, Now, Outbound, ProtocolFilter, Side};

/// A journal that looks at everything and keeps nothing.
#[derive(Default)]
struct Counts {
    operations: usize,
    values: usize,
}

impl Journal<Filter> for Counts {
    fn note(&mut self, operation: &Operation<'_>) {
        self.operations += 1;
        self.values +=
            operation.touched().filter_map(|touched| touched.values).map(|values| values.len()).sum::<usize>();
        self.values += operation.tags().count();
    }
}

struct Connection {
    filter: Filter,
    out: Outbound,
    counts: Counts,
    clock: u64,
}

impl Connection {
    fn new(rules: Rules) -> Self {
        Self { filter: Filter::new(Arc::new(rules)), out: Outbound::default(), counts: Counts::default(), clock: 0 }
    }

    fn hear(&mut self, side: Side, bytes: &[u8]) {
        self.clock += 1;
        let now = Now { unix_ms: 0, monotonic_ms: self.clock };
        let taken = self.filter.receive(side, bytes, now, &mut self.out, &mut self.counts).unwrap();
        assert_eq!(taken, bytes.len());
        self.filter.tick(now, &mut self.out, &mut self.counts);
        self.out.to_client.clear();
        self.out.to_server.clear();
    }
}

const READ: &[u8] = &[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2];
const READ_ANSWER: &[u8] = &[0, 1, 0, 0, 0, 7, 1, 3, 4, 0, 1, 0, 2];
const WRITE: &[u8] = &[0, 2, 0, 0, 0, 11, 1, 16, 0, 0, 0, 2, 4, 0, 1, 0, 2];
const WRITE_ANSWER: &[u8] = &[0, 2, 0, 0, 0, 6, 1, 16, 0, 0, 0, 2];

fn limited() -> Rules {
    let limits = Some(Limits { max: Some(10.0), max_step: Some(5.0), bits: Some(0xFFFF), ..Limits::default() });
    let reads = Rule { name: "reads".into(), kinds: vec![Kind::Read], ..Rule::default() };
    let writes =
        Rule { name: "writes".into(), kinds: vec![Kind::Write], limits, per_minute: Some(6_000), ..Rule::default() };
    Rules::new("limited", Mode::Enforce, vec![reads, writes], Vec::new())
}

#[test]
fn an_allowed_message_allocates_nothing() {
    for rules in [Rules::read_only(), Rules::full(), limited()] {
        let writes = rules.name() != "read-only";
        let mut connection = Connection::new(rules);
        let mut exchange = || {
            connection.hear(Side::Client, READ);
            connection.hear(Side::Server, &READ_ANSWER[..5]);
            connection.hear(Side::Server, &READ_ANSWER[5..]);
            if writes {
                connection.hear(Side::Client, WRITE);
                connection.hear(Side::Server, WRITE_ANSWER);
            }
        };
        (0..5_000).for_each(|_| exchange());
        let info = allocation_counter::measure(|| (0..1_000).for_each(|_| exchange()));
        assert_eq!((info.count_total, info.bytes_max), (0, 0));
        assert!(connection.counts.values > 0);
    }
}

#[test]
fn a_connection_is_bounded_whatever_comes() {
    let mut connection = Connection::new(Rules::full());
    let info = allocation_counter::measure(|| {
        // Reads all over every unit, and answers; then a burst of what is never answered.
        for unit in 1..=255 {
            for page in 0..32_u16 {
                let address = page * 2_000;
                let [high, low] = address.to_be_bytes();
                connection.hear(Side::Client, &[0, 1, 0, 0, 0, 6, unit, 3, high, low, 0, 100]);
                let mut answer = vec![0, 1, 0, 0, 0, 203, unit, 3, 200];
                answer.resize(209, 7);
                connection.hear(Side::Server, &answer);
            }
        }
        for _ in 0..10_000 {
            connection.hear(Side::Client, &[0, 1, 0, 0, 0, 6, 0, 6, 0, 1, 0, 1]);
        }
    });
    assert!(info.bytes_current < 64 * 1024, "{} bytes are kept", info.bytes_current);
}
