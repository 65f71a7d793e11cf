//! Everything that is on record comes to a receiver, in order; once, or twice by the same id.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bed::{Bed, Syslog, audit, authority, body, event, eventually, lines, listener, numbers};
use crate::audit::{AuditEvent, entry_from_line};

const FILE: &str = "[[siem]]\nname = 'file'\nto = 'file:told'\n";

fn tcp(port: u16) -> String {
    format!("[[siem]]\nname = 'siem'\nto = 'tcp://127.0.0.1:{port}'\nfacility = 'local3'\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_entry_comes_as_the_chain_has_it_and_a_restart_neither_loses_nor_doubles() {
    let mut bed = Bed::new().await;
    bed.record(0..1).await;
    let mut recorded = 1;
    for _ in 0..3 {
        let telling = bed.tell(FILE).await;
        bed.record(recorded..recorded + 40).await;
        telling.stop().await;
        // While nobody tells.
        bed.record(recorded + 40..recorded + 50).await;
        recorded += 50;
    }
    let (telling, path) = (bed.tell(FILE).await, bed.path("told"));
    eventually("the last came", async || numbers(&lines(&path)).contains(&(recorded - 1)).then_some(())).await;
    telling.stop().await;
    let text = fs::read_to_string(bed.path("told")).unwrap();
    let entries: Vec<_> = text.lines().filter_map(|line| entry_from_line(line).ok()).collect();
    // What was before the first time is nobody's business.
    assert_eq!(entries, bed.chain().await.split_off(1));
    let heads: Vec<Value> = lines(&bed.path("told")).into_iter().filter(|line| !line["head"].is_null()).collect();
    // How many there are is a matter of how they were handed over; the last one covers all.
    assert!(heads.len() >= 4, "{heads:?}");
    assert_eq!(heads.last().and_then(|head| head["head"].as_i64()), bed.chain().await.last().map(|entry| entry.seq));
    for head in heads {
        let entry = &bed.chain().await[usize::try_from(head["head"].as_i64().unwrap() - 1).unwrap()];
        assert_eq!(head["hash"], entry.hash.as_str());
        assert_eq!(head["signature"].as_str(), entry.signature.as_deref());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_was_put_aside_is_followed_by_a_new_one() {
    let mut bed = Bed::new().await;
    let telling = bed.tell(FILE).await;
    bed.record(0..5).await;
    let path = bed.path("told");
    eventually("five came", async || (numbers(&lines(&path)).len() == 5).then_some(())).await;
    fs::rename(&path, bed.path("told.1")).unwrap();
    bed.record(5..9).await;
    eventually("four came", async || (numbers(&lines(&path)) == [5, 6, 7, 8]).then_some(())).await;
    telling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_put_on_record_comes_from_the_chain_but_not_what_another_broker_tells_itself() {
    let mut bed = Bed::new().await;
    let telling = bed.tell(FILE).await;
    let (command, other) = (audit(&bed.store, "cli").await, audit(&bed.store, "b2").await);
    bed.record(0..1).await;
    command.record(event(1)).await.unwrap();
    other.record(event(2)).await.unwrap();
    let mut write = bed.store.begin_write().await.unwrap();
    bed.audit.record_in(&mut write, event(3)).await.unwrap();
    write.commit().await.unwrap();
    bed.record(4..5).await;
    let path = bed.path("told");
    eventually("all came", async || (numbers(&lines(&path)) == [0, 1, 3, 4]).then_some(())).await;
    telling.stop().await;
    assert_eq!(numbers(&lines(&path)), [0, 1, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receiver_that_was_away_gets_all_in_order_and_a_message_is_what_rfc_5424_says() {
    let mut bed = Bed::new().await;
    let port = listener().local_addr().unwrap().port();
    let telling = bed.tell(&tcp(port)).await;
    bed.record(0..200).await;
    bed.entry("SP-5102").await;
    let mut siem = Syslog::tcp(TcpListener::bind(("127.0.0.1", port)).unwrap(), None);
    bed.record(200..300).await;
    let all = siem.until("all came", |bodies| numbers(bodies).len() == 300).await;
    assert_eq!(numbers(&all), (0..300).collect::<Vec<_>>());
    let first = &siem.messages[0];
    // local3 and notice: 19 * 8 + 5.
    assert!(
        first.starts_with("<157>1 2") && first.contains("Z b1 sallyport - SP-5102 [sallyport@32473 code=\"SP-5102\""),
        "{first}"
    );
    assert!(first.contains(" identity=\"alice-0\"]"), "{first}");
    assert!(siem.messages.iter().any(|message| message.contains(" HEAD [sallyport@32473 head=\"")));
    telling.stop().await;
    // Closed in good order: nothing is sent again.
    let telling = bed.tell(&tcp(port)).await;
    bed.record(300..301).await;
    let all = siem.until("the next came", |bodies| numbers(bodies).contains(&300)).await;
    assert_eq!(numbers(&all), (0..301).collect::<Vec<_>>());
    telling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receiver_that_drops_its_connections_misses_nothing() {
    let mut bed = Bed::new().await;
    // It reads nine, and resets the connection with the rest unread.
    let mut siem = Syslog::tcp(listener(), Some(9));
    let telling = bed.tell(&tcp(siem.port)).await;
    bed.record(0..12).await;
    let all = siem.until("each came", |bodies| numbers(bodies).into_iter().collect::<BTreeSet<_>>().len() == 12).await;
    // The first time that each came is in order.
    let mut seen = BTreeSet::new();
    let first: Vec<_> = numbers(&all).into_iter().filter(|number| seen.insert(*number)).collect();
    assert_eq!(first, (0..12).collect::<Vec<_>>());
    telling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_tls_only_a_server_of_the_named_authority_is_told_and_it_may_ask_who_tells() {
    let mut bed = Bed::new().await;
    let (right, wrong) = (authority(bed.folder.path(), "right"), authority(bed.folder.path(), "wrong"));
    let lines = |port: u16, ca: &str| {
        format!(
            "[[siem]]\nname = 'siem'\nto = 'tls://localhost:{port}'\nca = '{ca}.ca'\n\
             certificate = 'right.client.crt'\nkey = 'right.client.key'\n"
        )
    };
    let port = listener().local_addr().unwrap().port();
    let mut impostor = Syslog::tls(TcpListener::bind(("127.0.0.1", port)).unwrap(), wrong);
    let telling = bed.tell(&lines(port, "right")).await;
    bed.record(0..3).await;
    let seen = eventually("it was tried", async || {
        let seen = super::super::look(&bed.config(&lines(port, "right"))).await.pop()?;
        seen.waiting.is_some_and(|waiting| waiting > 0).then_some(seen)
    })
    .await;
    let reason = seen.reached.unwrap_err();
    assert!(reason.contains("certificate"), "{reason}");
    assert!(impostor.until("", |_| true).await.is_empty());
    telling.stop().await;
    let mut siem = Syslog::tls(listener(), right);
    let telling = bed.tell(&lines(siem.port, "right")).await;
    let all = siem.until("all came", |bodies| numbers(bodies).len() == 3).await;
    assert_eq!(numbers(&all), [0, 1, 2]);
    telling.stop().await;
    let error = bed.open("[[siem]]\nname = 'a'\nto = 'tls://localhost:1'\nca = 'right.client.key'").await.unwrap_err();
    assert!(error.to_string().starts_with("receiver `a`: `"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_finds_no_room_is_counted_and_the_loss_is_on_record_when_it_begins_and_when_it_ends() {
    let mut bed = Bed::new().await;
    let port = listener().local_addr().unwrap().port();
    let lines = format!("{}queue = '1MiB'\n{FILE}", tcp(port));
    let telling = bed.tell(&lines).await;
    for part in 0..50 {
        bed.record(part * 100..part * 100 + 100).await;
    }
    let began = bed.entry("SP-7101").await;
    assert_eq!((began["receiver"].as_str(), began["reason"].as_str()), (Some("siem"), Some("its queue is full")));
    let mut siem = Syslog::tcp(TcpListener::bind(("127.0.0.1", port)).unwrap(), None);
    // The end is told with the next event that goes in.
    let mut next = 5000;
    let ended = eventually("the loss ends", async || {
        bed.record(next..next + 1).await;
        next += 1;
        siem.until("", |_| true).await;
        let chain = bed.chain().await;
        let ended = chain.iter().find(|entry| entry.code == "SP-7102")?;
        Some(serde_json::from_str::<Value>(&ended.event).unwrap())
    })
    .await;
    bed.record(next..next + 1).await;
    siem.until("the last came", |bodies| numbers(bodies).contains(&next)).await;
    let told: BTreeSet<String> =
        siem.bodies().iter().filter_map(|body| body["id"].as_str().map(str::to_owned)).collect();
    let chain = bed.chain().await;
    let missing = chain.iter().filter(|entry| !told.contains(&entry.id)).count();
    // Heads are lost with them, and counted.
    let lost = usize::try_from(ended["lost"].as_u64().unwrap()).unwrap();
    assert!(missing > 1000 && lost >= missing && lost < missing + 200, "{lost} {missing}");
    assert_eq!(chain.iter().filter(|entry| entry.code == "SP-7101").count(), 1);
    // The other one missed nothing.
    telling.stop().await;
    assert_eq!(numbers(&super::bed::lines(&bed.path("told"))), (0..=next).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receiver_that_accepts_and_never_reads_holds_up_nobody() {
    let mut bed = Bed::new().await;
    let alone = flood(&bed).await;
    let idle = listener();
    let port = idle.local_addr().unwrap().port();
    let telling = bed.tell(&format!("{}{FILE}", tcp(port))).await;
    let told = flood(&bed).await;
    println!("{alone:?} for 10,000 events with nobody to tell, {told:?} with two receivers");
    assert!(told < alone * 3 + Duration::from_secs(1), "{alone:?} {told:?}");
    telling.stop().await;
}

/// Ten thousand events, in parts that come at once.
async fn flood(bed: &Bed) -> Duration {
    let begun = Instant::now();
    for part in 0..100 {
        bed.record(part * 100..part * 100 + 100).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_doubles_and_loses_nothing() {
    let mut bed = Bed::new().await;
    for part in 0..5 {
        let telling = bed.tell(FILE).await;
        bed.record(part * 50..part * 50 + 50).await;
        telling.kill().await;
    }
    let telling = bed.tell(FILE).await;
    let path = bed.path("told");
    let all = eventually("all came", async || {
        let all = numbers(&lines(&path));
        all.contains(&249).then_some(all)
    });
    let all = all.await;
    telling.stop().await;
    let mut seen = BTreeSet::new();
    let first: Vec<_> = all.into_iter().filter(|number| seen.insert(*number)).collect();
    assert_eq!(first, (0..250).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_chain_that_was_cut_raises_the_alarm_and_what_comes_then_is_told() {
    let mut bed = Bed::new().await;
    let telling = bed.tell(FILE).await;
    bed.record(0..10).await;
    telling.stop().await;
    let mut write = bed.store.begin_quiet_write().await.unwrap();
    sqlx::query("DELETE FROM audit WHERE seq > 7").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    let telling = bed.tell(FILE).await;
    let rewritten = bed.entry("SP-7003").await;
    assert_eq!(rewritten["seq"], 10);
    bed.record(10..12).await;
    let path = bed.path("told");
    eventually("they came", async || numbers(&lines(&path)).ends_with(&[9, 10, 11]).then_some(())).await;
    telling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_sockets_and_udp_are_told_and_what_is_too_large_for_a_datagram_is_cut() {
    let mut bed = Bed::new().await;
    let local = std::os::unix::net::UnixDatagram::bind(bed.path("log")).unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    local.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = udp.local_addr().unwrap().port();
    let telling = bed
        .tell(&format!(
            "[[siem]]\nname = 'local'\nto = 'unix:log'\n[[siem]]\nname = 'udp'\nto = 'udp://127.0.0.1:{port}'\n"
        ))
        .await;
    let long = AuditEvent::IdentityLocked { identity: "alice-7".into(), reason: "x".repeat(100_000) };
    bed.audit.record(long).await.unwrap();
    let mut taken = vec![0; 1 << 20];
    for _ in 0..2 {
        let length = local.recv(&mut taken).unwrap();
        let first = String::from_utf8(taken[..length].to_vec()).unwrap();
        assert!(first.len() < 65_000 && first.starts_with("<8"), "{first}");
        let length = udp.recv(&mut taken).unwrap();
        assert_eq!(String::from_utf8(taken[..length].to_vec()).unwrap(), first);
        if !first.contains(" HEAD ") {
            assert_eq!(body(&first)["event"]["cut"], true);
        }
    }
    telling.stop().await;
}
