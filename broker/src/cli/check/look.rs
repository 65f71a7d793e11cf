//! The single looks of `sallyport check`. None of them changes anything.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{AccountAuth, Place, Policy, Protocol, nearest};

use super::{Finding, envelopes};
use crate::access::doubts;
use crate::cli::{Context, printable};
use crate::config::Config;
use crate::identity::{Accepted, everybody};
use crate::install::{MASTER_KEY, READER};
use crate::recording::reserve_found;
use crate::store::isolations::Standing;
use crate::store::{Store, StoreError};
use crate::vault::{MasterKey, MasterKeySource, Vault};

/// Who could change the configuration, and as whom the broker would run.
pub(super) fn own_files(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(metadata) = std::fs::metadata(&config.path)
        && metadata.permissions().mode() & 0o022 != 0
    {
        let mend = format!("chmod go-w {}", config.path.display());
        findings.push(Finding::warn("configuration", "others than its owner can change it", mend));
    }
    let folder = config.path.parent().unwrap_or(Path::new(""));
    let mut left = vec![(READER, "whoever takes this machine can read every recording")];
    if matches!(config.master_key, MasterKeySource::Credential(_)) {
        left.push((MASTER_KEY, "the master key lies here unsealed"));
    }
    for (name, says) in left {
        let path = folder.join(name);
        if path.exists() {
            let mend = format!("move `{}` off this machine, and keep a copy", path.display());
            findings.push(Finding::warn("own keys", says, mend));
        }
    }
    if rustix::process::getuid().is_root() {
        findings.push(Finding::warn("user", "this is root", "run the broker as a user of its own; see deploy/"));
    }
    findings
}

pub(super) fn master_key(config: &Config) -> Vec<Finding> {
    match MasterKey::load(&config.master_key) {
        Ok(key) => vec![Finding::ok("master key", key.source().to_string())],
        Err(error) => {
            vec![Finding::fail(
                "master key",
                error.to_string(),
                "do not start over with `sallyport init`: what is sealed in the database needs this very key",
            )]
        }
    }
}

/// The database, and what can be looked at only through it: keys, plant, people.
pub(super) async fn database(context: &Context) -> Vec<Finding> {
    let Ok(config) = context.config() else { return Vec::new() };
    // Opening would make the file; looking must not.
    if let Some(path) = config.database.url.strip_prefix("sqlite:")
        && !Path::new(path).exists()
    {
        return vec![Finding::fail(
            "database",
            format!("there is no `{path}`"),
            "for a new installation `sallyport init`; else bring the file back, or see `[database] url`",
        )];
    }
    let store = &match Store::look(&config.database).await {
        Ok(store) => store,
        Err(error @ StoreError::OlderSchema { .. }) => {
            return vec![Finding::warn("database", error.to_string(), "start the broker, then check again")];
        }
        Err(error) => {
            return vec![Finding::fail("database", error.to_string(), "see `[database]` in the configuration")];
        }
    };
    let mut findings = vec![Finding::ok("database", format!("{:?}, schema up to date", store.engine()))];
    findings.extend(keys(config, store).await);
    findings.extend(rows(store).await);
    findings.extend(plant(config, store).await);
    findings.extend(isolated(store).await);
    findings.extend(brokers(config, store).await);
    findings
}

async fn keys(config: &Config, store: &Store) -> Vec<Finding> {
    // A missing key has been told of already.
    let Ok(master) = MasterKey::load(&config.master_key) else { return Vec::new() };
    match Vault::open(store.clone(), &master).await {
        Ok(_) => vec![Finding::ok("keys", "the master key opens this database")],
        Err(error) => vec![Finding::fail("keys", error.to_string(), "use the master key of this database")],
    }
}

/// Rows that let somebody in, and are not as a broker wrote them.
async fn rows(store: &Store) -> Vec<Finding> {
    let found = match store.rows_not_genuine().await {
        Ok(found) => found,
        // That there is no key, or a wrong one, was told already.
        Err(StoreError::NoRowKey) => return Vec::new(),
        Err(error) => return vec![Finding::fail("rows", error.to_string(), "restore the database")],
    };
    if found.is_empty() {
        return vec![Finding::ok("rows", "people, factors, leases, windows and plants are as brokers wrote them")];
    }
    let mend = "find out who else writes the database; remove it and give it anew, or see `sallyport secrets adopt`";
    let more = found.len().saturating_sub(MOST_ROWS);
    let mut findings: Vec<Finding> = found
        .iter()
        .take(MOST_ROWS)
        .map(|row| {
            let says = format!("`{}` of `{}` counts as not there: {}", printable(&row.key), row.table, row.fault);
            Finding::fail("rows", says, mend)
        })
        .collect();
    if more > 0 {
        findings.push(Finding::fail("rows", format!("and {more} more"), mend));
    }
    findings
}

