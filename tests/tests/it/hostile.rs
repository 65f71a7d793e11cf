//! Clients that do not behave: out of order, changing names, flooding, silent, or speaking what is broken.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use russh::ChannelMsg;
use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, load_secret_key};
use sallyport_tests::{Person, Place, Plant, Setup};

/// Takes any host key: what the broker shows is not the question here.
struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Runs `act` with a connection from the office that has not logged in.
fn from_the_office<T: Send>(plant: &Plant, act: impl AsyncFnOnce(&mut Handle<Client>) -> T + Send) -> T {
    from_the_office_as(client::Config::default(), plant, act)
}

/// The same with a client of its own kind.
fn from_the_office_as<T: Send>(
    config: client::Config,
    plant: &Plant,
    act: impl AsyncFnOnce(&mut Handle<Client>) -> T + Send,
) -> T {
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            plant.network().enter(Place::Office);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut handle = client::connect(Arc::new(config), Plant::BROKER, Client).await.unwrap();
                // A client that the broker neither answers nor hangs up on is a fault too.
                tokio::time::timeout(Duration::from_secs(60), act(&mut handle)).await.unwrap()
            })
        });
        client.join().unwrap()
    })
}

fn key(person: &Person) -> PrivateKeyWithHashAlg {
    PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(person.key(), None).unwrap()), None)
}

/// Gives `code` to whatever is asked under `name`; says whether that was a login.
async fn code_gets_in(handle: &mut Handle<Client>, name: &str, code: &str) -> bool {
    let mut answer = handle.authenticate_keyboard_interactive_start(name, None).await;
    for _ in 0..5 {
        answer = match answer {
            Ok(Answer::Success) => return true,
            Ok(Answer::InfoRequest { prompts, .. }) => {
                handle.authenticate_keyboard_interactive_respond(vec![code.to_owned(); prompts.len()]).await
            }
            Ok(Answer::Failure { .. }) | Err(_) => return false,
        };
    }
    false
}

#[test]
fn a_code_alone_is_no_login() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    let got_in = from_the_office(&plant, async |handle| code_gets_in(handle, "alice", &alice.fresh_code()).await);
    assert!(!got_in);
}

#[test]
fn the_first_factor_belongs_to_the_name_it_was_given_under() {
    let plant = Plant::start();
    let (alice, ada) = (plant.person("alice"), plant.person("ada"));
    for name in ["ada", "alice:operator@ews-1", "ada:operator@ews-1", "Alice", "alice "] {
        let code = if name.starts_with("ada") { ada.fresh_code() } else { alice.fresh_code() };
        let got_in = from_the_office(&plant, async |handle| {
            let first = handle.authenticate_publickey("alice", key(&alice)).await.unwrap();
            assert!(matches!(first, AuthResult::Failure { partial_success: true, .. }), "{first:?}");
            code_gets_in(handle, name, &code).await
        });
        assert!(!got_in, "alice's key and a code under the name `{name}` got in");
    }
}

#[test]
fn nothing_opens_before_both_factors() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    for factors in 0..2 {
        from_the_office(&plant, async |handle| {
            if factors == 1 {
                handle.authenticate_publickey("alice", key(&alice)).await.unwrap();
            } else {
                assert!(!matches!(handle.authenticate_none("alice").await, Ok(AuthResult::Success)));
            }
            let open = async {
                let session = handle.channel_open_session().await;
                let tunnel = handle.channel_open_direct_tcpip("ews-1", 22, "127.0.0.1", 1).await;
                session.is_ok() || tunnel.is_ok()
            };
            assert!(!tokio::time::timeout(Duration::from_secs(5), open).await.unwrap_or(false));
        });
    }
    assert!(!plant.sshd().log().contains("Connection from"), "{}", plant.sshd().log());
}

