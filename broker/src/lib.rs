//! Sallyport: the access broker. The library holds everything; `main.rs` only starts it.
pub mod app;
pub mod audit;
pub(crate) mod capture;
pub mod cli;
pub mod config;
pub mod demo;
pub mod identity;
pub mod logging;
pub mod metrics;
pub mod plant;
pub mod recording;
pub mod session;
pub mod ssh;
pub mod store;
pub mod tcp;
pub mod vault;
