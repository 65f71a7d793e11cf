//! What things fail in: a plant with one broker or two, a controller, a panel, and people who hold a lease.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sallyport_tests::{Peer, Person, Plant, Postgres, Second, Setup, eventually, finish_within};
use serde_json::Value;

use crate::controller::Controller;
use crate::panel::panel;

/// Everything, running.
pub(crate) struct Site {
    // What uses the brokers goes before them.
    pub(crate) controller: Controller,
    _panel: Peer,
    /// By broker: the same people, with an ssh_config that leads to it.
    people: Vec<Vec<Person>>,
    pub(crate) second: Option<Second>,
    pub(crate) plant: Plant,
}

/// Those who hold a lease.
const PEOPLE: [&str; 4] = ["alice", "alan", "ada", "adam"];

/// Lines of broker.toml: one address stands for an office full of people.
const LIMITS: &str =
    "max_unauthenticated_per_source = 512\nmax_connections_per_source = 4000\nmax_rate_per_source = 1000";

impl Site {
    /// With everything on SQLite, or on this server.
    pub(crate) fn start(postgres: Option<&Arc<Postgres>>) -> Site {
        let setup = Site::setup();
        Site::of(match postgres {
            Some(postgres) => setup.on(postgres),
            None => setup,
        })
    }

    /// What it is made of, to be changed before [`Site::of`].
    pub(crate) fn setup() -> Setup {
        Setup::with_plant_file(&plant_file()).setting(&format!("[ssh]\n{LIMITS}"))
    }

    /// Starts all of it.
    pub(crate) fn of(setup: Setup) -> Site {
        let plant = setup.start();
        let people: Vec<_> = PEOPLE.iter().map(|name| plant.person(name)).collect();
        people.iter().for_each(|person| person.take_lease("ews-1"));
        let (controller, panel) = (Controller::start(plant.network()), panel(plant.network()));
        Site { plant, second: None, people: vec![people], controller, _panel: panel }
    }

    /// Sets a second broker beside the first: people of [`Site::person`] reach it, too.
    pub(crate) fn join_second(&mut self) {
        self.second = Some(Second::beside(&self.plant, LIMITS));
        let known_there = PEOPLE.iter().map(|name| {
            let mut person = self.plant.stranger(name);
            let config = Second::config(&person);
            person.use_config(&config);
            person
        });
        self.people.push(known_there.collect());
    }

    /// How many brokers there are.
    pub(crate) fn brokers(&self) -> usize {
        self.people.len()
    }

    /// Somebody at a broker, in turns.
    pub(crate) fn person(&self, broker: usize, number: usize) -> &Person {
        &self.people[broker][number % PEOPLE.len()]
    }

    /// The process of a broker.
    pub(crate) fn pid(&mut self, broker: usize) -> u32 {
        match (broker, &self.second) {
            (0, _) => self.plant.broker().pid(),
            (_, second) => second.as_ref().expect("a second broker").broker.pid(),
        }
    }

    /// The folder with the configuration of each broker.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let second = self.second.as_ref().map(|second| second.folder().to_owned());
        [self.plant.folder().join("broker")].into_iter().chain(second).collect()
    }

    /// Runs a command at every broker; gives what went wrong.
    pub(crate) fn everywhere(&self, arguments: &[&str]) -> String {
        let mut wrong = String::new();
        for folder in self.folders() {
            let mut command = std::process::Command::new(sallyport_tests::sallyport());
            command.arg("--config").arg(folder.join("broker.toml")).args(arguments);
            // All recordings of an hour are read.
            let finished = finish_within(Duration::from_secs(1800), command, b"");
            if !finished.status.success() {
                wrong.push_str(&finished.to_string());
            }
        }
        wrong
    }

    /// The entries of the audit chain that have this code.
    pub(crate) fn events(&self, code: &str) -> Vec<Value> {
        self.plant.audit().into_iter().filter(|entry| entry["code"] == code).collect()
    }

    /// Waits until no session is live, as the store has it.
    pub(crate) fn quiet(&self) {
        eventually("no session is live", Duration::from_secs(60), || {
            self.plant.json(&["session", "list", "--live"]).as_array().is_some_and(Vec::is_empty).then_some(())
        });
    }
}

/// The workstations that there are, each an address of one sshd.
pub(crate) const WORKSTATIONS: usize = 14;

fn plant_file() -> String {
    let mut text = PLANT.to_owned();
    for number in 1..=WORKSTATIONS {
        write!(
            text,
            "[asset.ews-{number}]\nzone = \"cell-1\"\naddress = \"10.10.1.{}\"\ntags = [\"engineering\"]\n\
             services.ssh = {{ port = 22, host_key = \"@HOST_KEY@\" }}\naccounts.operator = {{ auth = \"certificate\" }}\n",
            19 + number
        )
        .expect("a line");
    }
    text
}

const PLANT: &str = include_str!("plant.toml");
