//! Logins that wait until their person confirms them in the portal, maybe at another broker of the installation.
//!
//! ```text
//! waiting ──► confirmed ──► spent        refused: by the person, or by too many wrong numbers
//!         ──► refused                    left: whoever waited is gone, or made room
//! ```

use jiff::Timestamp;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::Witness;
use super::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

/// How a login that waits stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmationState {
    /// For its person.
    Waiting,
    /// They have confirmed it; the login has not gone on yet.
    Confirmed,
    /// They refused it, or the number was wrong too often.
    Refused,
    /// The login went on. It confirms nothing any more.
    Spent,
    /// Whoever waited is gone, or made room for another login of the same person.
    Left,
}

/// A login that waits, or waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmationRow {
    /// Its id. Nobody but the broker that asks knows it.
    pub id: String,
    /// What the link says.
    pub code: String,
    /// Who is asked.
    pub identity: String,
    /// What was right already: a key's fingerprint, or `password`.
    pub credential: String,
    /// The address of whoever waits.
    pub source: String,
    /// What their client calls itself.
    pub client: String,
    /// What they want to reach.
    pub target: String,
    /// The number that their terminal shows.
    pub number: i64,
    /// The broker at which they wait.
    pub broker: String,
    /// Since when.
    pub asked_at: Timestamp,
    /// The first moment at which it counts no more.
    pub expires_at: Timestamp,
    /// How it stands.
    pub state: ConfirmationState,
    /// Wrong numbers.
    pub tries: i64,
    /// Logins of the same person that were turned away while this one waited.
    pub turned_away: i64,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// The credential that confirmed it.
    pub proven_by: Option<String>,
}

/// What became of a request for a confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queued {
    /// It waits.
    Waits,
    /// One of the same person, first factor and address waits: that one's confirmation is for both.
    Joins(Box<ConfirmationRow>),
    /// Another login of the same person waits: one at a time.
    Busy,
}

/// What may become of another login of the same person that waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// One of the same first factor and address is joined.
    pub join: bool,
    /// One of another first factor or address makes room.
    pub displace: bool,
}

/// What a number that was typed comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberTried {
    /// It is the one on the terminal.
    Right,
    /// It is not; so many more may be tried.
    Wrong {
        /// Before the request is refused.
        left: i64,
    },
    /// It was wrong once too often, or the request is decided or over.
    Over,
}

impl ConfirmationState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Spent => "spent",
            Self::Left => "left",
        }
    }
}

impl ConfirmationRow {
    /// Whether it can be decided now.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        self.state == ConfirmationState::Waiting && now < self.expires_at
    }
}

impl Store {
    /// Lets a login wait, unless another of the same person does: then it may join that one, if it is its like, or make it leave.
    pub async fn ask_confirmation(&self, new: &ConfirmationRow, other: Other) -> Result<Queued, StoreError> {
        let mut write = self.begin_write().await?;
        let mac = write.row_mac().await?;
        sqlx::query("DELETE FROM confirmations WHERE expires_at < $1")
            .bind(micros(new.asked_at).saturating_sub(KEPT_MICROS))
            .execute(&mut *write)
            .await?;
        for mut open in write.open_confirmations(&new.identity, new.asked_at).await? {
            let alike = (&open.credential, &open.source) == (&new.credential, &new.source);
            if alike && other.join {
                return Ok(Queued::Joins(Box::new(ConfirmationRow::try_from(open)?)));
            }
            if open.state != ConfirmationState::Waiting.as_str() {
                continue;
            }
            if alike || !other.displace {
                open.turned_away = open.turned_away.saturating_add(1);
                write.put_confirmation(&open).await?;
                write.commit().await?;
                return Ok(Queued::Busy);
            }
            open.state = ConfirmationState::Left.as_str().to_owned();
            write.put_confirmation(&open).await?;
        }
        let row = Row::of(new);
        sqlx::query(
            "INSERT INTO confirmations (id, code, identity, credential, source, client, target, number, broker, asked_at,
                expires_at, state, tries, turned_away) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(&row.id)
        .bind(&row.code)
        .bind(&row.identity)
        .bind(&row.credential)
        .bind(&row.source)
        .bind(&row.client)
        .bind(&row.target)
        .bind(row.number)
        .bind(&row.broker)
        .bind(row.asked_at)
        .bind(row.expires_at)
        .bind(&row.state)
        .bind(row.tries)
        .bind(row.turned_away)
        .execute(&mut *write)
        .await?;
        write.set_mac(&row, Some(mac.make(&row.text()))).await?;
        write.commit().await?;
        Ok(Queued::Waits)
    }

