//! Random plants and requests. A plant is kept as plain data, so that it can be written as a plant file and, by code
//! that shares nothing with this crate, as a Cedar policy.

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sallyport_policy::{
    AccountName, Decision, FactorKind, LiveSession, Policy, Proof, Request, RuleRef, ServiceName, Subject, decide,
};

pub(crate) const ZONES: [&str; 3] = ["z0", "z1", "z2"];
pub(crate) const ASSETS: [&str; 4] = ["a0", "a1", "b0", "b1"];
pub(crate) const SERVICES: [&str; 3] = ["ssh", "vnc", "modbus"];
pub(crate) const ROLES: [&str; 3] = ["r0", "r1", "r2"];
pub(crate) const ZONES_OF_TIME: [&str; 3] = ["Europe/Oslo", "America/New_York", "Asia/Kolkata"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const ASSET_SELECTORS: [&str; 9] = ["a0", "a1", "b0", "tag:t0", "tag:t1", "zone:z0", "zone:z1", "a*", "*"];
const IDENTITY_SELECTORS: [&str; 7] = ["alice", "bob", "group:ops", "vendor:*", "vendor:acme", "b*", "*"];
/// The filters there are, by how much they give.
pub(crate) const FILTERS: [&str; 7] = ["read-only", "view-only", "eyes", "writes", "interactive", "observe", "full"];
const NAMEABLE: [&str; 6] = ["key", "security-key", "certificate", "password", "totp", "webauthn"];

#[derive(Debug, Clone)]
pub(crate) struct Plant {
    /// The zone of each asset.
    pub(crate) zones: Vec<&'static str>,
    pub(crate) conduits: Vec<Conduit>,
    pub(crate) members: Vec<Vec<&'static str>>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) forbids: Vec<Forbid>,
}

#[derive(Debug, Clone)]
pub(crate) struct Conduit {
    pub(crate) to: &'static str,
    pub(crate) services: Vec<&'static str>,
    /// Does it begin in another zone than the broker's?
    pub(crate) elsewhere: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grant {
    pub(crate) role: usize,
    pub(crate) assets: Vec<&'static str>,
    pub(crate) services: Vec<&'static str>,
    pub(crate) accounts: Vec<&'static str>,
    pub(crate) windows: Vec<Window>,
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_until: Option<i64>,
    pub(crate) factors: Option<Vec<&'static str>>,
    pub(crate) lease: i64,
    pub(crate) approval: bool,
    pub(crate) concurrent: Option<u32>,
    pub(crate) files: &'static str,
    pub(crate) hours: u8,
    pub(crate) filter: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub(crate) days: Vec<usize>,
    /// Minutes of the day; 1440 for the end.
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) timezone: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Forbid {
    pub(crate) identities: Vec<&'static str>,
    pub(crate) assets: Vec<&'static str>,
    pub(crate) services: Vec<&'static str>,
    pub(crate) accounts: Vec<&'static str>,
}

/// A request as data.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) subject: Subject,
    pub(crate) asset: &'static str,
    pub(crate) service: &'static str,
    pub(crate) account: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) proofs: Vec<Proof>,
    /// Live sessions: whose, and by which role and grant.
    pub(crate) live: Vec<(&'static str, usize, usize)>,
}

impl Asked {
    pub(crate) fn live_sessions(&self) -> Vec<LiveSession> {
        let session = |(identity, role, grant): &(&str, usize, usize)| LiveSession {
            identity: identity.parse().unwrap(),
            asset: self.asset.parse().unwrap(),
            rule: RuleRef { role: ROLES[*role].parse().unwrap(), grant: *grant, file: "old.toml".into(), line: 7 },
        };
        self.live.iter().map(session).collect()
    }

    pub(crate) fn decide(&self, policy: &Policy) -> Decision {
        self.decide_with(policy, &self.proofs, self.now)
    }

    pub(crate) fn decide_with(&self, policy: &Policy, proofs: &[Proof], now: Timestamp) -> Decision {
        self.with_request(|request| decide(policy, &Request { proofs, ..*request }, now))
    }

    pub(crate) fn with_request<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let (asset, service): (_, ServiceName) = (self.asset.parse().unwrap(), self.service.parse().unwrap());
        let account: AccountName = self.account.parse().unwrap();
        let (subject, live) = (&self.subject, self.live_sessions());
        let proofs = &self.proofs;
        act(&Request {
            subject,
            asset: &asset,
            service: &service,
            account: &account,
            proofs,
            live: &live,
            approvals: &[],
        })
    }
}

impl Plant {
    pub(crate) fn policy(&self) -> Policy {
        crate::plant_file::policy(&self.toml())
    }

    /// The plant as a plant file.
    pub(crate) fn toml(&self) -> String {
        [self.ground(), self.rules(&self.grants), self.forbids()].concat()
    }

