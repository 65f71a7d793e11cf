//! What is refused: every path with every missing factor, and every way around a rule.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sallyport_tests::{Finished, Form, Person, Plant, Setup, finish};

/// The paths to an asset, as arguments of a client.
fn paths() -> Vec<(&'static str, Vec<String>)> {
    let mut paths = Vec::new();
    for form in Form::BOTH {
        let host = form.host("ews-1");
        paths.push(("ssh", vec![host.clone()]));
        paths.push(("ssh", vec![host.clone(), "echo let through".to_owned()]));
        paths.push(("ssh", vec!["-tt".to_owned(), host.clone()]));
        paths.push(("ssh", vec!["-s".to_owned(), host.clone(), "sftp".to_owned()]));
        paths.push(("sftp", vec!["-b".to_owned(), "/dev/null".to_owned(), host.clone()]));
        paths.push(("scp", vec!["/etc/hostname".to_owned(), format!("{host}:let-through")]));
        paths.push(("scp", vec!["-O".to_owned(), "/etc/hostname".to_owned(), format!("{host}:let-through")]));
        paths.push(("ssh", vec!["-W".to_owned(), "127.0.0.1:22".to_owned(), host]));
    }
    paths.push(("ssh", vec!["-W".to_owned(), "ews-1:22".to_owned(), "broker".to_owned()]));
    paths.push(("ssh", vec!["broker".to_owned()]));
    paths.push(("ssh", vec!["broker".to_owned(), "ls".to_owned()]));
    paths
}

fn try_path(person: &Person, answers: &[&str], program: &str, arguments: &[String]) -> Finished {
    let answers: Vec<_> = answers.iter().map(|each| (*each).to_owned()).collect();
    let mut command = person.command_answering(program, &answers);
    command.arg("-F").arg(person.config()).args(arguments);
    finish(command, b"exit\n")
}

#[track_caller]
fn assert_nothing_happened(plant: &Plant) {
    assert_eq!(plant.recordings(), Vec::<serde_json::Value>::new());
    assert!(!plant.sshd().log().contains("Accepted"), "somebody got in: {}", plant.sshd().log());
    assert!(!plant.sshd().home("operator").join("let-through").exists());
}

#[test]
fn no_path_leads_in_without_a_second_factor() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    let unenrolled = plant.person_without_second_factor("alan");
    for (program, arguments) in paths() {
        for (person, answers) in [
            (&alice, &[][..]),
            (&alice, &["000000"][..]),
            (&alice, &["", "", ""][..]),
            (&alice, &["12345678901234567890"][..]),
            (&unenrolled, &[][..]),
            (&unenrolled, &["000000"][..]),
        ] {
            let tried = try_path(person, answers, program, &arguments);
            assert!(!tried.text().contains("let through"), "{tried}");
            tried.refused();
        }
    }
    assert_nothing_happened(&plant);
}

#[test]
fn no_path_leads_in_without_a_first_factor() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    let stranger = plant.stranger("mallory");
    // Mallory is unknown; and then uses alice's name, even with alice's code, but not her key.
    alice.fresh_code();
    for (program, arguments) in paths() {
        try_path(&stranger, &["000000"], program, &arguments).refused();
    }
    for host in ["broker", "ews-1.direct"] {
        let code = alice.fresh_code();
        let user = if host == "broker" { "alice" } else { "alice:operator@ews-1" };
        for method in
            ["none", "keyboard-interactive", "password,keyboard-interactive", "publickey,keyboard-interactive"]
        {
            let options = [
                "-o".to_owned(),
                format!("PreferredAuthentications={method}"),
                "-o".to_owned(),
                format!("User={user}"),
                host.to_owned(),
                "echo let through".to_owned(),
            ];
            try_path(&stranger, &[&code, &code], "ssh", &options).refused();
        }
    }
    assert_nothing_happened(&plant);
}

#[test]
fn a_code_counts_once() {
    let plant = Plant::start();
    // Erin's grant gives no lease: each login is asked.
    let erin = plant.person("erin");
    let code = erin.fresh_code();
    let arguments = ["ews-1".to_owned(), "echo in".to_owned()];
    assert_eq!(try_path(&erin, &[&code], "ssh", &arguments).ok(), "in\n");
    for form in Form::BOTH {
        let arguments = [form.host("ews-1"), "echo in".to_owned()];
        try_path(&erin, &[&code], "ssh", &arguments).refused();
    }
    // An earlier one does not count any more either.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    try_path(&erin, &[&erin.code_at(now - 30)], "ssh", &arguments).refused();
    assert_eq!(erin.ssh(["ews-1", "echo in"]).ok(), "in\n");
}

