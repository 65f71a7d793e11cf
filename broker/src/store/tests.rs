//! What is asked for every login and session costs the same however much lies in the database.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use sqlx::Row as _;

use super::{DatabaseConfig, Store, sessions, witness};

/// How SQLite goes about a query of one parameter.
async fn plan(store: &Store, query: &str) -> String {
    let asked = format!("EXPLAIN QUERY PLAN {query}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(asked)).bind("alice").fetch_all(store.reader().unwrap()).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn what_every_login_asks_is_answered_from_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("db").display());
    let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
    for (query, index) in [
        (witness::ENTRIES, "audit_by_code (code=? AND identity=?)"),
        (sessions::LIVE_OF, "SEARCH s USING INDEX sessions_live (ended_at=?)"),
    ] {
        let plan = plan(&store, query).await;
        assert!(plan.contains(index) && !plan.contains("SCAN"), "{plan}");
    }
}
