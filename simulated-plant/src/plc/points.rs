//! What the controller's addresses mean: zero-based, in the four tables of Modbus.
//!
//! `tags.csv` says the same for people and for plant files; a test holds the two together.

use super::exception::Exception;
use crate::process::{Alarm, FASTEST, Mode, Tank};

/// A table of single bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bits {
    Coils,
    DiscreteInputs,
}

/// A table of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Holding,
    Input,
}

impl Bits {
    /// `count` of them from `first`.
    pub(super) fn read(self, tank: &Tank, first: u16, count: u16) -> Result<Vec<bool>, Exception> {
        let all = match self {
            Self::Coils => coils(tank).to_vec(),
            Self::DiscreteInputs => discrete_inputs(tank).to_vec(),
        };
        part(&all, 0, first, count).map(<[bool]>::to_vec)
    }
}

impl Words {
    /// `count` of them from `first`.
    pub(super) fn read(self, tank: &Tank, first: u16, count: u16) -> Result<Vec<u16>, Exception> {
        match self {
            Self::Holding => part(&holding(tank), FIRST_HOLDING, first, count).map(<[u16]>::to_vec),
            Self::Input => part(&inputs(tank), 0, first, count).map(<[u16]>::to_vec),
        }
    }
}

/// Sets coils from `first` on: all of them or, with an exception, none.
pub(super) fn write_coils(tank: &mut Tank, first: u16, values: &[bool]) -> Result<(), Exception> {
    let count = u16::try_from(values.len()).map_err(|_| Exception::IllegalDataAddress)?;
    part(&coils(tank), 0, first, count)?;
    for (coil, on) in (first..).zip(values) {
        match coil {
            PUMP_ON => tank.switch_pump(*on),
            INLET_OPEN => tank.settings.inlet = if *on { 100.0 } else { 0.0 },
            OUTLET_OPEN => tank.settings.outlet = if *on { 100.0 } else { 0.0 },
            // Falls back by itself, as a push button does.
            ACKNOWLEDGE if *on => tank.acknowledge(),
            _ => {}
        }
    }
    Ok(())
}

/// Sets holding registers from `first` on: all of them or, with an exception, none.
pub(super) fn write_holding(tank: &mut Tank, first: u16, values: &[u16]) -> Result<(), Exception> {
    let before = holding(tank);
    let mut after = before;
    let count = u16::try_from(values.len()).map_err(|_| Exception::IllegalDataAddress)?;
    part(&before, FIRST_HOLDING, first, count)?;
    for (register, value) in after.iter_mut().skip(usize::from(first - FIRST_HOLDING)).zip(values) {
        *register = *value;
    }
    let [speed, inlet, outlet, mode, setpoint_high, setpoint_low, delivered_low, delivered_high, high, low] = after;
    let mut settings = tank.settings;
    // Only what differs is set: a position that is read in tenths and written back must not move the valve.
    let differs = |at: usize| before[at] != after[at];
    if differs(0) {
        settings.pump_speed = Some(speed).filter(|speed| f64::from(*speed) <= FASTEST).ok_or(OUT_OF_RANGE)?;
    }
    if differs(1) {
        settings.inlet = percent(inlet)?;
    }
    if differs(2) {
        settings.outlet = percent(outlet)?;
    }
    if differs(3) {
        settings.mode = match mode {
            0 => Mode::Manual,
            1 => Mode::Automatic,
            _ => return Err(OUT_OF_RANGE),
        };
    }
    if differs(4) || differs(5) {
        let setpoint = f32::from_bits(joined(setpoint_high, setpoint_low));
        settings.setpoint = Some(setpoint).filter(|level| (0.0..=100.0).contains(level)).ok_or(OUT_OF_RANGE)?;
    }
    if differs(8) {
        settings.high_limit = percent(high)?;
    }
    if differs(9) {
        settings.low_limit = percent(low)?;
    }
    tank.settings = settings;
    if differs(6) || differs(7) {
        tank.delivered = f64::from(joined(delivered_high, delivered_low));
    }
    Ok(())
}

fn coils(tank: &Tank) -> [bool; 4] {
    let settings = &tank.settings;
    [settings.pump_on, settings.inlet > 50.0, settings.outlet > 50.0, false]
}

fn discrete_inputs(tank: &Tank) -> [bool; 6] {
    let [high, low, hot, tripped] = Alarm::ALL.map(|alarm| tank.is_active(alarm));
    let unacknowledged = Alarm::ALL.into_iter().any(|alarm| tank.is_unacknowledged(alarm));
    [high, low, hot, tripped, unacknowledged, tank.speed > 10.0]
}

fn holding(tank: &Tank) -> [u16; 10] {
    let settings = &tank.settings;
    let mode = match settings.mode {
        Mode::Manual => 0,
        Mode::Automatic => 1,
    };
    let (setpoint_high, setpoint_low) = split(settings.setpoint.to_bits());
    let (delivered_high, delivered_low) = split(litres(tank.delivered));
    [
        settings.pump_speed,
        tenths(settings.inlet),
        tenths(settings.outlet),
        mode,
        setpoint_high,
        setpoint_low,
        // The other way round, as on many a device that counts.
        delivered_low,
        delivered_high,
        tenths(settings.high_limit),
        tenths(settings.low_limit),
    ]
}

