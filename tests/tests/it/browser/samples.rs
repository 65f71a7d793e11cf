//! Every page in every state, with what people may see in them: long names, hostile ones, nothing at all.

use askama::Template;
use jiff::Timestamp;
use sallyport::portal::look::{
    Approved, Assets, Authenticator, Choice, Confirm, Factors, Frame, Home, Invitation, LiveSession, Login, Lost,
    MyLease, NewLease, NewRequest, Notice, Now, OthersRequest, OwnRequest, Passkey, Person, Place, ProveAgain, Qr,
    Reachable, Recovery, Requests, Second, Sessions, SignIn, Span, SshKey, State, Totp, Waiting, words,
};

/// What somebody would write into a name to act on whoever reads it.
pub(super) const HOSTILE: &str =
    "\u{202e}\"><script>document.title='owned'</script><img src=x onerror=alert(1)>{{7*7}}";

/// Every page with the name of its picture.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("sign-in", draw(sign_in("", None))),
        ("sign-in-wrong", draw(sign_in("alice", Some(words::WRONG_SIGN_IN)))),
        ("second", draw(second(true, true, None))),
        ("second-code", draw(second(false, true, Some(words::WRONG_CODE)))),
        ("second-none", draw(second(false, false, None))),
        ("home", draw(Home { frame: signed_in(Place::Reach, 0), rows: rows() })),
        ("home-empty", draw(Home { frame: signed_in(Place::Reach, 0), rows: Vec::new() })),
        ("home-waiting", draw(Home { frame: signed_in(Place::Reach, 2), rows: rows() })),
        ("sessions", draw(sessions())),
        ("sessions-empty", draw(no_sessions())),
        ("requests", draw(requests("replace the drive of line 4", "PTW-17"))),
        ("requests-hostile", draw(requests(HOSTILE, HOSTILE))),
        ("requests-empty", draw(no_requests())),
        ("factors", draw(factors())),
        ("factors-empty", draw(no_factors())),
        ("factors-last", draw(last_factor())),
        ("factors-without-pin", draw(without_pin())),
        ("factors-prove", draw(prove_again())),
        ("totp", draw(totp(true, None))),
        ("totp-wrong", draw(totp(false, Some(words::WRONG_CODE)))),
        ("recovery", draw(recovery())),
        ("invitation", draw(invitation(true))),
        ("invitation-passkey", draw(invitation(false))),
        ("confirm", draw(confirm(waits(0, 3, None)))),
        ("confirm-wrong", draw(confirm(waits(7, 1, Some(words::WRONG_NUMBER))))),
        ("confirm-done", draw(confirm(State::Done))),
        ("confirm-refused", draw(confirm(State::Refused))),
        ("confirm-expired", draw(confirm(State::Expired))),
        ("confirm-locked", draw(confirm(State::Locked))),
        ("confirm-hostile", draw(confirm(hostile()))),
        ("notice", draw(Notice::not_found(stranger()))),
        ("notice-signed-out", draw(Notice::signed_out(stranger()))),
        ("lost", draw(Lost { frame: stranger() })),
    ]
}

pub(super) fn draw(page: impl Template) -> String {
    page.render().expect("a page")
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-29T{text}Z").parse().expect("a time")
}

/// Around a page of somebody who is not signed in.
pub(super) fn stranger() -> Frame {
    let lies_at = |name: &str| format!("/static/{name}");
    Frame {
        broker: "gate.plant.example".to_owned(),
        csrf: "csrf-of-the-samples".to_owned(),
        assets: Assets { style: lies_at("style.css"), page: lies_at("page.js"), webauthn: lies_at("webauthn.js") },
        person: None,
        place: Place::Elsewhere,
        said: None,
    }
}

pub(super) fn signed_in(place: Place, waiting: usize) -> Frame {
    let waiting = (0..waiting).map(|number| Waiting {
        path: format!("/c/KQ7M-{number}"),
        text: format!("From 10.20.30.{number} to operator@ews-1, since 14:02 UTC").into(),
    });
    Frame {
        person: Some(Person { name: "alice".into(), waiting: waiting.collect(), events: None }),
        place,
        ..stranger()
    }
}

pub(super) fn sign_in(name: &str, problem: Option<&str>) -> SignIn {
    SignIn { frame: stranger(), name: name.into(), next: "/".to_owned(), problem: problem.map(str::to_owned) }
}

pub(super) fn second(key: bool, code: bool, problem: Option<&str>) -> Second {
    let problem = problem.map(str::to_owned);
    Second { frame: stranger(), name: "alice".into(), next: "/c/KQ7M-XW2P".to_owned(), key, code, problem }
}

