//! Files: both ways by every tool, each with name, size and SHA-256; and one way only where the terms say so.

use std::fs;
use std::path::Path;

use sallyport_tests::{Form, Person, Plant, finish};
use serde_json::Value;

const SIZE: usize = 3 * 1024 * 1024 + 17;

#[test]
fn files_go_both_ways_by_every_tool_and_are_operations_of_the_recording() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let content = noise(SIZE);
    fs::write(alice.folder().join("recipe.bin"), &content).unwrap();
    let local = alice.folder().join("recipe.bin").display().to_string();
    let home = plant.sshd().home("operator");

    for form in Form::BOTH {
        for tool in Tool::ALL {
            let name = format!("{form:?}-{tool:?}");
            let before = plant.recordings().len();
            tool.upload(&alice, form, &local, &name).ok();
            let there = fs::read(home.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(there, content, "{name} went up");
            let back = alice.folder().join(format!("{name}-back"));
            tool.download(&alice, form, &name, &back).ok();
            assert_eq!(fs::read(&back).unwrap(), content, "{name} came back");

            let recordings = plant.recordings();
            assert_eq!(recordings.len(), before + 2, "one recording each way for {name}");
            if tool != Tool::Rsync {
                for direction in ["upload", "download"] {
                    assert_file(&plant, &name, direction, &content);
                }
            }
        }
    }
}

#[test]
fn download_only_is_held_against_every_tool() {
    let plant = Plant::start();
    let content = noise(4096);
    plant.sshd().put("log.bin", &content);
    let home = plant.sshd().home("operator");
    // Carol may only use sftp, Dave may run commands too.
    for (name, tools) in [("carol", &[Tool::Scp, Tool::Sftp][..]), ("dave", &Tool::ALL[..])] {
        let person = plant.person(name);
        let local = person.folder().join("up.bin");
        fs::write(&local, &content).unwrap();
        let first = Tool::Sftp.upload_with_code(&person, &local.display().to_string(), "first");
        first.refused();
        for form in Form::BOTH {
            for tool in tools {
                tool.upload(&person, form, &local.display().to_string(), "forbidden").refused();
                assert!(!home.join("forbidden").exists(), "{name} wrote by {tool:?} in form {form:?}");
                let back = person.folder().join(format!("{form:?}-{tool:?}"));
                tool.download(&person, form, "log.bin", &back).ok();
                assert_eq!(fs::read(&back).unwrap(), content);
            }
            for change in ["rm log.bin", "rename log.bin other", "mkdir d", "chmod 777 log.bin", "symlink log.bin l"] {
                let tried = sftp(&person, form, change);
                tried.refused();
            }
            assert_eq!(names(&home), ["log.bin"], "{name} changed something in form {form:?}");
        }
    }
    let refused: Vec<_> = plant.audit().into_iter().filter(|event| event["code"] == "SP-3006").collect();
    assert!(!refused.is_empty(), "no refusal of a file is in the audit trail");
}

#[test]
fn where_exec_is_forbidden_nothing_is_written_through_a_command() {
    let plant = Plant::start();
    let carol = plant.person("carol");
    let home = plant.sshd().home("operator");
    let first = carol.ssh(["ews-1", "cat >written"]);
    first.refused();
    for form in Form::BOTH {
        let host = form.host("ews-1");
        for command in ["cat >written", "scp -t .", "rsync --server . .", "/usr/lib/openssh/sftp-server", "true"] {
            let tried = carol.leased_ssh_with(b"data", [&host, command]);
            tried.refused();
            assert!(!tried.stderr.trim().is_empty(), "no word of why: {tried}");
        }
        let mut shell = carol.terminal(&[&host], 80, 24);
        assert_ne!(shell.ended().code(), Some(0), "{}", shell.shown());
    }
    assert_eq!(names(&home), Vec::<String>::new());
}

/// What moves files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Scp,
    ScpLegacy,
    Sftp,
    Rsync,
}

impl Tool {
    const ALL: [Tool; 4] = [Tool::Scp, Tool::ScpLegacy, Tool::Sftp, Tool::Rsync];

    fn upload(self, person: &Person, form: Form, local: &str, name: &str) -> sallyport_tests::Finished {
        let remote = format!("{}:{name}", form.host("ews-1"));
        match self {
            Tool::Scp => person.leased_tool("scp", &["-q", local, &remote], b""),
            Tool::ScpLegacy => person.leased_tool("scp", &["-O", "-q", local, &remote], b""),
            Tool::Sftp => sftp(person, form, &format!("put {local} {name}")),
            Tool::Rsync => rsync(person, local, &remote),
        }
    }

    fn download(self, person: &Person, form: Form, name: &str, local: &Path) -> sallyport_tests::Finished {
        let remote = format!("{}:{name}", form.host("ews-1"));
        let local = local.to_str().unwrap();
        match self {
            Tool::Scp => person.leased_tool("scp", &["-q", &remote, local], b""),
            Tool::ScpLegacy => person.leased_tool("scp", &["-O", "-q", &remote, local], b""),
            Tool::Sftp => sftp(person, form, &format!("get {name} {local}")),
            Tool::Rsync => rsync(person, &remote, local),
        }
    }

    /// The first login, which is asked for a code.
    fn upload_with_code(self, person: &Person, local: &str, name: &str) -> sallyport_tests::Finished {
        let mut command = person.command("scp");
        command.arg("-F").arg(person.config()).args(["-q", local, &format!("ews-1:{name}")]);
        finish(command, b"")
    }
}

fn sftp(person: &Person, form: Form, line: &str) -> sallyport_tests::Finished {
    person.leased_tool("sftp", &["-q", "-b", "-", &form.host("ews-1")], format!("{line}\n").as_bytes())
}

fn rsync(person: &Person, from: &str, to: &str) -> sallyport_tests::Finished {
    let mut command = person.leased("rsync");
    command.arg("-e").arg(format!("ssh -F {}", person.config().display())).args([from, to]);
    finish(command, b"")
}

/// The recording that the file went through has it with name, size and hash.
#[track_caller]
fn assert_file(plant: &Plant, name: &str, direction: &str, content: &[u8]) {
    plant.quiet();
    let files: Vec<Value> = plant
        .recordings()
        .iter()
        .flat_map(|each| {
            plant.json(&["recording", "files", each["session"].as_str().unwrap()]).as_array().unwrap().clone()
        })
        .filter(|file| file["direction"] == direction)
        .filter(|file| file["path"].as_str().unwrap().contains(name))
        .collect();
    assert_eq!(files.len(), 1, "{direction} of {name}: {files:?}");
    assert_eq!(files[0]["size"], content.len(), "{files:?}");
    assert_eq!(files[0]["sha256"], sha256(content), "{files:?}");
    assert_eq!(files[0]["complete"], true, "{files:?}");
}

pub(crate) fn sha256(content: &[u8]) -> String {
    let sum = finish(std::process::Command::new("sha256sum"), content).ok();
    sum.split_whitespace().next().unwrap().to_owned()
}

/// Bytes that do not compress, the same every time.
pub(crate) fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
