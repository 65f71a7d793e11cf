//! The portal, asked as a browser asks and as no browser does.

mod approvals;
mod authenticators;
mod brokers;
mod confirmations;
mod events;
mod factors;
mod flood;
mod forms;
mod headers;
mod management;
mod passkeys;
mod requests;
mod sign_in;
mod step_up;
mod tools;
mod transport;

use sallyport_tests::{Person, Plant, Setup};

const PASSWORD: &str = "correct horse battery";

fn plant() -> Plant {
    Setup::standard().portal().start()
}

/// alice, who can sign in.
fn alice(plant: &Plant) -> Person {
    with_password(plant, "alice")
}

fn with_password(plant: &Plant, name: &str) -> Person {
    let person = plant.person(name);
    plant.set_password(name, PASSWORD);
    person
}
