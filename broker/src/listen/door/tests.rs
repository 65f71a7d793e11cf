#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

fn limits(waiting: usize, waiting_per_source: usize) -> Limits {
    Limits {
        in_all: 1000,
        per_source: 1000,
        waiting,
        waiting_per_source,
        rate_per_source: 100_000,
        silence: Duration::from_secs(10),
        login: Duration::from_secs(120),
    }
}

fn source(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn admit(door: &Arc<Door>, n: u8) -> Result<Slot, Turned> {
    door.admit(source(n), Instant::now())
}

/// What a broker does with those that must go: it lets them go.
fn let_go(slots: &mut Vec<Slot>) {
    slots.retain(|slot| !slot.pass.ejected());
}

#[test]
fn a_thousand_silent_ones_do_not_push_out_the_one_who_speaks() {
    let door = Door::new(limits(16, 8));
    let real = admit(&door, 1).unwrap();
    real.pass().reached(Progress::Identified);
    let mut silent = Vec::new();
    for n in 0..1000_u16 {
        silent.push(admit(&door, u8::try_from(n % 200).unwrap()).unwrap());
        let_go(&mut silent);
    }
    assert!(!real.pass.ejected());
    assert!(door.waiting() <= 16);
}

#[test]
fn a_flood_of_speakers_does_not_push_out_a_right_first_factor() {
    let door = Door::new(limits(8, 8));
    let real = admit(&door, 1).unwrap();
    real.pass().reached(Progress::FirstFactor);
    let mut others = Vec::new();
    for _ in 0..100 {
        others.extend(admit(&door, 1));
        others.iter().for_each(|slot| slot.pass().reached(Progress::Identified));
        let_go(&mut others);
    }
    assert!(!real.pass.ejected());
}

#[test]
fn who_was_told_to_go_and_has_not_gone_counts_against_its_source() {
    let door = Door::new(limits(100, 8));
    let mut taken: Vec<Slot> = (0..200).filter_map(|_| admit(&door, 1).ok()).collect();
    assert_eq!(taken.len(), 8, "more descriptors than a source may have");
    assert!(taken.iter().any(|slot| slot.pass.ejected()));
    assert_eq!(admit(&door, 1).unwrap_err(), Turned::Source);
    assert!(admit(&door, 2).is_ok(), "another source pays nothing");
    let_go(&mut taken);
    assert!(admit(&door, 1).is_ok());
}

#[test]
fn many_sources_that_do_not_go_leave_the_kept_share_to_who_is_known() {
    let door = Door::new(limits(16, 8));
    door.known().leased([source(250)]);
    let taken: Vec<Slot> = (0..200).filter_map(|n| admit(&door, n).ok()).collect();
    assert_eq!(taken.len(), 14);
    assert_eq!(admit(&door, 240).unwrap_err(), Turned::Waiting);
    let known = admit(&door, 250).unwrap();
    assert!(!known.pass.ejected());
}

#[test]
fn of_all_connections_a_share_is_kept_too() {
    let door = Door::new(Limits { in_all: 16, ..limits(100, 100) });
    door.known().logged_in(source(250), Instant::now());
    let _strangers: Vec<Slot> = (0..20).filter_map(|n| admit(&door, n).ok()).collect();
    assert_eq!(admit(&door, 240).unwrap_err(), Turned::Full);
    let _known = (admit(&door, 250).unwrap(), admit(&door, 250).unwrap());
    assert_eq!(admit(&door, 250).unwrap_err(), Turned::Full);
    assert_eq!(door.turned_away().each().collect::<Vec<_>>(), [(Turned::Full, 8)]);
    assert_eq!(door.turned_away().each().collect::<Vec<_>>(), []);
}

#[test]
fn too_many_a_second_are_turned_away_before_they_cost_anything() {
    let door = Door::new(Limits { rate_per_source: 10, ..limits(512, 64) });
    let now = Instant::now();
    let taken: Vec<Slot> = (0..100).filter_map(|_| door.admit(source(1), now).ok()).collect();
    assert_eq!(taken.len(), 40);
    assert_eq!(door.turned_away().each().collect::<Vec<_>>(), [(Turned::Rate, 60)]);
    assert!(door.admit(source(2), now).is_ok());
}

#[test]
fn after_login_a_source_is_bounded_as_well() {
    let door = Door::new(Limits { per_source: 4, ..limits(100, 100) });
    let inside: Vec<Slot> = (0..4).map(|_| admit(&door, 1).unwrap()).collect();
    inside.iter().for_each(|slot| slot.pass().enter("alice", 100).unwrap());
    assert_eq!(admit(&door, 1).unwrap_err(), Turned::Source);
    drop(inside);
    assert!(admit(&door, 1).is_ok());
}

#[test]
fn a_person_has_as_many_connections_as_their_roles_allow_wherever_they_come_from() {
    let door = Door::new(limits(100, 100));
    let mut slots: Vec<Slot> = (0..4).map(|n| admit(&door, n).unwrap()).collect();
    assert_eq!(slots[0].pass().enter("alice", 2), Ok(()));
    assert_eq!(slots[1].pass().enter("alice", 2), Ok(()));
    assert_eq!(slots[2].pass().enter("alice", 2), Err(Crowded::Identity { limit: 2 }));
    assert_eq!(slots[3].pass().enter("bob", 2), Ok(()));
    slots.remove(0);
    assert_eq!(slots[1].pass().enter("alice", 2), Ok(()));
}

#[test]
fn who_was_told_to_go_does_not_get_in_any_more_and_who_is_in_is_not_told_to_go() {
    let door = Door::new(limits(100, 2));
    let first = admit(&door, 1).unwrap();
    let _second = admit(&door, 1).unwrap();
    assert!(first.pass.ejected());
    assert_eq!(first.pass().enter("alice", 9), Err(Crowded::Gone));
    drop(first);
    let third = admit(&door, 1).unwrap();
    third.pass().enter("alice", 9).unwrap();
    let _flood: Vec<_> = (0..50).filter_map(|_| admit(&door, 1).ok()).collect();
    assert!(!third.pass.ejected());
}

#[test]
fn nothing_is_counted_when_all_have_left() {
    let door = Door::new(limits(4, 4));
    let slots: Vec<Slot> = (0..50).filter_map(|n| admit(&door, n).ok()).collect();
    slots.last().unwrap().pass().enter("alice", 1).unwrap();
    drop(slots);
    let open = door.lock();
    assert_eq!((open.all.open(), open.per_source.len(), open.per_identity.len(), open.by_number.len()), (0, 0, 0, 0));
}

#[test]
fn one_ipv6_network_counts_as_one_source() {
    let door = Door::new(limits(100, 2));
    let admit = |text: &str| door.admit(text.parse().unwrap(), Instant::now());
    let _both = (admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap());
    assert_eq!(admit("2001:db8::3").unwrap_err(), Turned::Source);
}
