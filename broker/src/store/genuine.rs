//! Rows that let somebody in are believed only when their MAC fits and the audit chain holds nothing later about them.
//!
//! ```text
//! row of the database ──MAC under the master key──► written by a broker ──witness of the chain──► the last ──► Genuine
//! ```
//!
//! [`Genuine`] is made here and nowhere else. A row that is not counts as not there where it would let somebody in; it is
//! logged and reported. What takes away works on every row: locking, removing, revoking and closing ask for no MAC.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::FromRow;
use sqlx::any::AnyRow;
use tokio::sync::mpsc;
use tracing::error;

use super::witness::Witness;
use super::{Store, StoreError, Write};
use crate::vault::{RowFault, RowKeys, RowMac, RowText};

/// What a broker wrote, and wrote last.
///
/// Whoever has one can read it:
///
/// ```
/// fn until(lease: &sallyport::store::Genuine<sallyport::store::leases::LeaseRow>) -> jiff::Timestamp {
///     lease.expires_at
/// }
/// ```
///
/// Nobody else can make one:
///
/// ```compile_fail
/// fn forge(row: sallyport::store::leases::LeaseRow) -> sallyport::store::Genuine<sallyport::store::leases::LeaseRow> {
///     sallyport::store::Genuine(row)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genuine<T>(T);

/// A row for somebody to look at: genuine or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    row: T,
    fault: Option<RowFault>,
}

/// A row that is not as a broker wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlteredRow {
    /// Its table.
    pub table: &'static str,
    /// Its primary key.
    pub key: String,
    /// What is wrong with it, in words.
    pub fault: String,
}

/// A row under a MAC, as the database has it.
pub(super) trait Stored: for<'r> FromRow<'r, AnyRow> + Send + Unpin {
    /// Its table.
    const TABLE: &'static str;
    /// Every row that could let somebody in.
    const ALL: &'static str;
    /// Sets the entry `$1` and the MAC `$2` of the row with the keys `$3` and `$4`.
    const SET: &'static str;
    /// The parts of the primary key; where there is one, the second is empty.
    fn key(&self) -> [String; 2];
    /// Whom the chain is asked about.
    fn identity(&self) -> Option<&str>;
    /// Everything that counts.
    fn text(&self) -> RowText;
    /// The entry of the chain that it goes with.
    fn event(&self) -> Option<&str>;
    /// The MAC it carries.
    fn mac(&self) -> Option<&[u8]>;
    /// Whether it is the last of its kind, as the chain tells.
    fn is_last(&self, witness: &Witness) -> bool;
    /// Whether it could let somebody in at all. What was revoked or closed carries no MAC.
    fn counts(&self) -> bool {
        true
    }
    /// For a row from before there were MACs: whether the chain tells of it just so. Sets the entry it goes with.
    fn adopt(&mut self, witness: &Witness) -> bool;

    /// As [`Stored::adopt`], for a plant: these are the entries that tell of plants.
    fn adopt_plant(&mut self, _told: &[(String, serde_json::Value)]) -> bool {
        false
    }

    /// How it is named to people.
    fn name(&self) -> String {
        let [first, second] = self.key();
        // A recovery code's hash is of no use to a reader, and its beginning tells it apart.
        if second.is_empty() { first } else { format!("{first}/{}", second.chars().take(12).collect::<String>()) }
    }
}

impl<T> Genuine<T> {
    /// What it holds.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Genuine<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Listed<T> {
    /// What the database has.
    pub fn row(&self) -> &T {
        &self.row
    }

    /// What the database has, and what is wrong with it.
    pub fn into_parts(self) -> (T, Option<RowFault>) {
        (self.row, self.fault)
    }

    /// The row, where it is genuine.
    pub fn genuine(self) -> Option<Genuine<T>> {
        self.fault.is_none().then_some(Genuine(self.row))
    }
}

impl Store {
    /// From now on rows are checked and written with this key. [`crate::vault::Vault::open`] calls it.
    pub(crate) fn trust_rows_of(&self, keys: RowKeys) {
        *self.inner.row_keys.write().unwrap_or_else(PoisonError::into_inner) = Some(std::sync::Arc::new(keys));
    }

