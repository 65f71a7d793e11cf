//! A stranger without credentials who connects, guesses and leaves as fast as it goes; and a person who opens all they can.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, load_secret_key};
use sallyport_tests::{Person, Place, Plant, Setup, Terminal, finish};

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

const FLOOD: Duration = Duration::from_secs(8);
const PER_SOURCE: usize = 16;

/// Descriptors of the broker.
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Guesses passwords from the office, each under a new name and on a connection of its own, until `over`.
fn guess(plant: &Plant, over: &AtomicBool) -> usize {
    plant.network().enter(Place::Office);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut guesses = tokio::task::JoinSet::new();
        let mut begun = 0;
        while !over.load(Ordering::Relaxed) {
            begun += 1;
            if guesses.len() < 500 {
                guesses.spawn(async move {
                    let connecting = client::connect(Arc::default(), Plant::BROKER, Client);
                    if let Ok(mut handle) = connecting.await {
                        drop(handle.authenticate_password(format!("nobody-{begun}"), "a wrong password").await);
                    }
                });
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
            while guesses.try_join_next().is_some() {}
        }
        begun
    })
}

/// How long a login from a neighbouring address takes, with key and lease.
fn log_in_from_next_door(alice: &Person) -> Duration {
    next_door(alice, alice.leased("ssh"))
}

fn next_door(alice: &Person, mut ssh: Command) -> Duration {
    let started = Instant::now();
    ssh.arg("-F").arg(alice.config()).args(["-b", "10.0.0.11", "ews-1.direct", "echo in"]);
    assert_eq!(finish(ssh, b"").ok(), "in\n");
    started.elapsed()
}

#[test]
fn a_flood_of_guesses_keeps_its_bounds_and_keeps_nobody_out() {
    // The rate is not what is tried here: what comes in has to be bounded by itself.
    let limits = format!("[ssh]\nmax_unauthenticated_per_source = {PER_SOURCE}\nmax_rate_per_source = 1000");
    let mut plant = Setup::standard().setting(&limits).start();
    let alice = plant.person("alice");
    next_door(&alice, alice.command("ssh"));
    let quiet = log_in_from_next_door(&alice);
    let pid = plant.broker().pid();
    let before = descriptors(pid);
    let over = AtomicBool::new(false);
    let (begun, most, slowest) = thread::scope(|scope| {
        let flood = scope.spawn(|| guess(&plant, &over));
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(descriptors(pid));
                thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let (started, mut slowest) = (Instant::now(), Duration::ZERO);
        while started.elapsed() < FLOOD {
            slowest = slowest.max(log_in_from_next_door(&alice));
        }
        over.store(true, Ordering::Relaxed);
        (flood.join().unwrap(), watch.join().unwrap(), slowest)
    });
    assert!(begun > 200, "only {begun} guesses were begun");
    // Beside the flood: one person, with a session to an asset and its recording.
    let others = 16;
    assert!(most <= before + PER_SOURCE + others, "{most} descriptors were open, and {before} before");
    assert!(slowest < quiet * 2 + Duration::from_secs(2), "a login took {slowest:?}, and {quiet:?} in quiet");
    let refusals = plant.broker().log().matches("turned away before login").count();
    assert!(refusals <= 8, "{refusals} lines of the log were about refused connections");
}

/// Settings under which the broker listens at two addresses.
fn two_addresses(ssh: &str) -> String {
    format!("[listen]\nssh = [\"10.0.0.2:2222\", \"10.0.0.2:2223\"]\n[ssh]\n{ssh}")
}

#[test]
fn more_than_so_many_a_second_are_refused_before_the_key_exchange_on_all_addresses_together() {
    let mut plant = Setup::standard().setting(&two_addresses("max_rate_per_source = 2")).start();
    let greeted = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            plant.network().enter(Place::Office);
            let started = Instant::now();
            let ask = |n: u16| {
                let mut connection = TcpStream::connect(("10.0.0.2", 2222 + n % 2)).ok()?;
                connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                connection.read_exact(&mut [0; 8]).ok().map(|()| connection)
            };
            let greeted: Vec<TcpStream> = (0..40).filter_map(ask).collect();
            (greeted.len(), started.elapsed())
        });
        asking.join().unwrap()
    });
    let (greeted, took) = greeted;
    let most = 8 + usize::try_from(took.as_secs() + 1).unwrap() * 2;
    assert!((3..=most).contains(&greeted), "{greeted} of 40 were greeted within {took:?}");
    // What the auditor has of it: one entry, not one for each.
    plant.broker().terminate();
    let told: Vec<_> = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-1011").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let event = &told[0]["event"];
    assert_eq!(event["source"], "10.0.0.10");
    assert_eq!(event["count"], 40 - greeted);
    assert_eq!(event["reasons"][0], format!("rate {}", 40 - greeted));
}

