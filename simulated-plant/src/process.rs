//! The process: a tank that a pump fills through one valve and that the line empties through another, with a
//! jacket that heats it. The controller and the panel work on this one tank.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// The tank and what belongs to it, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tank {
    /// What people and programs may change.
    pub(super) settings: Settings,
    /// Percent of the tank.
    pub(super) level: f64,
    /// Degrees Celsius.
    pub(super) temperature: f64,
    /// Of the pump, rpm: follows what is wanted, with its inertia.
    pub(super) speed: f64,
    /// Litres a second.
    pub(super) inflow: f64,
    /// Litres a second.
    pub(super) outflow: f64,
    /// Litres since the counter was set.
    pub(super) delivered: f64,
    /// Seconds of simulated time.
    pub(super) elapsed: f64,
    /// INVARIANT: the pump does not run while `Alarm::PumpTripped` is active.
    active: u16,
    unacknowledged: u16,
}

/// What is wanted of the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    /// Percent of the tank; the inlet valve works towards it in automatic.
    pub(super) setpoint: f32,
    pub(super) pump_on: bool,
    /// Rpm.
    pub(super) pump_speed: u16,
    /// Percent open.
    pub(super) inlet: f64,
    /// Percent open.
    pub(super) outlet: f64,
    /// Percent of the tank.
    pub(super) high_limit: f64,
    /// Percent of the tank.
    pub(super) low_limit: f64,
}

/// Who moves the inlet valve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Whoever writes its position.
    Manual,
    /// The controller.
    Automatic,
}

/// What may be wrong; the number is its bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    LevelHigh = 0,
    LevelLow = 1,
    TemperatureHigh = 2,
    /// The pump was stopped before the tank ran over; it stays stopped until somebody acknowledges.
    PumpTripped = 3,
}

impl Alarm {
    pub(super) const ALL: [Self; 4] = [Self::LevelHigh, Self::LevelLow, Self::TemperatureHigh, Self::PumpTripped];

    /// As people read it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::LevelHigh => "level high",
            Self::LevelLow => "level low",
            Self::TemperatureHigh => "temperature high",
            Self::PumpTripped => "pump tripped",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl Tank {
    /// A line that has been running for a while, in good order.
    pub(super) fn running() -> Self {
        Self {
            settings: Settings {
                mode: Mode::Automatic,
                setpoint: 65.0,
                pump_on: true,
                pump_speed: 1450,
                inlet: 31.0,
                outlet: 50.0,
                high_limit: 90.0,
                low_limit: 20.0,
            },
            level: 64.0,
            temperature: 71.0,
            speed: 1450.0,
            inflow: 12.0,
            outflow: 12.0,
            delivered: 0.0,
            elapsed: 0.0,
            active: 0,
            unacknowledged: 0,
        }
    }

    /// The tank `dt` later. Everything stays within its physical limits, however long the step.
    #[must_use]
    pub(super) fn after(&self, dt: Duration) -> Self {
        let dt = dt.as_secs_f64().min(LONGEST_STEP);
        let mut tank = self.clone();
        tank.elapsed += dt;
        let wanted = if tank.settings.pump_on { f64::from(tank.settings.pump_speed) } else { 0.0 };
        tank.speed += (wanted - tank.speed).clamp(-RAMP * dt, RAMP * dt);
        tank.inflow = LARGEST_INFLOW * tank.speed / FASTEST * tank.settings.inlet / 100.0;
        // What the line draws rises and falls, so that there is something to control.
        let demand = 1.0 + 0.3 * (tank.elapsed / DEMAND_PERIOD * std::f64::consts::TAU).sin();
        tank.outflow = LARGEST_OUTFLOW * tank.settings.outlet / 100.0 * demand * (tank.level / 100.0).sqrt();
        let rising = (tank.inflow - tank.outflow) / CAPACITY * 100.0;
        tank.level = (tank.level + rising * dt).clamp(0.0, 100.0);
        tank.delivered += tank.outflow * dt;
        let filled = (CAPACITY * tank.level / 100.0).max(CAPACITY / 20.0);
        let warming = (tank.inflow * (FEED - tank.temperature) + JACKET_FLOW * (JACKET - tank.temperature)) / filled;
        tank.temperature = (tank.temperature + warming * dt).clamp(0.0, JACKET);
        if tank.settings.mode == Mode::Automatic {
            let error = f64::from(tank.settings.setpoint) - tank.level;
            let moved = (INTEGRAL * error - PROPORTIONAL * rising) * dt;
            tank.settings.inlet = (tank.settings.inlet + moved).clamp(0.0, 100.0);
        }
        tank.watch_limits();
        tank
    }

    /// Is this alarm's cause there?
    pub(super) fn is_active(&self, alarm: Alarm) -> bool {
        self.active & alarm.bit() != 0
    }

    /// Has nobody acknowledged it yet?
    pub(super) fn is_unacknowledged(&self, alarm: Alarm) -> bool {
        self.unacknowledged & alarm.bit() != 0
    }

    /// Active alarms by their bits.
    pub(super) fn alarm_word(&self) -> u16 {
        self.active
    }

    /// Somebody has seen the alarms. A pump that was stopped may be started again once the level allows it.
    pub(super) fn acknowledge(&mut self) {
        self.unacknowledged = 0;
        if self.level < TRIP {
            self.active &= !Alarm::PumpTripped.bit();
        }
    }

    /// Starts or stops the pump; a tripped one does not start.
    pub(super) fn switch_pump(&mut self, on: bool) {
        self.settings.pump_on = on && !self.is_active(Alarm::PumpTripped);
    }

    fn watch_limits(&mut self) {
        let Settings { high_limit, low_limit, .. } = self.settings;
        self.watch_limit(Alarm::LevelHigh, self.level - high_limit);
        self.watch_limit(Alarm::LevelLow, low_limit - self.level);
        self.watch_limit(Alarm::TemperatureHigh, self.temperature - HOT);
        if self.level >= TRIP && self.settings.pump_on {
            self.raise(Alarm::PumpTripped);
            self.settings.pump_on = false;
        }
    }

    /// `beyond`: how far over the limit. It must come back by the dead band before the alarm ends, so that it does not
    /// chatter.
    fn watch_limit(&mut self, alarm: Alarm, beyond: f64) {
        if beyond >= 0.0 && !self.is_active(alarm) {
            self.raise(alarm);
        } else if beyond < -DEAD_BAND {
            self.active &= !alarm.bit();
        }
    }

    fn raise(&mut self, alarm: Alarm) {
        self.active |= alarm.bit();
        self.unacknowledged |= alarm.bit();
    }
}

/// The one tank, for everybody who works on it; a cheap clone.
#[derive(Debug, Clone)]
pub(super) struct Process {
    tank: Arc<watch::Sender<Tank>>,
}

impl Process {
    pub(super) fn new(tank: Tank) -> Self {
        Self { tank: Arc::new(watch::Sender::new(tank)) }
    }

