//! The kill switch: nobody reaches a zone that was isolated, on no broker, until two people have lifted that.

use std::process::Command;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sallyport::audit::Audit;
use sallyport::plant::{IsolationError, Lifting, Wish, isolate, lift};
use sallyport::store::Store;
use sallyport_policy::ZoneId;
use sallyport_tests::{Finished, Form, Person, Plant, Running, Setup, eventually, finish};

use crate::brokers::{Pair, second_config};
use crate::store::{audit, on_both_engines};

/// From the moment that the administrator's command has returned to the last byte.
const WITHIN: Duration = Duration::from_secs(1);

/// What somebody does as an administrator who came to it by sudo.
fn as_person(plant: &Plant, person: &str, arguments: &[&str]) -> Finished {
    let mut command: Command = plant.command(arguments);
    command.env("SUDO_USER", person);
    finish(command, b"")
}

/// A session that says something all the time.
fn talks(person: &Person, config: &std::path::Path, host: &str, number: usize) -> Running {
    let mut ssh = person.leased("ssh");
    ssh.arg("-F").arg(config).args([host, "while echo tick; do sleep 0.02; done"]);
    Running::start("ssh", ssh, &person.folder().join(format!("talks-{number}.log")))
}

#[test]
fn twenty_sessions_on_two_brokers_end_within_a_second_and_none_begins_there() {
    let pair = Pair::start();
    let people = ["alice", "alan", "ada"].map(|name| pair.person(name));
    let nobody = pair.person("bob");
    people.iter().for_each(|person| person.take_lease("ews-1"));
    let mut open: Vec<Running> = (0..20)
        .map(|number| {
            let person = &people[number % people.len()];
            let config = if number % 2 == 0 { person.config() } else { second_config(person) };
            let form = Form::BOTH[number / 2 % 2];
            talks(person, &config, &form.host(&format!("ews-{}", 1 + number % 14)), number)
        })
        .collect();
    let terminal = people[1].terminal(&["ews-2"], 80, 24);
    terminal.expect("$");
    let mut elsewhere = talks(&people[0], &people[0].config(), "sis-1", 99);
    for session in open.iter().chain([&elsewhere]) {
        eventually("a session talks", Duration::from_secs(60), || session.log().contains("tick").then_some(()));
    }

    let asked = Instant::now();
    pair.plant.sallyport(&["zone", "isolate", "cell-1", "--reason", "smoke in the hall"]).ok();
    let isolated = Instant::now();
    let mut heard: Vec<usize> = open.iter().map(|session| session.log().len()).collect();
    let (mut last, mut ended) = (isolated, 0);
    while isolated.elapsed() < Duration::from_secs(5) {
        for (session, heard) in open.iter().zip(&mut heard) {
            let now = session.log().len();
            // What ssh itself says of the end is no byte of the asset.
            if now > *heard && session.log()[*heard..].contains("tick") {
                last = Instant::now();
            }
            *heard = now;
        }
        ended = open.iter_mut().filter_map(Running::ended).count();
        if ended == open.len() {
            break;
        }
    }
    println!(
        "20 sessions on two brokers: the last byte {:?} after the command returned, which took {:?}; all ended after {:?}",
        last.duration_since(isolated),
        isolated.duration_since(asked),
        isolated.elapsed()
    );
    assert_eq!(ended, open.len());
    assert!(last.duration_since(isolated) < WITHIN, "the last byte came after {:?}", last.duration_since(isolated));
    terminal.expect("The session to ews-2 ended: cell-1 was isolated.");

    // None begins, by whichever broker and form; whoever could not enter before learns nothing.
    for person in &people[..2] {
        for (config, form) in [person.config(), second_config(person)].into_iter().zip(Form::BOTH) {
            let mut ssh = person.leased("ssh");
            ssh.arg("-F").arg(&config).args([&form.host("ews-1"), "echo let through"]);
            let refused = finish(ssh, b"");
            assert!(refused.refused().contains("cell-1 is isolated: smoke in the hall"), "{refused}");
            assert!(!refused.text().contains("let through"), "{refused}");
        }
    }
    let outside = nobody.ssh(["ews-1.direct", "echo let through"]);
    assert!(outside.refused().contains("You may not reach `ews-1` now, or it does not exist."), "{outside}");
    assert!(!outside.stderr.contains("isolated"), "{outside}");

    // Another zone is as it was.
    let heard = elsewhere.log().len();
    eventually("the other zone goes on", Duration::from_secs(5), || (elsewhere.log().len() > heard).then_some(()));
    assert!(elsewhere.ended().is_none());

    let told = pair.plant.audit();
    let isolations: Vec<_> = told.iter().filter(|entry| entry["code"] == "SP-5501").collect();
    assert_eq!(isolations.len(), 1, "{isolations:?}");
    assert_eq!(isolations[0]["severity"], "alert");
    let ends = eventually("every end is on the record", Duration::from_secs(10), || {
        let ends = pair.plant.audit().iter().filter(|entry| entry["event"]["end"] == "isolated").count();
        (ends == open.len() + 1).then_some(ends)
    });
    assert_eq!(ends, 21);
    pair.plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn two_people_lift_it_and_one_does_not_however_often() {
    let plant = Setup::standard().start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let zone = |person: &str, verb: &str| as_person(&plant, person, &["zone", verb, "cell-1", "--reason", "so it is"]);
    let unknown = as_person(&plant, "carla", &["zone", "isolate", "cell-11", "--reason", "a slip"]);
    assert!(unknown.refused().contains("the plant has no zone `cell-11`; it has `cell-1`, `safety`"), "{unknown}");
    assert!(zone("carla", "lift").refused().contains("zone `cell-1` is not isolated"));
    zone("carla", "isolate").ok();
    plant.settle();
    let listed = plant.json(&["zone", "list"]);
    assert_eq!(listed[0]["zone"], "cell-1");
    assert!(listed[0]["isolated_by"].as_str().unwrap().ends_with("(sudo carla)"), "{listed}");

    assert!(zone("carla", "lift").ok().contains("until another person confirms this within 60 minutes"));
    let again = zone("carla", "lift");
    assert!(again.refused().contains("it was you who proposed to lift it"), "{again}");
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
    let listed = plant.sallyport(&["zone", "list"]).ok();
    assert!(listed.contains("(sudo carla)") && listed.contains("so it is"), "{listed}");
    assert!(zone("dora", "lift").ok().contains("isolated no more"));
    plant.settle();
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    assert_eq!(plant.json(&["zone", "list"]).as_array().unwrap().len(), 0);
    let codes: Vec<String> = plant
        .audit()
        .iter()
        .map(|entry| entry["code"].as_str().unwrap().to_owned())
        .filter(|code| code.starts_with("SP-55"))
        .collect();
    assert_eq!(codes, ["SP-5501", "SP-5502", "SP-5503"]);
}

const ZONE: &str = "cell-1";

fn at(minutes: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
    begin + SignedDuration::from_mins(minutes)
}

fn wish<'a>(zone: &'a ZoneId, by: &'a str, minutes: i64) -> Wish<'a> {
    Wish { zone, reason: "so it is", by, at: at(minutes) }
}

/// A zone that is isolated, and whoever writes its database.
struct Isolated {
    store: Store,
    audit: Audit,
    zone: ZoneId,
}

impl Isolated {
    async fn new(database: &crate::store::Database) -> Self {
        let store = database.with_key().await;
        let audit = audit(&store).await;
        let isolated = Self { store, audit, zone: ZONE.parse().unwrap() };
        isolated.isolate().await;
        isolated
    }

    async fn isolate(&self) -> String {
        isolate(&self.store, &self.audit, wish(&self.zone, "carla", 0)).await.unwrap().id
    }

    async fn lift(&self, by: &str, minutes: i64) -> Result<Lifting, IsolationError> {
        lift(&self.store, &self.audit, wish(&self.zone, by, minutes)).await
    }

    /// Any statement, and no key.
    async fn sql(&self, statement: &str) {
        let mut write = self.store.begin_write().await.unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *write).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        write.commit().await.unwrap();
    }

    async fn stands(&self) -> bool {
        self.store.isolations().await.unwrap().iter().any(|standing| standing.isolation.zone == ZONE)
    }
}

