//! What counts as one source of connections.

use std::net::{IpAddr, Ipv6Addr};

/// A whole IPv4 address, or the /64 of an IPv6 one: a host owns at least that, so that counting single addresses would
/// count nothing.
#[must_use]
pub fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn check(source: &str, expected: &str) {
        assert_eq!(network(source.parse().unwrap()).to_string(), expected);
    }

    #[test]
    fn ipv6_by_network_and_ipv4_by_address_however_it_is_written() {
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
    }
}
