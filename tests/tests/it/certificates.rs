//! User certificates of a configured authority as a first factor, and everything that is nearly one.

use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_tests::{Form, Person, Plant, Setup, finish};

struct Authorities {
    folder: tempfile::TempDir,
}

impl Authorities {
    fn new() -> Authorities {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ours", "another"] {
            keygen(&["-t", "ed25519", "-N", "", "-f", folder.path().join(name).to_str().unwrap()]);
        }
        Authorities { folder }
    }

    fn key(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.key(name).with_extension("pub")).unwrap().trim().to_owned()
    }

    /// Signs the person's key with these options of ssh-keygen.
    fn sign(&self, authority: &str, person: &Person, options: &[&str]) -> PathBuf {
        let certificate = person.folder().join("key-cert.pub");
        let key = person.key().with_extension("pub");
        let fixed = ["-s", self.key(authority).to_str().unwrap(), "-I", "badge-7"].map(str::to_owned);
        let mut command = Command::new("ssh-keygen");
        command.arg("-q").args(fixed).args(options).arg(key);
        finish(command, b"").ok();
        certificate
    }
}

fn login(mut ssh: Command, person: &Person, form: Form, certificate: &Path) -> sallyport_tests::Finished {
    // Written into the configuration, so that the jump uses it too.
    ssh.arg("-F").arg(person.config()).arg("-o").arg(format!("CertificateFile={}", certificate.display()));
    ssh.args([&form.host("ews-1"), "echo in"]);
    finish(ssh, b"")
}

#[test]
fn a_certificate_of_our_authority_and_a_code_get_in() {
    let authorities = Authorities::new();
    let plant = start(&authorities);
    for (name, form) in [("alice", Form::Direct), ("ada", Form::Jump)] {
        let person = plant.person_without_key(name);
        let certificate = authorities.sign("ours", &person, &["-n", name, "-V", "-1m:+5m"]);
        assert_eq!(login(person.command("ssh"), &person, form, &certificate).ok(), "in\n");
    }
    let list = plant.json(&["audit", "list"]).to_string();
    assert!(list.contains("certificate"), "{list}");
}

#[test]
fn what_is_nearly_a_certificate_is_refused() {
    let authorities = Authorities::new();
    let plant = start(&authorities);
    let alice = plant.person_without_key("alice");
    let cases: [(&str, &[&str]); 9] = [
        ("another", &["-n", "alice", "-V", "-1m:+5m"]),
        ("ours", &["-h", "-n", "alice", "-V", "-1m:+5m"]),
        ("ours", &["-V", "-1m:+5m"]),
        ("ours", &["-n", "ada", "-V", "-1m:+5m"]),
        ("ours", &["-n", "operator,root", "-V", "-1m:+5m"]),
        ("ours", &["-n", "alice", "-V", "20200101:20200102"]),
        ("ours", &["-n", "alice", "-V", "20990101:20990102"]),
        ("ours", &["-n", "alice", "-V", "-1m:+5m", "-O", "critical:door@example.com=7"]),
        ("ours", &["-n", "alice", "-V", "-1m:+5m", "-O", "source-address=10.9.9.9/32"]),
    ];
    for (authority, options) in cases {
        let certificate = authorities.sign(authority, &alice, options);
        let tried = login(alice.leased("ssh"), &alice, Form::Direct, &certificate);
        assert!(!tried.text().contains("in"), "{authority} {options:?}: {tried}");
        tried.refused();
    }
    // The same key without any certificate is nobody's.
    std::fs::remove_file(alice.folder().join("key-cert.pub")).unwrap();
    alice.leased_ssh(["ews-1.direct", "echo in"]).refused();
    assert!(!plant.sshd().log().contains("Accepted"), "{}", plant.sshd().log());
}

fn start(authorities: &Authorities) -> Plant {
    Setup::standard().setting(&format!("[ssh]\nuser_ca = [{:?}]", authorities.public("ours"))).start()
}

fn keygen(arguments: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.arg("-q").args(arguments);
    finish(command, b"").ok();
}