#[test]
fn of_several_logins_that_race_with_one_code_one_gets_in() {
    let plant = Plant::start();
    let erin = plant.person("erin");
    let code = erin.fresh_code();
    let arguments = ["ews-1.direct".to_owned(), "echo in".to_owned()];
    let got_in = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..6).map(|_| scope.spawn(|| try_path(&erin, &[&code], "ssh", &arguments))).collect();
        tries.into_iter().map(|each| each.join().unwrap()).filter(|each| each.text() == "in\n").count()
    });
    assert_eq!(got_in, 1);
}

#[test]
fn roles_forbids_and_factors_hold_on_every_path() {
    let plant = Plant::start();
    // Who, what they may not, in either form.
    for (name, asset) in [("bob", "ews-1"), ("victor", "sis-1"), ("frank", "ews-1"), ("dave", "ews-2")] {
        let person = plant.person(name);
        if name == "victor" {
            plant.sallyport(&["identity", "groups", name, "vendor:acme"]).ok();
        }
        let sentence = |form: Form| {
            let first = person.ssh([&form.host(asset), "echo let through"]);
            assert_eq!(first.text(), "", "{first}");
            first.refused().to_owned()
        };
        for form in Form::BOTH {
            let said = sentence(form);
            assert!(!said.contains("grant") && !said.contains("forbid"), "the person is told the rule: {said}");
        }
    }
    assert_nothing_happened(&plant);
    let denied = plant.audit().iter().filter(|event| event["code"] == "SP-2002").count();
    assert!(denied >= 6, "{denied} denials in the audit trail");
    // The forbid does not stand in the way of others.
    assert_eq!(plant.person("alice").ssh(["sis-1", "echo in"]).ok(), "in\n");
}

#[test]
fn unknown_and_forbidden_assets_sound_the_same() {
    let plant = Plant::start();
    let dave = plant.person("dave");
    dave.ssh(["ews-1", "true"]).ok();
    let said = |arguments: &[&str]| {
        let tried = dave.leased_ssh(arguments);
        tried.refused().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let known = said(&["-o", "User=dave:operator@ews-2", "broker", "true"]).replace("ews-2", "X");
    let unknown = said(&["-o", "User=dave:operator@ews-99", "broker", "true"]).replace("ews-99", "X");
    assert_eq!(known, unknown);
}

#[test]
fn only_services_of_the_plant_file_are_reached() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let sessions = plant.recordings().len();
    for target in [
        "10.10.1.38:22",
        "10.10.1.20:23",
        "127.0.0.1:22",
        "localhost:2222",
        "ews-1:80",
        "ews-99:22",
        "0.0.0.0:22",
        "[::1]:22",
        "10.10.1.20.:22",
        "ews-1 :22",
        "169.254.169.254:80",
    ] {
        alice.leased_ssh(["-W", target, "broker"]).refused();
    }
    assert_eq!(plant.recordings().len(), sessions);
}

#[test]
fn names_and_paths_are_taken_literally() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let sessions = plant.recordings().len();
    let names = [
        "alice:root@ews-1",
        "alice:operator@ews-1@",
        "alice:operator@@ews-1",
        "alice::ews-1",
        "alice:operator@../ews-1",
        "alice:operator@ews-1\\n",
        "alice:-oProxyCommand=id@ews-1",
        "alice:operator@ews-1:22",
        "Alice:operator@ews-1",
        "alice :operator@ews-1",
        "bob:operator@ews-1",
        "alice:operator@*",
        "alice:operator@tag:engineering",
        "root:operator@ews-1",
        "alice:operator@ews-1@ews-2",
        "' OR 1=1 --:operator@ews-1",
        &format!("alice:{}@ews-1", "a".repeat(300)),
        "",
    ];
    for name in names {
        let user = format!("User=\"{}\"", name.replace('"', "\\\""));
        let tried = alice.leased_ssh(["-o", &user, "-o", "HostName=10.0.0.2", "broker", "echo let through"]);
        assert!(!tried.text().contains("let through"), "{name}: {tried}");
    }
    assert_eq!(plant.recordings().len(), sessions, "{:?}", plant.recordings());
}

