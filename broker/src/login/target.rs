//! What a person wrote, as a target of the plant file: the one place where a host, a port or an account becomes a service.

use sallyport_policy::{AccountName, Asset, AssetId, Claimant, Policy, Protocol, Service, ServiceName};

use super::name::DirectTarget;
use crate::live::{Form, Target};
use crate::session::not_for_you;

/// What a forwarded connection leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// An ssh service: the broker ends the SSH inside.
    Jump { asset: AssetId, service: ServiceName },
    /// Any other: a session of its own.
    Stream(Target),
}

/// Why what was written leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nowhere {
    /// For the audit chain.
    pub(crate) reason: &'static str,
    /// For the person: the same for what does not exist and what is not granted.
    pub(crate) sentence: String,
}

/// `alice:operator@ews-1`: the asset's one ssh service and, where the person did not say, the one account that is granted.
pub(super) fn direct<'a>(
    policy: &Policy,
    claimant: impl Into<Claimant<'a>>,
    written: &DirectTarget,
) -> Result<Target, Nowhere> {
    let host = written.host.as_str();
    let (asset, service) = located(policy, host, None)
        .ok_or_else(|| nowhere("not an asset of the plant file with one ssh service", host))?;
    let granted = policy.accounts(claimant, &asset.id, &service.name);
    let account = account(written.account.clone(), &granted, host, &asset.id, asset.id.as_str())?;
    Ok(Target { asset: asset.id.clone(), service: service.name.clone(), account, form: Form::Direct })
}

/// `ssh -J` and `ssh -L`: one service of the plant file that some grant of theirs names, or nothing.
pub(crate) fn forward<'a>(
    policy: &Policy,
    claimant: impl Into<Claimant<'a>>,
    written: &str,
    port: u16,
) -> Result<Lead, Nowhere> {
    let unknown = || nowhere("not a service of the plant file", written);
    // `-L 5900:keeper@hmi-1:5900`: no asset has `@` in its name, so that an account before it can be meant.
    let (named, host) = match written.rsplit_once('@') {
        Some((account, host)) => (Some(account.parse::<AccountName>().map_err(|_| unknown())?), host),
        None => (None, written),
    };
    let (asset, service) = located(policy, host, Some(port)).ok_or_else(unknown)?;
    let granted = policy.accounts(claimant, &asset.id, &service.name);
    if granted.is_empty() {
        return Err(nowhere(UNGRANTED, written));
    }
    let (asset, service, protocol) = (asset.id.clone(), service.name.clone(), service.protocol);
    if protocol == Protocol::Ssh {
        // Which account, the login inside says.
        return if named.is_none() { Ok(Lead::Jump { asset, service }) } else { Err(unknown()) };
    }
    let account = account(named, &granted, written, &asset, &format!("{asset}:{port}"))?;
    Ok(Lead::Stream(Target { asset, service, account, form: Form::Forward }))
}

/// The login inside a jump: `operator`, or what a hurried person writes, `operator@ews-1`. The asset is known already, and
/// must be the same.
pub(crate) fn jump(asset: &AssetId, service: &ServiceName, written: &str) -> Option<Target> {
    let account = match written.rsplit_once('@') {
        Some((account, host)) if host.eq_ignore_ascii_case(asset.as_str()) => account,
        Some(_) | None => written,
    };
    let account = account.parse().ok()?;
    Some(Target { asset: asset.clone(), service: service.clone(), account, form: Form::Jump })
}

/// The service that a host and a port mean, or a host alone: its one ssh service. Nothing is resolved by DNS.
fn located<'a>(policy: &'a Policy, host: &str, port: Option<u16>) -> Option<(&'a Asset, &'a Service)> {
    let named = |asset: &&Asset| asset.id.as_str().eq_ignore_ascii_case(host);
    let Some(port) = port else {
        let address = host.parse().ok();
        let asset = policy.assets().find(|asset| named(asset) || Some(asset.address) == address)?;
        return only(asset, |service| service.protocol == Protocol::Ssh);
    };
    // `ssh -J` without a port says 22, and a tool says its protocol's usual port: by its plant name, that is the asset's one
    // service of that protocol, wherever it listens.
    policy.locate(host, port).or_else(|| {
        let asset = policy.assets().find(named)?;
        only(asset, |service| service.protocol.usual_port() == Some(port))
    })
}

/// The one service of an asset that is such.
fn only(asset: &Asset, such: impl Fn(&Service) -> bool) -> Option<(&Asset, &Service)> {
    let mut services = asset.services.values().filter(|service| such(service));
    services.next().filter(|_| services.next().is_none()).map(|service| (asset, service))
}

/// The account that was named, or the one that is granted. `example`: how the target is written behind an account.
fn account(
    named: Option<AccountName>,
    granted: &[AccountName],
    written: &str,
    asset: &AssetId,
    example: &str,
) -> Result<AccountName, Nowhere> {
    match (named, granted) {
        (Some(account), _) => Ok(account),
        (None, []) => Err(nowhere(UNGRANTED, written)),
        (None, [only]) => Ok(only.clone()),
        (None, several @ [first, ..]) => {
            let names: Vec<_> = several.iter().map(AccountName::as_str).collect();
            let sentence = format!(
                "Several accounts are yours on {asset}: say which, as in {first}@{example}. They are {}.",
                names.join(", ")
            );
            Err(Nowhere { reason: "several accounts are granted and none was named", sentence })
        }
    }
}

fn nowhere(reason: &'static str, written: &str) -> Nowhere {
    Nowhere { reason, sentence: not_for_you(written) }
}

const UNGRANTED: &str = "no grant names it for this identity";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use sallyport_policy::{PlantFile, Subject};

    use super::*;
    use crate::login::name::LoginName;

    const PLANT: &str = r#"
