//! The zones that are isolated, as a broker saw them.

use std::collections::BTreeMap;

use sallyport_policy::ZoneId;

/// Zones that nobody may reach, each with why.
#[derive(Debug, Default)]
pub(crate) struct Isolated(BTreeMap<String, String>);

impl Isolated {
    pub(crate) fn new(zones: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(zones.into_iter().collect())
    }

    /// Why a zone is isolated, where it is.
    pub(crate) fn reason(&self, zone: &ZoneId) -> Option<&str> {
        self.0.get(zone.as_str()).map(String::as_str)
    }
}
