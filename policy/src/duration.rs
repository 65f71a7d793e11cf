//! Durations as an administrator writes them.

use jiff::SignedDuration;

/// Reads `90s`, `15m`, `4h`, `1h30m`, `7d`: whole numbers, each unit at most once, the larger first.
pub(crate) fn parse(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut total: i64 = 0;
    let mut largest = i64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count: i64 = rest[..digits].parse().ok()?;
        let unit = match rest[digits..].chars().next()? {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if unit >= largest {
            return None;
        }
        largest = unit;
        total = total.checked_add(count.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then(|| SignedDuration::from_secs(total))
}

/// Writes a duration as a plant file has it: `1h30m`; days are written as hours.
#[must_use]
pub fn display(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let mut text = String::new();
    for (unit, size, of) in [('h', 3_600, i64::MAX), ('m', 60, 3_600), ('s', 1, 60)] {
        let count = seconds % of / size;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [
            ("0s", Some(0)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1h30m", Some(5_400)),
            ("7d", Some(604_800)),
            ("", None),
            ("15", None),
            ("m", None),
            ("1m1h", None),
            ("1h1h", None),
            ("-1h", None),
            ("1.5h", None),
            ("1 h", None),
            ("1w", None),
            ("é", None),
            ("99999999999999999999s", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(parse(text), seconds.map(SignedDuration::from_secs), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for seconds in [0, 1, 59, 60, 61, 3_600, 5_400, 86_399, 604_800] {
            let duration = SignedDuration::from_secs(seconds);
            assert_eq!(parse(&display(duration)), Some(duration));
        }
        assert_eq!(display(SignedDuration::from_mins(90)), "1h30m");
    }
}