pub(super) fn rows() -> Vec<Reachable> {
    let row = |asset: &str, service: &str, account: &str, now, line: &str| Reachable {
        asset: asset.into(),
        service: service.into(),
        account: account.into(),
        now,
        line: line.into(),
    };
    let forward = "ssh -N -L 5020:plc-7:502 alice@gate.plant.example";
    let long = "ssh -J alice@gate.plant.example maintenance-contractor@packaging-line-3-engineering-workstation-b";
    vec![
        row(
            "ews-1",
            "ssh",
            "operator",
            Now::Yes(Some(at("18:00:00").into())),
            "ssh -J alice@gate.plant.example operator@ews-1",
        ),
        row("plc-7", "modbus", "engineer", Now::Yes(None), forward),
        row("hmi-2", "vnc", "operator", Now::AfterFactor, "ssh -N -L 15900:hmi-2:5900 alice@gate.plant.example"),
        row("packaging-line-3-engineering-workstation-b", "ssh", "maintenance-contractor", Now::AfterApproval, long),
        row("historian", "ssh", "reader", Now::No, "ssh -J alice@gate.plant.example reader@historian"),
    ]
}

pub(super) fn sessions() -> Sessions {
    let session = |id: &str, target: &str, service: &str, span| LiveSession {
        id: id.to_owned(),
        target: target.into(),
        service: service.into(),
        source: "10.20.30.40".into(),
        since: at("13:40:00").into(),
        span,
    };
    let span = Span::new(at("13:40:00"), at("17:40:00"), at("14:55:00"));
    let lease = MyLease {
        id: "01KB7P3Z8Y6Q5W4E3R2T1Y0ABD".to_owned(),
        credential: "SHA256:9mJ1n3vX0eVqW0mF2QmY7o0i3zq1b2c3d4e5f6g7h8I".into(),
        source: "10.20.30.40".into(),
        factor: "passkey “Blue key”".into(),
        span: Span::new(at("13:39:00"), at("21:39:00"), at("14:55:00")),
    };
    let choice = |value: &str, text: &str| Choice { value: value.to_owned(), text: text.into() };
    Sessions {
        frame: signed_in(Place::Sessions, 0),
        sessions: vec![
            session("01KB7P3Z8Y6Q5W4E3R2T1Y0ABC", "operator@ews-1", "ssh", Some(span)),
            session("01KB7P3Z8Y6Q5W4E3R2T1Y0ABE", "engineer@plc-7", "modbus", None),
        ],
        leases: vec![lease],
        new: Some(NewLease {
            source: "10.20.30.40".into(),
            keys: vec![choice("1", "SHA256:9mJ1n3vX0eVqW0mF2QmY7o0i3zq1b2c3d4e5f6g7h8I")],
            until: vec![choice("1h", "15:55 UTC (1 hour)"), choice("8h", "22:55 UTC (8 hours)")],
        }),
    }
}

pub(super) fn requests(reason: &str, permit: &str) -> Requests {
    let other = |id: &str, stands, mine| OthersRequest {
        id: id.to_owned(),
        name: permit.into(),
        source: "10.20.30.40".into(),
        target: "ews-1 (ssh, vnc)".into(),
        lasting: "2h".into(),
        reason: reason.into(),
        permit: permit.into(),
        since: at("13:40:00").into(),
        by: if mine { vec!["leo".into()] } else { Vec::new() },
        stands,
        seen: usize::from(mine),
        mine,
    };
    let own = |id: &str, stands| OwnRequest {
        id: id.to_owned(),
        target: "plc-7 (modbus)".into(),
        lasting: "1h30m".into(),
        reason: reason.into(),
        permit: permit.into(),
        stands,
    };
    let choice = |text: &str| Choice { value: text.to_owned(), text: text.into() };
    let until = || at("18:00:00").into();
    Requests {
        frame: signed_in(Place::Requests, 0),
        others: vec![
            other("k7wq3xvm", Approved::Waits(0, 2, until()), false),
            other("k7wq3xvn", Approved::Waits(1, 2, until()), true),
            other("k7wq3xvp", Approved::Until(until()), false),
        ],
        can_approve: true,
        own: vec![own("b2c3d4f5", Approved::Waits(1, 2, until())), own("b2c3d4f6", Approved::Until(until()))],
        new: Some(NewRequest {
            assets: vec![choice("ews-1"), choice("plc-7")],
            lasting: vec![choice("1h"), choice("2h")],
            reason: reason.into(),
            permit: permit.into(),
            problem: Some("That can be approved for 4h at most.".to_owned()),
        }),
    }
}

