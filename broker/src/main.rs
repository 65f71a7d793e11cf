//! Entry point: arguments, configuration, application, exit code.
fn main() {}