#[test]
fn a_changed_or_missing_host_key_ends_it() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let before = plant.sshd().log().matches("Accepted").count();
    for way in [&["-J", "broker", "operator@changed-1"][..], &["-o", "User=alice:operator@changed-1", "broker"]] {
        let tried = alice.leased_ssh([way, &["echo let through"]].concat());
        tried.refused();
        assert!(!tried.text().contains("let through"), "{tried}");
    }
    assert_eq!(plant.sshd().log().matches("Accepted").count(), before);
    assert!(plant.audit().iter().any(|event| event["code"] == "SP-3008"), "no event says that a host key changed");
}

#[test]
fn outside_its_window_a_grant_gives_nothing_and_at_its_end_it_cuts() {
    let plant = Setup::standard().start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let standard = plant.plant_file();
    let with_window = |when: &str| {
        let grant = "services = [\"ssh\"]\naccounts = [\"operator\"]\nlease = \"1h\"\nterms = { ";
        assert!(standard.contains(grant));
        standard.replacen(grant, &format!("when = {when}\n{grant}on_end = \"end\", "), 1)
    };
    let clock = |after: Duration| {
        let then = jiff::Timestamp::now() + jiff::SignedDuration::try_from(after).unwrap();
        then.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M").to_string()
    };
    // Open from in an hour to in two hours: closed now.
    let hour = Duration::from_secs(3600);
    plant.apply(&with_window(&format!(
        "{{ from = \"{}\", to = \"{}\", timezone = \"UTC\" }}",
        clock(hour),
        clock(2 * hour)
    )));
    plant.settle();
    for form in Form::BOTH {
        alice.leased_ssh([&form.host("ews-1"), "echo let through"]).refused();
    }

    // Open until the next full minute: a session is cut there, to the second.
    let now = jiff::Timestamp::now().as_second();
    if now % 60 > 50 {
        std::thread::sleep(Duration::from_secs(12));
    }
    let end = (jiff::Timestamp::now().as_second() / 60 + 1) * 60;
    let from = clock(Duration::ZERO);
    let to = clock(Duration::from_secs(60));
    plant.apply(&with_window(&format!("{{ from = \"{from}\", to = \"{to}\", timezone = \"UTC\" }}")));
    plant.settle();
    let mut session = alice.terminal(&["ews-1"], 80, 24);
    session.expect("$");
    let left = u64::try_from(end - jiff::Timestamp::now().as_second()).unwrap();
    let status = wait_for_end(&mut session, Duration::from_secs(left + 10));
    let late = jiff::Timestamp::now().as_millisecond() - end * 1000;
    assert!((-1000..3000).contains(&late), "cut {late} ms after the window closed: {}", session.shown());
    assert_ne!(status, Some(0));
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
}

#[test]
fn a_session_ends_at_its_longest_duration_when_idle_and_when_there_is_one_already() {
    let plant = Plant::start();
    let greta = plant.person("greta");
    greta.take_lease("ews-1");
    let started = std::time::Instant::now();
    let lasted = greta.leased_ssh(["ews-1", "while :; do echo tick; sleep 0.2; done"]);
    lasted.refused();
    let took = started.elapsed().as_secs_f64();
    assert!((3.0..8.0).contains(&took), "a session of 4 s lasted {took} s");

    let ida = plant.person("ida");
    ida.take_lease("ews-1");
    let busy = ida.leased_ssh(["ews-1", "for n in 1 2 3 4 5 6 7 8 9; do sleep 0.6; echo $n; done"]);
    assert_eq!(busy.ok().lines().count(), 9, "work is not idleness");
    let started = std::time::Instant::now();
    ida.leased_ssh(["ews-1.direct", "sleep 60"]).refused();
    let took = started.elapsed().as_secs_f64();
    assert!((2.5..8.0).contains(&took), "an idle limit of 3 s took {took} s");

    let conrad = plant.person("conrad");
    conrad.take_lease("ews-1");
    let mut first = conrad.terminal(&["ews-1"], 80, 24);
    first.expect("$");
    conrad.leased_ssh(["ews-1", "echo let through"]).refused();
    first.send("exit\n");
    first.ended();
    assert_eq!(conrad.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
}

fn wait_for_end(session: &mut sallyport_tests::Terminal, limit: Duration) -> Option<i32> {
    let started = std::time::Instant::now();
    loop {
        if let Some(status) = session.poll() {
            return status.code();
        }
        assert!(started.elapsed() < limit, "it goes on: {}", session.shown());
        std::thread::sleep(Duration::from_millis(10));
    }
}
