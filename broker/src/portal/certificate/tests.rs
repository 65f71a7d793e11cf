#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::SocketAddr;

use jiff::Timestamp;

use super::*;

fn portal(folder: &Path, name: &str) -> Portal {
    Portal {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        name: name.to_owned(),
        origin: format!("https://{name}"),
        management: None,
        certificate: folder.join("portal.crt"),
        key: folder.join("portal.key"),
        idle: Duration::from_secs(60),
        longest: Duration::from_secs(600),
        fresh: Duration::from_secs(300),
        unverified_keys: false,
        attestation_roots: Vec::new(),
        attested_models: Vec::new(),
    }
}

fn write(portal: &Portal, made: &MadeCertificate) {
    std::fs::write(&portal.certificate, &made.certificate).unwrap();
    std::fs::write(&portal.key, made.key.expose()).unwrap();
}

#[test]
fn a_certificate_of_our_own_is_for_its_name_and_for_a_year() {
    let folder = tempfile::tempdir().unwrap();
    let (portal, now) = (portal(folder.path(), "gate.plant.example"), Timestamp::now());
    let made = make(&portal.name, now).unwrap();
    write(&portal, &made);
    let examined = examine(&portal).unwrap();
    assert_eq!(examined.names, ["gate.plant.example"]);
    assert!(examined.covers_name && examined.self_made && examined.authorities == 0);
    assert!(examined.not_before < now && now < examined.not_after);
    assert!(examined.not_after.duration_since(now).as_hours() < 398 * 24);
    assert_eq!(examined.fingerprint, made.fingerprint);
    assert_eq!(Reloading::read(&portal).unwrap().fingerprint(), made.fingerprint);
    let other = Portal { name: "gate.other.example".to_owned(), ..portal };
    assert!(!examine(&other).unwrap().covers_name);
}

#[test]
fn localhost_is_its_addresses_too() {
    let folder = tempfile::tempdir().unwrap();
    let portal = portal(folder.path(), "localhost");
    write(&portal, &make(&portal.name, Timestamp::now()).unwrap());
    assert_eq!(examine(&portal).unwrap().names, ["localhost", "127.0.0.1", "::1"]);
}

#[test]
fn what_is_no_pair_is_refused_and_no_error_holds_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let (portal, now) = (portal(folder.path(), "gate"), Timestamp::now());
    let (one, other) = (make("gate", now).unwrap(), make("gate", now).unwrap());
    let fault = || Reloading::read(&portal).unwrap_err();
    assert!(matches!(fault(), PemError::Read { .. }));
    write(&portal, &one);
    std::fs::write(&portal.key, other.key.expose()).unwrap();
    assert!(matches!(fault(), PemError::Unusable(_)));
    std::fs::write(&portal.key, one.key.expose().replace("PRIVATE KEY", "SECRET")).unwrap();
    let said = format!("{} {:?}", fault(), fault());
    assert!(matches!(fault(), PemError::NoKey(_)));
    assert!(one.key.expose().lines().all(|line| !said.contains(line)), "{said}");
    write(&portal, &one);
    std::fs::write(&portal.certificate, "nothing").unwrap();
    assert!(matches!(fault(), PemError::NoCertificate(_)));
    std::fs::write(&portal.certificate, vec![b'x'; 300 << 10]).unwrap();
    assert!(matches!(fault(), PemError::TooLarge(_)));
}

#[tokio::test(start_paused = true)]
async fn a_new_certificate_is_taken_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (portal, now) = (portal(folder.path(), "gate"), Timestamp::now());
    let (one, other) = (make("gate", now).unwrap(), make("gate", now).unwrap());
    write(&portal, &one);
    let (reloading, stop) = (Reloading::read(&portal).unwrap(), CancellationToken::new());
    let following = tokio::spawn(Arc::clone(&reloading).follow(stop.clone()));
    tokio::time::sleep(CERTIFICATE_LOOK / 2).await;
    // Half of a change: the key is still the old one.
    std::fs::write(&portal.certificate, &other.certificate).unwrap();
    tokio::time::sleep(CERTIFICATE_LOOK * 2).await;
    assert_eq!(reloading.fingerprint(), one.fingerprint);
    std::fs::write(&portal.key, other.key.expose()).unwrap();
    tokio::time::sleep(CERTIFICATE_LOOK * 2).await;
    assert_eq!(reloading.fingerprint(), other.fingerprint);
    std::fs::remove_file(&portal.key).unwrap();
    tokio::time::sleep(CERTIFICATE_LOOK * 2).await;
    assert_eq!(reloading.fingerprint(), other.fingerprint);
    stop.cancel();
    following.await.unwrap();
}