on_both_engines! {
    async fn a_proposal_is_confirmed_by_another_person_within_an_hour_or_counts_for_nothing(database: Database) {
        let zone = Isolated::new(&database).await;
        assert_eq!(zone.lift("root (sudo carla)", 0).await.unwrap(), Lifting::Proposed { until: at(60) });
        for same in ["root (sudo carla)", "carla"] {
            let refused = zone.lift(same, 1).await;
            assert!(matches!(refused, Err(IsolationError::SamePerson { .. })), "{same}: {refused:?}");
        }
        // A minute too late it is a proposal of its own; so is one that comes before the first.
        assert_eq!(zone.lift("dora", 60).await.unwrap(), Lifting::Proposed { until: at(120) });
        assert_eq!(zone.lift("carla", 59).await.unwrap(), Lifting::Proposed { until: at(119) });
        assert!(zone.stands().await);
        assert_eq!(zone.lift("dora", 118).await.unwrap(), Lifting::Lifted);
        assert!(!zone.stands().await);
        assert!(matches!(zone.lift("dora", 119).await, Err(IsolationError::NotIsolated(_))));
        // Isolated twice, it is lifted once; what was proposed before the second is not enough for it.
        zone.isolate().await;
        zone.lift("carla", 120).await.unwrap();
        zone.isolate().await;
        assert!(matches!(zone.lift("dora", 121).await.unwrap(), Lifting::Proposed { .. }));
        assert_eq!(zone.lift("carla", 122).await.unwrap(), Lifting::Lifted);
        assert!(!zone.stands().await);
    }

    async fn whoever_writes_the_database_lifts_nothing(database: Database) {
        let zone = Isolated::new(&database).await;
        // An earlier isolation of it, lifted as it must be: there is a genuine row to copy.
        zone.lift("carla", 0).await.unwrap();
        zone.lift("dora", 1).await.unwrap();
        let id = zone.isolate().await;
        assert!(zone.stands().await);

        zone.sql(&format!(
            "INSERT INTO isolation_lifts (isolation, zone, proposed_at, proposed_by, proposed_for, lifted_at, lifted_by,
                lifted_for) VALUES ('{id}', 'cell-1', 1, 'carla', 'x', 2, 'dora', 'x')"
        )).await;
        assert!(zone.stands().await, "by a row without a MAC");
        zone.sql(&format!("DELETE FROM isolation_lifts WHERE isolation = '{id}'")).await;
        zone.sql(&format!(
            "INSERT INTO isolation_lifts SELECT '{id}', zone, proposed_at, proposed_by, proposed_for, lifted_at, lifted_by,
                lifted_for, event, mac FROM isolation_lifts"
        )).await;
        assert!(zone.stands().await, "by the row of another isolation");
        // The lift of the earlier one is gone too: that isolates again, and the two are lifted together.
        zone.sql("DELETE FROM isolation_lifts").await;

        // A genuine proposal, confirmed by hand; one that is another person's by hand.
        zone.lift("carla", 10).await.unwrap();
        zone.sql("UPDATE isolation_lifts SET lifted_at = 2, lifted_by = 'dora', lifted_for = 'x'").await;
        assert!(zone.stands().await, "by hand");
        zone.sql("UPDATE isolation_lifts SET lifted_at = NULL, lifted_by = NULL, lifted_for = NULL").await;
        zone.sql("UPDATE isolation_lifts SET proposed_by = 'dora'").await;
        assert!(matches!(zone.lift("carla", 11).await.unwrap(), Lifting::Proposed { .. }), "it is a new one");
        zone.sql("UPDATE isolation_lifts SET proposed_at = proposed_at + 1").await;
        assert!(matches!(zone.lift("dora", 12).await.unwrap(), Lifting::Proposed { .. }), "altered, it counts for nothing");

        // The row is deleted, or of another zone: the chain tells of it all the same.
        zone.sql("DELETE FROM isolations").await;
        assert!(zone.stands().await, "without its row");
        assert_eq!(zone.lift("carla", 13).await.unwrap(), Lifting::Lifted);
        assert!(!zone.stands().await);
        let id = zone.isolate().await;
        zone.sql(&format!("UPDATE isolations SET zone = 'safety' WHERE id = '{id}'")).await;
        assert!(zone.stands().await, "moved to another zone");
        // What cannot be read isolates nobody knows what: nothing begins then.
        zone.sql("UPDATE audit SET event = 'x' WHERE code = 'SP-5501'").await;
        assert!(zone.store.isolations().await.is_err());
    }
}
