//! The SSH legs: towards the person and towards the asset.