async fn plant(config: &Config, store: &Store) -> Vec<Finding> {
    let plant = match store.current_plant().await {
        Ok(Some(plant)) => plant,
        Ok(None) => {
            let mend = "`sallyport apply -f plant.toml`";
            return vec![Finding::warn("plant", "none was applied, so nobody may reach anything", mend)];
        }
        Err(error) => return vec![Finding::fail("plant", error.to_string(), "restore the database")],
    };
    match Policy::parse(&plant.files) {
        Err(errors) => {
            let says = format!("version {} does not hold: {errors}", plant.version);
            vec![Finding::fail("plant", says, "`sallyport apply` a corrected one")]
        }
        Ok(policy) => {
            let (assets, roles) = (policy.assets().count(), policy.roles().count());
            let says = format!("version {}: {assets} assets, {roles} roles", plant.version);
            let mut findings = vec![Finding::ok("plant", says)];
            findings.extend(
                policy
                    .warnings()
                    .iter()
                    // Told below, with the command that mends it.
                    .filter(|warning| !warning.to_string().contains("pins no host key"))
                    .map(|warning| Finding::warn("plant", warning.to_string(), "mend the plant file and apply it")),
            );
            findings.extend(doubted(&policy, config, store).await);
            findings.extend(unknown_zones(&policy, config));
            findings.extend(unpinned(&policy));
            findings.extend(without_credential(&policy, store).await);
            findings.extend(envelopes::look(&policy, store, Timestamp::now()).await);
            findings
        }
    }
}

/// A retention that is for no zone: what it was meant for is kept by the common one.
fn unknown_zones(policy: &Policy, config: &Config) -> Vec<Finding> {
    let known: BTreeSet<&str> = policy.zones().map(|zone| zone.id.as_str()).collect();
    let zones = config.recording.retention.keys().map(String::as_str).filter(|zone| !known.contains(zone));
    zones
        .map(|zone| {
            let near = nearest(zone, known.iter().copied());
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let says = format!("`[recording.retention.{zone}]` is for a zone that the plant does not have{hint}");
            Finding::warn("retention", says, "write the zone's name as the plant file does")
        })
        .collect()
}

/// What can hardly be meant, held against who is enrolled.
async fn doubted(policy: &Policy, config: &Config, store: &Store) -> Vec<Finding> {
    let (accepted, now) = (Accepted::by(config), Timestamp::now());
    match everybody(store, &accepted, now).await {
        Ok(people) => doubts(policy, &people, &accepted, now)
            .into_iter()
            .map(|doubt| Finding::warn("plant", doubt, "mend the plant file and apply it, or enrol them"))
            .collect(),
        // That there is no key, or a wrong one, was told already.
        Err(StoreError::NoRowKey) => Vec::new(),
        Err(error) => vec![Finding::fail("people", error.to_string(), "restore the database")],
    }
}

fn unpinned(policy: &Policy) -> Vec<Finding> {
    policy
        .places()
        .filter(|place| place.service.protocol == Protocol::Ssh && place.service.host_keys.is_empty())
        .map(|Place { asset, service }| {
            let mend = format!(
                "ssh-keyscan -p {} {}, compare with the asset, put it into the plant file",
                service.port, asset.address
            );
            Finding::warn("plant", format!("`{}` has no pinned host key and is refused", asset.id), mend)
        })
        .collect()
}

async fn without_credential(policy: &Policy, store: &Store) -> Vec<Finding> {
    let held = match store.accounts().await {
        Ok(rows) => rows,
        Err(error) => return vec![Finding::fail("accounts", error.to_string(), "restore the database")],
    };
    let accounts = policy.assets().flat_map(|asset| asset.accounts.values().map(move |account| (asset, account)));
    accounts
        .filter(|(_, account)| matches!(account.auth, AccountAuth::Password | AccountAuth::Key))
        .filter(|(asset, account)| {
            !held.iter().any(|row| row.asset == asset.id.as_str() && row.account == account.name.as_str())
        })
        .map(|(asset, account)| {
            let says = format!("no credential for `{}` on `{}`", account.name, asset.id);
            Finding::warn("accounts", says, "`sallyport account --help`")
        })
        .collect()
}

