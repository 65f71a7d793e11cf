//! What bounds guesses at one person's codes from everywhere together, for all brokers of the installation.
//!
//! What holds up a single guesser, where they are, is in `throttle.rs`.