#[test]
fn channels_that_race_with_the_second_factor_stay_shut() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    from_the_office(&plant, async |handle| {
        handle.authenticate_publickey("alice", key(&alice)).await.unwrap();
        let handle = &*handle;
        let mut opens = Vec::new();
        for _ in 0..20 {
            opens.push(handle.channel_open_direct_tcpip("ews-1", 22, "127.0.0.1", 1));
        }
        for open in opens {
            let opened = tokio::time::timeout(Duration::from_secs(2), open).await;
            assert!(!matches!(opened, Ok(Ok(_))));
        }
    });
    assert!(!plant.sshd().log().contains("Connection from"), "{}", plant.sshd().log());
}

#[test]
fn flooding_prompts_and_keys_ends_the_connection() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    // Wrong codes, and the right key again and again.
    let rounds = from_the_office(&plant, async |handle| {
        let mut rounds = 0;
        while rounds < 100 && !handle.is_closed() {
            if handle.authenticate_publickey("alice", key(&alice)).await.is_err() {
                break;
            }
            assert!(!code_gets_in(handle, "alice", "000000").await);
            rounds += 1;
        }
        rounds
    });
    assert!(rounds < 30, "{rounds} rounds of key and wrong code were taken");

    // Keys that nobody knows.
    let tried = from_the_office(&plant, async |handle| {
        let mut tried = 0;
        while tried < 100 && !handle.is_closed() {
            let key =
                PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[u8::try_from(tried).unwrap(); 32]));
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
            if handle.authenticate_publickey("alice", key).await.is_err() {
                break;
            }
            tried += 1;
        }
        tried
    });
    assert!(tried < 30, "{tried} keys were taken");

    // None of that keeps alice out.
    let mut patient = alice.ssh(["ews-1", "echo in"]);
    if patient.text() != "in\n" {
        thread::sleep(Duration::from_secs(5));
        patient = alice.ssh(["ews-1", "echo in"]);
    }
    assert_eq!(patient.ok(), "in\n");
}

#[test]
fn flood_of_a_thousand_silent_connections_does_not_keep_others_out() {
    let plant = Setup::standard().setting("[ssh]\nlogin_deadline = \"8s\"").start();
    let alice = plant.person("alice");
    let limit = rustix::process::Resource::Nofile;
    let mut files = rustix::process::getrlimit(limit);
    files.current = Some(files.maximum.unwrap_or(1 << 16).min(1 << 16));
    rustix::process::setrlimit(limit, files).unwrap();
    thread::scope(|scope| {
        let (ready, wait) = std::sync::mpsc::channel();
        let plant = &plant;
        let silent = scope.spawn(move || {
            plant.network().enter(Place::Office);
            let connect = || TcpStream::connect_timeout(&"10.0.0.2:2222".parse().unwrap(), Duration::from_secs(2));
            let mut connections: Vec<_> = (0..1000).filter_map(|_| connect().ok()).collect();
            ready.send(connections.len()).unwrap();
            // Each is ended by the broker: at once, or at the deadline.
            let started = Instant::now();
            for connection in &mut connections {
                connection.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
                let mut rest = Vec::new();
                match connection.read_to_end(&mut rest) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "still open: {error}"),
                }
            }
            assert!(started.elapsed() < Duration::from_secs(14));
        });
        let count = wait.recv().unwrap();
        assert!(count >= 900, "only {count} connections came about");
        let started = Instant::now();
        // From a neighbouring address, while they all stand.
        let mut ssh = alice.command("ssh");
        ssh.arg("-F").arg(alice.config()).args(["-b", "10.0.0.11", "ews-1.direct", "echo in"]);
        assert_eq!(sallyport_tests::finish(ssh, b"").ok(), "in\n");
        assert!(started.elapsed() < Duration::from_secs(8), "a real login took {:?}", started.elapsed());
        silent.join().unwrap();
    });
}

/// Logs in with both factors.
async fn log_in(handle: &mut Handle<Client>, person: &Person, name: &str) {
    let first = handle.authenticate_publickey(name, key(person)).await.unwrap();
    assert!(first.success() || code_gets_in(handle, name, &person.fresh_code()).await);
}

