//! Somebody writes the database and has no master key: what they write lets nobody in, and what takes away goes on working.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use sallyport::identity::{Identities, Offer, Refused, Standing};
use sallyport::plant::apply;
use sallyport::store::plants::{NewPlant, plant_sha256};
use sallyport::store::{Store, StoreError};
use sallyport::vault::{AdoptError, adopt_asked, adopt_once, rekey};
use sallyport_policy::{IdentityId, PlantFile, WriteWindow};
use sallyport_tests::{Plant, eventually};

use crate::identity::{
    Installation, PASSWORD, after, alice, audit, code, enroll, home, new_key, now, password, secret,
};
use crate::store::on_both_engines;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Who writes the database: any statement, and no key.
async fn sql(installation: &Installation, statement: &str) {
    let store = installation.database.open().await;
    let mut write = store.begin_write().await.unwrap();
    let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *write).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    write.commit().await.unwrap();
}

/// Keeps a row as it is now, to put it back later: all columns, so also its MAC.
async fn keep(installation: &Installation, table: &str) {
    sql(installation, &format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
}

async fn put_back(installation: &Installation, table: &str) {
    if table == "identities" {
        // Other rows refer to these: they cannot be deleted and inserted.
        for column in [
            "display_name",
            "state",
            "state_reason",
            "member_of",
            "password_hash",
            "valid_until",
            "changed_at",
            "event",
            "mac",
        ] {
            let kept = format!("SELECT {column} FROM kept_identities WHERE kept_identities.id = identities.id");
            sql(installation, &format!("UPDATE identities SET {column} = ({kept})")).await;
        }
        return;
    }
    sql(installation, &format!("DELETE FROM {table}")).await;
    sql(installation, &format!("INSERT INTO {table} SELECT * FROM kept_{table}")).await;
}

/// A store that can check rows.
async fn store(installation: &Installation) -> Store {
    let store = installation.database.open().await;
    installation.vault(&store).await.unwrap();
    store
}

async fn someone(installation: &Installation, name: &str) -> IdentityId {
    let identity: IdentityId = name.parse().unwrap();
    installation.admin.add(&identity, "", &BTreeSet::new(), None, now()).await.unwrap();
    identity
}

async fn lease(installation: &Installation, broker: &Identities, minute: i64) -> String {
    let at = after(minute * 60);
    let verified = alice(broker, at).await;
    let mut fresh = broker.second_factor(&verified, Offer::Code(&installation.code(at)), at).await.unwrap();
    let id = broker.grant_lease(&mut fresh, HOUR, at).await.unwrap().unwrap().id.to_string();
    assert!(has_lease(broker, minute).await);
    id
}

async fn has_lease(broker: &Identities, minute: i64) -> bool {
    let at = after(minute * 60);
    broker.lease(&alice(broker, at).await, HOUR, at).await.unwrap().is_some()
}

fn plant(text: &str, after: i64) -> NewPlant {
    let files = vec![PlantFile { name: "plant.toml".to_owned(), text: text.to_owned() }];
    NewPlant { files, after, diff: String::new(), applied_by: "root".to_owned(), applied_at: now() }
}

fn window(id: &str) -> WriteWindow {
    WriteWindow {
        id: id.parse().unwrap(),
        identity: "alice".parse().unwrap(),
        asset: "plc-1".parse().unwrap(),
        service: "modbus".parse().unwrap(),
        points: "40101-40110".parse().unwrap(),
        unit: None,
        from: now(),
        until: after(3600),
        opened_by: "alice".parse().unwrap(),
        ticket: None,
    }
}

async fn windows(store: &Store) -> usize {
    let window = window("any");
    store.windows_of(&window.identity, &window.asset, &window.service, after(1)).await.unwrap().len()
}

/// What the release before had: the same tables, without what MACs brought.
async fn as_before(installation: &Installation) {
    for table in ["identities", "identity_keys", "totp", "recovery_codes", "leases", "write_windows", "plants"] {
        sql(installation, &format!("ALTER TABLE {table} DROP COLUMN mac")).await;
        sql(installation, &format!("ALTER TABLE {table} DROP COLUMN event")).await;
    }
    sql(installation, "DROP INDEX audit_by_code").await;
    sql(installation, "DELETE FROM _sqlx_migrations WHERE version = 5").await;
}

on_both_engines! {
    async fn a_lease_that_no_broker_granted_counts_nowhere(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let (from, until) = (now().as_microsecond(), after(3600).as_microsecond());
        let insert = |id: &str, source: &str| format!(
            "INSERT INTO leases (id, identity, credential, source, factor, proved_at, expires_at)
             VALUES ('{id}', 'alice', 'password', '{source}', 'totp', {from}, {until})"
        );
        sql(&installation, &insert("forged", "192.0.2.7")).await;
        assert!(!has_lease(&broker, 1).await);
        // With the MAC of another row; with one moved to another address.
        let genuine = lease(&installation, &broker, 2).await;
        sql(&installation, &insert("copied", "198.51.100.66")).await;
        sql(&installation, &format!(
            "UPDATE leases SET mac = (SELECT mac FROM leases WHERE id = '{genuine}'),
                event = (SELECT event FROM leases WHERE id = '{genuine}') WHERE id = 'copied'"
        )).await;
        let thief = "198.51.100.66".parse().unwrap();
        let outside = password(&broker, "alice", PASSWORD, thief, after(130)).await.unwrap();
        assert!(broker.lease(&outside, HOUR, after(130)).await.unwrap().is_none(), "a copied MAC");
        sql(&installation, &format!("UPDATE leases SET source = '198.51.100.66' WHERE id = '{genuine}'")).await;
        assert!(broker.lease(&outside, HOUR, after(130)).await.unwrap().is_none(), "a moved lease");
        sql(&installation, &format!("UPDATE leases SET source = '192.0.2.7' WHERE id = '{genuine}'")).await;
        assert!(has_lease(&broker, 3).await, "as it was");
        sql(&installation, &format!("UPDATE leases SET mac = NULL WHERE id = '{genuine}'")).await;
        assert!(!has_lease(&broker, 3).await, "without its MAC");
        // Taking away asks for no MAC, also of a row that means nothing at all.
        sql(&installation, "UPDATE leases SET factor = 'nonsense' WHERE id = 'copied'").await;
        assert_eq!(installation.admin.revoke_leases(None, now()).await.unwrap().len(), 2);
        assert!(store(&installation).await.leases(None, false, now()).await.unwrap().is_empty());
    }

    async fn a_factor_that_nobody_gave_proves_nothing(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin) = (installation.broker().await, &installation.admin);
        let mallory = someone(&installation, "mallory").await;
        admin.set_password(&mallory, secret("the words of another"), now()).await.unwrap();
        let seed = enroll(admin, &mallory).await;
        let (hers, key) = (new_key(), new_key());
        admin.add_key(&mallory, &hers.public_key().to_openssh().unwrap(), now()).await.unwrap();

        // A key: inserted, and given to somebody else.
        let fingerprint = sallyport::identity::fingerprint(key.public_key().key_data());
        sql(&installation, &format!(
            "INSERT INTO identity_keys (fingerprint, identity, public_key, kind, added_at)
             VALUES ('{fingerprint}', 'alice', '{}', 'key', 1)", key.public_key().to_openssh().unwrap()
        )).await;
        sql(&installation, "UPDATE identity_keys SET identity = 'alice' WHERE identity = 'mallory'").await;
        for key in [&key, &hers] {
            assert!(!broker.key_known("alice", key.public_key(), now()).await.unwrap());
            let refused = broker.first_factor_key("alice", key.public_key(), home(), now()).await;
            assert!(matches!(refused, Err(Refused::UnknownKey { .. })), "{refused:?}");
        }

        // A password hash of which the password is known.
        let verified = alice(&broker, now()).await;
        keep(&installation, "identities").await;
        sql(&installation, "UPDATE identities SET password_hash =
            (SELECT password_hash FROM kept_identities WHERE id = 'mallory') WHERE id = 'alice'").await;
        let refused = password(&broker, "alice", "the words of another", home(), now()).await;
        assert!(matches!(refused, Err(Refused::WrongPassword | Refused::Unknown)), "{refused:?}");
        put_back(&installation, "identities").await;
        assert!(password(&broker, "alice", PASSWORD, home(), now()).await.is_ok(), "as it was");

        // An authenticator: the seed moved, and the whole row.
        keep(&installation, "totp").await;
        for columns in [vec!["sealed_seed"], vec!["sealed_seed", "mac", "event"]] {
            for column in columns {
                sql(&installation, &format!("UPDATE totp SET {column} =
                    (SELECT {column} FROM kept_totp WHERE identity = 'mallory') WHERE identity = 'alice'")).await;
            }
            let refused = broker.second_factor(&verified, Offer::Code(&code(&seed, now())), now()).await;
            assert!(matches!(refused, Err(Refused::NoSecondFactor)), "{refused:?}");
        }
    }

    async fn a_spent_code_stays_spent_and_guesses_stay_counted(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let codes = installation.admin.new_recovery_codes(&installation.alice).await.unwrap();
        let verified = alice(&broker, now()).await;
        broker.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await.unwrap();
        keep(&installation, "totp").await;
        sql(&installation, "UPDATE totp SET last_step = -1").await;
        let again = broker.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await;
        assert!(matches!(again, Err(Refused::NoSecondFactor)), "{again:?}");
        put_back(&installation, "totp").await;

        assert!(broker.second_factor(&verified, Offer::Code(codes[0].expose()), now()).await.is_ok());
        sql(&installation, "UPDATE recovery_codes SET used_at = NULL").await;
        assert!(broker.second_factor(&verified, Offer::Code(codes[0].expose()), now()).await.is_err(), "used before");
        let text = "sallyport recovery code v1\0alice\x000123456789abcdef\0".to_owned();
        let hash = plant_sha256(&[PlantFile { name: String::new(), text }]);
        sql(&installation, &format!("INSERT INTO recovery_codes (identity, code_hash) VALUES ('alice', '{hash}')")).await;
        assert!(broker.second_factor(&verified, Offer::Code("0123-4567-89ab-cdef"), now()).await.is_err(), "nobody printed it");
        assert_eq!(store(&installation).await.recovery_codes_left("alice").await.unwrap(), 9);
    }

    async fn an_edited_person_does_not_stand_and_can_be_locked_all_the_same(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin) = (installation.broker().await, &installation.admin);
        let standing = async || broker.standing(&installation.alice, now()).await.unwrap();
        keep(&installation, "identities").await;
        let far = after(1_000_000).as_microsecond();
        for edit in [
            "member_of = '[\"maintenance\",\"admins\"]'".to_owned(),
            format!("valid_until = {far}"),
            "display_name = 'Bob'".to_owned(),
            "mac = NULL".to_owned(),
        ] {
            sql(&installation, &format!("UPDATE identities SET {edit} WHERE id = 'alice'")).await;
            assert_eq!(standing().await, Standing::Unknown, "{edit}");
            put_back(&installation, "identities").await;
            assert!(matches!(standing().await, Standing::Active { .. }));
        }
        admin.lock(&installation.alice, "left", now()).await.unwrap();
        sql(&installation, "UPDATE identities SET state = 'active' WHERE id = 'alice'").await;
        assert_eq!(standing().await, Standing::Unknown, "unlocked by hand");

        // A lock works on a row that was edited, and does not make the edit count after the unlock.
        sql(&installation, "UPDATE identities SET member_of = '[\"admins\"]' WHERE id = 'alice'").await;
        admin.lock(&installation.alice, "left", now()).await.unwrap();
        assert_eq!(standing().await, Standing::Unknown);
        let unlocked = admin.unlock(&installation.alice, now()).await.unwrap_err().to_string();
        assert!(unlocked.contains("`alice` of `identities` counts as not there"), "{unlocked}");
        assert!(admin.set_groups(&installation.alice, &BTreeSet::new(), now()).await.is_err());
        admin.remove(&installation.alice, "left", now()).await.unwrap();
        assert_eq!(standing().await, Standing::Removed);

        // The way back for a person whose row was edited.
        let bob = someone(&installation, "bob").await;
        sql(&installation, "UPDATE identities SET display_name = 'Bert' WHERE id = 'bob'").await;
        let store = store(&installation).await;
        let audit = audit(&store, &installation.vault(&store).await.unwrap()).await;
        assert!(adopt_asked(&store, &audit, true).await.unwrap().rows.is_empty(), "edited");
        admin.lock(&bob, "edited", now()).await.unwrap();
        assert_eq!(adopt_asked(&store, &audit, true).await.unwrap().rows.len(), 1);
        admin.set_password(&bob, secret(PASSWORD), now()).await.unwrap();
        admin.unlock(&bob, now()).await.unwrap();
        assert!(matches!(broker.standing(&bob, now()).await.unwrap(), Standing::Active { .. }));
    }

    async fn what_was_taken_away_does_not_come_back_with_its_old_row(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin, alice_) = (installation.broker().await, &installation.admin, &installation.alice);
        let id = lease(&installation, &broker, 1).await;
        for table in ["identities", "leases"] {
            keep(&installation, table).await;
        }
        admin.revoke_lease(&id, now()).await.unwrap();
        put_back(&installation, "leases").await;
        assert!(!has_lease(&broker, 2).await, "a revoked lease");

        admin.lock(alice_, "left", now()).await.unwrap();
        put_back(&installation, "identities").await;
        assert_eq!(broker.standing(alice_, now()).await.unwrap(), Standing::Unknown, "a lock");
    }

    async fn an_old_factor_does_not_come_back_with_its_row(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin, alice_) = (installation.broker().await, &installation.admin, &installation.alice);
        let key = new_key();
        let row = admin.add_key(alice_, &key.public_key().to_openssh().unwrap(), now()).await.unwrap();
        for table in ["identities", "identity_keys", "totp"] {
            keep(&installation, table).await;
        }
        admin.remove_key(alice_, &row.fingerprint, now()).await.unwrap();
        put_back(&installation, "identity_keys").await;
        assert!(!broker.key_known("alice", key.public_key(), now()).await.unwrap(), "a removed key");

        enroll(admin, alice_).await;
        put_back(&installation, "totp").await;
        let verified = alice(&broker, now()).await;
        let old = broker.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await;
        assert!(matches!(old, Err(Refused::NoSecondFactor)), "a replaced authenticator: {old:?}");

        admin.set_password(alice_, secret("a password of today"), now()).await.unwrap();
        put_back(&installation, "identities").await;
        let old = password(&broker, "alice", PASSWORD, home(), now()).await;
        assert!(matches!(old, Err(Refused::WrongPassword | Refused::Unknown)), "an old password: {old:?}");
    }

    async fn a_plant_that_was_not_applied_is_not_in_force(database: Database) {
        let installation = Installation::new(database).await;
        let store = store(&installation).await;
        let vault = installation.vault(&store).await.unwrap();
        let audit = audit(&store, &vault).await;
        apply(&plant("# one", 0), &store, &audit).await.unwrap();
        let text = plant("# mine", 0).files;
        let forged = format!(
            "INSERT INTO plants (version, files, sha256, applied_by, applied_at) VALUES (2,
             '[{{\"name\":\"plant.toml\",\"text\":\"# mine\"}}]', '{}', 'root', 1)", plant_sha256(&text)
        );
        sql(&installation, &forged).await;
        assert_eq!(store.current_plant().await.unwrap().unwrap().files[0].text, "# one");
        // An administrator is not kept from applying the next.
        assert_eq!(apply(&plant("# three", 1), &store, &audit).await.unwrap(), 3);
        assert_eq!(store.current_plant().await.unwrap().unwrap().files[0].text, "# three");
        // The last that was applied is taken away, or edited: an older one is not in force again.
        keep(&installation, "plants").await;
        for damage in ["DELETE FROM plants WHERE version = 3", "UPDATE plants SET applied_by = 'me' WHERE version = 3"] {
            sql(&installation, damage).await;
            let read = store.current_plant().await;
            assert!(matches!(read, Err(StoreError::NotGenuine { table: "plants", .. })), "{damage}: {read:?}");
            assert!(store.latest_plant().await.unwrap().is_some(), "there is something to compare a new one with");
            put_back(&installation, "plants").await;
        }
    }

    async fn a_write_window_that_nobody_opened_is_not_open(database: Database) {
        let installation = Installation::new(database).await;
        let store = store(&installation).await;
        let mut write = store.begin_write().await.unwrap();
        write.open_window(&window("real"), "entry").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(windows(&store).await, 1);
        sql(&installation, "INSERT INTO write_windows
            (id, identity, asset, service, points, unit, opens_at, closes_at, opened_by, ticket, event, mac)
            SELECT 'forged', identity, asset, service, points, unit, opens_at, closes_at, opened_by, ticket, event, mac
            FROM write_windows WHERE id = 'real'").await;
        assert_eq!(windows(&store).await, 1);
        sql(&installation, "UPDATE write_windows SET points = '40101-49999' WHERE id = 'real'").await;
        assert_eq!(windows(&store).await, 0);
        let mut write = store.begin_write().await.unwrap();
        assert_eq!(write.close_all_windows("clock jump", after(1)).await.unwrap().len(), 2);
    }

    async fn each_row_that_counts_as_not_there_is_told_of_once_in_a_while(database: Database) {
        let installation = Installation::new(database).await;
        let store = store(&installation).await;
        let mut told = store.altered_rows().unwrap();
        sql(&installation, "UPDATE identities SET display_name = 'Bob' WHERE id = 'alice'").await;
        for _ in 0..5 {
            assert!(store.identity("alice").await.unwrap().is_none());
        }
        let row = told.try_recv().unwrap();
        assert_eq!((row.table, row.key.as_str()), ("identities", "alice"));
        assert!(told.try_recv().is_err());
        assert_eq!(store.rows_not_genuine().await.unwrap(), [row]);
    }

    async fn rekey_makes_every_mac_anew_and_none_where_there_was_none(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin) = (installation.broker().await, &installation.admin);
        let key = new_key();
        admin.add_key(&installation.alice, &key.public_key().to_openssh().unwrap(), now()).await.unwrap();
        let codes = admin.new_recovery_codes(&installation.alice).await.unwrap();
        let bob = someone(&installation, "bob").await;
        lease(&installation, &broker, 1).await;
        let store = store(&installation).await;
        let vault = installation.vault(&store).await.unwrap();
        let audit = audit(&store, &vault).await;
        apply(&plant("# one", 0), &store, &audit).await.unwrap();
        let mut write = store.begin_write().await.unwrap();
        write.open_window(&window("real"), "entry").await.unwrap();
        write.commit().await.unwrap();
        sql(&installation, "UPDATE identities SET display_name = 'Bert' WHERE id = 'bob'").await;

        rekey(&store, &audit, &installation.source(), None).await.unwrap();
        // The broker that runs takes the new key up by itself, and so does the administrator's process.
        assert!(has_lease(&broker, 2).await);
        assert!(broker.key_known("alice", key.public_key(), now()).await.unwrap());
        let verified = alice(&broker, after(120)).await;
        assert!(broker.second_factor(&verified, Offer::Code(codes[0].expose()), after(120)).await.is_ok());
        lease(&installation, &broker, 3).await;
        assert_eq!(store.current_plant().await.unwrap().unwrap().version, 1);
        assert_eq!(windows(&store).await, 1);
        admin.set_groups(&installation.alice, &BTreeSet::new(), now()).await.unwrap();
        assert!(matches!(broker.standing(&installation.alice, now()).await.unwrap(), Standing::Active { .. }));
        assert_eq!(broker.standing(&bob, now()).await.unwrap(), Standing::Unknown, "an edit gains nothing by it");
        assert_eq!(store.rows_not_genuine().await.unwrap().len(), 1);
    }

    async fn rows_from_before_are_adopted_once_and_only_those_the_chain_tells_of(database: Database) {
        let installation = Installation::new(database).await;
        let (admin, key) = (&installation.admin, new_key());
        admin.add_key(&installation.alice, &key.public_key().to_openssh().unwrap(), now()).await.unwrap();
        let bob = someone(&installation, "bob").await;
        admin.lock(&bob, "left", now()).await.unwrap();
        {
            let store = store(&installation).await;
            let vault = installation.vault(&store).await.unwrap();
            apply(&plant("# one", 0), &store, &audit(&store, &vault).await).await.unwrap();
        }
        as_before(&installation).await;
        // Before the new release came, somebody wrote a key and unlocked bob by hand.
        let forged = new_key();
        let fingerprint = sallyport::identity::fingerprint(forged.public_key().key_data());
        sql(&installation, &format!(
            "INSERT INTO identity_keys (fingerprint, identity, public_key, kind, added_at)
             VALUES ('{fingerprint}', 'alice', 'x', 'key', 1)"
        )).await;
        sql(&installation, "UPDATE identities SET state = 'active' WHERE id = 'bob'").await;

        let opened = store(&installation).await;
        let vault = installation.vault(&opened).await.unwrap();
        let audit = audit(&opened, &vault).await;
        let adopted = adopt_once(&opened, &audit).await.unwrap().unwrap();
        let keys = |rows: &[sallyport::store::AlteredRow]| rows.iter().map(|row| row.key.clone()).collect::<BTreeSet<_>>();
        assert_eq!(keys(&adopted.left), BTreeSet::from(["bob".to_owned(), fingerprint]));
        let broker = installation.broker().await;
        assert!(broker.key_known("alice", key.public_key(), now()).await.unwrap());
        assert!(!broker.key_known("alice", forged.public_key(), now()).await.unwrap());
        lease(&installation, &broker, 1).await;
        assert_eq!(broker.standing(&bob, now()).await.unwrap(), Standing::Unknown);
        assert_eq!(opened.current_plant().await.unwrap().unwrap().version, 1);

        // Never again by itself: not without the MACs, and not with the record of migrations rolled back.
        sql(&installation, "UPDATE identities SET mac = NULL").await;
        assert_eq!(adopt_once(&opened, &audit).await.unwrap(), None);
        assert_eq!(broker.standing(&installation.alice, now()).await.unwrap(), Standing::Unknown);
        as_before(&installation).await;
        let opened = store(&installation).await;
        assert_eq!(adopt_once(&opened, &audit).await.unwrap(), None);
        assert_eq!(broker.standing(&installation.alice, now()).await.unwrap(), Standing::Unknown);

        // An administrator can: first to look, then to do it.
        assert!(!adopt_asked(&opened, &audit, false).await.unwrap().rows.is_empty());
        assert_eq!(broker.standing(&installation.alice, now()).await.unwrap(), Standing::Unknown);
        adopt_asked(&opened, &audit, true).await.unwrap();
        assert!(matches!(broker.standing(&installation.alice, now()).await.unwrap(), Standing::Active { .. }));
        let codes = installation.codes_in_audit().await;
        assert_eq!(codes.iter().filter(|code| *code == "SP-5303").count(), 1);
        assert_eq!(codes.iter().filter(|code| *code == "SP-5304").count(), 1);
    }

    async fn nothing_is_adopted_by_a_chain_that_is_not_whole(database: Database) {
        let installation = Installation::new(database).await;
        as_before(&installation).await;
        sql(&installation, "UPDATE audit SET actor = 'me' WHERE seq = 2").await;
        let opened = store(&installation).await;
        let vault = installation.vault(&opened).await.unwrap();
        let audit = audit(&opened, &vault).await;
        let refused = adopt_once(&opened, &audit).await.unwrap_err();
        assert!(matches!(&refused, AdoptError::Chain(_)), "{refused}");
        assert!(refused.to_string().contains("entry 2 was edited"), "{refused}");
        assert!(opened.identity("alice").await.unwrap().is_none());
    }
}

