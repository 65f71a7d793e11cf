//! How a person is told to reach a service.

use sallyport_policy::{AccountName, AssetId};

/// What to write behind `-L`. The account is named where the person has several there.
pub(crate) fn local_forward(asset: &AssetId, port: u16, account: Option<&AccountName>) -> String {
    let account = account.map(|account| format!("{account}@")).unwrap_or_default();
    format!("{}:{account}{asset}:{port}", local_port(port))
}

/// A local port that needs no privilege and that the person's own machine hardly uses: 5020 for 502, 13389 for 3389.
fn local_port(port: u16) -> u16 {
    match port {
        103..1024 => port * 10,
        _ => port.checked_add(10_000).unwrap_or(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_ports_need_no_privilege() {
        assert_eq!([502, 3389, 5900, 7, 102, 80].map(local_port), [5020, 13389, 15900, 10007, 10102, 10080]);
        assert!((1..=u16::MAX).all(|port| local_port(port) >= 1024));
    }
}
