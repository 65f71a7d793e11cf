//! A service where it is: the thing that rules, windows and filters speak of.

use crate::asset::{Asset, Service};
use crate::names::{AssetId, ServiceName};
use crate::policy::Policy;

/// A service of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'p> {
    /// The asset.
    pub asset: &'p Asset,
    /// One of its services.
    pub service: &'p Service,
}

impl Policy {
    /// The service of these names.
    pub fn place(&self, asset: &AssetId, service: &ServiceName) -> Option<Place<'_>> {
        let asset = self.asset(asset)?;
        Some(Place { asset, service: asset.services.get(service)? })
    }

    /// Every service, by asset and name.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.assets().flat_map(|asset| asset.services.values().map(move |service| Place { asset, service }))
    }
}
