//! What is sealed with the master key: private keys, credentials, seeds.