fn inputs(tank: &Tank) -> [u16; 10] {
    let (level_high, level_low) = split((tank.level as f32).to_bits());
    let (elapsed_high, elapsed_low) = split(litres(tank.elapsed));
    [
        tenths(tank.level),
        tenths(tank.temperature),
        tenths(tank.inflow),
        tenths(tank.outflow),
        tank.speed.round() as u16,
        level_high,
        level_low,
        tank.alarm_word(),
        elapsed_high,
        elapsed_low,
    ]
}

/// The part of a table that begins at `start` which a request names.
fn part<T>(table: &[T], start: u16, first: u16, count: u16) -> Result<&[T], Exception> {
    let from = first.checked_sub(start).map(usize::from);
    let found = from.and_then(|from| table.get(from..from + usize::from(count)));
    found.ok_or(Exception::IllegalDataAddress)
}

fn percent(tenths: u16) -> Result<f64, Exception> {
    Some(f64::from(tenths) / 10.0).filter(|percent| *percent <= 100.0).ok_or(OUT_OF_RANGE)
}

fn tenths(value: f64) -> u16 {
    (value * 10.0).round() as u16
}

/// Counters turn over, as they do on devices.
fn litres(value: f64) -> u32 {
    (value % (f64::from(u32::MAX) + 1.0)) as u32
}

fn split(long: u32) -> (u16, u16) {
    ((long >> 16) as u16, long as u16)
}

fn joined(high: u16, low: u16) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

const OUT_OF_RANGE: Exception = Exception::IllegalDataValue;
const FIRST_HOLDING: u16 = 100;
const PUMP_ON: u16 = 0;
const INLET_OPEN: u16 = 1;
const OUTLET_OPEN: u16 = 2;
const ACKNOWLEDGE: u16 = 3;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use std::collections::BTreeSet;

    use expect_test::expect;

    use super::*;
    use crate::plc::TAGS;

    /// What is at an address, as the tag list says it is to be read.
    fn read(tank: &Tank, table: &str, address: u16, kind: &str, order: &str) -> (f64, u16) {
        let words = |table: Words, count| table.read(tank, address, count).unwrap();
        let table = match table {
            "coil" => return (f64::from(u8::from(Bits::Coils.read(tank, address, 1).unwrap()[0])), 1),
            "discrete-input" => {
                return (f64::from(u8::from(Bits::DiscreteInputs.read(tank, address, 1).unwrap()[0])), 1);
            }
            "register" => Words::Holding,
            "input-register" => Words::Input,
            other => panic!("{other}"),
        };
        match (kind, order) {
            ("u16", "") => (f64::from(words(table, 1)[0]), 1),
            ("u32", "big") => (f64::from(joined(words(table, 2)[0], words(table, 2)[1])), 2),
            ("u32", "little") => (f64::from(joined(words(table, 2)[1], words(table, 2)[0])), 2),
            ("f32", "big") => (f64::from(f32::from_bits(joined(words(table, 2)[0], words(table, 2)[1]))), 2),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tag_list_says_what_is_at_every_address() {
        let mut tank = Tank::running();
        (tank.delivered, tank.elapsed, tank.level) = (70_000.0, 70_001.0, 64.1);
        let mut lines = TAGS.lines();
        assert_eq!(lines.next().unwrap(), "name,table,address,type,word_order,scale,offset,unit,description");
        let mut told: BTreeSet<(&str, u16)> = BTreeSet::new();
        let mut values = Vec::new();
        for line in lines {
            let fields: Vec<&str> = line.split(',').collect();
            let [name, table, address, kind, order, scale, _, unit, _] = fields[..] else { panic!("{line}") };
            let address: u16 = address.parse().unwrap();
            let (number, width) = read(&tank, table, address, kind, order);
            for point in address..address + width {
                assert!(told.insert((table, point)), "{line}: told twice");
            }
            let scale: f64 = if scale.is_empty() { 1.0 } else { scale.parse().unwrap() };
            values.push(format!("{name} {:.1} {unit}", number * scale).trim_end().to_owned());
        }
        let tables = [("coil", 0, 4), ("discrete-input", 0, 6), ("register", 100, 10), ("input-register", 0, 10)];
        let all =
            tables.into_iter().flat_map(|(table, first, count)| (first..first + count).map(move |at| (table, at)));
        assert_eq!(told, all.collect());
        expect![[r#"
            pump-on 1.0
            inlet-open 0.0
            outlet-open 0.0
            alarm-acknowledge 0.0
            level-high 0.0
            level-low 0.0
            temperature-high 0.0
            pump-tripped 0.0
            alarm-unacknowledged 0.0
            pump-running 1.0
            tank-level 64.1 %
            tank-temperature 71.0 degC
            inflow 12.0 l/s
            outflow 12.0 l/s
            pump-speed 1450.0 rpm
            tank-level-exact 64.1 %
            alarm-word 0.0
            running-time 70001.0 s
            pump-speed-setpoint 1450.0 rpm
            inlet-position 31.0 %
            outlet-position 50.0 %
            mode 1.0
            tank-level-setpoint 65.0 %
            delivered 70000.0 l
            level-high-limit 90.0 %
            level-low-limit 20.0 %"#]]
        .assert_eq(&values.join("\n"));
    }
}
