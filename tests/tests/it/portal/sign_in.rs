//! Who is let in, who is not, what each is told, and when it is over.

use std::time::{Duration, Instant};

use sallyport_tests::eventually;

use super::{PASSWORD, alice, plant, with_password};

#[test]
fn a_password_and_a_code_lead_to_what_one_may_reach() {
    let plant = plant();
    let alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.sign_in(&alice, PASSWORD);
    let home = visitor.get("/").body;
    assert!(home.contains("ssh -J alice@gate.plant.example:2222 operator@ews-1"), "{home}");
    let codes: Vec<String> = plant
        .audit()
        .iter()
        .map(|entry| entry["code"].as_str().unwrap().to_owned())
        .filter(|code| code.starts_with("SP-10"))
        .collect();
    assert_eq!(codes, ["SP-1003", "SP-1003", "SP-1001"]);
    // It lets nobody in elsewhere: a password at ssh asks for its code as ever.
    let leases = plant.json(&["lease", "list"]);
    assert_eq!(leases.as_array().unwrap().len(), 0, "{leases}");
    let log = std::fs::read_to_string(plant.folder().join("broker.log")).unwrap();
    assert!(!log.contains(PASSWORD) && !log.contains(visitor.cookie.as_deref().unwrap().split('=').nth(1).unwrap()));
}

#[test]
fn a_wrong_password_an_unknown_name_and_a_locked_person_look_alike_and_take_as_long() {
    let plant = plant();
    let _alice = alice(&plant);
    with_password(&plant, "bob");
    plant.sallyport(&["identity", "lock", "bob", "--reason", "away"]).ok();
    let portal = plant.portal();
    let mut tried = Vec::new();
    for (name, password) in [
        ("alice", "a wrong password"),
        ("nobody", PASSWORD),
        ("bob", PASSWORD),
        ("alice:ews-1", PASSWORD),
        ("al ice", PASSWORD),
        ("", PASSWORD),
    ] {
        let mut visitor = portal.visitor();
        visitor.get("/sign-in");
        let began = Instant::now();
        let answer = visitor.post("/sign-in", &[("name", name), ("password", password)]);
        let took = began.elapsed();
        let shown = answer.body.replace(&visitor.csrf, "TOKEN");
        // The name that was typed is shown again; nothing else may differ.
        let shown = shown.replace(&format!("value=\"{name}\""), "value=\"NAME\"").replace(" autofocus", "");
        tried.push((name, answer.status, shown, took));
    }
    for (name, status, shown, took) in &tried {
        assert_eq!((*status, shown), (403, &tried[0].2), "{name}");
        assert!(*took >= Duration::from_millis(300), "{name} was refused after {took:?}");
    }
    let codes = plant.audit().iter().filter(|entry| entry["code"] == "SP-1004").count();
    assert_eq!(codes, tried.len());
}

#[test]
fn three_wrong_codes_end_the_sign_in_and_leave_a_trace() {
    let plant = plant();
    let alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    assert_eq!(visitor.first("alice", PASSWORD).leads_to(), "/sign-in/second");
    for _ in 0..3 {
        visitor.get("/sign-in/second");
        assert_eq!(visitor.post("/sign-in/second", &[("code", "zzzz-zzzz-zzzz-zzzz")]).status, 403);
    }
    assert_eq!(visitor.get("/sign-in/second").leads_to(), "/sign-in");
    let over = visitor.post("/sign-in/second", &[("code", &alice.fresh_code())]);
    assert_eq!(over.status, 403, "a right code counted after three wrong ones");
    assert_eq!(visitor.get("/").leads_to(), "/sign-in");
    let refused: Vec<_> = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-1002").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
}

