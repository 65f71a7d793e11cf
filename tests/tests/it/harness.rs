//! What the other tests rest on: nothing leads past the broker, and the sshd is a real one.

use std::process::Command;

use sallyport_tests::{Accounts, Network, Place, Sshd, finish};

#[test]
fn only_the_gate_reaches_the_assets() {
    let network = Network::new();
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let user_ca = folder.path().join("user_ca");
    finish(keygen(&["-q", "-t", "ed25519", "-N", "", "-f", user_ca.to_str().unwrap()]), b"").ok();
    let authority = std::fs::read_to_string(user_ca.with_extension("pub")).unwrap();
    let sshd = Sshd::start(&network, &folder.path().join("sshd"), &authority);

    for asset in ["10.10.1.20", "10.10.1.33", "10.20.1.20"] {
        let connect = format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{asset}/22 && head -c 4 <&3'");
        let reach = |place| {
            let mut shell = network.command(place, "bash");
            shell.args(["-c", &connect]);
            finish(shell, b"").stdout
        };
        assert_eq!(reach(Place::Gate), b"SSH-", "{asset}");
        assert_eq!(reach(Place::Office), b"", "the office reaches {asset} past the broker");
    }

    // The sshd trusts that authority, and says who came with a certificate of it.
    let key = folder.path().join("key");
    finish(keygen(&["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]), b"").ok();
    let sign = ["-q", "-s", user_ca.to_str().unwrap(), "-I", "identity=alice", "-n", Accounts::OPERATOR];
    finish(keygen(&[&sign[..], &["-V", "+5m", key.with_extension("pub").to_str().unwrap()]].concat()), b"").ok();
    let mut ssh = network.command(Place::Gate, "ssh");
    ssh.args(["-i", key.to_str().unwrap(), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    ssh.args(["operator@10.10.1.20", "id -un; pwd"]);
    let home = sshd.home(Accounts::OPERATOR);
    assert_eq!(finish(ssh, b"").ok(), format!("operator\n{}\n", home.display()));
    assert!(sshd.log().contains("ID identity=alice"), "{}", sshd.log());
}

fn keygen(arguments: &[&str]) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(arguments);
    command
}

#[test]
fn the_plant_file_of_the_tests_is_a_valid_one() {
    let path = sallyport_tests::repository().join("tests/data/plant.toml");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP4Dxq4ZP0lg6b7NRQuqfWbTKcAcVYDsEHEwE6QNa0jw";
    let text = std::fs::read_to_string(path).unwrap().replace("@HOST_KEY@", key);
    let files = [sallyport_policy::PlantFile { name: "plant.toml".into(), text }];
    let policy = sallyport_policy::Policy::parse(&files).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(policy.assets().count(), 19);
}