    /// A confirmation by its id.
    pub async fn confirmation(&self, id: &str) -> Result<Option<Genuine<ConfirmationRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM confirmations WHERE id = $1");
            Ok(query.bind(id).fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// A confirmation by the code in its link, for this identity alone.
    pub async fn confirmation_by_code(
        &self,
        code: &str,
        identity: &str,
    ) -> Result<Option<Genuine<ConfirmationRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM confirmations WHERE code = $1 AND identity = $2");
            Ok(query.bind(code).bind(identity).fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// The login of this identity that waits now, if one does.
    pub async fn waiting_confirmation(
        &self,
        identity: &str,
        now: Timestamp,
    ) -> Result<Option<Genuine<ConfirmationRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>(
                "SELECT * FROM confirmations WHERE identity = $1 AND state = 'waiting' AND expires_at > $2
                    ORDER BY asked_at DESC LIMIT 1",
            );
            Ok(query.bind(identity).bind(micros(now)).fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// The logins of this identity by this first factor that were refused since then.
    pub async fn refused_confirmations(
        &self,
        identity: &str,
        credential: &str,
        since: Timestamp,
    ) -> Result<Vec<ConfirmationRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM confirmations WHERE identity = $1 AND credential = $2 AND state = 'refused'
                AND decided_at > $3 ORDER BY decided_at DESC LIMIT 100",
        )
        .bind(identity)
        .bind(credential)
        .bind(micros(since))
        .fetch_all(self.reader()?)
        .await?;
        let listed = self.listed(rows).await?;
        // One that somebody else wrote holds nobody back.
        Ok(listed.into_iter().filter_map(Listed::genuine).map(Genuine::into_inner).collect())
    }

    /// Tries a number; a wrong one counts.
    pub async fn try_number(&self, id: &str, number: i64, now: Timestamp) -> Result<NumberTried, StoreError> {
        let mut write = self.begin_write().await?;
        write.row_mac().await?;
        let Some(mut row) = write.confirmation_to_change(id).await?.filter(|row| row.waits(now)) else {
            return Ok(NumberTried::Over);
        };
        if row.number == number {
            return Ok(NumberTried::Right);
        }
        row.tries = row.tries.saturating_add(1);
        let left = MOST_TRIES.saturating_sub(row.tries);
        if left <= 0 {
            row.state = ConfirmationState::Refused.as_str().to_owned();
            row.decided_at = Some(micros(now));
        }
        write.put_confirmation(&row).await?;
        write.commit().await?;
        Ok(if left > 0 { NumberTried::Wrong { left } } else { NumberTried::Over })
    }

    /// Decides a login that waits: confirmed by this credential, or refused. `false`: it was decided before, or is over.
    pub async fn decide_confirmation(
        &self,
        id: &str,
        proven_by: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.begin_write().await?;
        write.row_mac().await?;
        let Some(mut row) = write.confirmation_to_change(id).await?.filter(|row| row.waits(now)) else {
            return Ok(false);
        };
        let state = if proven_by.is_some() { ConfirmationState::Confirmed } else { ConfirmationState::Refused };
        row.state = state.as_str().to_owned();
        row.decided_at = Some(micros(now));
        row.proven_by = proven_by.map(ToOwned::to_owned);
        write.put_confirmation(&row).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Spends a confirmation, once: what it was, where its person had confirmed it in time.
    pub async fn spend_confirmation(&self, id: &str, now: Timestamp) -> Result<Option<ConfirmationRow>, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        write.row_mac().await?;
        let Some(mut row) = write.confirmation_to_change(id).await? else { return Ok(None) };
        if row.state != ConfirmationState::Confirmed.as_str() || micros(now) >= row.expires_at {
            return Ok(None);
        }
        row.state = ConfirmationState::Spent.as_str().to_owned();
        write.put_confirmation(&row).await?;
        let spent = ConfirmationRow::try_from(row)?;
        write.commit().await?;
        Ok(Some(spent))
    }

    /// Whoever waited waits no more.
    pub async fn leave_confirmation(&self, id: &str) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        write.row_mac().await?;
        let row = write.confirmation_to_change(id).await?;
        let Some(mut row) = row.filter(|row| row.state == ConfirmationState::Waiting.as_str()) else { return Ok(()) };
        row.state = ConfirmationState::Left.as_str().to_owned();
        write.put_confirmation(&row).await?;
        write.commit().await
    }
}

impl Write {
    /// Nobody waits for a confirmation any more, and none that was given counts; says how many there were.
    pub async fn drop_confirmations(&mut self) -> Result<u64, StoreError> {
        let query = sqlx::query("DELETE FROM confirmations WHERE state IN ('waiting', 'confirmed')");
        Ok(query.execute(&mut **self).await?.rows_affected())
    }

