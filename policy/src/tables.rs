//! Decision tables: what an administrator expects of a policy, as data.