#[test]
fn whoever_is_locked_or_loses_a_factor_or_signs_out_is_out_at_once() {
    let plant = plant();
    let (alice, bob, carol) = (alice(&plant), with_password(&plant, "bob"), with_password(&plant, "carol"));
    let portal = plant.portal();
    let (mut one, mut two, mut three) = (portal.visitor(), portal.visitor(), portal.visitor());
    one.sign_in(&alice, PASSWORD);
    two.sign_in(&bob, PASSWORD);
    three.sign_in(&carol, PASSWORD);
    plant.sallyport(&["identity", "lock", "alice", "--reason", "left"]).ok();
    assert_eq!(one.get("/").leads_to(), "/sign-in");
    plant.sallyport(&["identity", "unlock", "alice"]).ok();
    assert_eq!(one.get("/").leads_to(), "/sign-in", "what was ended came back");
    plant.set_password("bob", "another horse battery");
    assert_eq!(two.get("/").leads_to(), "/sign-in");
    let cookie = three.cookie.clone();
    assert_eq!(three.post("/sign-out", &[]).status, 200);
    assert_eq!(three.cookie, None);
    three.cookie = cookie;
    assert_eq!(three.get("/").leads_to(), "/sign-in");
}

#[test]
fn a_sign_in_ends_when_it_is_idle_and_when_it_is_old() {
    let setup = sallyport_tests::Setup::standard().portal().setting("[portal]\nidle = \"4s\"\nlongest = \"9s\"");
    let plant = setup.start();
    let alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.sign_in(&alice, PASSWORD);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        assert_eq!(visitor.get("/").status, 200, "after {:?}", began.elapsed());
        std::thread::sleep(Duration::from_millis(500));
    }
    eventually("it is old", Duration::from_secs(5), || (visitor.get("/").status == 303).then_some(()));
    visitor.sign_in(&alice, PASSWORD);
    // A page that only listens keeps nobody signed in.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let heard = visitor.get("/events");
        assert!(heard.status == 204 || heard.body.contains("event: waiting\ndata: []\n"), "{heard}");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(visitor.get("/").leads_to(), "/sign-in");
    assert_eq!(visitor.get("/events").status, 204);
}

#[test]
fn somebody_ends_their_own_sessions_and_leases_and_nobody_elses() {
    let plant = plant();
    let (alice, bob) = (alice(&plant), with_password(&plant, "bob"));
    let portal = plant.portal();
    let (mut mine, mut other) = (portal.visitor(), portal.visitor());
    mine.sign_in(&alice, PASSWORD);
    other.sign_in(&bob, PASSWORD);
    alice.take_lease("ews-1.direct");
    plant.quiet();
    let session = alice.terminal(&["ews-1.direct"], 80, 24);
    let id = eventually("a session lives", Duration::from_secs(20), || {
        let live = plant.json(&["session", "list", "--live"]);
        live[0]["id"].as_str().map(str::to_owned)
    });
    let page = mine.get("/sessions").body;
    assert!(page.contains(&id) && !other.get("/sessions").body.contains(&id), "{page}");
    let lease = plant.json(&["lease", "list", "--identity", "alice"])[0]["id"].as_str().unwrap().to_owned();
    // Another person's, and none at all.
    for path in [format!("/sessions/{id}/end"), format!("/leases/{lease}/end"), "/sessions/01nothing/end".to_owned()] {
        assert_eq!(other.post(&path, &[]).leads_to(), "/sessions");
    }
    plant.settle();
    assert_eq!(plant.json(&["session", "list", "--live"]).as_array().unwrap().len(), 1);
    assert_eq!(plant.json(&["lease", "list", "--identity", "alice"]).as_array().unwrap().len(), 1);
    assert_eq!(mine.post(&format!("/sessions/{id}/end"), &[]).leads_to(), "/sessions");
    plant.quiet();
    session.expect("The session to ews-1 was ended in your name, from elsewhere.");
    drop(session);
    mine.get("/sessions");
    assert_eq!(mine.post(&format!("/leases/{lease}/end"), &[]).leads_to(), "/sessions");
    assert_eq!(plant.json(&["lease", "list", "--identity", "alice"]).as_array().unwrap().len(), 0);
    let audit = plant.audit();
    for code in ["SP-3003", "SP-1007"] {
        let entry = audit.iter().find(|entry| entry["code"] == code).unwrap();
        assert_eq!(entry["actor"], "alice", "{entry}");
    }
}
