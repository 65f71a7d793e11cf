#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;

fn packet(kind: u8, parts: &[&[u8]]) -> Packet {
    Packet { kind, body: [&7_u32.to_be_bytes()[..], &parts.concat()].concat() }
}

fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("home/operator")).unwrap();
    let root = Root::open_folder(folder.path()).unwrap();
    (folder, Server { root, open: HashMap::new(), next: 0 })
}

/// Kind of the answer, and the status code or the handle.
fn answered(server: &mut Server, packet: &Packet) -> (u8, Vec<u8>) {
    let answer = server.answer(packet).unwrap();
    assert_eq!(answer[5..9], 7_u32.to_be_bytes());
    (answer[4], answer[9..].to_vec())
}

#[test]
fn a_file_goes_up_and_comes_down() {
    let (folder, mut server) = server();
    let create = (wire::WRITE | wire::CREATE | wire::TRUNCATE).to_be_bytes();
    let none = 0_u32.to_be_bytes();
    let (kind_, handle) = answered(&mut server, &packet(kind::OPEN, &[&text("new.txt"), &create, &none]));
    assert_eq!(kind_, kind::HANDLE);
    let written = answered(&mut server, &packet(kind::WRITE, &[&handle, &0_u64.to_be_bytes(), &text("hello")]));
    assert_eq!(written.1[..4], code::OK.to_be_bytes());
    answered(&mut server, &packet(kind::CLOSE, &[&handle]));
    assert_eq!(std::fs::read_to_string(folder.path().join("home/operator/new.txt")).unwrap(), "hello");

    let read = wire::READ.to_be_bytes();
    let (_, handle) = answered(&mut server, &packet(kind::OPEN, &[&text("/home/operator/new.txt"), &read, &none]));
    let ask = |offset: u64| packet(kind::READ, &[&handle, &offset.to_be_bytes(), &100_u32.to_be_bytes()]);
    assert_eq!(answered(&mut server, &ask(1)), (kind::DATA, text("ello")));
    assert_eq!(answered(&mut server, &ask(5)).1[..4], code::EOF.to_be_bytes());
}

#[test]
fn what_is_cut_short_or_unknown_is_answered_or_ends_the_channel() {
    let (_folder, mut server) = server();
    assert_eq!(server.answer(&Packet { kind: kind::OPEN, body: vec![0, 0] }), Err(Short));
    let short = packet(kind::OPEN, &[&[0, 0, 0, 200, b'a']]);
    assert_eq!(answered(&mut server, &short).1[..4], code::BAD_MESSAGE.to_be_bytes());
    let symlink = packet(20, &[&text("a"), &text("/etc/passwd")]);
    assert_eq!(answered(&mut server, &symlink).1[..4], code::UNSUPPORTED.to_be_bytes());
    let handle = packet(kind::CLOSE, &[&text("nonsense")]);
    assert_eq!(answered(&mut server, &handle).1[..4], code::FAILURE.to_be_bytes());
    let mut huge = vec![0xff; 4];
    assert!(matches!(Packet::split(&mut huge), Err(Short)));
}

#[test]
fn the_home_is_where_paths_begin() {
    let (_folder, mut server) = server();
    let (kind_, body) = answered(&mut server, &packet(kind::REALPATH, &[&text(".")]));
    assert_eq!((kind_, &body[4..22]), (kind::NAME, &text(HOME)[..]));
}