    /// Where rows that are not genuine are told of, each once in a while. Once per process: the broker takes it.
    pub fn altered_rows(&self) -> Option<mpsc::Receiver<AlteredRow>> {
        self.inner.altered.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn row_keys(&self) -> Result<std::sync::Arc<RowKeys>, StoreError> {
        let keys = self.inner.row_keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone().ok_or(StoreError::NoRowKey)
    }

    /// Whether the MAC of a row fits.
    pub(super) fn check<R: Stored>(&self, row: &R) -> Result<Result<(), RowFault>, StoreError> {
        let keys = self.row_keys()?;
        match keys.current().check(&row.text(), row.mac()) {
            Err(RowFault::OtherKey(_)) => {}
            result => return Ok(result),
        }
        let mac = keys.reload().unwrap_or_else(|| keys.current());
        Ok(mac.check(&row.text(), row.mac()))
    }

    /// Reads a row that lets somebody in; one that is not genuine counts as not there.
    pub(super) async fn genuine<R, T, F>(&self, read: impl Fn() -> F) -> Result<Option<Genuine<T>>, StoreError>
    where
        R: Stored,
        T: TryFrom<R, Error = StoreError>,
        F: Future<Output = Result<Option<R>, StoreError>>,
    {
        // Row, key and chain are read one after the other. What was changed between shows once, and not again and again.
        let mut tries = READS;
        loop {
            let Some(row) = read().await? else { return Ok(None) };
            tries -= 1;
            match self.fault_of(&row).await? {
                None => return Ok(Some(Genuine(T::try_from(row)?))),
                Some(RowFault::Outdated | RowFault::OtherKey(_)) if tries > 0 => {}
                Some(fault) => {
                    self.report(&row, fault);
                    return Ok(None);
                }
            }
        }
    }

    /// Rows to look at, each with what is wrong with it. Those that mean nothing at all are reported and left out.
    pub(super) async fn listed<R, T>(&self, rows: Vec<R>) -> Result<Vec<Listed<T>>, StoreError>
    where
        R: Stored,
        T: TryFrom<R, Error = StoreError>,
    {
        let mut listed = Vec::with_capacity(rows.len());
        for row in rows {
            let fault = if row.counts() { self.fault_of(&row).await? } else { None };
            if let Some(fault) = fault {
                self.report(&row, fault);
            }
            match T::try_from(row) {
                Ok(row) => listed.push(Listed { row, fault }),
                Err(error) if fault.is_none() => return Err(error),
                Err(error) => error!(%error, "A row of the database means nothing"),
            }
        }
        Ok(listed)
    }

    /// Of rows of one person, those that are genuine by what the chain holds of them; the others are reported.
    pub(super) fn genuine_of<R, T>(&self, rows: Vec<R>, witness: &Witness) -> Result<Vec<Genuine<T>>, StoreError>
    where
        R: Stored,
        T: TryFrom<R, Error = StoreError>,
    {
        self.believed(rows, witness)?.into_iter().map(|row| T::try_from(row).map(Genuine)).collect()
    }

    /// The same, of rows that nobody reads: that they are there is what counts.
    pub(super) fn believed<R: Stored>(&self, rows: Vec<R>, witness: &Witness) -> Result<Vec<R>, StoreError> {
        let mut believed = Vec::with_capacity(rows.len());
        for row in rows {
            let fault = match self.check(&row)? {
                Ok(()) => (!row.is_last(witness)).then_some(RowFault::Outdated),
                Err(fault) => Some(fault),
            };
            match fault {
                None => believed.push(row),
                Some(fault) => self.report(&row, fault),
            }
        }
        Ok(believed)
    }

    pub(super) async fn fault_of<R: Stored>(&self, row: &R) -> Result<Option<RowFault>, StoreError> {
        match self.check(row)? {
            Ok(()) => {}
            // Either the row was altered, or the database is under another master key: that is an error, and nobody's fault.
            Err(RowFault::OtherKey(id)) => {
                let at_hand = self.row_keys()?.current().id().to_string();
                return match self.master_key_name().await? {
                    name if name == at_hand => Ok(Some(RowFault::OtherKey(id))),
                    name => Err(StoreError::OtherMasterKey(name)),
                };
            }
            Err(fault) => return Ok(Some(fault)),
        }
        let Some(identity) = row.identity() else { return Ok(None) };
        let last = row.is_last(&self.witness(identity).await?);
        Ok((!last).then_some(RowFault::Outdated))
    }

    async fn master_key_name(&self) -> Result<String, StoreError> {
        let query = sqlx::query_scalar("SELECT public_part FROM secrets WHERE name = 'check'");
        Ok(query.fetch_optional(self.reader()?).await?.unwrap_or_default())
    }

    /// Logs it and tells the broker, each row once in a while.
    pub(super) fn report<R: Stored>(&self, row: &R, fault: RowFault) {
        metrics::counter!("sallyport_rows_refused_total", "table" => R::TABLE).increment(1);
        let row = AlteredRow { table: R::TABLE, key: row.name(), fault: fault.to_string() };
        if self.inner.altered.is_new(&row) {
            error!(table = row.table, row = row.key, fault = row.fault, "A row of the database counts as not there");
            if self.inner.altered.sender.try_send(row).is_err() {
                metrics::counter!("sallyport_rows_untold_total").increment(1);
            }
        }
    }
}

impl Write {
    /// What makes MACs in this write. Holds the master key until the write ends, so that all such writes, of all brokers, run
    /// one after the other: what is read after this is still so when it is written.
    pub(super) async fn row_mac(&mut self) -> Result<std::sync::Arc<RowMac>, StoreError> {
        let keys = self.store.row_keys()?;
        let mac = keys.current();
        match self.hold_master_key(&mac.id().to_string()).await {
            Err(StoreError::Overtaken(what)) => {
                let mac = keys.reload().ok_or(StoreError::Overtaken(what))?;
                self.hold_master_key(&mac.id().to_string()).await?;
                Ok(mac)
            }
            held => held.map(|()| mac),
        }
    }

