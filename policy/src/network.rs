//! An address range.

use std::fmt;
use std::net::IpAddr;

/// A network in CIDR notation, as `10.10.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No address, or no length of a prefix.
    #[error("`{0}` is not a network such as `10.10.1.0/24`")]
    Malformed(String),
    /// An address that is not the first of its network.
    #[error("`{0}` has address bits set beyond its prefix")]
    HostBits(String, Network),
}

impl Network {
    /// Reads CIDR notation. A bare address is a network of its own.
    pub(crate) fn parse(text: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let width = width(address);
        let prefix = match prefix {
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| malformed())?
            }
            Some(_) => return Err(malformed()),
            None => width,
        };
        if prefix > width {
            return Err(malformed());
        }
        let base = mask(address, prefix);
        let network = Self { base, prefix };
        if base == address { Ok(network) } else { Err(NetworkError::HostBits(text.to_owned(), network)) }
    }

    /// Does this address lie in the network?
    pub fn contains(&self, address: IpAddr) -> bool {
        width(address) == width(self.base) && mask(address, self.prefix) == self.base
    }

    /// Do the two have an address in common?
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        Self::parse(text)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let kept = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & kept).into())
        }
        IpAddr::V6(v6) => {
            let kept = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & kept).into())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn an_address_lies_in_its_network_only() {
        let network = Network::parse("10.10.1.0/24").unwrap();
        for (address, inside) in
            [("10.10.1.0", true), ("10.10.1.255", true), ("10.10.2.0", false), ("::ffff:10.10.1.1", false)]
        {
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!(Network::parse("::/0").unwrap().contains("2001:db8::1".parse().unwrap()));
        assert!(Network::parse("2001:db8::/32").unwrap().overlaps(&Network::parse("2001:db8:7::/48").unwrap()));
        assert_eq!(Network::parse("127.0.0.1").unwrap().to_string(), "127.0.0.1/32");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in
            ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/+8", "::/129", "a/8", "10.0.0.0/8/8", "10.0.0.0/"]
        {
            assert!(matches!(Network::parse(bad), Err(NetworkError::Malformed(_))), "{bad}");
        }
        let Err(NetworkError::HostBits(_, meant)) = Network::parse("10.10.1.7/24") else { panic!() };
        assert_eq!(meant.to_string(), "10.10.1.0/24");
    }
}