/// Waits until the broker has hung up; says whether it did within `limit`.
async fn hangs_up(handle: &Handle<Client>, limit: Duration) -> bool {
    let closed = async {
        while !handle.is_closed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, closed).await.is_ok()
}

#[test]
fn a_session_from_the_lobby_ends_with_its_program_though_the_client_stays() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    from_the_office(&plant, async |handle| {
        log_in(handle, &alice, "alice").await;
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.request_pty(false, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
        channel.request_shell(false).await.unwrap();
        channel.data(&b"ews-1\r"[..]).await.unwrap();
        let mut shown = String::new();
        while !shown.contains("operator@") {
            if let ChannelMsg::Data { data } = channel.wait().await.unwrap() {
                shown.push_str(&String::from_utf8_lossy(&data));
            }
        }
        channel.data(&b"exit\n"[..]).await.unwrap();
        while !matches!(channel.wait().await, Some(ChannelMsg::Close) | None) {}
        // The client keeps its connection: the session is over all the same.
        assert!(hangs_up(handle, Duration::from_secs(5)).await);
    });
    plant.quiet();
    assert!(plant.recordings().iter().any(|each| each["form"] == "lobby" && each["end"] == "left"));
}

#[test]
fn what_nobody_takes_ends_the_connection_and_not_the_brokers_memory() {
    let plant = Plant::start();
    let bob = plant.person("bob");
    // A few large packets, and so many small ones that russh's own queue would be full.
    for (size, count) in [(32 * 1024, 8), (1, 2000)] {
        from_the_office(&plant, async |handle| {
            log_in(handle, &bob, "bob").await;
            let channel = handle.channel_open_session().await.unwrap();
            for _ in 0..count {
                if channel.data(&vec![7; size][..]).await.is_err() {
                    break;
                }
            }
            assert!(hangs_up(handle, Duration::from_secs(5)).await, "{count} packets of {size} bytes were taken");
        });
    }
}

#[test]
fn an_answer_that_nobody_reads_keeps_its_place() {
    let plant = Plant::start();
    let bob = plant.person("bob");
    let deaf = client::Config { window_size: 0, ..client::Config::default() };
    from_the_office_as(deaf, &plant, async |handle| {
        log_in(handle, &bob, "bob").await;
        let mut open = Vec::new();
        for _ in 0..8 {
            let mut channel = handle.channel_open_session().await.unwrap();
            channel.exec(true, "help").await.unwrap();
            assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)));
            open.push(channel);
        }
        assert!(handle.channel_open_session().await.is_err(), "a ninth answer was begun");
        // A channel that is closed gives its place back.
        open.remove(0).close().await.unwrap();
        let again = async { while handle.channel_open_session().await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
    });
}

/// What leads to no target costs nobody their connection, and is counted. (`flood.rs` has the same of targets.)
#[test]
fn who_is_denied_all_the_time_does_not_fill_the_audit_trail() {
    let plant = Plant::start();
    let bob = plant.person("bob");
    from_the_office(&plant, async |handle| {
        log_in(handle, &bob, "bob").await;
        for _ in 0..300 {
            assert!(handle.tcpip_forward("127.0.0.1", 8080).await.is_err());
        }
        assert!(!handle.is_closed());
    });
    plant.settle();
    let count = plant.audit().iter().filter(|event| event["code"] == "SP-3007").count();
    assert!((1..=110).contains(&count), "{count} events SP-3007");
}

#[test]
fn a_wave_of_refused_logins_is_told_with_its_number() {
    let mut plant = Plant::start();
    for _ in 0..2 {
        from_the_office(&plant, async |handle| {
            for _ in 0..24 {
                assert!(!handle.authenticate_password("nobody", "guess").await.unwrap().success());
            }
        });
    }
    plant.broker().terminate();
    let audit = plant.audit();
    let told: Vec<_> = audit.iter().filter(|event| event["code"] == "SP-1008").map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("refused logins were not recorded one by one"), "{told:?}");
    let recorded = audit.iter().filter(|event| event["code"] == "SP-1004").count();
    assert!(recorded < 40, "{recorded} of 48 refusals were recorded one by one");
}

