#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;

#[test]
fn the_tree_of_commands_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    let missing = crate::config::Config::load(std::path::Path::new("/nowhere/broker.toml")).unwrap_err();
    assert_eq!(CliError::from(missing).exit_code(), 78);
    assert_eq!(CliError::Usage("both".to_owned()).exit_code(), 64);
    assert_eq!(CliError::NotAvailable("x").exit_code(), 1);
}