    /// Zones, conduits, assets and members.
    pub(crate) fn ground(&self) -> String {
        let mut text = String::from("[zone.idmz]\nbroker = true\nnetworks = [\"192.0.2.0/24\"]\n");
        text.push_str("[filter.writes]\nmodbus = [{ operations = [\"write\"] }]\n[filter.eyes]\nvnc = \"view-only\"\n");
        for (number, zone) in ZONES.iter().enumerate() {
            writeln!(text, "[zone.{zone}]\nnetworks = [\"10.{number}.0.0/16\"]").unwrap();
        }
        for conduit in &self.conduits {
            let from = if conduit.elsewhere { "z0" } else { "idmz" };
            writeln!(
                text,
                "[[conduit]]\nfrom = \"{from}\"\nto = \"{}\"\nservices = {:?}",
                conduit.to, conduit.services
            )
            .unwrap();
        }
        for (number, (asset, zone)) in ASSETS.iter().zip(&self.zones).enumerate() {
            let network = ZONES.iter().position(|z| z == zone).unwrap();
            let tag = if number < 2 { "t0" } else { "t1" };
            writeln!(
                text,
                "[asset.{asset}]\nzone = \"{zone}\"\naddress = \"10.{network}.0.{number}\"\ntags = [\"{tag}\"]\n\
                 services = {{ ssh = {{}}, vnc = {{}}, modbus = {{}} }}\n\
                 accounts = {{ op = {{ auth = \"key\" }}, adm = {{ auth = \"prompt\" }} }}"
            )
            .unwrap();
        }
        for (role, members) in ROLES.iter().zip(&self.members) {
            writeln!(text, "[role.{role}.members]\nidentities = {members:?}").unwrap();
        }
        text
    }

    pub(crate) fn rules(&self, grants: &[Grant]) -> String {
        grants.iter().map(Grant::toml).collect()
    }

    pub(crate) fn forbids(&self) -> String {
        self.forbids.iter().map(Forbid::toml).collect()
    }
}

impl Grant {
    pub(crate) fn toml(&self) -> String {
        let mut text = format!(
            "[[role.{}.grant]]\nassets = {:?}\nservices = {:?}\naccounts = {:?}\nlease = \"{}s\"\n",
            ROLES[self.role], self.assets, self.services, self.accounts, self.lease
        );
        if !self.windows.is_empty() {
            let windows: Vec<String> = self.windows.iter().map(Window::toml).collect();
            writeln!(text, "when = [{}]", windows.join(", ")).unwrap();
        }
        for (key, at) in [("valid_from", self.valid_from), ("valid_until", self.valid_until)] {
            if let Some(at) = at {
                writeln!(text, "{key} = {}", Timestamp::from_second(at).unwrap()).unwrap();
            }
        }
        if let Some(factors) = &self.factors {
            writeln!(text, "factors = {factors:?}").unwrap();
        }
        if self.approval {
            text.push_str("approval = { by = \"r0\" }\n");
        }
        if let Some(filter) = self.filter {
            writeln!(text, "filter = \"{filter}\"").unwrap();
        }
        let concurrent = self.concurrent.map(|limit| format!("concurrent = {limit}, ")).unwrap_or_default();
        let (files, hours) = (self.files, self.hours);
        writeln!(text, "terms = {{ {concurrent}file_transfer = \"{files}\", max_duration = \"{hours}h\" }}").unwrap();
        text
    }
}

impl Window {
    pub(crate) fn toml(&self) -> String {
        let days: Vec<&str> = self.days.iter().map(|day| DAYS[*day]).collect();
        let time = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        format!(
            "{{ days = \"{}\", from = \"{}\", to = \"{}\", timezone = \"{}\" }}",
            days.join(","),
            time(self.from),
            time(self.to),
            self.timezone
        )
    }
}

impl Forbid {
    pub(crate) fn toml(&self) -> String {
        let mut text = String::from("[[forbid]]\n");
        for (key, named) in [
            ("identities", &self.identities),
            ("assets", &self.assets),
            ("services", &self.services),
            ("accounts", &self.accounts),
        ] {
            if !named.is_empty() {
                writeln!(text, "{key} = {named:?}").unwrap();
            }
        }
        text
    }
}

/// Instants of 2026, to the second, often on the nights of daylight-saving changes.
pub(crate) fn instant() -> impl Strategy<Value = Timestamp> {
    let year = 1_767_225_600_i64..1_798_761_600;
    let hours = 0..7_200_i64;
    prop_oneof![
        4 => year,
        // 8 March, 29 March, 25 October, 1 November, each around its change.
        1 => hours.clone().prop_map(|s| 1_772_952_000 + s),
        1 => hours.prop_map(|s| 1_774_744_200 + s),
        2 => (0..40_i64, 0..96_i64).prop_map(|(day, quarter)| 1_795_392_000 + day * 86_400 + quarter * 900),
    ]
    .prop_map(|second| Timestamp::from_second(second).unwrap())
}

pub(crate) fn window() -> impl Strategy<Value = Window> {
    let days = subsequence((0..7).collect::<Vec<usize>>(), 1..=7);
    (days, 0..96_u32, 0..=96_u32, select(&ZONES_OF_TIME)).prop_map(|(days, from, to, timezone)| Window {
        days,
        from: from * 15,
        to: to * 15,
        timezone,
    })
}

