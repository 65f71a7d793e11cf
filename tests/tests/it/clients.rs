//! Clients and assets that are not today's OpenSSH with its defaults.

use std::process::Command;
use std::time::Duration;

use sallyport_tests::{Accounts, Form, Plant, Running, Setup, finish, finish_within};

/// What equipment behind us may know, and no more.
const OLDER: [&str; 3] = [
    "Ciphers aes256-ctr\nMACs hmac-sha2-256",
    "Ciphers aes128-ctr\nMACs hmac-sha2-512\nKexAlgorithms diffie-hellman-group14-sha256",
    "KexAlgorithms diffie-hellman-group16-sha512",
];
/// What is broken or weak, and sometimes all that an asset knows.
const LEGACY: [&str; 2] = [
    "Ciphers aes128-ctr\nMACs hmac-sha1\nKexAlgorithms diffie-hellman-group14-sha1",
    "Ciphers chacha20-poly1305@openssh.com",
];

#[test]
fn an_asset_with_older_algorithms_is_reached_and_with_weak_ones_where_the_plant_file_says_so() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for lines in OLDER {
        plant.sshd().also(lines);
        alice.leased_ssh(["ews-1", "true"]).ok();
    }
    for lines in LEGACY {
        plant.sshd().also(lines);
        for form in Form::BOTH {
            let refused = alice.leased_ssh([form.host("ews-1").as_str(), "true"]);
            assert_eq!(refused.code(), 255, "{refused}");
            assert!(refused.stderr.contains("ews-1 answers, but speaks no algorithm that is allowed"), "{refused}");
        }
    }
    plant.quiet();
    let ended: Vec<_> =
        plant.audit().into_iter().filter(|entry| entry.to_string().contains("asset-not-understood")).collect();
    assert_eq!(ended.len(), 2 * LEGACY.len(), "{ended:?}");
    let both = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"];
    assert!(ended.iter().any(|entry| both.iter().all(|list| entry.to_string().contains(list))), "{ended:?}");

    let legacy = plant.plant_file().replacen("port = 22, ", "port = 22, algorithms = \"legacy\", ", 1);
    plant.apply(&legacy);
    for lines in LEGACY {
        plant.sshd().also(lines);
        alice.leased_ssh(["ews-1", "true"]).ok();
        assert_eq!(alice.leased_ssh(["ews-2", "true"]).code(), 255, "the asset beside it is not called legacy");
    }
}

#[test]
fn a_client_without_gcm_gets_in_unless_the_broker_is_strict_and_then_the_log_says_why() {
    let old = ["-c", "aes128-ctr", "-m", "hmac-sha2-256"];
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let ssh = alice.leased_ssh(old.iter().copied().chain([form.host("ews-1").as_str(), "echo", "in"]));
        assert_eq!(ssh.ok(), "in\n");
    }
    drop(plant);

    let mut strict = Setup::standard().setting("[ssh]\nalgorithms = \"strict\"").start();
    let alice = strict.person("alice");
    alice.take_lease("ews-1");
    let ssh = alice.leased_ssh(old.iter().copied().chain(["ews-1.direct", "true"]));
    assert!(ssh.refused().contains("no matching cipher found"), "{ssh}");
    let log = strict.broker().log();
    let line = log.lines().find(|line| line.contains("no algorithm in common")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("aes128-ctr") && line.contains("aes256-gcm@openssh.com"), "{line}");
}

/// Debian's ssh names AES-CTR first, and the client's order counts: a byte would cost the broker half as much CPU again as with GCM.
#[test]
fn a_client_that_has_gcm_gets_it_whatever_it_names_first() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        for order in [&[][..], &["-c", "aes128-ctr,aes256-gcm@openssh.com"]] {
            let ssh =
                alice.leased_ssh(["-vv"].iter().chain(order).copied().chain([form.host("ews-1").as_str(), "true"]));
            let chosen: Vec<_> = ssh.stderr.lines().filter(|line| line.contains("cipher: ")).collect();
            assert!(chosen.len() >= 2 && chosen.iter().all(|line| line.contains("gcm")), "{form:?} {chosen:?} {ssh}");
        }
    }
}

