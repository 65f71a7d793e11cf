//! Three network namespaces in a row. Nothing leads from the office to the plant but the broker's own sockets.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where people and their stock clients are: 10.0.0.10 and 10.0.0.11.
    Office,
    /// Where the broker is: 10.0.0.2 towards the office, 10.10.1.1 and 10.20.1.1 towards the plant.
    Gate,
    /// Where the assets are: 10.10.1.20 to 10.10.1.40 and 10.20.1.20.
    Plant,
}

/// Three namespaces of our own, removed when dropped.
pub struct Network {
    name: String,
    /// Held for as long as the namespaces are ours; the kernel gives it up when this process dies.
    _claim: File,
}

impl Network {
    /// Lays the network out. Needs root.
    pub fn new() -> Network {
        assert!(rustix::process::geteuid().is_root(), "these tests make network namespaces: run them as root");
        let (name, claim) = claim();
        let network = Network { name, _claim: claim };
        network.remove_remains();
        network.lay_out();
        network
    }

    /// A command that runs `program` in a namespace and dies with the thread that started it.
    pub fn command(&self, place: Place, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(place), "setpriv", "--pdeathsig", "KILL", "--", program]);
        command
    }

    /// Moves the calling thread into a namespace: sockets that it opens from now on are there.
    pub fn enter(&self, place: Place) {
        let namespace = File::open(format!("/run/netns/{}", self.namespace(place))).expect("a namespace");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("entering a namespace");
    }

    fn namespace(&self, place: Place) -> String {
        let place = match place {
            Place::Office => "office",
            Place::Gate => "gate",
            Place::Plant => "plant",
        };
        format!("{}-{place}", self.name)
    }

    fn lay_out(&self) {
        let [office, gate, plant] = [Place::Office, Place::Gate, Place::Plant].map(|place| self.namespace(place));
        batch(&[], &format!("netns add {office}\nnetns add {gate}\nnetns add {plant}\n"));
        batch(
            &["-n", &gate],
            &format!(
                "link add office type veth peer name gate netns {office}
                 link add plant type veth peer name gate netns {plant}
                 address add 10.0.0.2/24 dev office
                 address add 10.10.1.1/24 dev plant
                 address add 10.20.1.1/24 dev plant
                 link set lo up
                 link set office up
                 link set plant up\n"
            ),
        );
        // The office even has a route: the gate forwards nothing. An address of IPv6 would come by itself a moment later, and a browser
        // drops what it has begun when it sees that.
        batch(
            &["-n", &office],
            "address add 10.0.0.10/24 dev gate
             address add 10.0.0.11/24 dev gate
             link set gate addrgenmode none
             link set lo up
             link set gate up
             route add 10.10.1.0/24 via 10.0.0.2\n",
        );
        let assets: String = (20..=40).map(|last| format!("address add 10.10.1.{last}/24 dev gate\n")).collect();
        batch(
            &["-n", &plant],
            &format!(
                "{assets}address add 10.20.1.20/24 dev gate
                 link set lo up
                 link set gate up
                 route add 10.0.0.0/24 via 10.10.1.1\n"
            ),
        );
        let mut forwarding = self.command(Place::Gate, "sh");
        forwarding.args(["-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"]);
        assert!(forwarding.status().expect("sh starts").success(), "forwarding cannot be switched off");
    }

    /// Ends whatever still runs in our namespaces, by pid, and deletes them.
    fn remove_remains(&self) {
        for place in [Place::Office, Place::Gate, Place::Plant] {
            let namespace = self.namespace(place);
            if !PathBuf::from(format!("/run/netns/{namespace}")).exists() {
                continue;
            }
            let pids = Command::new("ip").args(["netns", "pids", &namespace]).output().expect("ip starts");
            for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
                let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
                // It may have ended by itself in the meantime.
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
            let status = Command::new("ip").args(["netns", "delete", &namespace]).status().expect("ip starts");
            assert!(status.success(), "{namespace} cannot be deleted");
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Network::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove_remains();
    }
}

/// The first name that no living test holds.
fn claim() -> (String, File) {
    let folder = PathBuf::from("/run/sallyport-tests");
    fs::create_dir_all(&folder).expect("/run is ours as root");
    for number in 0.. {
        let path = folder.join(number.to_string());
        let file = File::options().create(true).truncate(false).write(true).open(path).expect("a claim");
        if file.try_lock().is_ok() {
            return (format!("sp{number}"), file);
        }
    }
    unreachable!("numbers do not end")
}

fn batch(options: &[&str], lines: &str) {
    let mut child =
        Command::new("ip").args(options).args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip starts");
    child.stdin.take().expect("its input").write_all(lines.as_bytes()).expect("ip reads");
    assert!(child.wait().expect("ip ends").success(), "ip -batch failed:\n{lines}");
}