/// Zones that nobody reaches, in case that was forgotten.
async fn isolated(store: &Store) -> Vec<Finding> {
    let standing = match store.isolations().await {
        Ok(standing) => standing,
        Err(error) => {
            return vec![Finding::fail("zones", error.to_string(), "restore the database: no session begins")];
        }
    };
    let says = |Standing { isolation, .. }: Standing| {
        let (zone, by, reason) = (printable(&isolation.zone), printable(&isolation.by), printable(&isolation.reason));
        let mend = format!("once it is safe, two people: sallyport zone lift {zone} --reason …");
        Finding::warn("zones", format!("`{zone}` is isolated since {:.0}, by {by}: {reason}", isolation.at), mend)
    };
    standing.into_iter().map(says).collect()
}

/// Clocks that disagree: every broker of an installation writes its own into the database.
async fn brokers(config: &Config, store: &Store) -> Vec<Finding> {
    let brokers = match store.brokers().await {
        Ok(brokers) => brokers,
        Err(error) => return vec![Finding::fail("brokers", error.to_string(), "restore the database")],
    };
    let now = Timestamp::now();
    let ahead = brokers.iter().filter(|broker| broker.seen_at.duration_since(now).as_secs() > 5);
    let mut findings: Vec<Finding> = ahead
        .map(|broker| {
            let says = format!("broker `{}` was heard of in the future ({})", broker.name, broker.seen_at);
            Finding::fail("clock", says, "synchronise the clocks of all brokers")
        })
        .collect();
    if let Some(own) = brokers.iter().find(|broker| broker.name == config.name) {
        findings.push(Finding::ok("broker", format!("`{}` was last heard of at {:.0}", own.name, own.seen_at)));
    }
    findings
}

/// The folder, who can read it, and how much room there is.
pub(super) fn recordings(config: &Config) -> Vec<Finding> {
    let dir = &config.recording.dir;
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let says = format!("`{}` is not a folder", dir.display());
            return vec![Finding::fail("recordings", says, "name a folder in `[recording] dir`")];
        }
        Err(error) => {
            let mend = format!("install -d -m 0700 {}", dir.display());
            return vec![Finding::fail("recordings", format!("`{}`: {error}", dir.display()), mend)];
        }
    };
    let mut findings = Vec::new();
    if metadata.mode() & 0o077 != 0 {
        let mend = format!("chmod 0700 {}", dir.display());
        findings.push(Finding::warn("recordings", format!("`{}` is open to others", dir.display()), mend));
    }
    if rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_err() {
        let mend = "give it to the broker's user";
        findings.push(Finding::fail("recordings", format!("`{}` cannot be written", dir.display()), mend));
    }
    findings.push(space(config));
    findings.extend(reserve(config));
    findings
}

/// What is kept for emergencies. The broker takes it when it starts.
fn reserve(config: &Config) -> Option<Finding> {
    let recording = &config.recording;
    let wanted = Some(recording.reserve).filter(|wanted| *wanted > 0)?;
    let mend = "make room: it grows while the disk stays above `low_below` and three times as much is free; and see the log, \
                as not every file system can allocate";
    Some(match reserve_found(&recording.dir, &config.name) {
        Ok(None) => {
            Finding::ok("reserve", format!("{} MiB are to be kept for emergencies, once the broker runs", wanted >> 20))
        }
        Ok(Some(found)) if found >= wanted => {
            Finding::ok("reserve", format!("{} MiB are kept for emergencies", found >> 20))
        }
        Ok(Some(found)) => {
            let says = format!("{} of {} MiB are kept for emergencies", found >> 20, wanted >> 20);
            Finding::warn("reserve", says, mend)
        }
        Err(error) => Finding::fail("reserve", error.to_string(), "see `[recording] dir`"),
    })
}

