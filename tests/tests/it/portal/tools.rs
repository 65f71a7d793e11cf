//! Tools that show no prompt: by a lease that was opened in the portal beforehand, and plainly refused without one.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use sallyport_tests::{Finished, Form, Person, Place, Plant, Running, Token, eventually, finish_within};

use super::passkeys::{browser, enrol_and_sign_in, invited};
use crate::files::{noise, sha256};

/// What somebody runs who looks at no terminal.
const TOOLS: [&str; 3] = ["scp", "rsync", "vs-code"];

/// Uploads `page`, or starts a server through a shell and reaches it through the same connection, as VS Code does.
fn run(person: &Person, tool: &str, form: Form, options: &str) -> Finished {
    let (config, host) = (person.config(), form.host("ews-1"));
    let ssh = format!("ssh -F {} {options}", config.display());
    let page = person.folder().join("page");
    let mut command: Command;
    match tool {
        "scp" => {
            command = person.leased("bash");
            let scp = ssh.replacen("ssh", "scp", 1);
            command.args(["-c", &format!("{scp} {} {host}:by-scp", page.display())]);
        }
        "rsync" => {
            command = person.leased("rsync");
            command.args(["-e", &ssh]).arg(page).arg(format!("{host}:by-rsync"));
        }
        _ => {
            let port = if form == Form::Direct { 9001 } else { 9002 };
            command = person.leased("bash");
            let script = format!(
                "{ssh} -T -D {port} {host} sh <<'END' &
echo started-$((40+2)); sleep 30
END
client=$!
for try in $(seq 100); do kill -0 $client || break; (exec 3<>/dev/tcp/127.0.0.1/{port}) && break; sleep 0.1; done 2>/dev/null
if kill -0 $client 2>/dev/null; then /usr/bin/python3 -c '{SOCKS}' {port} && kill $client && exit 0; fi
wait $client"
            );
            command.args(["-c", &script]);
        }
    }
    finish_within(Duration::from_secs(90), command, b"")
}

/// A page through a SOCKS 5 proxy (RFC 1928), five times over one connection of ssh.
const SOCKS: &str = "
import hashlib, socket, sys
for turn in range(5):
    s = socket.create_connection((\"127.0.0.1\", int(sys.argv[1])), 20)
    s.sendall(bytes([5, 1, 0])); assert s.recv(2) == bytes([5, 0])
    s.sendall(bytes([5, 1, 0, 1, 127, 0, 0, 1]) + (8000).to_bytes(2, \"big\")); assert s.recv(10)[1] == 0
    s.sendall(b\"GET /page HTTP/1.0\\r\\n\\r\\n\")
    answer = b\"\".join(iter(lambda: s.recv(65536), b\"\"))
    print(hashlib.sha256(answer.split(b\"\\r\\n\\r\\n\", 1)[1]).hexdigest())
";

#[test]
fn tools_without_a_prompt_go_by_a_lease_opened_beforehand_and_fail_plainly_without() {
    let mut plant = super::plant();
    let (alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    let page = noise(200_000);
    fs::write(alice.folder().join("page"), &page).unwrap();
    let _server = serves(&plant, &page);
    let home = plant.sshd().home("operator");

    browser.open("https://gate.plant.example:8443/sessions");
    browser.click("form[data-options='/leases/new/options'] button");
    browser.wait_for_text("14 min left");
    for form in Form::BOTH {
        for tool in TOOLS {
            let answer = run(&alice, tool, form, "");
            if tool == "vs-code" {
                assert!(answer.ok().contains("started-42"), "{answer}");
                assert_eq!(answer.text().matches(&sha256(&page)).count(), 5, "{answer}");
            } else {
                answer.ok();
                let uploaded = home.join(format!("by-{tool}"));
                assert_eq!(fs::read(&uploaded).unwrap(), page, "{tool}");
                fs::remove_file(uploaded).unwrap();
            }
        }
    }
    plant.quiet();
    let sessions = plant.recordings().len();

    // Without a lease: soon over, as the deadline of the login says.
    for lease in plant.json(&["lease", "list"]).as_array().unwrap() {
        plant.sallyport(&["lease", "revoke", lease["id"].as_str().unwrap()]).ok();
    }
    plant.broker().terminate();
    let text = fs::read_to_string(plant.config()).unwrap();
    fs::write(plant.config(), text.replace("[ssh]\n", "[ssh]\nlogin_deadline = \"9s\"\n")).unwrap();
    plant.serve();
    thread::scope(|scope| {
        let alice = &alice;
        let all = TOOLS.into_iter().flat_map(|tool| Form::BOTH.map(|form| (tool, form)));
        let running: Vec<_> =
            all.map(|(tool, form)| (tool, form, scope.spawn(move || run(alice, tool, form, "")))).collect();
        for (tool, form, running) in running {
            let answer = running.join().unwrap();
            let said = answer.refused();
            for part in ["https://gate.plant.example:8443/c/", "The number is ", "Nobody confirmed this login in time."]
            {
                assert!(said.contains(part), "{tool} {form:?} does not say `{part}`: {answer}");
            }
            assert!(answer.took > Duration::from_secs(2) && answer.took < Duration::from_secs(60), "{answer}");
        }
    });
    // What may ask nothing is not held up at all.
    for tool in TOOLS {
        let answer = run(&alice, tool, Form::Direct, "-o BatchMode=yes");
        assert!(answer.refused().contains("Permission denied (keyboard-interactive)"), "{answer}");
    }
    assert!(!home.join("by-scp").exists() && !home.join("by-rsync").exists());
    assert_eq!(plant.recordings().len(), sessions, "nobody was let in");
}

/// The server on the asset's own loopback.
fn serves(plant: &Plant, page: &[u8]) -> Running {
    let www = plant.folder().join("www");
    fs::create_dir(&www).unwrap();
    fs::write(www.join("page"), page).unwrap();
    let mut server = plant.network().command(Place::Plant, "/usr/bin/python3");
    server.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "8000", "--directory"]).arg(&www);
    let server = Running::start("the asset's own server", server, &plant.folder().join("server.log"));
    eventually("it listens", Duration::from_secs(20), || server.log().contains("Serving HTTP").then_some(()));
    server
}
