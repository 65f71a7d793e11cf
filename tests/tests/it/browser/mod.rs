//! The portal's pages and scripts in a real browser, and that the test bed for it does what it says.

mod bed;
mod long_names;
mod pages;
mod passkeys;
mod people;
mod readme;
mod samples;
mod scripts;
mod site;
mod walk;
mod without_pin;
