//! What people use besides `ssh`: git, Ansible, ControlMaster, VS Code. Unmodified, through `-J`, one second factor.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use sallyport_tests::{Form, Place, Plant, Running, eventually, finish, finish_within};

#[test]
fn git_clones_five_hundred_files() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let project = plant.sshd().home("operator").join("project");
    fs::create_dir(&project).unwrap();
    for number in 0..500 {
        fs::write(project.join(format!("block-{number}.st")), format!("VALUE := {number};\n").repeat(20)).unwrap();
    }
    let script = "git init -q -b main . && git add . && git -c user.name=t -c user.email=t@t commit -qm all";
    let mut git = Command::new("bash");
    git.args(["-c", script]).current_dir(&project);
    finish(git, b"").ok();
    let mut owner = Command::new("chown");
    owner.args(["-R", "42420:42420"]).arg(&project);
    finish(owner, b"").ok();

    for form in Form::BOTH {
        let clone = alice.folder().join(format!("clone-{form:?}"));
        let mut git = alice.leased("git");
        git.args(["clone", "-q"]).arg(format!("{}:project", form.host("ews-1"))).arg(&clone);
        finish_within(Duration::from_secs(60), git, b"").ok();
        let files = fs::read_dir(&clone).unwrap().filter(|each| each.as_ref().unwrap().path().is_file()).count();
        assert_eq!(files, 500);
    }
}

#[test]
fn ansible_pings_fourteen_hosts_at_once() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let inventory: String = (1..=14).map(|number| format!("ews-{number}\n")).collect();
    fs::write(alice.folder().join("hosts"), inventory).unwrap();
    // As Ansible comes, but for where the ssh_config is: with ControlPersist, pipelining off, 14 forks.
    let mut ansible = alice.leased("ansible");
    ansible
        .args(["all", "-i", "hosts", "-m", "ping", "-f", "14", "-e", "ansible_python_interpreter=/usr/bin/python3"])
        .current_dir(alice.folder())
        .env(
            "ANSIBLE_SSH_ARGS",
            format!("-F {} -C -o ControlMaster=auto -o ControlPersist=5s", alice.config().display()),
        )
        .env("ANSIBLE_LOCALHOST_WARNING", "false");
    let answer = finish_within(Duration::from_secs(120), ansible, b"");
    let pongs = answer.ok().matches("\"ping\": \"pong\"").count();
    assert_eq!(pongs, 14, "{answer}");
}

#[test]
fn one_master_connection_carries_many_channels() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let host = form.host("ews-1");
        let socket = format!("ControlPath={}/master-{form:?}", alice.folder().display());
        let mut master = alice.leased("ssh");
        master.arg("-F").arg(alice.config()).args(["-N", "-M", "-o", &socket, &host]);
        let log = alice.folder().join(format!("master-{form:?}.log"));
        let _master = Running::start("the master connection", master, &log);
        let check = ["-o", &socket, "-O", "check", &host];
        eventually("the master is up", Duration::from_secs(20), || {
            alice.leased_ssh(check).status.success().then_some(())
        });
        let answers: Vec<_> = thread::scope(|scope| {
            let ask = |number: usize| {
                let (alice, socket, host) = (&alice, &socket, &host);
                scope.spawn(move || alice.leased_ssh(["-o", socket, host, &format!("sleep 0.2; echo {number}")]).ok())
            };
            (0..9).map(ask).collect::<Vec<_>>().into_iter().map(|each| each.join().unwrap()).collect()
        });
        let expected: Vec<_> = (0..9).map(|number| format!("{number}\n")).collect();
        assert_eq!(answers, expected);
    }
    // One session for the first login, one for each master: channels are not sessions.
    assert_eq!(plant.recordings().len(), 3);
}

/// sshd opens ten sessions on a connection. Who wants more hears so when the channel is opened, and makes a connection of its own, as with
/// sshd itself.
#[test]
fn more_commands_at_once_than_the_asset_opens_on_one_connection_all_run() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    plant.sshd().also("MaxSessions 10");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let host = form.host("ews-1");
        let socket = format!("ControlPath={}/many-{form:?}", alice.folder().display());
        let up = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", &socket, &host, "true"];
        alice.leased_ssh(up).ok();
        let finished: Vec<_> = thread::scope(|scope| {
            let ask = |number: usize| {
                let (alice, socket, host) = (&alice, &socket, &host);
                scope.spawn(move || alice.leased_ssh(["-o", socket, host, &format!("sleep 5; echo {number}")]))
            };
            (0..15).map(ask).collect::<Vec<_>>().into_iter().map(|each| each.join().unwrap()).collect()
        });
        for (number, each) in finished.iter().enumerate() {
            assert_eq!(each.ok(), format!("{number}\n"));
        }
        let refused = finished.iter().filter(|each| each.stderr.contains("Session open refused by peer")).count();
        assert!((1..=5).contains(&refused), "{refused} were refused by the master: {finished:?}");
        alice.leased_ssh(["-o", &socket, "-O", "exit", &host]).ok();
    }
}

/// The asset closes each of these channels first, and there may be 64 at a time, not in all.
#[test]
fn one_master_connection_carries_a_long_day_of_commands() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let (host, socket) = (form.host("ews-1"), alice.folder().join(format!("long-{form:?}")));
        let master = format!("ControlPath={}", socket.display());
        let up = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", &master, &host, "true"];
        alice.leased_ssh(up).ok();
        for number in 0..70 {
            let answer = alice.leased_ssh(["-o", &master, &host, &format!("echo {number}")]);
            assert_eq!(answer.ok(), format!("{number}\n"));
        }
        alice.leased_ssh(["-o", &master, "-O", "exit", &host]).ok();
    }
}

/// VS Code starts a server through a shell that reads a script, and reaches it by forwarded channels of the same session.
#[test]
fn vs_codes_pattern_works() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let www = plant.folder().join("www");
    fs::create_dir(&www).unwrap();
    let page = super::files::noise(200_000);
    fs::write(www.join("page"), &page).unwrap();
    let mut server = plant.network().command(Place::Plant, "/usr/bin/python3");
    server.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "8000", "--directory"]).arg(&www);
    let server = Running::start("the asset's own server", server, &plant.folder().join("server.log"));
    eventually("it listens", Duration::from_secs(20), || server.log().contains("Serving HTTP").then_some(()));

    for (form, port) in Form::BOTH.into_iter().zip([9001, 9002]) {
        let host = form.host("ews-1");
        let mut client = alice.leased("bash");
        let script = format!(
            "ssh -F {} -T -L {port}:127.0.0.1:8000 {host} bash -s <<'END' &
echo started-$((40+2)); sleep 20
END
for try in $(seq 50); do sleep 0.1; exec 3<>/dev/tcp/127.0.0.1/{port} && break; done 2>/dev/null
for n in 1 2 3 4 5; do /usr/bin/python3 -c 'import urllib.request as u, hashlib as h; print(h.sha256(u.urlopen(\"http://127.0.0.1:{port}/page\").read()).hexdigest())' & jobs[n]=$!; done
for n in 1 2 3 4 5; do wait ${{jobs[n]}}; done
kill %1",
            alice.config().display()
        );
        client.args(["-c", &script]);
        let answer = finish(client, b"");
        let text = answer.text();
        assert!(text.contains("started-42"), "{answer}");
        assert_eq!(text.matches(&super::files::sha256(&page)).count(), 5, "{answer}\n{}", server.log());
    }

    // Beyond the asset's own loopback nothing is reached.
    let beyond = alice.leased_ssh(["-W", "10.10.1.21:22", "ews-1"]);
    beyond.refused();
}
