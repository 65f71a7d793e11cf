//! `sallyport audit …` as an auditor uses it, on a broker's folder made by `sallyport init`.

use std::path::PathBuf;
use std::process::Command;

use sallyport::store::{DatabaseConfig, Store};
use sallyport_tests::{Finished, Postgres, finish, sallyport};
use serde_json::Value;
use tempfile::TempDir;

/// A broker's folder and its database.
struct Folder {
    directory: TempDir,
    url: String,
    _server: Option<std::sync::Arc<Postgres>>,
}

impl Folder {
    fn sqlite() -> Self {
        let directory = TempDir::new().expect("a directory");
        let url = format!("sqlite://{}/broker/store.db", directory.path().display());
        Self::init(directory, url, None)
    }

    fn postgres() -> Self {
        let server = Postgres::shared();
        let url = server.database();
        Self::init(TempDir::new().expect("a directory"), url, Some(server))
    }

    fn init(directory: TempDir, url: String, server: Option<std::sync::Arc<Postgres>>) -> Self {
        let mut command = Command::new(sallyport());
        command.args(["init", "--name", "b1", "--database", &url, "--dir"]).arg(directory.path().join("broker"));
        finish(command, b"").ok();
        Self { directory, url, _server: server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn audit(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.path("broker/broker.toml")).arg("audit").args(arguments);
        finish(command, b"")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.audit(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// What somebody with access to the database could do.
    async fn tamper(&self, statement: &'static str) {
        let store = Store::open(&DatabaseConfig::url(&self.url)).await.expect("an open store");
        let mut write = store.begin_quiet_write().await.expect("a write");
        sqlx::query(statement).execute(&mut *write).await.expect("a statement");
        write.commit().await.expect("a commit");
    }
}

async fn an_auditor_reads_exports_and_verifies(folder: Folder) {
    let listed = folder.json(&["list"]);
    let first = &listed[0];
    assert_eq!((&first["seq"], &first["code"], &first["signed"]), (&1.into(), &"SP-5301".into(), &true.into()));
    assert_eq!(first["event"]["event"], "secrets.created");
    let table = folder.audit(&["list", "--code", "secrets.created"]).ok();
    assert!(table.contains("SP-5301") && table.lines().count() == 2, "{table}");
    assert_eq!(folder.json(&["list", "--code", "SP-1002"]), Value::Array(vec![]));
    assert_eq!(folder.json(&["list", "--identity", "nobody"]), Value::Array(vec![]));
    assert_eq!(folder.json(&["list", "--until", "2020-01-01T00:00:00Z"]), Value::Array(vec![]));
    assert_eq!(folder.audit(&["list", "--code", "SP-0000"]).code(), 64);

    let before = folder.json(&["verify"]);
    assert_eq!(before["whole"], true);
    let head = before["head"].as_str().expect("a head").to_owned();

    // Each export is on record, and verifies without database and configuration.
    let export = folder.path("audit.jsonl");
    let export_text = export.to_str().expect("UTF-8");
    folder.audit(&["export", "--output", export_text]).ok();
    assert_eq!(folder.audit(&["export", "--output", export_text]).code(), 1, "nothing is overwritten");
    let listed = folder.json(&["list", "--code", "audit.exported"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let lines = folder.audit(&["export"]).ok();
    assert_eq!(lines.lines().count(), before["entries"].as_u64().expect("a number") as usize + 2);
    let key = folder.path("evidence.pub");
    let hex = evidence_key(&folder).await;
    std::fs::write(&key, &hex).expect("a key file");
    let offline = |file: &str| {
        let mut command = Command::new(sallyport());
        command.args(["audit", "verify", "--file", file, "--public-key"]).arg(&key);
        command.env("SALLYPORT_CONFIG", "/nonexistent");
        finish(command, lines.as_bytes())
    };
    assert!(offline(export_text).ok().starts_with("whole: "));
    assert!(offline("-").ok().starts_with("whole: "));
    let edited = std::fs::read_to_string(&export).expect("an export").replacen("SP-5301", "SP-5302", 1);
    std::fs::write(&export, edited).expect("a changed export");
    let found = offline(export_text);
    assert_eq!(found.code(), 1);
    assert!(found.text().contains("entry 1 was edited"), "{found}");

    assert_eq!(folder.audit(&["verify", "--expect-head", &head]).code(), 0);
    folder.tamper("DELETE FROM audit WHERE seq > 1").await;
    assert_eq!(folder.audit(&["verify"]).code(), 0, "whole as far as it goes");
    let noted = format!("4:{}", "00".repeat(32));
    let found = folder.audit(&["verify", "--expect-head", &noted]);
    assert_eq!(found.code(), 1);
    assert!(found.text().contains("cut short"), "{found}");
    folder.tamper("UPDATE audit SET actor = 'nobody'").await;
    let found = folder.json(&["verify"]);
    assert_eq!(found["whole"], false);
    assert!(found["faults"][0].as_str().is_some_and(|fault| fault.contains("entry 1 was edited")), "{found}");
    assert_eq!(folder.audit(&["verify", "--expect-head", "nonsense"]).code(), 64);
}

/// The evidence key's public half, as the store shows it to anybody.
async fn evidence_key(folder: &Folder) -> String {
    let store = Store::open(&DatabaseConfig::url(&folder.url)).await.expect("an open store");
    sqlx::query_scalar("SELECT public_part FROM secrets WHERE name = 'evidence'")
        .fetch_one(store.reader().expect("a database"))
        .await
        .expect("an evidence key")
}

mod sqlite {
    #[tokio::test(flavor = "multi_thread")]
    async fn an_auditor_reads_exports_and_verifies() {
        super::an_auditor_reads_exports_and_verifies(super::Folder::sqlite()).await;
    }
}

mod postgres {
    #[tokio::test(flavor = "multi_thread")]
    async fn an_auditor_reads_exports_and_verifies() {
        super::an_auditor_reads_exports_and_verifies(super::Folder::postgres()).await;
    }
}