fn no_requests() -> Requests {
    Requests {
        frame: signed_in(Place::Requests, 0),
        others: Vec::new(),
        can_approve: false,
        own: Vec::new(),
        new: None,
    }
}

fn no_sessions() -> Sessions {
    Sessions { frame: signed_in(Place::Sessions, 0), sessions: Vec::new(), leases: Vec::new(), new: None }
}

pub(super) fn factors() -> Factors {
    let passkey = |id: &str, name: &str, used, removable| Passkey {
        id: id.to_owned(),
        name: name.into(),
        added: at("08:12:00").into(),
        used,
        counts: true,
        removable,
    };
    let ssh_key = SshKey {
        fingerprint: "SHA256:9mJ1n3vX0eVqW0mF2QmY7o0i3zq1b2c3d4e5f6g7h8I".into(),
        added: at("07:00:00").into(),
    };
    Factors {
        prove: None,
        frame: Frame { said: Some("“Blue key” counts from now on.".to_owned()), ..signed_in(Place::Factors, 0) },
        passkeys: vec![
            passkey("1", "Blue key", Some(at("14:02:00").into()), true),
            passkey("2", "Phone of the shift, third floor, spare", None, true),
        ],
        authenticator: Some(Authenticator { added: at("07:01:00").into(), used: Some(at("13:39:00").into()) }),
        recovery_left: 8,
        ssh_keys: vec![ssh_key],
    }
}

pub(super) fn prove_again() -> Factors {
    let prove = ProveAgain { key: true, code: true, problem: Some(words::WRONG_CODE.to_owned()) };
    Factors { frame: signed_in(Place::Factors, 0), prove: Some(prove), ..factors() }
}

fn no_factors() -> Factors {
    Factors {
        prove: None,
        frame: signed_in(Place::Factors, 0),
        passkeys: Vec::new(),
        authenticator: None,
        recovery_left: 0,
        ssh_keys: Vec::new(),
    }
}

pub(super) fn totp(replaces: bool, problem: Option<&str>) -> Totp {
    let uri = "otpauth://totp/Sallyport:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=gate.plant.example";
    Totp {
        frame: signed_in(Place::Factors, 0),
        qr: Qr::of(uri).expect("it fits"),
        secret: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP".to_owned(),
        digits: 6,
        action: "/factors/totp".to_owned(),
        back: "/factors".to_owned(),
        replaces,
        problem: problem.map(str::to_owned),
    }
}

pub(super) fn recovery() -> Recovery {
    Recovery {
        frame: signed_in(Place::Factors, 0),
        name: "alice".into(),
        made: at("14:55:00").into(),
        codes: (0..10).map(|number| format!("K7QM-4XW{number}-P9TD")).collect(),
        next: "/factors".to_owned(),
    }
}

pub(super) fn invitation(both: bool) -> Invitation {
    Invitation {
        frame: stranger(),
        name: "alice".into(),
        by: "root@gate".into(),
        until: at("23:59:00").into(),
        path: "/invitation/9f3b".to_owned(),
        password: both,
        passkey: true,
        authenticator: both,
        problem: None,
    }
}

pub(super) fn confirm(state: State) -> Confirm {
    Confirm { frame: signed_in(Place::Elsewhere, 0), state }
}

pub(super) fn waits(turned_away: u32, tries_left: u32, problem: Option<&str>) -> State {
    State::Waiting(Box::new(Login {
        path: "/c/KQ7M-XW2P".to_owned(),
        name: "alice".into(),
        source: "10.20.30.40".into(),
        client: "OpenSSH_9.2p1 Debian-2+deb12u7".into(),
        target: "operator@ews-1".into(),
        since: at("14:54:21").into(),
        until: at("14:56:21").into(),
        digits: 3,
        tries_left,
        problem: problem.map(str::to_owned),
        turned_away,
    }))
}

fn last_factor() -> Factors {
    let mut page = factors();
    page.passkeys.truncate(1);
    page.passkeys[0].removable = false;
    Factors { authenticator: None, recovery_left: 0, ..page }
}

/// A key that asks for no PIN, where one is demanded.
fn without_pin() -> Factors {
    let mut page = factors();
    page.passkeys[0].removable = false;
    page.passkeys[1].counts = false;
    Factors { authenticator: None, recovery_left: 0, ..page }
}

fn hostile() -> State {
    let State::Waiting(login) = waits(1, 2, None) else { unreachable!("it waits") };
    State::Waiting(Box::new(Login { name: HOSTILE.into(), client: HOSTILE.into(), target: HOSTILE.into(), ..*login }))
}
