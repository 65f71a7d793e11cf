//! Time zones by name.

use std::sync::OnceLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The time zone of this name, as `Europe/Oslo`.
pub(crate) fn named(name: &str) -> Option<TimeZone> {
    database().get(name).ok().filter(|zone| zone.iana_name().is_some())
}

/// Every name there is.
pub(crate) fn known() -> impl Iterator<Item = String> {
    database().available().map(|name| name.as_str().to_owned())
}

/// The rules built into this program: a policy must mean the same on every broker, whatever the machine has installed.
fn database() -> &'static TimeZoneDatabase {
    static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
    BUNDLED.get_or_init(TimeZoneDatabase::bundled)
}
