//! Modbus messages, read strictly: exact lengths, counts within the specification's limits.
//!
//! The order of exceptions is the specification's (V1.1b3, section 7): function, quantity, address, then the value itself.

use super::exception::Exception;
use super::points::{self, Bits, Words};
use crate::process::Tank;

/// The answer to one request: function code and data, at most [`LONGEST`] bytes.
pub(super) fn answer(tank: &mut Tank, request: &[u8]) -> Vec<u8> {
    let Some((function, data)) = request.split_first() else { return Exception::IllegalFunction.answer(0) };
    match carry_out(tank, *function, data) {
        Ok(mut answer) => {
            answer.insert(0, *function);
            answer
        }
        Err(exception) => exception.answer(*function),
    }
}

fn carry_out(tank: &mut Tank, function: u8, data: &[u8]) -> Result<Vec<u8>, Exception> {
    match function {
        0x01 => read_bits(tank, Bits::Coils, data),
        0x02 => read_bits(tank, Bits::DiscreteInputs, data),
        0x03 => read_words(tank, Words::Holding, data),
        0x04 => read_words(tank, Words::Input, data),
        0x05 => write_coil(tank, data),
        0x06 => write_register(tank, data),
        0x08 => diagnostics(data),
        0x0F => write_coils(tank, data),
        0x10 => write_registers(tank, data),
        0x11 => server_id(tank, data),
        0x16 => mask_write(tank, data),
        0x17 => read_and_write(tank, data),
        0x2B => device_id(data),
        _ => Err(Exception::IllegalFunction),
    }
}

fn read_bits(tank: &Tank, table: Bits, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let [first, count] = words(data)?;
    let bits = table.read(tank, first, within(count, 2000)?)?;
    let packed = bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    counted(packed.collect())
}

fn read_words(tank: &Tank, table: Words, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let [first, count] = words(data)?;
    let words = table.read(tank, first, within(count, 125)?)?;
    counted(words.into_iter().flat_map(u16::to_be_bytes).collect())
}

fn write_coil(tank: &mut Tank, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let [coil, value] = words(data)?;
    let on = match value {
        0x0000 => false,
        0xFF00 => true,
        _ => return Err(Exception::IllegalDataValue),
    };
    points::write_coils(tank, coil, &[on])?;
    Ok(data.to_vec())
}

fn write_register(tank: &mut Tank, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let [register, value] = words(data)?;
    points::write_holding(tank, register, &[value])?;
    Ok(data.to_vec())
}

fn write_coils(tank: &mut Tank, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let (head, packed) = head_and_rest::<4>(data)?;
    let [first, count] = words(head)?;
    let count = within(count, 1968)?;
    let packed = counted_rest(packed, usize::from(count).div_ceil(8))?;
    let bits: Vec<bool> = (0..count)
        .zip(packed.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)))
        .map(|(_, bit)| bit)
        .collect();
    points::write_coils(tank, first, &bits)?;
    Ok(head.to_vec())
}

fn write_registers(tank: &mut Tank, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let (head, values) = head_and_rest::<4>(data)?;
    let [first, count] = words(head)?;
    let values = counted_rest(values, usize::from(within(count, 123)?) * 2)?;
    points::write_holding(tank, first, &registers(values))?;
    Ok(head.to_vec())
}

fn mask_write(tank: &mut Tank, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let [register, and, or] = words(data)?;
    let current = Words::Holding.read(tank, register, 1)?;
    let masked: Vec<u16> = current.into_iter().map(|current| current & and | or & !and).collect();
    points::write_holding(tank, register, &masked)?;
    Ok(data.to_vec())
}

/// The write comes before the read.
fn read_and_write(tank: &mut Tank, data: &[u8]) -> Result<Vec<u8>, Exception> {
    let (head, values) = head_and_rest::<8>(data)?;
    let [read_first, read_count, write_first, write_count] = words(head)?;
    let read_count = within(read_count, 125)?;
    let values = counted_rest(values, usize::from(within(write_count, 121)?) * 2)?;
    // Nothing is written for a request whose other half cannot be answered.
    Words::Holding.read(tank, read_first, read_count)?;
    points::write_holding(tank, write_first, &registers(values))?;
    let read = Words::Holding.read(tank, read_first, read_count)?;
    counted(read.into_iter().flat_map(u16::to_be_bytes).collect())
}

