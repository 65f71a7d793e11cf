//! Operations of a recording, as requests again.

use sallyport_protocol_filter::modbus::{Request, Table};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What evidence says of a Modbus operation, as far as learning needs it.
#[derive(Debug, Deserialize)]
pub(super) struct Recorded {
    pub(super) phase: EntryPhase,
    #[serde(default)]
    pub(super) unit: u8,
    #[serde(default)]
    function: u8,
    sub: Option<u16>,
    #[serde(default)]
    address: u16,
    #[serde(default)]
    quantity: u32,
    #[serde(default)]
    values: Vec<u16>,
    mask: Option<Mask>,
    also_read: Option<Points>,
    #[serde(default)]
    old: Vec<Option<u16>>,
    pub(super) exception: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EntryPhase {
    Request,
    Response,
    Notice,
    Malformed,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Mask {
    and: u16,
    or: u16,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Points {
    address: u16,
    quantity: u16,
}

impl Recorded {
    /// The operation that an entry tells of. `None` if it is none of Modbus, an error if it cannot be read.
    pub(super) fn of(body: &Map<String, Value>) -> Option<Result<Self, serde_json::Error>> {
        (body.get("operation")? == "modbus").then(|| Self::deserialize(body))
    }

    /// What a point held before, if that was known.
    pub(super) fn last(&self, table: Table, address: u16) -> Option<u16> {
        let index = usize::from(address.checked_sub(self.address)?);
        let written = if matches!(self.function, 5 | 15) { Table::Coils } else { Table::Registers };
        self.old.get(index).copied().flatten().filter(|_| table == written)
    }

    /// The request, its bytes in `pdu`. Of a function without points only the function is told. `None` if the entry
    /// contradicts itself.
    pub(super) fn request<'p>(&self, pdu: &'p mut Vec<u8>) -> Option<Request<'p>> {
        pdu.clear();
        let quantity = u16::try_from(self.quantity).ok()?;
        let value = || self.values.first().copied().filter(|_| self.values.len() == 1);
        pdu.push(self.function);
        match self.function {
            1..=4 => put(pdu, &[self.address, quantity]),
            5 => put(pdu, &[self.address, if value()? == 0 { 0 } else { 0xFF00 }]),
            6 => put(pdu, &[self.address, value()?]),
            15 => {
                put(pdu, &[self.address, u16::try_from(self.values.len()).ok()?]);
                let bytes = self
                    .values
                    .chunks(8)
                    .map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (*bit & 1) as u8));
                put_counted(pdu, bytes.collect())?;
            }
            16 => self.put_values(pdu)?,
            22 => {
                let Mask { and, or } = self.mask?;
                put(pdu, &[self.address, and, or]);
            }
            23 => {
                let Points { address, quantity } = self.also_read?;
                put(pdu, &[address, quantity]);
                self.put_values(pdu)?;
            }
            24 => put(pdu, &[self.address]),
            code => {
                pdu.clear();
                let sub = self
                    .sub
                    .map(|sub| if code == 43 { vec![sub.to_be_bytes()[1]] } else { sub.to_be_bytes().to_vec() });
                pdu.extend(sub.unwrap_or_default());
                return Some(Request::Opaque { code, data: pdu });
            }
        }
        Request::decode(pdu).ok().filter(|request| request.fault().is_none())
    }

    fn put_values(&self, pdu: &mut Vec<u8>) -> Option<()> {
        put(pdu, &[self.address, u16::try_from(self.values.len()).ok()?]);
        put_counted(pdu, self.values.iter().flat_map(|value| value.to_be_bytes()).collect())
    }
}

fn put(pdu: &mut Vec<u8>, words: &[u16]) {
    pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

fn put_counted(pdu: &mut Vec<u8>, bytes: Vec<u8>) -> Option<()> {
    pdu.push(u8::try_from(bytes.len()).ok()?);
    pdu.extend(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::sync::Arc;

    use sallyport_protocol_filter::modbus::{Filter, Operation, Rules};
    use sallyport_protocol_filter::{Journal, Now, Outbound, ProtocolFilter, Side};

    use super::*;
    use crate::tcp::journal::modbus_entry;

    struct Entries(Vec<Map<String, Value>>);

    impl Journal<Filter> for Entries {
        fn note(&mut self, operation: &Operation<'_>) {
            self.0.push(modbus_entry(operation).unwrap());
        }
    }

    /// What is recorded of a request, made a request again.
    fn again(pdu: &[u8]) -> Vec<u8> {
        let mut filter = Filter::new(Arc::new(Rules::full()));
        let (mut out, mut entries) = (Outbound::default(), Entries(Vec::new()));
        let length = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
        let frame = [&[0, 1, 0, 0], &length[..], &[7], pdu].concat();
        filter.receive(Side::Client, &frame, Now { unix_ms: 0, monotonic_ms: 0 }, &mut out, &mut entries).unwrap();
        let recorded = Recorded::of(&entries.0[0]).unwrap().unwrap();
        assert_eq!((recorded.phase, recorded.unit), (EntryPhase::Request, 7));
        let (mut bytes, mut encoded) = (Vec::new(), Vec::new());
        recorded.request(&mut bytes).unwrap().encode(&mut encoded);
        encoded
    }

    #[test]
    fn what_is_recorded_is_the_request_that_was_made() {
        let same: [&[u8]; 14] = [
            &[1, 0, 3, 0, 9],
            &[2, 0, 0, 7, 208],
            &[3, 255, 255, 0, 1],
            &[4, 0, 100, 0, 125],
            &[5, 0, 3, 255, 0],
            &[5, 0, 3, 0, 0],
            &[6, 0, 100, 6, 64],
            &[7],
            &[15, 0, 0, 0, 10, 2, 0b1010_0101, 0b10],
            &[16, 0, 100, 0, 2, 4, 0, 1, 255, 254],
            &[17],
            &[22, 0, 64, 0, 255, 171, 205],
            &[23, 0, 1, 0, 4, 0, 2, 0, 1, 2, 18, 52],
            &[24, 0, 9],
        ];
        for pdu in same {
            assert_eq!(again(pdu), pdu);
        }
        // Of the others only the function is told.
        assert_eq!(again(&[8, 0, 10, 0, 0]), [8, 0, 10]);
        assert_eq!(again(&[43, 14, 1, 0]), [43, 14]);
        assert_eq!(again(&[90, 0, 65]), [90]);
        assert_eq!(again(&[20, 7, 6, 0, 1, 0, 0, 0, 2]), [20]);
    }

    #[test]
    fn an_entry_that_contradicts_itself_is_no_request() {
        let read = |entry: Value| {
            let recorded = Recorded::of(entry.as_object().unwrap()).unwrap().unwrap();
            recorded.request(&mut Vec::new()).is_some()
        };
        let write =
            serde_json::json!({"operation": "modbus", "phase": "request", "function": 6, "address": 1, "values": [1]});
        assert!(read(write.clone()));
        for (field, value) in
            [("values", serde_json::json!([1, 2])), ("values", serde_json::json!([])), ("function", 22.into())]
        {
            let mut entry = write.clone();
            entry[field] = value;
            assert!(!read(entry), "{field}");
        }
        assert!(Recorded::of(&Map::from_iter([("op".to_owned(), "file".into())])).is_none());
    }
}