    /// Whether a row, read after [`Write::row_mac`], is genuine.
    pub(super) async fn fault_of<R: Stored>(&mut self, row: &R) -> Result<Option<RowFault>, StoreError> {
        // The master key is held: a row under another one is as wrong as any.
        if let Err(fault) = self.store.check(row)? {
            return Ok(Some(fault));
        }
        let Some(identity) = row.identity() else { return Ok(None) };
        let witness = super::witness::witness(self, identity).await?;
        Ok((!row.is_last(&witness)).then_some(RowFault::Outdated))
    }

    /// A change of a row that is not genuine would make it so.
    pub(super) async fn require_genuine<R: Stored>(&mut self, row: &R) -> Result<(), StoreError> {
        match self.fault_of(row).await? {
            None => Ok(()),
            Some(fault) => Err(StoreError::NotGenuine { table: R::TABLE, key: row.name(), fault }),
        }
    }

    /// Writes the MAC of a row, or takes it away.
    pub(super) async fn set_mac<R: Stored>(&mut self, row: &R, mac: Option<Vec<u8>>) -> Result<(), StoreError> {
        let [first, second] = row.key();
        sqlx::query(R::SET).bind(row.event()).bind(mac).bind(first).bind(second).execute(&mut **self).await?;
        Ok(())
    }
}

/// Which rows were told of lately, and the way to who records them.
pub(super) struct Altered {
    told: Mutex<BTreeMap<(&'static str, String), Instant>>,
    sender: mpsc::Sender<AlteredRow>,
    receiver: Mutex<Option<mpsc::Receiver<AlteredRow>>>,
}

impl Altered {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(TOLD_AT_ONCE);
        Self { told: Mutex::default(), sender, receiver: Mutex::new(Some(receiver)) }
    }

    fn is_new(&self, row: &AlteredRow) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (row.table, row.key.clone());
        if told.get(&key).is_some_and(|at| at.elapsed() < TELL_AGAIN) {
            return false;
        }
        if told.len() >= TOLD {
            told.retain(|_, at| at.elapsed() < TELL_AGAIN);
        }
        // Whoever writes thousands of rows is told of by the first thousand.
        told.len() < TOLD && told.insert(key, Instant::now()).is_none_or(|at| at.elapsed() >= TELL_AGAIN)
    }
}

/// How often row and chain are read before they are taken to differ.
const READS: u32 = 3;
const TOLD: usize = 1024;
const TOLD_AT_ONCE: usize = 256;
const TELL_AGAIN: Duration = Duration::from_mins(15);