/// Return query data, and nothing that would stop or restart the controller.
fn diagnostics(data: &[u8]) -> Result<Vec<u8>, Exception> {
    let (subfunction, sent) = head_and_rest::<2>(data)?;
    if subfunction != [0, 0] {
        return Err(Exception::IllegalFunction);
    }
    if sent.is_empty() || sent.len() % 2 != 0 {
        return Err(Exception::IllegalDataValue);
    }
    Ok(data.to_vec())
}

fn server_id(tank: &Tank, data: &[u8]) -> Result<Vec<u8>, Exception> {
    if !data.is_empty() {
        return Err(Exception::IllegalDataValue);
    }
    let running = if tank.settings.pump_on { 0xFF } else { 0x00 };
    // The length of the name is the device's own, so that masters look for the indicator at the end.
    counted([PRODUCT.as_bytes(), &[running]].concat())
}

/// Read device identification (MEI type 14): vendor, product and revision, and what the regular category adds.
fn device_id(data: &[u8]) -> Result<Vec<u8>, Exception> {
    let Some((0x0E, rest)) = data.split_first().map(|(mei, rest)| (*mei, rest)) else {
        return Err(Exception::IllegalFunction);
    };
    let &[code, object] = rest else { return Err(Exception::IllegalDataValue) };
    let (first, last) = match (code, usize::from(object)) {
        (1, object) => stream(object, BASIC - 1),
        // A higher category than the device has gets what it has.
        (2 | 3, object) => stream(object, OBJECTS.len() - 1),
        (4, object) if object < OBJECTS.len() => (object, object),
        (4, _) => return Err(Exception::IllegalDataAddress),
        _ => return Err(Exception::IllegalDataValue),
    };
    let objects = OBJECTS.iter().enumerate().take(last + 1).skip(first);
    let mut answer = vec![0x0E, code, CONFORMITY, 0, 0, u8::try_from(objects.len()).unwrap_or(0)];
    for (id, text) in objects {
        answer.extend([u8::try_from(id).unwrap_or(0), u8::try_from(text.len()).unwrap_or(0)]);
        answer.extend(text.as_bytes());
    }
    Ok(answer)
}

/// A stream that is to begin at an object that is not in it begins at the first.
fn stream(object: usize, last: usize) -> (usize, usize) {
    (if object <= last { object } else { 0 }, last)
}

/// Exactly so many words.
fn words<const N: usize>(data: &[u8]) -> Result<[u16; N], Exception> {
    let even = Some(data).filter(|data| data.len() % 2 == 0);
    even.and_then(|data| registers(data).try_into().ok()).ok_or(Exception::IllegalDataValue)
}

fn registers(data: &[u8]) -> Vec<u16> {
    data.chunks_exact(2).map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1])).collect()
}

fn head_and_rest<const N: usize>(data: &[u8]) -> Result<(&[u8], &[u8]), Exception> {
    data.split_at_checked(N).ok_or(Exception::IllegalDataValue)
}

fn within(count: u16, most: u16) -> Result<u16, Exception> {
    if (1..=most).contains(&count) { Ok(count) } else { Err(Exception::IllegalDataValue) }
}

/// What follows a byte count, if both the count and what is there are `expected` bytes.
fn counted_rest(rest: &[u8], expected: usize) -> Result<&[u8], Exception> {
    match rest.split_first() {
        Some((count, rest)) if usize::from(*count) == expected && rest.len() == expected => Ok(rest),
        _ => Err(Exception::IllegalDataValue),
    }
}

/// Data with its byte count before it.
fn counted(mut data: Vec<u8>) -> Result<Vec<u8>, Exception> {
    let count = u8::try_from(data.len()).map_err(|_| Exception::DeviceFailure)?;
    data.insert(0, count);
    Ok(data)
}

/// Bytes of the longest message, with its function code.
pub(super) const LONGEST: usize = 253;
const PRODUCT: &str = "plc-1";
/// Regular category, as a stream and one by one.
const CONFORMITY: u8 = 0x82;
/// The first objects are the basic category.
const BASIC: usize = 3;
const OBJECTS: [&str; 7] = ["Sallyport", "SIM-PLC", "1.0", "", "Simulated controller", PRODUCT, "Tank 1"];