fn space(config: &Config) -> Finding {
    let marks = &config.recording;
    let free = match rustix::fs::statvfs(&marks.dir) {
        Ok(system) => system.f_bavail.saturating_mul(system.f_frsize),
        Err(error) => return Finding::fail("disk", error.to_string(), "see `[recording] dir`"),
    };
    let says = format!("{} MiB free for recordings", free >> 20);
    let mend = "make room, or move the marks in `[recording]`";
    if free < marks.critical_below {
        Finding::fail("disk", format!("{says}: no session starts"), mend)
    } else if free < marks.warn_below {
        Finding::warn("disk", says, mend)
    } else {
        Finding::ok("disk", says)
    }
}

/// Whether this broker was heard of just now; nothing where the database cannot say.
pub(super) async fn broker_lives(config: &Config) -> Option<bool> {
    let sqlite = config.database.url.strip_prefix("sqlite:");
    // Opening would make the file; looking must not.
    if sqlite.is_some_and(|path| !Path::new(path).exists()) {
        return None;
    }
    let store = Store::look(&config.database).await.ok()?;
    let seen = store.broker(&config.name).await.ok()?;
    Some(seen.is_some_and(|seen| {
        !seen.instance.is_empty() && Timestamp::now().duration_since(seen.seen_at).abs() < HEARD_OF_LATELY
    }))
}

/// Can the ports be had? A port in use is the broker itself, if that was heard of.
pub(super) fn ports(config: &Config, lives: Option<bool>) -> Vec<Finding> {
    let listed = config.listen.ssh.iter().map(|address| ("ssh port", address));
    let portal = config.portal.iter().flat_map(|portal| &portal.listen).map(|address| ("portal port", address));
    let management = config.portal.iter().filter_map(|portal| portal.management.as_ref());
    let management = management.flat_map(|apart| &apart.listen).map(|address| ("management port", address));
    let all = listed
        .chain(portal)
        .chain(management)
        .chain(config.listen.metrics.iter().map(|address| ("metrics port", address)));
    all.map(|(what, address)| match TcpListener::bind(address) {
        Ok(_) => Finding::ok(what, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => match lives {
            Some(true) => Finding::ok(what, format!("{address} is in use, and the broker was heard of just now")),
            Some(false) => Finding::fail(
                what,
                format!("{address} is in use, and broker `{}` was not heard of lately", config.name),
                "another program has it: `ss -ltnp` says which",
            ),
            None => Finding::warn(what, format!("{address} is in use"), "nothing, if the broker is running"),
        },
        Err(error) => Finding::fail(what, format!("{address}: {error}"), "see `[listen]`"),
    })
    .collect()
}

/// Whoever comes by an address that is no name gets a host certificate that does not fit.
pub(super) fn names(config: &Config) -> Option<Finding> {
    let listed = |address: &&SocketAddr| config.ssh.names.contains(&address.ip().to_string());
    let public = |address: &&SocketAddr| !address.ip().is_unspecified() && !address.ip().is_loopback();
    let missing: Vec<String> = config
        .listen
        .ssh
        .iter()
        .filter(|address| public(address) && !listed(address))
        .map(|address| format!("`{}`", address.ip()))
        .collect();
    (!missing.is_empty()).then(|| {
        let says = format!("`[ssh] names` lacks {}, where the broker listens", missing.join(", "));
        Finding::warn(
            "ssh names",
            says,
            "add what people type, and reload: the host certificate is for these names alone",
        )
    })
}

/// TOTP codes, leases and certificates need a clock that is right.
pub(super) fn clock() -> Finding {
    let now = Timestamp::now();
    let made = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok()).unwrap_or(EARLIEST);
    if now.as_second() < made {
        return Finding::fail("clock", format!("{now:.0} is in the past"), "set the clock; see docs/administrators.md");
    }
    let synchronised = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid"];
    if synchronised.iter().any(|path| Path::new(path).exists()) {
        Finding::ok("clock", format!("{now:.0}, with a time service"))
    } else {
        Finding::warn("clock", format!("{now:.0}, and no time service is seen"), "install chrony or systemd-timesyncd")
    }
}

/// A broker that lives is heard of every five seconds.
const HEARD_OF_LATELY: SignedDuration = SignedDuration::from_secs(30);
/// How many rows are named one by one.
const MOST_ROWS: usize = 20;
/// 2026-01-01: earlier than this version.
const EARLIEST: i64 = 1_767_225_600;