/// Longer than what waits on a channel otherwise, and near what one argument of a program may be on Linux.
#[test]
fn a_first_command_of_120_kibibytes_runs() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let long = format!(": {}; echo ran", "x".repeat(120 * 1024));
    for form in Form::BOTH {
        let ran = alice.leased_ssh([form.host("ews-1").as_str(), long.as_str()]);
        assert_eq!(ran.text(), "ran\n", "{form:?}: {}", ran.status);
    }
}

/// PuTTY's programs: its sink says that it has a file before the source has said so, and sftp by its own client.
#[test]
fn putty_fetches_files_by_scp_and_by_sftp() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    plant.sshd().put("log.bin", &content);
    alice.leased_ssh(["ews-1.direct", "true"]).ok();
    let line = format!(
        r#"
        cd {folder} && puttygen {key} -o key.ppk -O private
        of() {{ ssh -F {config} -G broker | sed -n "s/^$1 //p"; }}
        host=$(of hostname) port=$(of port)
        known=$(ssh-keyscan -p "$port" -t ed25519 "$host" 2>/dev/null | ssh-keygen -lf - | cut -d' ' -f2)
        with="-batch -i key.ppk -hostkey $known -P $port -l alice:operator@ews-1"
        for n in 1 2 3 4 5; do pscp -q -scp $with "$host:log.bin" scp.$n || exit; done
        pscp -q -sftp $with "$host:log.bin" sftp.1
        printf 'get log.bin psftp.1\nput psftp.1 back.bin\nget back.bin psftp.2\n' > batch
        psftp $with -b batch "$host"
        "#,
        folder = alice.folder().display(),
        key = alice.key().display(),
        config = alice.config().display(),
    );
    let mut shell = alice.leased("bash");
    shell.args(["-c", &line]);
    finish_within(Duration::from_secs(60), shell, b"").ok();
    for name in ["scp.1", "scp.2", "scp.3", "scp.4", "scp.5", "sftp.1", "psftp.1", "psftp.2"] {
        assert!(std::fs::read(alice.folder().join(name)).unwrap() == content, "{name}");
    }
    let early = "printf '\\0\\0\\0\\0' | ssh -F \"$1\" ews-1.direct scp -f log.bin | tail -c +2 | head -c 5";
    let mut shell = alice.leased("bash");
    shell.args(["-c", early, "sh", &alice.config().display().to_string()]);
    assert_eq!(finish_within(Duration::from_secs(60), shell, b"").ok(), "0644 ");
}

/// Debian's paramiko, as Ansible and netmiko use it: no `none` at the inner login, and a whole file asked for before the first answer is taken.
#[test]
fn paramiko_jumps_and_fetches_a_file_that_it_asks_for_at_once() {
    const SCRIPT: &str = r#"
import hashlib, sys, paramiko
paramiko.SFTPFile.MAX_REQUEST_SIZE = 4096
config, key = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
way = paramiko.ProxyCommand(f"ssh -F {config} -W ews-1:22 broker")
client.connect("ews-1", username="operator", sock=way, pkey=paramiko.Ed25519Key(filename=key), allow_agent=False, look_for_keys=False)
print(client.exec_command("echo jumped")[1].read().decode().strip())
digest = hashlib.sha256()
with client.open_sftp() as sftp, sftp.open("large") as file:
    file.prefetch()
    for piece in iter(lambda: file.read(1 << 20), b""):
        digest.update(piece)
print(digest.hexdigest())
"#;
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    // 5,120 requests.
    let made = alice.leased_ssh(["ews-1", "head -c 20M /dev/zero > large && sha256sum < large"]).ok();
    let (config, key) = (alice.config(), alice.key());
    let mut python = alice.leased("/usr/bin/python3");
    python.args(["-W", "ignore", "-c", SCRIPT]).arg(config).arg(key);
    let ran = finish_within(Duration::from_secs(120), python, b"").ok();
    assert_eq!(ran.split_whitespace().collect::<Vec<_>>(), ["jumped", made.split_whitespace().next().unwrap()]);
}

