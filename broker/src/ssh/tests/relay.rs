#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use std::time::Duration;

use sallyport_policy::{ChannelKind, FileTransfer, RecorderTrouble, Terms};
use sallyport_session_recorder::Kind;
use serde_json::json;

use crate::ssh::channel::{SLOW_ABOVE, STALLS_AFTER};
use crate::ssh::tests::bed::{Notebook, bed, hear, soon, terms};
use crate::ssh::transfer::{FileOutcome, Via};

const ALL: [ChannelKind; 3] = [ChannelKind::Shell, ChannelKind::Exec, ChannelKind::Sftp];

#[tokio::test(flavor = "multi_thread")]
async fn output_error_exit_status_and_end_come_in_the_assets_order() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    let heard = bed.exec("say", b"").await;
    assert_eq!((heard.out.as_slice(), heard.err.as_str()), (&b"out"[..], "err"));
    assert_eq!(heard.events, ["success", "exit 3", "eof", "close"]);
    assert_eq!(bed.notebook.bytes(Kind::Output), b"out");
    assert_eq!(bed.notebook.bytes(Kind::ErrorOutput), b"err");
    assert_eq!(bed.notebook.json(Kind::Closed), [json!({ "exit_status": 3 })]);
    let expected = [
        json!({ "request": "exec", "command": "say", "allowed": true }),
        json!({ "request": "exec", "answer": "success" }),
    ];
    assert_eq!(bed.notebook.json(Kind::Request), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_status_that_follows_the_end_of_output_goes_before_it() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    assert_eq!(bed.exec("reaped-late", b"").await.events, ["success", "exit 3", "eof", "close"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_signal_is_passed_on() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    assert_eq!(bed.exec("killed", b"").await.events, ["success", "signal KILL true", "eof", "close"]);
    assert_eq!(bed.notebook.json(Kind::Closed), [json!({ "exit_signal": "KILL", "core_dumped": true })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_ends_is_answered_after_its_end() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    assert_eq!(bed.exec("sink", b"12345").await.out, b"5\n");
    assert_eq!(bed.notebook.bytes(Kind::Input), b"12345");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_that_vanishes_closes_the_channel() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    assert_eq!(bed.exec("vanish", b"").await.events, ["success", "close"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_assets_own_failure_is_the_answer_and_the_channel_goes_on() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    let (read, write) = bed.client.channel_open_session().await.unwrap().split();
    let heard = tokio::spawn(hear(read));
    write.exec(true, "refuse").await.unwrap();
    write.exec(true, "say").await.unwrap();
    let heard = soon(heard).await.unwrap();
    assert_eq!(heard.events, ["failure", "success", "exit 3", "eof", "close"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_size_environment_and_signals_reach_the_asset_as_the_terms_say() {
    let bed = bed(Terms { env: vec!["LC_*".to_owned()], ..Terms::default() }, Notebook::default()).await;
    let (read, write) = bed.client.channel_open_session().await.unwrap().split();
    let heard = tokio::spawn(hear(read));
    write.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    write.set_env(true, "LC_ALL", "C").await.unwrap();
    write.set_env(true, "LC_REFUSED", "C").await.unwrap();
    write.set_env(true, "LD_PRELOAD", "/evil").await.unwrap();
    write.request_shell(true).await.unwrap();
    write.data_bytes("hello").await.unwrap();
    write.window_change(132, 50, 0, 0).await.unwrap();
    write.signal(russh::Sig::INT).await.unwrap();
    write.eof().await.unwrap();
    let heard = soon(heard).await.unwrap();
    assert_eq!(heard.out, b"hello");
    assert_eq!(heard.events, ["success", "success", "failure", "failure", "success", "exit 0", "eof", "close"]);
    let requests = bed.asset.requests.lock().unwrap().clone();
    let expected = ["pty xterm 80x24", "env LC_ALL=C", "env LC_REFUSED=C", "shell", "window 132x50", "signal INT"];
    assert_eq!(requests, expected);
    let refused = json!({ "request": "env", "name": "LD_PRELOAD", "value": "/evil", "allowed": false });
    assert!(bed.notebook.json(Kind::Request).contains(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_terms_do_not_grant_is_refused_in_one_sentence_and_never_asked_of_the_asset() {
    let cases = [
        (terms(FileTransfer::Both, &[ChannelKind::Sftp]), "id", "commands are not granted here"),
        (terms(FileTransfer::Both, &[ChannelKind::Sftp]), "scp -t x", "commands are not granted here"),
        (
            terms(FileTransfer::Download, &ALL),
            "scp -t x",
            "upload of files is not granted here (file_transfer = \"download\")",
        ),
        (
            terms(FileTransfer::Upload, &ALL),
            "rsync --server --sender -a . x",
            "download of files is not granted here (file_transfer = \"upload\")",
        ),
        (terms(FileTransfer::None, &ALL), "/usr/lib/openssh/sftp-server", "file transfer is not granted here"),
    ];
    for (terms, command, sentence) in cases {
        let mut bed = bed(terms, Notebook::default()).await;
        let heard = bed.exec(command, b"some input").await;
        assert_eq!(heard.err, format!("sallyport: {sentence}\r\n"));
        let refused = bed.refused.try_recv().unwrap();
        assert_eq!((refused.request, refused.reason), (format!("exec {command}"), sentence.to_owned()));
        assert_eq!(heard.events, ["success", "exit 255", "eof", "close"]);
        assert!(bed.asset.requests.lock().unwrap().is_empty());
        assert!(bed.asset.input.lock().unwrap().is_empty());
        assert_eq!(bed.notebook.json(Kind::Closed), [json!({ "exit_status": 255, "refused": sentence })]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_too_long_for_the_record_is_refused_and_the_recorder_is_sound() {
    let bed = bed(terms(FileTransfer::Both, &ALL), Notebook::default()).await;
    // Not UTF-8, so that it is written down twice.
    let command = vec![0xff; 90_000];
    let (read, write) = bed.client.channel_open_session().await.unwrap().split();
    write.exec(true, command).await.unwrap();
    let heard = soon(hear(read)).await;
    assert_eq!(heard.err, "sallyport: the exec request is too long to be recorded\r\n");
    assert_eq!(heard.events, ["success", "exit 255", "eof", "close"]);
    assert!(bed.asset.requests.lock().unwrap().is_empty());
    assert_eq!(bed.notebook.json(Kind::Request), [json!({ "request": "exec", "bytes": 90_000, "allowed": false })]);
    assert!(!bed.context.record.trouble.is_raised());
    assert_eq!(bed.exec("say", b"").await.out, b"out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_scp_is_reported() {
    let mut bed = bed(terms(FileTransfer::None, &ALL), Notebook::default()).await;
    bed.exec("scp -t secret.bin", b"").await;
    let report = soon(bed.reports.recv()).await.unwrap();
    assert_eq!((report.via, report.path.as_str()), (Via::Scp, "secret.bin"));
    assert_eq!(report.outcome, FileOutcome::Refused("upload"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_subsystem_is_refused() {
    let bed = bed(terms(FileTransfer::Both, &ALL), Notebook::default()).await;
    let (read, write) = bed.client.channel_open_session().await.unwrap().split();
    write.request_subsystem(true, "netconf").await.unwrap();
    let heard = soon(hear(read)).await;
    assert_eq!(heard.err, "sallyport: the subsystem `netconf` is not available\r\n");
    assert!(bed.asset.requests.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_recorder_fails_not_one_byte_reaches_the_asset() {
    for trouble in [RecorderTrouble::ViewOnly, RecorderTrouble::End] {
        for fail_at in 0..14 {
            let notebook = Notebook { fail_at: Some(fail_at), ..Notebook::default() };
            let bed = bed(Terms { recorder_trouble: trouble, ..Terms::default() }, notebook).await;
            let Ok(Ok(channel)) = tokio::time::timeout(Duration::from_secs(5), bed.client.channel_open_session()).await
            else {
                assert_eq!(fail_at, 0, "the channel's opening is the first entry");
                continue;
            };
            let (_read, write) = channel.split();
            // Where the failure comes early, the channel is closed under our hands: what is still sent does not count.
            let typed = async {
                write.exec(true, "log").await?;
                for number in 0..10u8 {
                    write.data_bytes(vec![number; 100]).await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok::<_, russh::Error>(())
            };
            let _closed_early = soon(typed).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let arrived = bed.asset.input.lock().unwrap().clone();
            assert_eq!(arrived, bed.notebook.bytes(Kind::Input), "{trouble} {fail_at}");
            let expected = if fail_at < 3 { 0 } else { (fail_at - 3).min(10) * 100 };
            assert!(arrived.len() <= 1000 && (arrived.len() == expected || fail_at > 3), "{trouble} {fail_at}");
            assert_eq!(bed.context.record.trouble.is_raised(), arrived.len() < 1000);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_input_is_held_a_stream_waits_whole_what_is_typed_is_refused_and_nothing_begins() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    let input = bed.context.record.input.clone();
    let arrived = || bed.asset.input.lock().unwrap().clone();
    let (_read, stream) = bed.client.channel_open_session().await.unwrap().split();
    stream.exec(true, "log").await.unwrap();
    stream.data_bytes(b"one ".to_vec()).await.unwrap();
    eventually(|| arrived() == b"one ").await;
    let (read, late) = bed.client.channel_open_session().await.unwrap().split();
    let late_heard = tokio::spawn(hear(read));
    input.hold();
    stream.data_bytes(b"two ".to_vec()).await.unwrap();
    late.exec(true, "log").await.unwrap();
    let heard = soon(late_heard).await.unwrap();
    assert_eq!(heard.err, "sallyport: the time of this session is over, and nothing more can be begun in it\r\n");
    assert_eq!(arrived(), b"one ");
    assert_eq!(bed.notebook.bytes(Kind::Input), b"one ");
    input.release();
    stream.data_bytes(b"three".to_vec()).await.unwrap();
    eventually(|| arrived() == b"one two three").await;
    assert_eq!(bed.notebook.bytes(Kind::Input), b"one two three");
    assert!(!bed.context.record.trouble.is_raised());
}

async fn eventually(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(waiting).await;
}

/// This many bytes up a channel that echoes, and all of them down again, both at once.
pub(in crate::ssh) async fn echo(channel: russh::Channel<russh::client::Msg>, size: usize) {
    let (mut read, write) = channel.split();
    let sender = tokio::spawn(async move {
        let block = bytes::Bytes::from((0..=255u8).cycle().take(1024 * 1024).collect::<Vec<_>>());
        for _ in 0..size / block.len() {
            write.data_bytes(block.clone()).await.unwrap();
        }
        write.eof().await.unwrap();
    });
    let mut received = 0usize;
    while let Some(message) = soon(read.wait()).await {
        if let russh::ChannelMsg::Data { data } = message {
            assert_eq!(data[0], u8::try_from(received % 256).unwrap());
            received += data.len();
        }
    }
    soon(sender).await.unwrap();
    assert_eq!(received, size);
}

pub(in crate::ssh) fn lengths_only() -> Notebook {
    Notebook { lengths_only: true, ..Notebook::default() }
}

const BULK: usize = 128 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn full_duplex_bulk_passes() {
    let bed = bed(Terms::default(), lengths_only()).await;
    let channel = bed.client.channel_open_session().await.unwrap();
    channel.exec(true, "cat").await.unwrap();
    echo(channel, BULK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_duplex_bulk_passes_through_a_jump() {
    let mut bed = bed(Terms::default(), lengths_only()).await;
    bed.jump().await;
    let channel = bed.client.channel_open_session().await.unwrap();
    channel.exec(true, "cat").await.unwrap();
    echo(channel, BULK).await;
    assert_eq!(bed.exec("say", b"").await.out, b"out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_connection_is_a_track_of_its_own() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    let channel = bed.client.channel_open_direct_tcpip("localhost", 8080, "127.0.0.1", 1).await.unwrap();
    let (read, write) = channel.split();
    let heard = tokio::spawn(hear(read));
    write.data_bytes("hello").await.unwrap();
    write.eof().await.unwrap();
    let heard = soon(heard).await.unwrap();
    assert_eq!((heard.out.as_slice(), heard.events.last().unwrap().as_str()), (&b"hello"[..], "close"));
    let opened = json!({ "channel": "forward", "host": "localhost", "port": 8080 });
    assert_eq!(bed.notebook.json(Kind::Opened), [opened]);
    assert_eq!(bed.notebook.bytes(Kind::Input), b"hello");
    assert_eq!(bed.notebook.bytes(Kind::Output), b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_duplex_bulk_passes_through_a_forwarded_connection() {
    let bed = bed(Terms::default(), lengths_only()).await;
    echo(bed.client.channel_open_direct_tcpip("localhost", 8080, "127.0.0.1", 1).await.unwrap(), BULK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_pauses_alone_loses_nothing() {
    const SIZE: usize = 64 * 1024 * 1024;
    let bed = bed(Terms::default(), lengths_only()).await;
    let (mut read, write) = bed.client.channel_open_session().await.unwrap().split();
    write.exec(true, format!("flood {SIZE}")).await.unwrap();
    let mut received = 0;
    let mut paused = false;
    while let Some(message) = soon(read.wait()).await {
        if let russh::ChannelMsg::Data { data } = message {
            received += data.len();
        }
        if received > SIZE / 8 && !std::mem::replace(&mut paused, true) {
            tokio::time::sleep(STALLS_AFTER + Duration::from_secs(3)).await;
            assert!(crate::ssh::channel::bytes_queued() < 5 * SLOW_ABOVE);
        }
    }
    assert_eq!(received, SIZE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_takes_its_channels_with_it() {
    let bed = bed(Terms::default(), Notebook::default()).await;
    let (read, write) = bed.client.channel_open_session().await.unwrap().split();
    write.exec(true, "cat").await.unwrap();
    let heard = tokio::spawn(hear(read));
    write.data_bytes("x").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    bed.context.ending.cancel();
    assert_eq!(soon(heard).await.unwrap().events.last().unwrap(), "close");
    assert_eq!(bed.notebook.json(Kind::Closed).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_closes_early_ends_the_channel() {
    let bed = bed(Terms::default(), Notebook { lengths_only: true, ..Notebook::default() }).await;
    let (mut read, write) = bed.client.channel_open_session().await.unwrap().split();
    write.exec(true, "flood 1000000000").await.unwrap();
    for _ in 0..10 {
        soon(read.wait()).await.unwrap();
    }
    write.close().await.unwrap();
    let closed = async {
        while bed.notebook.json(Kind::Closed).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(closed).await;
    assert_eq!(soon(bed.exec("say", b"")).await.out, b"out");
}
