//! The recipe for a systemd service, typed in from top to bottom as the page has it, with an unprivileged user where there is no
//! systemd. The machine's own folders are covered for its time.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sallyport_tests::{finish_within, repository, sallyport};

#[test]
fn the_page_leads_to_a_service_whose_administrator_stays_in_charge() {
    let page = fs::read_to_string(repository().join("deploy/hardening.md")).unwrap();
    let block = page.split("## The service").nth(1).and_then(|rest| rest.split("```sh\n").nth(1)).unwrap();
    let recipe = block.split("```").next().unwrap();
    assert!(recipe.contains("init --systemd") && recipe.lines().count() <= 10, "{recipe}");

    let folder = tempfile::tempdir().unwrap();
    fs::copy(sallyport(), folder.path().join("sallyport")).unwrap();
    fs::copy(repository().join("deploy/sallyport.service"), folder.path().join("sallyport.service")).unwrap();
    fs::write(folder.path().join("recipe"), recipe).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--", "setpriv", "--pdeathsig", "KILL", "--", "bash", "-euc", SCRIPT]);
    command.current_dir(folder.path()).env_remove("SALLYPORT_CONFIG").env_remove("CREDENTIALS_DIRECTORY");
    let said = finish_within(Duration::from_secs(90), command, b"").ok();
    assert!(said.ends_with("all of it\n"), "{said}");
}

/// Nothing in them that systemd would pass over with a line in its journal.
#[test]
fn systemd_takes_every_word_of_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in fs::read_dir(repository().join("deploy")).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if ["service", "socket", "timer"].contains(&kind) {
            let here = folder.path().join(path.file_name().unwrap());
            // The program that it starts need not be installed on this machine.
            fs::write(&here, fs::read_to_string(&path).unwrap().replace("/usr/local/bin/sallyport", "/bin/true"))
                .unwrap();
            units.push(here);
        }
    }
    assert_eq!(units.len(), 4, "{units:?}");
    let verified = |units: &[PathBuf]| {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no", "--recursive-errors=no"]).args(units);
        finish_within(Duration::from_secs(60), command, b"")
    };
    let said = verified(&units);
    assert!(said.status.success() && said.stderr.is_empty(), "{said}");

    let wrong = fs::read_to_string(&units[0]).unwrap().replace("[Unit]", "[Unit]\nDescriptoin=x");
    fs::write(&units[0], wrong).unwrap();
    assert!(verified(&units).stderr.contains("Descriptoin"), "a word that systemd does not know is heard of");
}

const SCRIPT: &str = r#"
exec 2>&1
here=$PWD
mkdir "$here/cover"
mount -t tmpfs tmpfs "$here/cover"
for covered in /etc /usr/local/bin /var/lib; do
    mkdir -p "$here/cover$covered/upper" "$here/cover$covered/work"
    mount -t overlay overlay -o "lowerdir=$covered,upperdir=$here/cover$covered/upper,workdir=$here/cover$covered/work" $covered
done
rm -rf /etc/sallyport /var/lib/sallyport
mkdir -p /etc/systemd/system
ip link set lo up

# What the unit says, done by hand: the credential opened for the service, its user, its command.
as_the_unit() {
    local unit=/etc/systemd/system/sallyport.service key name cred
    IFS=: read -r name cred < <(sed -n 's/^LoadCredentialEncrypted=//p' $unit)
    mkdir "$here/cover/credentials"
    systemd-creds decrypt --name="$name" "$cred" "$here/cover/credentials/$name" 2>/dev/null
    chmod -R u=rX,go= "$here/cover/credentials"
    chown -R "$(sed -n 's/^User=//p' $unit):" "$here/cover/credentials"
    chmod 755 "$here" "$here/cover"
    key=$(sed -n 's/^ExecStart=//p' $unit)
    # shellcheck disable=SC2086
    (umask 0077; exec setpriv --reuid="$(sed -n 's/^User=//p' $unit)" --regid="$(sed -n 's/^Group=//p' $unit)" --clear-groups \
        --inh-caps=-all --pdeathsig KILL env CREDENTIALS_DIRECTORY="$here/cover/credentials" $key) >"$here/cover/log" 2>&1 &
    broker=$!
    for _ in $(seq 100); do
        ! grep -q 'Broker is ready' "$here/cover/log" || return 0
        sleep 0.1
    done
    cat "$here/cover/log"
    return 1
}
systemctl() { [ "$*" = "enable --now sallyport" ] && as_the_unit; }

. ./recipe

rm /etc/sallyport/master.key /etc/sallyport/recordings-reader.key
echo "-- in charge"
sallyport identity add vic --display-name Vic
sallyport identity lock vic --reason emergency
sallyport identity list | grep vic | grep -q locked
sallyport lease list
sallyport session list
sallyport user-ca | grep -q ssh-
! sallyport session end 01M80000000000000000000000 >"$here/cover/said" 2>&1
! grep -q 'master key' "$here/cover/said"
sallyport audit verify
[ -z "$(find /var/lib/sallyport ! -user sallyport)" ]
grep -q "gate-1" <(sallyport audit list)
! grep -q 'ERROR' "$here/cover/log"
kill $broker
wait $broker
[ -z "$(find /var/lib/sallyport ! -user sallyport)" ]

echo "-- without the sealed key, the command says what to type"
mv /etc/sallyport/master-key.cred /etc/sallyport/away
! sallyport identity lock vic --reason again >"$here/cover/said" 2>&1
grep -q 'systemd-creds encrypt --name=master-key' "$here/cover/said"
echo "all of it"
"#;