fn services() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![3 => subsequence(SERVICES.to_vec(), 1..=3), 1 => Just(vec!["*"]), 1 => Just(vec!["s*", "?nc"])]
}

fn accounts() -> impl Strategy<Value = Vec<&'static str>> {
    select(vec![vec!["op"], vec!["adm"], vec!["op", "adm"], vec!["*"], vec!["o?"]])
}

pub(crate) fn grant() -> impl Strategy<Value = Grant> {
    let named = (0..3_usize, subsequence(ASSET_SELECTORS.to_vec(), 1..=4), services(), accounts());
    let bound = || proptest::option::weighted(0.15, instant());
    let times = (proptest::collection::vec(window(), 0..=2), bound(), bound());
    let factors = proptest::option::weighted(0.5, subsequence(NAMEABLE.to_vec(), 1..=3));
    let conditions =
        (factors, select(vec![0, 60, 900, 3_600]), any::<bool>(), proptest::option::weighted(0.4, 1..3_u32));
    let filter = proptest::option::of(select(FILTERS.to_vec()));
    let terms = (select(vec!["none", "download", "upload", "both"]), 1..10_u8, filter);
    (named, times, conditions, terms).prop_map(|(named, (windows, one, other), conditions, (files, hours, filter))| {
        let (role, assets, services, accounts) = named;
        let (factors, lease, approval, concurrent) = conditions;
        let (one, other) = (one.map(Timestamp::as_second), other.map(Timestamp::as_second));
        // A grant that ends before it begins is an error of its own.
        let (valid_from, valid_until) = match (one, other) {
            (Some(one), Some(other)) if other <= one => (Some(other), Some(one + 1)),
            either => either,
        };
        Grant {
            role,
            assets,
            services,
            accounts,
            windows,
            valid_from,
            valid_until,
            factors,
            lease,
            approval: approval && hours % 3 != 0,
            concurrent,
            files,
            hours,
            filter,
        }
    })
}

pub(crate) fn forbid() -> impl Strategy<Value = Forbid> {
    (
        subsequence(IDENTITY_SELECTORS[..6].to_vec(), 1..=2),
        subsequence(ASSET_SELECTORS.to_vec(), 0..=2),
        prop_oneof![Just(vec![]), services()],
        prop_oneof![2 => Just(vec![]), 1 => accounts()],
    )
        .prop_map(|(identities, assets, services, accounts)| Forbid { identities, assets, services, accounts })
}

fn conduit() -> impl Strategy<Value = Conduit> {
    (select(&ZONES), subsequence(SERVICES.to_vec(), 1..=3), proptest::bool::weighted(0.15))
        .prop_map(|(to, services, elsewhere)| Conduit { to, services, elsewhere })
}

pub(crate) fn plant() -> impl Strategy<Value = Plant> {
    (
        proptest::collection::vec(select(&ZONES), ASSETS.len()),
        proptest::collection::vec(conduit(), 2..=9),
        proptest::collection::vec(subsequence(IDENTITY_SELECTORS.to_vec(), 1..=3), ROLES.len()),
        proptest::collection::vec(grant(), 1..=8),
        proptest::collection::vec(forbid(), 0..=1),
    )
        .prop_map(|(zones, conduits, members, grants, forbids)| Plant {
            zones,
            conduits,
            members,
            grants,
            forbids,
        })
}

fn subject() -> impl Strategy<Value = Subject> {
    let groups = subsequence(vec!["ops", "vendor:acme", "vendor:other", "x"], 0..=2);
    (select(vec!["alice", "bob", "carol"]), groups).prop_map(|(identity, groups)| Subject {
        identity: identity.parse().unwrap(),
        groups: groups.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
    })
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    // Now and then something that does not exist or does not fit.
    let account = prop_oneof![8 => Just(""), 1 => select(vec!["op", "adm", "-", "root"])];
    let service = prop_oneof![40 => select(SERVICES.to_vec()), 1 => Just("rdp")];
    let asset = prop_oneof![40 => select(ASSETS.to_vec()), 1 => Just("c0")];
    let ages = select(vec![-60_i64, -6, -5, 0, 1, 59, 60, 61, 899, 900, 901, 3_599, 3_600, 3_601]);
    let proofs = proptest::collection::vec((select(FactorKind::ALL.to_vec()), ages), 0..=4);
    let live = proptest::collection::vec((select(vec!["alice", "bob", "carol"]), 0..3_usize, 1..4_usize), 0..=12);
    (subject(), asset, service, account, any::<bool>(), instant(), proofs, live).prop_map(
        |(subject, asset, service, account, admin, now, proofs, live)| {
            let fitting = match (service, admin) {
                ("modbus", _) => "-",
                (_, true) => "adm",
                (_, false) => "op",
            };
            let account = if account.is_empty() { fitting } else { account };
            let proof = |(kind, age): (FactorKind, i64)| Proof { kind, at: now - SignedDuration::from_secs(age) };
            Asked { subject, asset, service, account, now, proofs: proofs.into_iter().map(proof).collect(), live }
        },
    )
}