[zone.cell-1]
level = 2
security_level = 2
networks = ["10.10.1.0/24"]
[[conduit]]
to = "cell-1"
services = ["ssh", "modbus", "vnc"]
[asset.ews-1]
zone = "cell-1"
address = "10.10.1.20"
services.ssh = { port = 2222, host_key = "HOST_KEY" }
accounts.operator = { auth = "certificate" }
accounts.root = { auth = "certificate" }
[asset.ews-2]
zone = "cell-1"
address = "10.10.1.21"
services.ssh = { port = 22, host_key = "HOST_KEY" }
accounts.operator = { auth = "certificate" }
[asset.hmi-1]
zone = "cell-1"
address = "10.10.1.31"
services.vnc.port = 5901
accounts.keeper = { auth = "prompt" }
accounts.guest = { auth = "prompt" }
[asset.plc-1]
zone = "cell-1"
address = "10.10.1.30"
services.modbus.port = 1502
[[role.engineer.grant]]
assets = ["ews-1", "hmi-1", "plc-1"]
services = ["ssh", "modbus", "vnc"]
accounts = ["operator", "root", "keeper", "guest"]
[[role.engineer.grant]]
assets = ["plc-1"]
services = ["modbus"]
[role.engineer.members]
identities = ["alice"]
"#;

    fn policy() -> Policy {
        let key = ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]));
        let text = PLANT.replace("HOST_KEY", &key.public_key().to_openssh().unwrap());
        Policy::parse(&[PlantFile { name: "plant.toml".to_owned(), text }]).unwrap()
    }

    fn alice() -> Subject {
        Subject { identity: "alice".parse().unwrap(), groups: std::collections::BTreeSet::new() }
    }

    fn told(target: &Target) -> String {
        format!("{} {} as {}, {}", target.asset, target.service, target.account, target.form)
    }

    fn check_direct(written: &str, expected: &str) {
        let name: LoginName = LoginName::parse(&format!("alice:{written}")).unwrap();
        let found = match direct(&policy(), &alice(), &name.target.unwrap()) {
            Ok(target) => told(&target),
            Err(Nowhere { reason, sentence }) => format!("{reason}: {sentence}"),
        };
        assert_eq!(found, expected, "{written}");
    }

    fn check_forward(host: &str, port: u16, expected: &str) {
        let found = match forward(&policy(), &alice(), host, port) {
            Ok(Lead::Jump { asset, service }) => format!("{asset} {service}, jump"),
            Ok(Lead::Stream(target)) => told(&target),
            Err(Nowhere { reason, sentence }) => format!("{reason}: {sentence}"),
        };
        assert_eq!(found, expected, "{host}:{port}");
    }

    #[test]
    fn a_name_or_an_address_means_the_one_ssh_service_and_the_one_account_that_is_granted() {
        check_direct("operator@ews-1", "ews-1 ssh as operator, direct");
        check_direct("root@10.10.1.20", "ews-1 ssh as root, direct");
        // Whether it is granted, the policy says when it decides.
        check_direct("operator@EWS-2", "ews-2 ssh as operator, direct");
        check_direct(
            "ews-1",
            "several accounts are granted and none was named: Several accounts are yours on ews-1: say which, as in \
             operator@ews-1. They are operator, root.",
        );
        let sentence = |host: &str| format!("You may not reach `{host}` now, or it does not exist.");
        check_direct("ews-2", &format!("no grant names it for this identity: {}", sentence("ews-2")));
        for nowhere in ["plc-1", "ews-9", "10.10.1.99"] {
            let expected = format!("not an asset of the plant file with one ssh service: {}", sentence(nowhere));
            check_direct(nowhere, &expected);
        }
    }

    #[test]
    fn a_host_and_a_port_mean_one_service_that_some_grant_names() {
        check_forward("ews-1", 2222, "ews-1 ssh, jump");
        check_forward("Ews-1", 22, "ews-1 ssh, jump");
        check_forward("10.10.1.20", 2222, "ews-1 ssh, jump");
        check_forward("plc-1", 502, "plc-1 modbus as -, forward");
        check_forward("10.10.1.30", 1502, "plc-1 modbus as -, forward");
        check_forward("keeper@hmi-1", 5901, "hmi-1 vnc as keeper, forward");
        check_forward(
            "hmi-1",
            5901,
            "several accounts are granted and none was named: Several accounts are yours on hmi-1: say which, as in \
             guest@hmi-1:5901. They are guest, keeper.",
        );
        let nowhere = |reason: &str, host: &str, port| {
            let sentence = format!("You may not reach `{host}` now, or it does not exist.");
            check_forward(host, port, &format!("{reason}: {sentence}"));
        };
        nowhere("no grant names it for this identity", "ews-2", 22);
        // The usual port means a service by the asset's name alone; which account, the login inside a jump says.
        for (host, port) in [("10.10.1.20", 22), ("ews-1", 23), ("operator@ews-1", 22), ("no one@hmi-1", 5901)] {
            nowhere("not a service of the plant file", host, port);
        }
    }

    #[test]
    fn inside_a_jump_the_asset_is_known_and_must_be_the_same() {
        let (asset, service) = ("ews-1".parse().unwrap(), "ssh".parse().unwrap());
        let account = |written: &str| jump(&asset, &service, written).map(|target| told(&target));
        assert_eq!(account("operator").unwrap(), "ews-1 ssh as operator, jump");
        assert_eq!(account("operator@EWS-1").unwrap(), "ews-1 ssh as operator, jump");
        assert_eq!(account("operator@ews-2"), None);
        assert_eq!(account("no one"), None);
    }
}
