//! `kill -9` of the broker at random moments: every byte that the asset received is in a recording that verifies.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use sallyport_session_recorder::Kind;
use sallyport_tests::{Evidence, Form, Plant, eventually, recordings};

const ROUNDS: usize = 20;

#[test]
fn whatever_the_asset_received_is_in_evidence() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let home = plant.sshd().home("operator");
    let mut random = Random(u64::try_from(jiff::Timestamp::now().as_nanosecond() & 0xffff_ffff).unwrap() | 1);
    println!("seed {}", random.0);
    for round in 0..ROUNDS {
        let received = home.join(format!("received-{round}"));
        let form = Form::BOTH[round % 2];
        let keyboard = round % 4 < 2;
        let known = recordings(&plant.recordings_folder());
        // A keyboard burst on a terminal, or an upload at full speed that stays within the budget for content.
        let mut command = alice.leased("ssh");
        command.arg("-F").arg(alice.config());
        if keyboard {
            let typed = format!("stty raw -echo; exec cat >received-{round}");
            command.args(["-tt", &form.host("ews-1"), &typed]);
        } else {
            command.args([&form.host("ews-1"), &format!("exec cat >received-{round}")]);
        }
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut keys = client.stdin.take().unwrap();
        eventually("the asset has the session", Duration::from_secs(20), || received.exists().then_some(()));
        let typing = thread::spawn(move || {
            let mut sent = 0_u32;
            // Ends when the connection is gone.
            loop {
                let piece = if keyboard { format!("{sent:08}") } else { format!("{sent:08}").repeat(1024) };
                if keys.write_all(piece.as_bytes()).is_err() || sent > 1500 {
                    return;
                }
                sent += 1;
                thread::sleep(Duration::from_micros(if keyboard { 300 } else { 200 }));
            }
        });
        thread::sleep(Duration::from_millis(20 + random.below(400)));
        plant.broker().kill();
        typing.join().unwrap();
        client.wait().unwrap();
        let received = settled(&received);

        let mut new = recordings(&plant.recordings_folder());
        new.retain(|path| !known.contains(path));
        assert_eq!(new.len(), 1, "round {round}");
        let before = Evidence::read(&new[0], &plant.auditor_key());
        let recorded = before.content(Kind::Input);
        assert_eq!(before.digested_input(), 0, "round {round}: beyond the budget");
        assert!(
            recorded.starts_with(&received),
            "round {round}: the asset has {} bytes, the recording {}",
            received.len(),
            recorded.len()
        );

        plant.serve();
        let listed = plant.recordings();
        let state = listed.iter().find(|each| each["session"] == before.session.as_str()).unwrap();
        assert_eq!(state["state"], "interrupted", "round {round}: {state}");
        let verified = plant.sallyport(&["recording", "verify", &before.session]);
        assert!(verified.text().contains("interrupted"), "round {round}: {verified}");
        let after = Evidence::read(&new[0], &plant.auditor_key());
        assert!(after.content(Kind::Input).starts_with(&received), "round {round}: recovery lost input");
    }
    plant.sallyport(&["audit", "verify"]).ok();
}

/// The content of a file that nobody writes to any more.
fn settled(path: &std::path::Path) -> Vec<u8> {
    let mut last = fs::read(path).unwrap();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) {
        thread::sleep(Duration::from_millis(20));
        let now = fs::read(path).unwrap();
        if now.len() != last.len() {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// xorshift: enough to choose a moment.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
