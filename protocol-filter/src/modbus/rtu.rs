//! Bytes that are a frame of Modbus/TCP to us, and could be one of Modbus RTU to a gateway that takes both on one port: `0106 0000 0002 08
//! 0b` asks unit 8 for its event counter in the one, and writes 2 to register 0 of unit 1 in the other.

/// The shortest frame of Modbus RTU: unit, function and checksum.
const SHORTEST: usize = 4;

/// Does a frame begin like one of Modbus RTU, whole and with its checksum? Wherever that could end: which bytes belong to it, the gateway
/// decides.
pub(super) fn begins_like_rtu(frame: &[u8]) -> bool {
    let mut sum = 0xFFFF;
    let sums = frame.iter().map(|byte| {
        let before = sum;
        sum = summed(sum, *byte);
        before
    });
    let before: Vec<u16> = sums.collect();
    (SHORTEST..=frame.len()).any(|end| {
        let tail = frame.get(end - 2..end).and_then(|tail| tail.first_chunk().copied());
        tail.zip(before.get(end - 2)).is_some_and(|(tail, sum)| u16::from_le_bytes(tail) == *sum)
    })
}

/// The checksum of Modbus RTU (CRC-16, polynomial 0xA001) with one more byte.
fn summed(sum: u16, byte: u8) -> u16 {
    (0..8).fold(sum ^ u16::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_both_is_known_wherever_it_would_end() {
        // Event counter of unit 8, and a write of register 0.
        assert!(begins_like_rtu(&[0x01, 0x06, 0, 0, 0, 2, 0x08, 0x0B]));
        assert!(begins_like_rtu(&[0x01, 0x06, 0, 0, 0, 2, 0x08, 0x0B, 0xAA, 0xBB]));
        // Its own example in the specification of the serial line: slave 2, function 7.
        assert!(begins_like_rtu(&[0x02, 0x07, 0x41, 0x12]));
        for frame in [&[][..], &[0x01], &[0x01, 0x06, 0, 0, 0, 2, 0x08], &[0x01, 0x06, 0, 0, 0, 2, 0x08, 0x0C]] {
            assert!(!begins_like_rtu(frame), "{frame:02x?}");
        }
    }
}