/// Debian's rclone: what it writes has bytes behind its data, from 32 KiB on.
#[test]
fn rclone_uploads_a_file_of_more_than_32_kibibytes() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let (broker, port) = Plant::BROKER;
    for size in [32_768, 32_769, 200_000] {
        let content: Vec<u8> = (0..=255).cycle().take(size).collect();
        std::fs::write(alice.folder().join("upload"), &content).unwrap();
        let mut rclone = alice.leased("rclone");
        rclone.env("HOME", alice.folder()).args(["--retries", "1", "copyto", "upload", ":sftp:uploaded"]);
        rclone.args(["--sftp-host", broker, "--sftp-port", &port.to_string(), "--sftp-user", "alice:operator@ews-1"]);
        rclone.arg("--sftp-key-file").arg(alice.key()).current_dir(alice.folder());
        finish_within(Duration::from_secs(60), rclone, b"").ok();
        let arrived = std::fs::read(plant.sshd().home("operator").join("uploaded")).unwrap();
        assert!(arrived == content, "{size}: {} arrived", arrived.len());
    }
}

/// Small devices have dropbear: no certificates, other algorithms than OpenSSH's first choices.
#[test]
fn dropbear_is_an_asset_like_another() {
    let plant = Plant::start();
    let key = plant.folder().join("dropbear_key");
    let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&key).output().unwrap();
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    let public = text.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap_or_else(|| panic!("{text}"));
    let public = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    // It knows the accounts where sshd does.
    let mut dropbear = Command::new("nsenter");
    dropbear.args(["--mount", "--net", "--target", &plant.sshd().pid().to_string(), "dropbear", "-F", "-E", "-r"]);
    dropbear.arg(&key).args(["-p", "10.10.1.34:2200", "-P", "/dev/null"]);
    let dropbear = Running::start("dropbear", dropbear, &plant.folder().join("dropbear.log"));
    let hmi = format!(
        "[asset.hmi-1]\nzone = \"cell-1\"\naddress = \"10.10.1.34\"\nservices.ssh = {{ port = 2200, host_key = \"{public}\" }}"
    );
    let standard = plant.plant_file();
    let (before, after) = standard.split_once("[asset.hmi-1]").unwrap();
    let (_, after) = after.split_once("\naccounts").unwrap();
    plant.apply(&format!("{before}{hmi}\naccounts{after}"));
    let vault = plant.command(&["account", "set", "hmi-1", Accounts::KEEPER, "--password-file", "-"]);
    finish(vault, format!("{}\n", Accounts::PASSWORD).as_bytes()).ok();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for way in [&["-J", "broker", "keeper@hmi-1"][..], &["-o", "User=alice:keeper@hmi-1", "broker"]] {
        let ssh = alice.leased_ssh_with(&content, way.iter().copied().chain(["cat; id -un >&2; exit 3"]));
        assert_eq!((ssh.code(), ssh.stdout == content), (3, true), "{}", ssh.stderr);
        assert!(ssh.stderr.contains("keeper"), "{}", ssh.stderr);
    }
    assert!(dropbear.log().contains("Password auth succeeded for 'keeper'"), "{}", dropbear.log());
}

/// More of them than a connection may have channels: each that the asset does not open gives its place back.
#[test]
fn channels_that_the_asset_refuses_keep_no_place_on_the_connection() {
    const SCRIPT: &str = r#"
import sys, paramiko
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
key = paramiko.Ed25519Key(filename=sys.argv[3])
client.connect(sys.argv[1], int(sys.argv[2]), "alice:operator@ews-1", pkey=key, allow_agent=False, look_for_keys=False)
transport, refused = client.get_transport(), []
held = transport.open_session()
held.exec_command("cat")
for _ in range(80):
    try:
        transport.open_session()
    except paramiko.ChannelException as error:
        refused.append(error.code)
held.shutdown_write()
# Had one kept its place, the broker would have refused the last of them by itself, and for another reason.
print(len(refused), len(set(refused)), held.recv_exit_status())
held.close()
print(client.exec_command("echo in")[1].read().decode().strip())
"#;
    let plant = Plant::start();
    plant.sshd().also("MaxSessions 1");
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let (broker, port) = Plant::BROKER;
    let mut python = alice.leased("/usr/bin/python3");
    python.args(["-W", "ignore", "-c", SCRIPT, broker, &port.to_string()]).arg(alice.key());
    assert_eq!(finish_within(Duration::from_secs(60), python, b"").ok(), "80 1 0\nin\n");
}
