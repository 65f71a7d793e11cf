//! The database: one SQL text per query for SQLite and PostgreSQL.
