//! People and their factors.
