//! Rows from before there were MACs get theirs once; all MACs are made anew when the master key changes; and which rows are not
//! genuine can be listed.
//!
//! Adoption believes the audit chain, not the row: a key, an authenticator or a plant is adopted only where the chain tells that
//! it was given and not taken since, an identity only where it stands as the chain tells. Leases are not adopted at all. That it
//! happens once is told by the chain too, and not by the table of migrations, which whoever writes the database can write.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::genuine::Stored;
use super::witness::{Witness, witness};
use super::{
    AlteredRow, Store, StoreError, Write, confirmations, envelopes, factors, identities, invitations, isolations,
    leases, plants, requests, webauthn, windows,
};
use crate::vault::{RowFault, RowMac};

/// What was adopted, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Rows that carry a MAC now.
    pub rows: Vec<AlteredRow>,
    /// Rows that the audit chain does not tell of as they are: they stay out.
    pub left: Vec<AlteredRow>,
}

/// The rows that are genuine before a change of the master key, by table and key.
pub(crate) struct GenuineRows(BTreeSet<(&'static str, [String; 2])>);

/// Does the same for each table under MACs. A new one goes here, and nowhere else.
macro_rules! each_table {
    ($call:ident on $self:ident ($($argument:expr),*)) => {
        $self.$call::<identities::Row>($($argument),*).await?;
        $self.$call::<factors::Key>($($argument),*).await?;
        $self.$call::<factors::Totp>($($argument),*).await?;
        $self.$call::<factors::Recovery>($($argument),*).await?;
        $self.$call::<webauthn::Row>($($argument),*).await?;
        $self.$call::<invitations::Row>($($argument),*).await?;
        $self.$call::<confirmations::Row>($($argument),*).await?;
        $self.$call::<envelopes::Row>($($argument),*).await?;
        $self.$call::<leases::Row>($($argument),*).await?;
        $self.$call::<windows::Row>($($argument),*).await?;
        $self.$call::<requests::Row>($($argument),*).await?;
        $self.$call::<requests::ApprovedRow>($($argument),*).await?;
        $self.$call::<isolations::Lift>($($argument),*).await?;
        $self.$call::<plants::Row>($($argument),*).await?;
    };
}

impl Adopted {
    /// How many of each table, as `identities: 3`.
    pub fn counts(rows: &[AlteredRow]) -> Vec<String> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for row in rows {
            *counts.entry(row.table).or_default() += 1;
        }
        counts.into_iter().map(|(table, count)| format!("{table}: {count}")).collect()
    }
}

impl Store {
    /// Whether rows are under MACs since this database was made, or were adopted: then no row without one is adopted unasked.
    pub async fn rows_are_adopted(&self) -> Result<bool, StoreError> {
        let entries: Vec<(String, String)> =
            sqlx::query_as("SELECT code, event FROM audit WHERE code IN ('SP-5301', 'SP-5303') ORDER BY seq")
                .fetch_all(self.reader()?)
                .await?;
        Ok(entries.iter().any(|(code, event)| {
            code == "SP-5303"
                || serde_json::from_str::<Value>(event)
                    .is_ok_and(|event| event.get("rows").and_then(Value::as_str) == Some(ROWS_CHECKED_FROM_THE_START))
        }))
    }

    /// Every row that counts as not there, and why.
    pub async fn rows_not_genuine(&self) -> Result<Vec<AlteredRow>, StoreError> {
        let mut found = Vec::new();
        each_table!(look_through on self (&mut found));
        Ok(found)
    }

    async fn look_through<R: Stored>(&self, found: &mut Vec<AlteredRow>) -> Result<(), StoreError> {
        let rows: Vec<R> = sqlx::query_as(R::ALL).fetch_all(self.reader()?).await?;
        for row in &rows {
            if let Some(fault) = self.fault_of(row).await? {
                self.report(row, fault);
                found.push(altered(row, fault));
            }
        }
        Ok(())
    }
}

impl Write {
    /// Gives a MAC to every row without one of which the audit chain tells. The caller records it in the same write.
    pub(crate) async fn adopt_rows(&mut self) -> Result<Adopted, StoreError> {
        let mac = self.row_mac().await?;
        let mut adopted = Adopted::default();
        each_table!(adopt_table on self (&mac, &mut adopted));
        Ok(adopted)
    }

    async fn adopt_table<R: Stored>(&mut self, mac: &RowMac, adopted: &mut Adopted) -> Result<(), StoreError> {
        let rows: Vec<R> = sqlx::query_as(R::ALL).fetch_all(&mut **self).await?;
        let mut witnesses = BTreeMap::<String, Witness>::new();
        let plants = if R::TABLE == plants::TABLE { self.plants_told_of().await? } else { Vec::new() };
        for mut row in rows {
            let Some(fault) = self.fault_of(&row).await? else { continue };
            if fault != RowFault::NoMac {
                // It carries one that does not fit: what it holds is not what a broker wrote.
                adopted.left.push(altered(&row, fault));
                continue;
            }
            let told = altered(&row, fault);
            let agrees = match row.identity().map(ToOwned::to_owned) {
                None => row.adopt_plant(&plants),
                Some(identity) => {
                    if !witnesses.contains_key(&identity) {
                        witnesses.insert(identity.clone(), witness(self, &identity).await?);
                    }
                    witnesses.get(&identity).is_some_and(|witness| row.adopt(witness) && row.is_last(witness))
                }
            };
            if agrees {
                let made = mac.make(&row.text());
                self.set_mac(&row, Some(made)).await?;
                adopted.rows.push(told);
            } else {
                adopted.left.push(told);
            }
        }
        Ok(())
    }

    async fn plants_told_of(&mut self) -> Result<Vec<(String, Value)>, StoreError> {
        let entries: Vec<(String, String)> =
            sqlx::query_as("SELECT id, event FROM audit WHERE code = 'SP-5001' ORDER BY seq")
                .fetch_all(&mut **self)
                .await?;
        let read = |(id, event): (String, String)| Some((id, serde_json::from_str(&event).ok()?));
        Ok(entries.into_iter().filter_map(read).collect())
    }

    /// Which rows carry a MAC that fits, before the master key changes.
    pub(crate) async fn rows_under(&mut self, mac: &RowMac) -> Result<GenuineRows, StoreError> {
        self.hold_master_key(&mac.id().to_string()).await?;
        let mut genuine = GenuineRows(BTreeSet::new());
        each_table!(gather on self (mac, &mut genuine));
        Ok(genuine)
    }

    async fn gather<R: Stored>(&mut self, mac: &RowMac, genuine: &mut GenuineRows) -> Result<(), StoreError> {
        let rows: Vec<R> = sqlx::query_as(R::ALL).fetch_all(&mut **self).await?;
        let fits = rows.iter().filter(|row| mac.check(&row.text(), row.mac()).is_ok());
        genuine.0.extend(fits.map(|row| (R::TABLE, row.key())));
        Ok(())
    }

    /// Makes the MACs of these rows anew, and takes away all others: under the new key they would name one that is gone.
    pub(crate) async fn put_rows_under(&mut self, mac: &RowMac, genuine: &GenuineRows) -> Result<(), StoreError> {
        each_table!(make_anew on self (mac, genuine));
        Ok(())
    }

    async fn make_anew<R: Stored>(&mut self, mac: &RowMac, genuine: &GenuineRows) -> Result<(), StoreError> {
        let rows: Vec<R> = sqlx::query_as(R::ALL).fetch_all(&mut **self).await?;
        for row in rows {
            let made = genuine.0.contains(&(R::TABLE, row.key())).then(|| mac.make(&row.text()));
            if made.is_some() || row.mac().is_some() {
                self.set_mac(&row, made).await?;
            }
        }
        Ok(())
    }
}

fn altered<R: Stored>(row: &R, fault: RowFault) -> AlteredRow {
    AlteredRow { table: R::TABLE, key: row.name(), fault: fault.to_string() }
}

/// What the event of a new database's keys says of its rows.
pub const ROWS_CHECKED_FROM_THE_START: &str = "under MACs from the start";