    pub(super) fn now(&self) -> Tank {
        self.tank.borrow().clone()
    }

    /// Sees every change.
    pub(super) fn watch(&self) -> watch::Receiver<Tank> {
        self.tank.subscribe()
    }

    /// Changes the tank, with nobody in between.
    pub(super) fn change(&self, change: impl FnOnce(&mut Tank)) {
        self.tank.send_if_modified(|tank| {
            let before = tank.clone();
            change(tank);
            *tank != before
        });
    }

    pub(super) fn step(&self, dt: Duration) {
        self.change(|tank| *tank = tank.after(dt));
    }

    /// Lets time pass until `stop`.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let mut ticks = tokio::time::interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.step(STEP),
            }
        }
    }
}

/// Rpm of the pump.
pub(super) const FASTEST: f64 = 1500.0;
/// How often the process moves.
const STEP: Duration = Duration::from_millis(200);
/// Seconds; a longer step would not be stable.
const LONGEST_STEP: f64 = 1.0;
/// Rpm a second.
const RAMP: f64 = 300.0;
/// Litres.
const CAPACITY: f64 = 2000.0;
/// Litres a second, with the pump at its fastest and the inlet open.
const LARGEST_INFLOW: f64 = 40.0;
/// Litres a second, from a full tank with the outlet open.
const LARGEST_OUTFLOW: f64 = 30.0;
/// Seconds.
const DEMAND_PERIOD: f64 = 60.0;
/// Degrees of what comes in, and of the jacket.
const FEED: f64 = 55.0;
const JACKET: f64 = 100.0;
/// Litres a second of the jacket's water that would heat as the jacket does.
const JACKET_FLOW: f64 = 6.6;
/// Percent of the valve per second and percent of level, and per percent of level: near critical damping.
const INTEGRAL: f64 = 0.6;
const PROPORTIONAL: f64 = 6.0;
/// Percent of the tank at which the pump is stopped.
const TRIP: f64 = 98.0;
/// Degrees Celsius.
const HOT: f64 = 85.0;
/// Percent, or degrees.
const DEAD_BAND: f64 = 1.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn later(mut tank: Tank, seconds: u32) -> Tank {
        for _ in 0..seconds * 5 {
            tank = tank.after(Duration::from_millis(200));
        }
        tank
    }

    #[test]
    fn it_moves_and_stays_near_its_setpoint_without_an_alarm() {
        let mut tank = Tank::running();
        let (mut lowest, mut highest) = (100.0_f64, 0.0_f64);
        for _ in 0..600 {
            tank = later(tank, 1);
            (lowest, highest) = (lowest.min(tank.level), highest.max(tank.level));
            assert_eq!(tank.alarm_word(), 0, "{tank:?}");
        }
        assert!(lowest > 60.0 && highest < 70.0, "{lowest} to {highest}");
        assert!(highest - lowest > 1.0, "it stands still: {lowest} to {highest}");
        assert!((65.0..80.0).contains(&tank.temperature), "{tank:?}");
    }

    #[test]
    fn a_new_setpoint_is_reached() {
        let mut tank = Tank::running();
        tank.settings.setpoint = 40.0;
        let tank = later(tank, 240);
        assert!((tank.level - 40.0).abs() < 4.0, "{tank:?}");
    }

    #[test]
    fn the_same_steps_give_the_same_tank() {
        assert_eq!(later(Tank::running(), 100), later(Tank::running(), 100));
    }

    #[test]
    fn without_its_pump_the_tank_runs_low_and_hot_and_the_alarms_wait_to_be_acknowledged() {
        let mut tank = Tank::running();
        tank.switch_pump(false);
        let mut tank = later(tank, 300);
        assert!(tank.speed < 1.0 && tank.inflow < 0.1 && tank.level < 20.0, "{tank:?}");
        for alarm in [Alarm::LevelLow, Alarm::TemperatureHigh] {
            assert!(tank.is_active(alarm) && tank.is_unacknowledged(alarm), "{alarm:?} in {tank:?}");
        }
        tank.acknowledge();
        assert!(tank.is_active(Alarm::LevelLow) && !tank.is_unacknowledged(Alarm::LevelLow));
        tank.switch_pump(true);
        let tank = later(tank, 300);
        assert_eq!(tank.alarm_word(), 0, "{tank:?}");
    }

    #[test]
    fn the_pump_trips_before_the_tank_runs_over_and_stays_off_until_acknowledged() {
        let mut tank = Tank::running();
        tank.settings.mode = Mode::Manual;
        (tank.settings.inlet, tank.settings.outlet) = (100.0, 0.0);
        let mut tank = later(tank, 60);
        assert!(tank.is_active(Alarm::PumpTripped) && !tank.settings.pump_on, "{tank:?}");
        tank.switch_pump(true);
        assert!(!tank.settings.pump_on, "a tripped pump was started");
        tank.acknowledge();
        assert!(tank.is_active(Alarm::PumpTripped), "cleared with a full tank");
        tank.settings.outlet = 100.0;
        let mut tank = later(tank, 20);
        tank.acknowledge();
        tank.switch_pump(true);
        assert!(tank.settings.pump_on);
    }

    #[test]
    fn who_watches_sees_what_changed_and_nothing_else() {
        let process = Process::new(Tank::running());
        let mut seen = process.watch();
        process.change(|_| {});
        assert!(!seen.has_changed().unwrap_or(true));
        process.step(STEP);
        assert!(seen.has_changed().unwrap_or(false));
        assert_eq!(*seen.borrow_and_update(), Tank::running().after(STEP));
    }

    proptest! {
        #[test]
        fn whatever_is_set_the_tank_stays_possible(
            steps in proptest::collection::vec((0.0..=100.0_f64, 0.0..=100.0_f64, 0_u16..=1500, any::<(bool, bool)>(), 0_u64..5000), 1..60),
        ) {
            let mut tank = Tank::running();
            for (inlet, outlet, speed, (on, automatic), dt) in steps {
                tank.settings.mode = if automatic { Mode::Automatic } else { Mode::Manual };
                (tank.settings.inlet, tank.settings.outlet, tank.settings.pump_speed) = (inlet, outlet, speed);
                tank.switch_pump(on);
                tank = tank.after(Duration::from_millis(dt));
                prop_assert!((0.0..=100.0).contains(&tank.level), "{tank:?}");
                prop_assert!((0.0..=JACKET).contains(&tank.temperature), "{tank:?}");
                prop_assert!((0.0..=FASTEST).contains(&tank.speed), "{tank:?}");
                prop_assert!((0.0..=100.0).contains(&tank.settings.inlet), "{tank:?}");
                prop_assert!(tank.inflow >= 0.0 && tank.outflow >= 0.0 && tank.delivered.is_finite(), "{tank:?}");
                prop_assert!(!(tank.settings.pump_on && tank.is_active(Alarm::PumpTripped)), "{tank:?}");
            }
        }
    }
}