    /// Those that wait, and those of which a lease follows at this moment.
    async fn open_confirmations(&mut self, identity: &str, now: Timestamp) -> Result<Vec<Row>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM confirmations WHERE identity = $1 AND expires_at > $2
                AND (state IN ('waiting', 'confirmed') OR (state = 'spent' AND decided_at > $3)) LIMIT 100",
        )
        .bind(identity)
        .bind(micros(now))
        .bind(micros(now).saturating_sub(JUST_SPENT_MICROS))
        .fetch_all(&mut **self)
        .await?;
        let mut genuine = Vec::with_capacity(rows.len());
        for row in rows {
            // One that somebody else wrote keeps nobody out.
            if self.fault_of(&row).await?.is_none() {
                genuine.push(row);
            }
        }
        Ok(genuine)
    }

    async fn confirmation_to_change(&mut self, id: &str) -> Result<Option<Row>, StoreError> {
        let query = sqlx::query_as::<_, Row>("SELECT * FROM confirmations WHERE id = $1").bind(id);
        let Some(row) = query.fetch_optional(&mut **self).await? else { return Ok(None) };
        Ok(self.fault_of(&row).await?.is_none().then_some(row))
    }

    async fn put_confirmation(&mut self, row: &Row) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE confirmations SET state = $2, tries = $3, turned_away = $4, decided_at = $5, proven_by = $6
             WHERE id = $1",
        )
        .bind(&row.id)
        .bind(&row.state)
        .bind(row.tries)
        .bind(row.turned_away)
        .bind(row.decided_at)
        .bind(row.proven_by.as_deref())
        .execute(&mut **self)
        .await?;
        let mac = self.row_mac().await?.make(&row.text());
        self.set_mac(row, Some(mac)).await
    }
}

#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    code: String,
    identity: String,
    credential: String,
    source: String,
    client: String,
    target: String,
    number: i64,
    broker: String,
    asked_at: i64,
    expires_at: i64,
    state: String,
    tries: i64,
    turned_away: i64,
    decided_at: Option<i64>,
    proven_by: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Row {
    fn of(new: &ConfirmationRow) -> Self {
        Self {
            id: new.id.clone(),
            code: new.code.clone(),
            identity: new.identity.clone(),
            credential: new.credential.clone(),
            source: new.source.clone(),
            client: new.client.clone(),
            target: new.target.clone(),
            number: new.number,
            broker: new.broker.clone(),
            asked_at: micros(new.asked_at),
            expires_at: micros(new.expires_at),
            state: new.state.as_str().to_owned(),
            tries: new.tries,
            turned_away: new.turned_away,
            decided_at: new.decided_at.map(micros),
            proven_by: new.proven_by.clone(),
            mac: None,
        }
    }

    fn waits(&self, now: Timestamp) -> bool {
        self.state == ConfirmationState::Waiting.as_str() && micros(now) < self.expires_at
    }
}

/// It goes with no entry of the chain: its life is minutes, and only the login that asked for it, which knows its id, can spend it.
/// A row that is put back confirms a login that is over.
impl Stored for Row {
    const TABLE: &'static str = "confirmations";
    const ALL: &'static str = "SELECT * FROM confirmations";
    const SET: &'static str = "UPDATE confirmations SET mac = $2 WHERE id = $3 AND $4 = '' AND COALESCE($1, '') = ''";

    fn key(&self) -> [String; 2] {
        [self.id.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        None
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.id)
            .text(&self.code)
            .text(&self.identity)
            .text(&self.credential)
            .text(&self.source)
            .text(&self.client)
            .text(&self.target)
            .number(self.number)
            .text(&self.broker)
            .number(self.asked_at)
            .number(self.expires_at)
            .text(&self.state)
            .number(self.tries)
            .number(self.turned_away)
            .maybe_number(self.decided_at)
            .maybe_text(self.proven_by.as_deref())
    }

    fn event(&self) -> Option<&str> {
        None
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, _witness: &Witness) -> bool {
        true
    }

    /// There are none from before there were MACs.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
}

impl TryFrom<Row> for ConfirmationRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        use ConfirmationState::{Confirmed, Left, Refused, Spent, Waiting};
        let state = [Waiting, Confirmed, Refused, Spent, Left].into_iter().find(|state| state.as_str() == row.state);
        Ok(Self {
            state: state.ok_or_else(|| StoreError::damaged(Row::TABLE, "its state is none"))?,
            asked_at: timestamp(Row::TABLE, row.asked_at)?,
            expires_at: timestamp(Row::TABLE, row.expires_at)?,
            decided_at: row.decided_at.map(|at| timestamp(Row::TABLE, at)).transpose()?,
            id: row.id,
            code: row.code,
            identity: row.identity,
            credential: row.credential,
            source: row.source,
            client: row.client,
            target: row.target,
            number: row.number,
            broker: row.broker,
            tries: row.tries,
            turned_away: row.turned_away,
            proven_by: row.proven_by,
        })
    }
}

/// Numbers that may be wrong before the request is refused.
pub const MOST_TRIES: i64 = 3;
/// From a confirmation that was spent to the lease that follows from it, at the most.
const JUST_SPENT_MICROS: i64 = 500_000;
/// How long a request is kept after its end, so that its page can say what became of it.
const KEPT_MICROS: i64 = 3_600_000_000;
