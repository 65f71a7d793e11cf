//! The portal: pages for people, in a browser.
//!
//! [`look`] is what they see.

pub mod look;
