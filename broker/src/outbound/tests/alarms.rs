//! Alarms go out at once on every way, and wait where a way is closed.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::bed::{Bed, alarm, authority, event, eventually, https, lines, listener, numbers};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: "))).unwrap();
    line.split_once(": ").unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_webhook_is_told_of_alarms_alone_signed_and_again_until_it_takes_them() {
    let mut bed = Bed::new().await;
    let config = authority(bed.folder.path(), "right");
    fs::write(bed.path("secret"), format!("{SECRET}\n")).unwrap();
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let told = https(listener, config, &[500, 404, 200]);
    let telling = bed
        .tell(&format!(
            "[alarm]\ncodes = ['SP-5102']\n[[alarm.webhook]]\nname = 'hook'\n\
             url = 'https://localhost:{port}/a?b=c'\nca = 'right.ca'\nsecret_file = 'secret'\n"
        ))
        .await;
    bed.audit.record(crate::audit::AuditEvent::LeaseRevoked { identity: "x".into(), lease: "y".into() }).await.unwrap();
    bed.record(0..1).await;
    bed.audit.record(alarm(1)).await.unwrap();
    let mut requests = Vec::new();
    eventually("both came", async || {
        requests.extend(told.try_iter());
        (requests.len() == 4).then_some(())
    })
    .await;
    let bodies: Vec<Value> = requests.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(numbers(&bodies), [0, 0, 0, 1]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    for (head, body) in &requests {
        assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
        let signature = HEXLOWER.decode(header(head, "sallyport-signature").strip_prefix("v1=").unwrap().as_bytes());
        let signed = format!("{}.{body}", header(head, "sallyport-timestamp"));
        hmac::verify(&key, signed.as_bytes(), &signature.unwrap()).unwrap();
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(Some(header(head, "idempotency-key")), told["id"].as_str());
    }
    telling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alarm_that_a_webhook_refuses_for_what_it_is_does_not_hold_up_the_next() {
    let mut bed = Bed::new().await;
    let config = authority(bed.folder.path(), "right");
    fs::write(bed.path("secret"), SECRET).unwrap();
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let told = https(listener, config, &[400, 400, 400, 400, 400, 400, 200]);
    let telling = bed
        .tell(&format!(
            "[[alarm.webhook]]\nname = 'hook'\nurl = 'https://localhost:{port}'\nca = 'right.ca'\nsecret_file = 'secret'\n"
        ))
        .await;
    bed.audit.record(alarm(1)).await.unwrap();
    bed.audit.record(alarm(2)).await.unwrap();
    let refused = bed.entry("SP-7104").await;
    assert_eq!(refused["reason"], "it answered 400 Bad Request");
    let mut last = None;
    eventually("the next came", async || {
        last = told.try_iter().last().or(last.take());
        last.as_ref().filter(|(_, body)| body.contains("\"row\":\"2\"")).map(|_| ())
    })
    .await;
    telling.stop().await;
}

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn command(path: &Path) -> String {
    format!(
        "[[alarm.command]]\nname = 'siren'\nprogram = '{}'\narguments = ['a b', '$(id)']\nwithin = '1s'\n",
        path.display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_has_the_alarm_on_its_input_and_is_run_again_until_it_succeeds() {
    let mut bed = Bed::new().await;
    let (path, out) = (bed.path("siren"), bed.path("out"));
    let tries = bed.path("tries");
    program(
        &path,
        &format!(
            "echo x >>{tries}\n[ $(wc -l <{tries}) -gt 2 ] || exit 1\n[ \"$1|$2\" = 'a b|$(id)' ] && cat >>{out}",
            tries = tries.display(),
            out = out.display()
        ),
    );
    let telling = bed.tell(&command(&path)).await;
    bed.audit.record(event(9)).await.unwrap();
    bed.audit.record_all([alarm(1), alarm(2)]).await.unwrap();
    eventually("both came", async || (numbers(&lines(&out)) == [1, 2]).then_some(())).await;
    telling.stop().await;
    assert_eq!(fs::read_to_string(tries).unwrap().lines().count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    let mut bed = Bed::new().await;
    let (path, pids) = (bed.path("siren"), bed.path("pids"));
    program(&path, &format!("sleep 600 & echo $! >>{pids}\nsleep 600", pids = pids.display()));
    let telling = bed.tell(&command(&path)).await;
    bed.audit.record(alarm(1)).await.unwrap();
    let first = eventually("it was run twice", async || {
        let text = fs::read_to_string(&pids).unwrap_or_default();
        (text.lines().count() > 1).then(|| text.lines().next().unwrap().to_owned())
    })
    .await;
    // Nobody waits for an orphan: it may stay as a zombie, which has no command line.
    let gone = async || fs::read(format!("/proc/{first}/cmdline")).map_or(true, |line| line.is_empty()).then_some(());
    eventually("what it started is gone", gone).await;
    let begun = std::time::Instant::now();
    telling.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mail_goes_over_tls_with_a_login_and_never_without() {
    let mut bed = Bed::new().await;
    let config = authority(bed.folder.path(), "right");
    fs::write(bed.path("password"), "hunter2 hunter2\n").unwrap();
    let (listener, plain) = (listener(), listener());
    let lines = |port: u16, tls: &str| {
        format!(
            "[[alarm.mail]]\nname = 'mail-{port}'\nserver = 'localhost:{port}'\ntls = '{tls}'\nca = 'right.ca'\n\
             from = 'gate@plant.example'\nto = ['lead@plant.example', 'b@plant.example']\nuser = 'gate'\npassword_file = 'password'\n"
        )
    };
    let (port, other) = (listener.local_addr().unwrap().port(), plain.local_addr().unwrap().port());
    let (told, refused) = (smtp(listener, Some(config)), smtp(plain, None));
    let telling = bed.tell(&format!("{}{}", lines(port, "starttls"), lines(other, "starttls"))).await;
    bed.audit.record_all([event(1), alarm(2), alarm(3)]).await.unwrap();
    let mut mails: Vec<String> = Vec::new();
    eventually("two mails came", async || {
        mails.extend(told.try_iter());
        (mails.iter().filter(|line| *line == ".").count() == 2).then_some(())
    })
    .await;
    let text = mails.join("\n");
    assert!(text.contains("RCPT TO:<lead@plant.example>") && text.contains("RCPT TO:<b@plant.example>"), "{text}");
    assert!(text.contains("Subject: ALARM SP-7005 row.refused at b1") && text.contains("row: 2"), "{text}");
    let login = data_encoding::BASE64.encode(b"\0gate\0hunter2 hunter2");
    assert!(text.contains(&format!("AUTH PLAIN {login}")), "{text}");
    // Where no TLS is offered, nothing is said that is worth hearing.
    let mut heard: Vec<String> = Vec::new();
    eventually("it was tried", async || {
        heard.extend(refused.try_iter());
        (!heard.is_empty()).then_some(())
    })
    .await;
    assert!(heard.iter().all(|line| line.starts_with("EHLO ") || line == "QUIT"), "{heard:?}");
    telling.stop().await;
}

/// A server of mail that says what it hears; it offers TLS if it has a certificate.
fn smtp(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Receiver<String> {
    let (tell, told) = channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.write_all(b"220 mail\r\n").unwrap();
            let mut clear = BufReader::new(socket.try_clone().unwrap());
            let offers = if tls.is_some() { "250-mail\r\n250 STARTTLS\r\n" } else { "250-mail\r\n250 AUTH PLAIN\r\n" };
            if !conversation(&mut clear, &mut socket, offers, &tell) {
                continue;
            }
            let Some(config) = &tls else { continue };
            spoken(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket), &tell);
        }
    });
    told
}

/// True when TLS is to begin.
fn conversation(reader: &mut impl BufRead, writer: &mut impl Write, offers: &str, tell: &Sender<String>) -> bool {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        let line = line.trim_end().to_owned();
        let answer = match line.as_str() {
            "STARTTLS" => "220 go\r\n",
            _ if line.starts_with("EHLO ") => offers,
            _ => "250 ok\r\n",
        };
        writer.write_all(answer.as_bytes()).ok();
        if line == "STARTTLS" {
            return true;
        }
        tell.send(line).ok();
    }
}

fn spoken(mut stream: StreamOwned<ServerConnection, TcpStream>, tell: &Sender<String>) {
    let (mut line, mut data) = (Vec::new(), false);
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        if byte[0] != b'\n' {
            line.push(byte[0]);
            continue;
        }
        let text = String::from_utf8_lossy(&std::mem::take(&mut line)).trim_end().to_owned();
        let answer = match text.as_str() {
            "." => {
                data = false;
                "250 taken\r\n"
            }
            _ if data => "",
            "DATA" => {
                data = true;
                "354 go\r\n"
            }
            _ if text.starts_with("EHLO ") => "250-mail\r\n250 AUTH PLAIN\r\n",
            _ if text.starts_with("AUTH ") => "235 ok\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        tell.send(text).ok();
        stream.write_all(answer.as_bytes()).ok();
    }
}
