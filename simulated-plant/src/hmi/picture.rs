//! What the panel shows, and what its buttons do.

use super::canvas::{Area, Canvas, Colour, WIDTH};
use super::font;
use crate::process::{Alarm, Mode, Tank};

/// A button of the panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Button {
    Start,
    Stop,
    SetpointDown,
    SetpointUp,
    Acknowledge,
    Mode,
}

impl Button {
    const ALL: [Self; 6] =
        [Self::Start, Self::Stop, Self::SetpointDown, Self::SetpointUp, Self::Acknowledge, Self::Mode];

    /// The one at this pixel.
    pub(super) fn at(x: usize, y: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|button| button.area().contains(x, y))
    }

    /// Does what it says.
    pub(super) fn press(self, tank: &mut Tank) {
        let settings = &mut tank.settings;
        match self {
            Self::Start => tank.switch_pump(true),
            Self::Stop => tank.switch_pump(false),
            Self::SetpointDown => settings.setpoint = (settings.setpoint - 1.0).max(0.0),
            Self::SetpointUp => settings.setpoint = (settings.setpoint + 1.0).min(100.0),
            Self::Acknowledge => tank.acknowledge(),
            Self::Mode => {
                settings.mode = match settings.mode {
                    Mode::Manual => Mode::Automatic,
                    Mode::Automatic => Mode::Manual,
                }
            }
        }
    }

    pub(super) fn area(self) -> Area {
        Area::new(6 + 79 * self as usize, 272, 73, 40)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Stop => "STOP",
            Self::SetpointDown => "SP -",
            Self::SetpointUp => "SP +",
            Self::Acknowledge => "ACK",
            Self::Mode => "MODE",
        }
    }

    fn colour(self, tank: &Tank) -> Colour {
        let unacknowledged = Alarm::ALL.into_iter().any(|alarm| tank.is_unacknowledged(alarm));
        match self {
            Self::Start if tank.settings.pump_on => Colour::On,
            Self::Acknowledge if unacknowledged => Colour::Warning,
            _ => Colour::Panel,
        }
    }
}

/// Draws the process as it is.
pub(super) fn draw(tank: &Tank) -> Canvas {
    let mut canvas = Canvas::new(Colour::Ground);
    header(&mut canvas, tank);
    pipes(&mut canvas, tank);
    vessel(&mut canvas, tank);
    numbers(&mut canvas, tank);
    alarms(&mut canvas, tank);
    for button in Button::ALL {
        let area = button.area();
        canvas.fill(area, button.colour(tank));
        canvas.frame(area, 1, Colour::Line);
        let width = button.label().len() * font::ADVANCE * 2;
        canvas.text(area.x + (area.width - width) / 2, area.y + 13, 2, button.label(), Colour::Text);
    }
    canvas
}

fn header(canvas: &mut Canvas, tank: &Tank) {
    canvas.fill(Area::new(0, 0, WIDTH, 28), Colour::Panel);
    canvas.text(8, 7, 2, "CELL 1  TANK 1", Colour::Text);
    let (mode, colour) = match tank.settings.mode {
        Mode::Manual => ("MANUAL", Colour::Warning),
        Mode::Automatic => ("AUTO", Colour::On),
    };
    canvas.text(NUMBERS, 7, 2, mode, colour);
}

fn pipes(canvas: &mut Canvas, tank: &Tank) {
    let settings = &tank.settings;
    let flows = |flow: f64| if flow > 0.05 { Colour::Liquid } else { Colour::Dim };
    let open = |percent: f64| if percent > 0.5 { Colour::On } else { Colour::Off };
    canvas.fill(Area::new(0, 87, VESSEL.x, 7), flows(tank.inflow));
    canvas.disc(40, 90, 18, Colour::Line);
    canvas.disc(40, 90, 15, if tank.speed > 10.0 { Colour::On } else { Colour::Off });
    canvas.text(35, 87, 1, "P2", Colour::Text);
    canvas.valve(105, 90, 14, open(settings.inlet));
    canvas.text(90, 108, 1, &format!("{:.0} %", settings.inlet), Colour::Text);
    canvas.fill(Area::new(VESSEL.x + VESSEL.width, 207, 74, 7), flows(tank.outflow));
    canvas.valve(292, 210, 14, open(settings.outlet));
    canvas.text(280, 228, 1, &format!("{:.0} %", settings.outlet), Colour::Text);
}

