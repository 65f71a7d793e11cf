//! OpenSSH's own sftp and scp, through the relay, against its own sftp-server and scp.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use std::path::Path;
use std::process::{Output, Stdio};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use sallyport_policy::{ChannelKind, FileTransfer};
use sallyport_session_recorder::Kind;

use crate::ssh::tests::bed::{Bed, Notebook, bed, soon, terms, weighed};
use crate::ssh::transfer::command::Way;
use crate::ssh::transfer::{FileOutcome, FileReport, Transferred};

const ALL: [ChannelKind; 3] = [ChannelKind::Shell, ChannelKind::Exec, ChannelKind::Sftp];
const OPTIONS: [&str; 6] =
    ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR", "-F", "/dev/null", "-q"];

async fn run(program: &str, bed: &Bed, arguments: &[&str], batch: &str) -> Output {
    let mut command = tokio::process::Command::new(program);
    command.args(OPTIONS).arg(format!("-oPort={}", bed.port)).args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("these tests need OpenSSH's client");
    let mut input = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, batch.as_bytes()).await.unwrap();
    drop(input);
    soon(child.wait_with_output()).await.unwrap()
}

/// A file of this many bytes that do not repeat soon.
fn file(path: &Path, size: usize) -> String {
    let content: Vec<u8> = (0..u32::try_from(size / 4 + 1).unwrap()).flat_map(u32::to_le_bytes).take(size).collect();
    std::fs::write(path, &content).unwrap();
    HEXLOWER.encode(digest(&SHA256, &content).as_ref())
}

fn transferred(report: &FileReport) -> &Transferred {
    match &report.outcome {
        FileOutcome::Transferred(file) => file,
        FileOutcome::Refused(what) => panic!("{what} {}", report.path),
    }
}

const SIZE: usize = 20_000_001;

#[tokio::test(flavor = "multi_thread")]
async fn sftp_both_ways_leaves_a_hash_for_each_file() {
    let mut bed = bed(terms(FileTransfer::Both, &ALL), Notebook::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let hash = file(&dir.path().join("a"), SIZE);
    let at = dir.path().display();
    let batch = format!("put {at}/a {at}/b\nget {at}/b {at}/c\nrename {at}/b {at}/d\nrm {at}/d\nls {at}\n");
    let output = run("sftp", &bed, &["-b", "-", "alice@127.0.0.1"], &batch).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), std::fs::read(dir.path().join("c")).unwrap());
    for way in [Way::Upload, Way::Download] {
        let report = soon(bed.reports.recv()).await.unwrap();
        let expected = Transferred { way, size: SIZE as u64, sha256: Some(hash.clone()), complete: true, note: None };
        assert_eq!(transferred(&report), &expected);
        assert_eq!(report.path, format!("{at}/b"));
    }
    let operations: Vec<_> = bed.notebook.json(Kind::Operation).iter().map(|body| body["op"].clone()).collect();
    assert_eq!(operations, ["file", "file", "rename", "remove"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_by_sftp_and_by_its_own_protocol_both_ways() {
    for own in [&["-s"][..], &["-O"]] {
        let mut bed = bed(terms(FileTransfer::Both, &ALL), Notebook::default()).await;
        let dir = tempfile::tempdir().unwrap();
        let hash = file(&dir.path().join("a"), SIZE);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let remote = |name: &str| format!("alice@127.0.0.1:{}", path(name));
        for (from, to, way) in [(path("a"), remote("b"), Way::Upload), (remote("b"), path("c"), Way::Download)] {
            let output = run("scp", &bed, &[own, &["-p", &from, &to]].concat(), "").await;
            assert!(output.status.success(), "{output:?}");
            let report = soon(bed.reports.recv()).await.unwrap();
            assert_eq!((transferred(&report).way, transferred(&report).complete), (way, true), "{own:?} {report:?}");
            assert_eq!(transferred(&report).sha256, Some(hash.clone()));
            assert!(report.path.starts_with(&path("b")), "{}", report.path);
        }
        assert_eq!(std::fs::read(path("a")).unwrap(), std::fs::read(path("c")).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_by_scps_own_protocol() {
    let mut bed = bed(terms(FileTransfer::Upload, &ALL), Notebook::default()).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("from/sub")).unwrap();
    file(&dir.path().join("from/one"), 10);
    file(&dir.path().join("from/sub/two"), 0);
    let (from, to) = (dir.path().join("from").display().to_string(), dir.path().join("to").display().to_string());
    let output = run("scp", &bed, &["-O", "-r", "-p", &from, &format!("alice@127.0.0.1:{to}")], "").await;
    assert!(output.status.success(), "{output:?}");
    let mut sizes = Vec::new();
    for _ in 0..2 {
        let report = soon(bed.reports.recv()).await.unwrap();
        sizes.push((report.path.rsplit('/').next().unwrap().to_owned(), transferred(&report).size));
    }
    sizes.sort();
    assert_eq!(sizes, [("one".to_owned(), 10), ("two".to_owned(), 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_the_right_shows_an_error_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    file(&dir.path().join("a"), 1000);
    let path = |name: &str| dir.path().join(name).display().to_string();
    for own in ["-s", "-O"] {
        let bed = bed(terms(FileTransfer::Download, &ALL), Notebook::default()).await;
        let target = format!("alice@127.0.0.1:{}", path("b"));
        let output = run("scp", &bed, &[own, &path("a"), &target], "").await;
        assert!(!output.status.success());
        assert!(!dir.path().join("b").exists());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = if own == "-O" { "upload of files is not granted here" } else { "Permission denied" };
        assert!(error.contains(said) || error.contains("not granted"), "{own} {error}");
    }
    let bed = bed(terms(FileTransfer::Download, &ALL), Notebook::default()).await;
    let batch = format!(
        "-put {0}/a {0}/b\n-rm {0}/a\n-mkdir {0}/m\n-rename {0}/a {0}/z\nget {0}/a {0}/c\n",
        dir.path().display()
    );
    let output = run("sftp", &bed, &["-b", "-", "alice@127.0.0.1"], &batch).await;
    assert!(output.status.success(), "what is refused does not end the session: {output:?}");
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_without_the_right_brings_nothing() {
    let dir = tempfile::tempdir().unwrap();
    file(&dir.path().join("a"), 1000);
    let path = |name: &str| dir.path().join(name).display().to_string();
    for own in ["-s", "-O"] {
        let bed = bed(terms(FileTransfer::Upload, &ALL), Notebook::default()).await;
        let source = format!("alice@127.0.0.1:{}", path("a"));
        let output = run("scp", &bed, &[own, &source, &path("b")], "").await;
        assert!(!output.status.success());
        let arrived = std::fs::read(dir.path().join("b")).unwrap_or_default();
        assert!(arrived.is_empty(), "{own}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_leave_at_most_a_thousandth_of_their_size_in_the_recording() {
    const LARGE: usize = 256 * 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    file(&dir.path().join("a"), LARGE);
    let path = |name: &str| dir.path().join(name).display().to_string();
    for own in ["-s", "-O"] {
        let bed = bed(terms(FileTransfer::Both, &ALL), weighed()).await;
        let mut before = bed.recorded();
        for (from, to) in [
            (path("a"), format!("alice@127.0.0.1:{}", path("b"))),
            (format!("alice@127.0.0.1:{}", path("b")), path("c")),
        ] {
            let output = run("scp", &bed, &[own, &from, &to], "").await;
            assert!(output.status.success(), "{output:?}");
            let recorded = bed.recorded() - before;
            before = bed.recorded();
            assert!(recorded * 1024 < LARGE as u64, "{own} {from}: {recorded} bytes");
        }
    }
}