/// How many connections from each of two sources stay open, of twelve that each opens at both addresses in turn.
fn open_at_two_addresses(plant: &Plant) -> [usize; 2] {
    plant.network().enter(Place::Office);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut all = [Vec::new(), Vec::new()];
        for (connections, source) in all.iter_mut().zip(["10.0.0.10:0", "10.0.0.11:0"]) {
            for port in [2222, 2223].repeat(6) {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind(source.parse().unwrap()).unwrap();
                connections.extend(socket.connect(([10, 0, 0, 2], port).into()).await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // Who must go is gone soon.
        tokio::time::sleep(Duration::from_millis(500)).await;
        all.map(|connections| {
            let is_open = |connection: &&tokio::net::TcpStream| {
                let mut line = [0; 256];
                while let Ok(1..) = connection.try_read(&mut line) {}
                matches!(connection.try_read(&mut line), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
            };
            connections.iter().filter(is_open).count()
        })
    })
}

#[test]
fn limits_of_number_hold_for_all_addresses_together() {
    for (settings, each, both) in [
        ("max_unauthenticated = 5\nmax_unauthenticated_per_source = 3", 3, 5),
        ("max_connections = 5\nmax_connections_per_source = 3", 3, 5),
    ] {
        let plant = Setup::standard().setting(&two_addresses(settings)).start();
        let open = thread::scope(|scope| scope.spawn(|| open_at_two_addresses(&plant)).join().unwrap());
        assert!(open.iter().all(|open| (1..=each).contains(open)), "{open:?} under {settings}");
        assert!((each..=both).contains(&(open[0] + open[1])), "{open:?} under {settings}");
    }
}

#[test]
fn a_person_has_as_many_connections_as_their_role_allows() {
    let plant = Plant::start();
    let carol = plant.person("carol");
    plant.apply(&with_terms(&plant, "reader", "connections = 2"));
    plant.settle();
    let plant = &plant;
    thread::scope(|scope| {
        let client = scope.spawn(move || {
            plant.network().enter(Place::Office);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut open = Vec::new();
                for _ in 0..2 {
                    let handle = log_in(&carol).await;
                    assert!(!handle.is_closed());
                    open.push(handle);
                }
                let third = log_in(&carol).await;
                let closed = async {
                    while !third.is_closed() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap();
                assert!(open.iter().all(|handle| !handle.is_closed()), "the others were ended");
                // One that is given back can be taken again.
                drop(open.pop());
                tokio::time::sleep(Duration::from_secs(1)).await;
                let again = log_in(&carol).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                assert!(!again.is_closed());
            });
        });
        client.join().unwrap();
    });
    let refused: Vec<_> = plant.audit().into_iter().filter(|event| event["code"] == "SP-1010").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
}

/// What the plant file says of a role, with more terms.
fn with_terms(plant: &Plant, role: &str, terms: &str) -> String {
    let text = plant.plant_file();
    let (before, role) = text.split_at(text.find(&format!("[[role.{role}.grant]]")).unwrap());
    format!("{before}{}", role.replacen("terms = {", &format!("terms = {{ {terms},"), 1))
}

#[test]
fn a_person_has_as_many_sessions_as_their_role_allows_and_new_ones_no_faster() {
    let plant = Plant::start();
    let dave = plant.person("dave");
    plant.apply(&with_terms(&plant, "fetcher", "sessions = 2"));
    plant.settle();
    dave.take_lease("ews-1");
    let mut open: Vec<Terminal> = (0..2).map(|_| dave.terminal(&["ews-1"], 80, 24)).collect();
    open.iter_mut().for_each(|terminal| terminal.expect("$"));
    let third = dave.leased_ssh(["ews-1.direct", "echo let in"]);
    assert!(third.refused().contains("You have 2 sessions open, and may have no more."), "{third}");
    let denied = |reason: &str| {
        let is_denied = |entry: &&serde_json::Value| {
            entry["code"] == "SP-2002" && entry["event"]["reason"].as_str().unwrap().contains(reason)
        };
        plant.audit().iter().filter(is_denied).count()
    };
    assert_eq!(denied("2 sessions of theirs are live"), 1);
    // One that is given back can be taken again.
    open.pop();
    plant.settle();
    let again = || dave.leased_ssh(["ews-1.direct", "echo in"]).text().contains("in\n").then_some(());
    sallyport_tests::eventually("a place to be free", Duration::from_secs(5), again);

    // And whoever asks faster than anybody works is refused whatever they ask for.
    let asked = 60;
    thread::scope(|scope| scope.spawn(|| ask_too_fast(&plant, &dave, asked)).join().unwrap());
    let fast = denied("faster than the terms");
    assert!((10..=40).contains(&fast), "{fast} of {asked}");
}

/// Logs in again and again, straight to an asset.
fn ask_too_fast(plant: &Plant, person: &Person, times: usize) {
    plant.network().enter(Place::Office);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..times {
            drop(log_in_as(person, &format!("{}:operator@ews-1", person.name)).await);
        }
    });
}