fn vessel(canvas: &mut Canvas, tank: &Tank) {
    let Area { x, y, width, height } = VESSEL;
    canvas.frame(VESSEL, 3, Colour::Line);
    let (bottom, tall) = (y + height - 3, height - 6);
    let row = |percent: f64| bottom - ((percent / 100.0).clamp(0.0, 1.0) * tall as f64).round() as usize;
    let top = row(tank.level);
    canvas.fill(Area::new(x + 3, top, width - 6, bottom - top), Colour::Liquid);
    let mark = |canvas: &mut Canvas, percent: f64, colour| {
        canvas.fill(Area::new(x - 8, row(percent).min(bottom - 1), 8, 2), colour);
    };
    mark(canvas, tank.settings.high_limit, Colour::Alarm);
    mark(canvas, tank.settings.low_limit, Colour::Alarm);
    mark(canvas, f64::from(tank.settings.setpoint), Colour::Warning);
    canvas.text(x + 30, y + height / 2, 2, &format!("{:.0} %", tank.level), Colour::Text);
}

fn numbers(canvas: &mut Canvas, tank: &Tank) {
    let rows = [
        ("LEVEL", format!("{:.1} %", tank.level)),
        ("SETPOINT", format!("{:.1} %", tank.settings.setpoint)),
        ("TEMPERATURE", format!("{:.1} C", tank.temperature)),
        ("INFLOW", format!("{:.1} L/S", tank.inflow)),
        ("OUTFLOW", format!("{:.1} L/S", tank.outflow)),
        ("PUMP 2", format!("{:.0} RPM", tank.speed)),
    ];
    for (row, (name, value)) in rows.into_iter().enumerate() {
        let y = 40 + row * 37;
        canvas.text(NUMBERS, y, 1, name, Colour::Dim);
        canvas.text(NUMBERS, y + 11, 2, &value, Colour::Text);
    }
}

fn alarms(canvas: &mut Canvas, tank: &Tank) {
    // The gravest first; there is room for one.
    let alarms = [Alarm::PumpTripped, Alarm::LevelHigh, Alarm::TemperatureHigh, Alarm::LevelLow];
    let active = alarms.into_iter().find(|alarm| tank.is_active(*alarm));
    let past = alarms.into_iter().find(|alarm| tank.is_unacknowledged(*alarm));
    let (text, colour) = match (active, past) {
        (Some(alarm), _) => (alarm.text(), Colour::Alarm),
        (None, Some(alarm)) => (alarm.text(), Colour::Warning),
        (None, None) => ("no alarms", Colour::Dim),
    };
    canvas.text(8, 247, 2, &text.to_uppercase(), colour);
}

const VESSEL: Area = Area::new(150, 48, 110, 185);
/// Where the column of numbers begins.
const NUMBERS: usize = 344;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_picture_follows_the_process() {
        let tank = Tank::running();
        let first = draw(&tank);
        assert_eq!(draw(&tank), first);
        let mut moved = tank.clone();
        moved.level += 5.0;
        let difference = first.difference(&draw(&moved), VESSEL);
        assert!(difference.is_some(), "the level does not show");
        let mut stopped = tank.clone();
        stopped.switch_pump(false);
        for _ in 0..300 {
            stopped = stopped.after(Duration::from_secs(1));
        }
        let alarm_line = Area::new(0, 247, 340, 14);
        assert!(draw(&stopped).pixels(alarm_line).any(|colour| colour == Colour::Alarm));
        assert!(!first.pixels(alarm_line).any(|colour| colour == Colour::Alarm));
    }

    #[test]
    fn a_button_is_where_it_is_drawn_and_does_what_it_says() {
        let mut tank = Tank::running();
        let press = |tank: &mut Tank, button: Button| {
            let Area { x, y, width, height } = button.area();
            assert_eq!(Button::at(x + width / 2, y + height / 2), Some(button));
            assert!(Area::WHOLE.within(&button.area()) == Some(button.area()), "{button:?} lies outside");
            button.press(tank);
        };
        press(&mut tank, Button::Stop);
        assert!(!tank.settings.pump_on);
        press(&mut tank, Button::Start);
        assert!(tank.settings.pump_on);
        press(&mut tank, Button::SetpointUp);
        press(&mut tank, Button::SetpointUp);
        press(&mut tank, Button::SetpointDown);
        assert_eq!(tank.settings.setpoint, 66.0);
        press(&mut tank, Button::Mode);
        assert_eq!(tank.settings.mode, Mode::Manual);
        press(&mut tank, Button::Acknowledge);
        assert_eq!(Button::at(0, 0), None);
        tank.settings.setpoint = 100.0;
        press(&mut tank, Button::SetpointUp);
        assert_eq!(tank.settings.setpoint, 100.0);
    }
}