/// The attack as it was: with a key and a row of one's own there is no second factor.
#[test]
fn who_writes_the_database_still_needs_the_second_factor() {
    let plant = Plant::start();
    let (alice, Some(database)) = (plant.person("alice"), plant.sqlite()) else { return };
    alice.take_lease("ews-1");
    plant.sallyport(&["lease", "revoke", "--everybody"]).ok();
    let forge = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
        c.execute('INSERT INTO leases (id, identity, credential, source, factor, proved_at, expires_at) '\n\
        'SELECT \\'forged\\', identity, credential, source, factor, proved_at, expires_at + 3600000000 FROM leases LIMIT 1')\n\
        c.execute('UPDATE changes SET number = number + 1')\nc.commit()";
    let mut python = std::process::Command::new("/usr/bin/python3");
    python.args(["-c", forge]).arg(database);
    sallyport_tests::finish(python, b"").ok();
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
    let told = || plant.audit().iter().any(|entry| entry["code"] == "SP-7005" && entry["event"]["row"] == "forged");
    eventually("it is on record", Duration::from_secs(10), || told().then_some(()));
    let listed = plant.sallyport(&["lease", "list"]).ok();
    assert!(listed.contains("NOT GENUINE"), "{listed}");
    let checked = plant.sallyport(&["check"]);
    assert!(checked.refused().contains("checks failed"));
    assert!(checked.text().contains("`forged` of `leases` counts as not there"), "{checked}");
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
}
