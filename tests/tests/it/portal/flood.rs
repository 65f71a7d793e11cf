//! Strangers at the portal's port: they are bounded with those at ssh's, and keep nobody out.

use std::time::{Duration, Instant};

use sallyport_tests::Setup;

use super::{PASSWORD, alice};

const PER_SOURCE: usize = 16;

#[test]
fn two_hundred_connections_of_one_source_hold_up_nobody_elsewhere() {
    let limits = format!("[ssh]\nmax_unauthenticated_per_source = {PER_SOURCE}\nmax_rate_per_source = 1000");
    let mut plant = Setup::standard().portal().setting(&limits).start();
    let alice = alice(&plant);
    let pid = plant.broker().pid();
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let before = descriptors();
    let flooding = plant.portal_from("10.0.0.11");
    let mut held: Vec<_> = (0..200).filter_map(|_| flooding.socket().ok()).collect();
    assert!(held.len() >= 150, "only {} connections were begun", held.len());
    let open = descriptors();
    assert!(open <= before + PER_SOURCE + 4, "{open} descriptors are open, and {before} before");
    // ssh and portal of another source go on.
    let began = Instant::now();
    alice.ssh(["ews-1.direct", "echo in"]).ok();
    let portal = plant.portal();
    portal.visitor().sign_in(&alice, PASSWORD);
    assert!(began.elapsed() < Duration::from_secs(15), "took {:?}", began.elapsed());
    // At ssh's port the flooding source has no more room than it has at the portal's: they are one count.
    assert!(held.len() > PER_SOURCE);
    held.clear();
}