#[test]
fn a_person_is_refused_what_does_not_exist_ever_more_slowly_and_a_flood_of_it_is_counted() {
    let plant = Plant::start();
    let dave = plant.person("dave");
    dave.take_lease("ews-1");
    let (first, all) = thread::scope(|scope| scope.spawn(|| ask_for_nothing(&plant, &dave)).join().unwrap());
    assert!(first < Duration::from_secs(5), "the first 20 took {first:?}");
    assert!(all > first + Duration::from_secs(2), "8 more took {:?}", all - first);
    let audit = plant.audit();
    let each = audit.iter().filter(|event| event.to_string().contains("not a service of the plant file")).count();
    assert!((28..=90).contains(&each), "{each} entries");
    let crowd = audit.iter().filter(|event| event.to_string().contains("tried faster than it is answered")).count();
    assert!((20..=82).contains(&crowd), "{crowd} entries");
    let counted = audit.iter().filter(|event| event["code"] == "SP-3015").map(|event| &event["event"]["refusals"]);
    assert_eq!(counted.collect::<Vec<_>>(), [100, 200]);
    // None of that takes from what they may reach.
    assert_eq!(dave.leased_ssh(["ews-1.direct", "echo in"]).ok(), "in\n");
}

/// Asks for streams to what does not exist: 20 and 8 in turn, and then 300 at once. Gives how long the first and the first two took.
fn ask_for_nothing(plant: &Plant, person: &Person) -> (Duration, Duration) {
    plant.network().enter(Place::Office);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let handle = Arc::new(log_in(person).await);
        let nowhere = || {
            let handle = Arc::clone(&handle);
            async move { drop(handle.channel_open_direct_tcpip("nowhere", 502, "127.0.0.1", 1).await.unwrap_err()) }
        };
        let begun = Instant::now();
        for _ in 0..20 {
            nowhere().await;
        }
        let first = begun.elapsed();
        for _ in 0..8 {
            nowhere().await;
        }
        let all = begun.elapsed();
        let mut crowd = tokio::task::JoinSet::new();
        (0..300).for_each(|_| drop(crowd.spawn(nowhere())));
        crowd.join_all().await;
        assert!(!handle.is_closed());
        (first, all)
    })
}

#[test]
fn a_flood_of_what_is_carried_for_nobody_is_counted_and_ends_nothing() {
    let plant = Plant::start();
    let dave = plant.person("dave");
    dave.take_lease("ews-1");
    let remote: Vec<String> = (0..120).flat_map(|n| ["-R".to_owned(), format!("{}:localhost:1", 9000 + n)]).collect();
    let arguments = remote.iter().map(String::as_str).chain(["ews-1.direct", "echo in"]);
    assert_eq!(dave.leased_ssh(arguments).ok(), "in\n");
    let audit = plant.audit();
    let refused = audit.iter().filter(|event| event["code"] == "SP-3007").count();
    let counted: Vec<_> =
        audit.iter().filter(|event| event["code"] == "SP-3015").map(|event| &event["event"]).collect();
    assert_eq!(refused, 50);
    assert_eq!(counted.len(), 1);
    assert_eq!((&counted[0]["kind"], &counted[0]["refusals"]), (&"request.refused".into(), &100.into()));
}

/// Logs in with key and, where it is asked for, a code.
async fn log_in(person: &Person) -> Handle<Client> {
    log_in_as(person, &person.name).await
}

async fn log_in_as(person: &Person, name: &str) -> Handle<Client> {
    let mut handle = client::connect(Arc::default(), Plant::BROKER, Client).await.unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(person.key(), None).unwrap()), None);
    if !handle.authenticate_publickey(name, key).await.unwrap().success() {
        let mut answer = handle.authenticate_keyboard_interactive_start(name, None).await.unwrap();
        while let client::KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } = answer {
            let codes = vec![person.fresh_code(); prompts.len()];
            answer = handle.authenticate_keyboard_interactive_respond(codes).await.unwrap();
        }
    }
    handle
}