/// One that has identified itself and says no more.
fn speaker() -> std::io::Result<TcpStream> {
    let mut connection = TcpStream::connect(Plant::BROKER)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    connection.write_all(b"SSH-2.0-x\r\n")?;
    connection.read_exact(&mut [0; 8])?;
    Ok(connection)
}

#[test]
fn strangers_who_must_go_leave_their_place_at_once() {
    let limits = "[ssh]\nmax_connections = 12\nmax_unauthenticated = 6\nmax_unauthenticated_per_source = 6";
    let plant = Setup::standard().setting(limits).start();
    thread::scope(|scope| {
        let strangers = scope.spawn(|| {
            plant.network().enter(Place::Office);
            let _strangers: Vec<_> = (0..40).filter_map(|_| speaker().ok()).collect();
            let started = Instant::now();
            while speaker().is_err() {}
            started.elapsed()
        });
        let took = strangers.join().unwrap();
        assert!(took < Duration::from_secs(2), "a newcomer was let in after {took:?}");
    });
}

#[test]
fn a_jump_that_never_finishes_its_key_exchange_is_closed_at_the_deadline() {
    let plant = Setup::standard().setting("[ssh]\nlogin_deadline = \"4s\"").start();
    let alice = plant.person("alice");
    from_the_office(&plant, async |handle| {
        log_in(handle, &alice, "alice").await;
        let mut jump = handle.channel_open_direct_tcpip("ews-1", 22, "127.0.0.1", 1).await.unwrap();
        jump.data(&b"SSH-2.0-x\r\n"[..]).await.unwrap();
        let closed = async { while !matches!(jump.wait().await, Some(ChannelMsg::Close) | None) {} };
        tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
        assert!(!handle.is_closed());
    });
}

#[test]
fn broken_algorithms_find_no_partner() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let offers = [
        "Ciphers=chacha20-poly1305@openssh.com",
        "Ciphers=aes256-cbc",
        "Ciphers=aes128-cbc,3des-cbc,chacha20-poly1305@openssh.com",
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "KexAlgorithms=diffie-hellman-group1-sha1",
        "HostKeyAlgorithms=ssh-rsa",
    ];
    for offer in offers {
        let tried = alice.leased_ssh(["-o", offer, "ews-1.direct", "echo let through"]);
        assert!(tried.refused().contains("no matching"), "{offer}: {tried}");
        // The inner login of a jump is no weaker than the outer.
        let inner = ["-J", "broker", "-o", offer, "operator@ews-1", "echo let through"];
        alice.leased_ssh(inner).refused();
    }
}

#[test]
fn garbage_before_login_harms_nobody() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    thread::scope(|scope| {
        scope.spawn(|| {
            plant.network().enter(Place::Office);
            let noise = super::files::noise(70_000);
            let long = [b"SSH-2.0-".as_slice(), &[b'a'; 100_000]].concat();
            let huge = [b"SSH-2.0-x\r\n".as_slice(), &[0xff; 4096]].concat();
            for garbage in [noise.as_slice(), &long, &huge, b"GET / HTTP/1.1\r\n\r\n", b"\n\n\n\n", b"SSH-1.5-old\n"] {
                for cut in [garbage.len(), garbage.len() / 2, 1] {
                    let mut connection = TcpStream::connect("10.0.0.2:2222").unwrap();
                    // The broker may close while this is still being sent.
                    connection.write_all(&garbage[..cut]).ok();
                }
            }
        });
    });
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
    assert!(plant.broker().ended().is_none());
    assert!(!plant.broker().log().contains("panicked"), "{}", plant.broker().log());
}
