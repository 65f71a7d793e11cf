//! What people ask others to approve, and who has approved it.
//!
//! ```text
//! asked ──► approved, by one after the other ──► over, by the clock
//!   └─────────┴──► denied or withdrawn: closed, by a row without a MAC, and for good by the audit chain
//! ```

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{AccessRequest, AssetId, IdentityId, RequestId, ServiceName};
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::Witness;
use super::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

/// A request as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// What was asked.
    pub request: AccessRequest,
    /// From which address.
    pub source: String,
    /// How somebody has closed it, if anybody has.
    pub closed: Option<ClosedRequest>,
}

/// How a request was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedRequest {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// As what.
    pub closing: Closing,
    /// Why, where somebody said so.
    pub reason: String,
}

/// As what a request is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Somebody who might have approved it, or an administrator, said no; before or after others had approved it.
    Denied,
    /// Whoever asked does not ask any more.
    Withdrawn,
}

/// That somebody has approved a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRow {
    /// Which.
    pub request: RequestId,
    /// Who.
    pub approver: IdentityId,
    /// When.
    pub at: Timestamp,
    /// By which second factor they were known then.
    pub factor: String,
}

/// What became of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// It is entered.
    Entered,
    /// As many of theirs are open as may be.
    TooManyOpen,
    /// They have asked as often as anybody may in a day.
    TooOften,
}

impl Closing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Store {
    /// Requests, the latest first: those that could still give something, or all that are kept; also those that are not genuine.
    pub async fn access_requests(&self, all: bool, now: Timestamp) -> Result<Vec<Listed<RequestRow>>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM access_requests WHERE $1 = 1 OR (closed_at IS NULL AND ends_at > $2)
             ORDER BY asked_at DESC, id LIMIT 1000",
        )
        .bind(i64::from(all))
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        self.listed(rows).await
    }

    /// A request that nobody has closed, where it is genuine.
    pub async fn access_request(&self, id: &str) -> Result<Option<Genuine<RequestRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM access_requests WHERE id = $1 AND closed_at IS NULL");
            Ok(query.bind(id).fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// What somebody has asked for that could still give something at `now`, maybe of one asset; the latest first.
    pub async fn requests_of(
        &self,
        identity: &IdentityId,
        asset: Option<&AssetId>,
        now: Timestamp,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let ids: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM access_requests WHERE identity = $1 AND ($2 IS NULL OR asset = $2)
                AND closed_at IS NULL AND ends_at > $3 ORDER BY asked_at DESC, id LIMIT 100",
        )
        .bind(identity.as_str())
        .bind(asset.map(AssetId::as_str))
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        let mut requests = Vec::new();
        for (id,) in ids {
            // Whatever the first read found: what is returned is genuine, and of whom it was asked for.
            let row = self.access_request(&id).await?.map(Genuine::into_inner);
            requests.extend(row.filter(|row| {
                row.request.identity == *identity && asset.is_none_or(|asset| row.request.asset == *asset)
            }));
        }
        Ok(requests)
    }

    /// Who has approved a request, the first of them first.
    pub async fn approvals_of(&self, request: &AccessRequest) -> Result<Vec<ApprovalRow>, StoreError> {
        let rows: Vec<ApprovedRow> = sqlx::query_as(APPROVALS)
            .bind(request.id.as_str())
            .bind(request.identity.as_str())
            .fetch_all(self.reader()?)
            .await?;
        let listed = self.listed(rows).await?;
        Ok(listed.into_iter().filter_map(Listed::genuine).map(Genuine::into_inner).collect())
    }
}

impl Write {
    /// Enters a request, if its person has not too many. The caller commits, with the audit entry of this id in the same write.
    pub async fn ask_access(
        &mut self,
        request: &AccessRequest,
        source: &str,
        entry: &str,
    ) -> Result<Asking, StoreError> {
        let mac = self.row_mac().await?;
        let asked_at = micros(request.asked_at);
        for table in [
            "DELETE FROM access_approvals WHERE request IN (SELECT id FROM access_requests WHERE ends_at < $1)",
            "DELETE FROM access_requests WHERE ends_at < $1",
        ] {
            sqlx::query(table).bind(asked_at.saturating_sub(KEPT_MICROS)).execute(&mut **self).await?;
        }
        let lately: Vec<Row> = sqlx::query_as(
            "SELECT * FROM access_requests WHERE identity = $1 AND (asked_at > $2 OR ends_at > $3)
                ORDER BY asked_at DESC LIMIT 1000",
        )
        .bind(request.identity.as_str())
        .bind(asked_at.saturating_sub(DAY_MICROS))
        .bind(asked_at)
        .fetch_all(&mut **self)
        .await?;
        if lately.iter().filter(|row| row.asked_at > asked_at.saturating_sub(DAY_MICROS)).count() >= MOST_IN_A_DAY {
            return Ok(Asking::TooOften);
        }
        let mut open = 0;
        for row in lately.iter().filter(|row| row.closed_at.is_none() && row.ends_at > asked_at) {
            // One that somebody else wrote keeps nobody from asking.
            open += usize::from(self.fault_of(row).await?.is_none());
        }
        if open >= MOST_OPEN {
            return Ok(Asking::TooManyOpen);
        }
        let row = Row::of(request, source, entry);
        self.insert_request(&row).await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await?;
        Ok(Asking::Entered)
    }

    async fn insert_request(&mut self, row: &Row) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO access_requests (id, identity, asset, services, role, grant_number, reason, permit, duration,
                source, asked_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(&row.id)
        .bind(&row.identity)
        .bind(&row.asset)
        .bind(&row.services)
        .bind(&row.role)
        .bind(row.grant_number)
        .bind(&row.reason)
        .bind(row.permit.as_deref())
        .bind(row.duration)
        .bind(&row.source)
        .bind(row.asked_at)
        .bind(row.ends_at)
        .execute(&mut **self)
        .await?;
        Ok(())
    }

    /// Enters that somebody approves a request, if those who approved it before are still just these, and nobody has closed it.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] where somebody else was faster.
    pub async fn approve_access(
        &mut self,
        request: &AccessRequest,
        before: &[ApprovalRow],
        new: &ApprovalRow,
        entry: &str,
    ) -> Result<(), StoreError> {
        let mac = self.row_mac().await?;
        let query = sqlx::query_as::<_, Row>("SELECT * FROM access_requests WHERE id = $1 AND closed_at IS NULL");
        let row = query.bind(request.id.as_str()).fetch_optional(&mut **self).await?.ok_or(OVERTAKEN)?;
        self.require_genuine(&row).await?;
        if RequestRow::try_from(row)?.request != *request || self.approvals_now(request).await? != before {
            return Err(OVERTAKEN);
        }
        let row = ApprovedRow {
            request: request.id.to_string(),
            approver: new.approver.to_string(),
            identity: request.identity.to_string(),
            approved_at: micros(new.at),
            factor: new.factor.clone(),
            event: Some(entry.to_owned()),
            mac: None,
        };
        // One that somebody else wrote in their name hinders nobody.
        sqlx::query("DELETE FROM access_approvals WHERE request = $1 AND approver = $2")
            .bind(&row.request)
            .bind(&row.approver)
            .execute(&mut **self)
            .await?;
        sqlx::query(
            "INSERT INTO access_approvals (request, approver, identity, approved_at, factor) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&row.request)
        .bind(&row.approver)
        .bind(&row.identity)
        .bind(row.approved_at)
        .bind(&row.factor)
        .execute(&mut **self)
        .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Closes a request, whatever became of it so far. Nothing where it is closed already, or there is none.
    pub async fn close_request(&mut self, id: &str, closed: &ClosedRequest) -> Result<Option<RequestRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "UPDATE access_requests SET closed_at = $2, closed_by = $3, closing = $4, closed_for = $5, mac = NULL
             WHERE id = $1 AND closed_at IS NULL AND ends_at > $2 RETURNING *",
        )
        .bind(id)
        .bind(micros(closed.at))
        .bind(&closed.by)
        .bind(closed.closing.as_str())
        .bind(&closed.reason)
        .fetch_optional(&mut **self)
        .await?;
        row.map(RequestRow::try_from).transpose()
    }

    /// Closes every request that could still give something.
    pub async fn close_all_requests(&mut self, by: &str, at: Timestamp) -> Result<Vec<RequestRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "UPDATE access_requests SET closed_at = $1, closed_by = $2, closing = 'withdrawn', closed_for = '', mac = NULL
             WHERE closed_at IS NULL AND ends_at > $1 RETURNING *",
        )
        .bind(micros(at))
        .bind(by)
        .fetch_all(&mut **self)
        .await?;
        // All are closed; a row that means nothing, which somebody else wrote, must not hinder that.
        Ok(rows.into_iter().filter_map(|row| RequestRow::try_from(row).ok()).collect())
    }

    async fn approvals_now(&mut self, request: &AccessRequest) -> Result<Vec<ApprovalRow>, StoreError> {
        let rows: Vec<ApprovedRow> = sqlx::query_as(APPROVALS)
            .bind(request.id.as_str())
            .bind(request.identity.as_str())
            .fetch_all(&mut **self)
            .await?;
        let mut genuine = Vec::new();
        for row in rows {
            if self.fault_of(&row).await?.is_none() {
                genuine.push(ApprovalRow::try_from(row)?);
            }
        }
        Ok(genuine)
    }
}

#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    identity: String,
    asset: String,
    services: String,
    role: String,
    grant_number: i64,
    reason: String,
    permit: Option<String>,
    duration: i64,
    source: String,
    asked_at: i64,
    ends_at: i64,
    closed_at: Option<i64>,
    closed_by: Option<String>,
    closing: Option<String>,
    closed_for: Option<String>,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Row {
    fn of(request: &AccessRequest, source: &str, entry: &str) -> Self {
        let services: Vec<&str> = request.services.iter().map(ServiceName::as_str).collect();
        Self {
            id: request.id.to_string(),
            identity: request.identity.to_string(),
            asset: request.asset.to_string(),
            services: services.join(SEPARATOR),
            role: request.role.to_string(),
            grant_number: i64::try_from(request.grant).unwrap_or(i64::MAX),
            reason: request.reason.clone(),
            permit: request.permit.clone(),
            duration: request.duration.as_secs(),
            source: source.to_owned(),
            asked_at: micros(request.asked_at),
            ends_at: micros(request.ends_at()),
            closed_at: None,
            closed_by: None,
            closing: None,
            closed_for: None,
            event: Some(entry.to_owned()),
            mac: None,
        }
    }
}

impl Stored for Row {
    const TABLE: &'static str = "access_requests";
    const ALL: &'static str = "SELECT * FROM access_requests WHERE closed_at IS NULL";
    const SET: &'static str = "UPDATE access_requests SET event = $1, mac = $2 WHERE id = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.id.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.id)
            .text(&self.identity)
            .text(&self.asset)
            .text(&self.services)
            .text(&self.role)
            .number(self.grant_number)
            .text(&self.reason)
            .maybe_text(self.permit.as_deref())
            .number(self.duration)
            .text(&self.source)
            .number(self.asked_at)
            .number(self.ends_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.request_lasts(&self.id)
    }

    fn counts(&self) -> bool {
        self.closed_at.is_none()
    }

    /// There are none from before there were MACs.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
}

#[derive(FromRow)]
pub(super) struct ApprovedRow {
    request: String,
    approver: String,
    /// Whose request it is: the chain tells under this name of its end.
    identity: String,
    approved_at: i64,
    factor: String,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for ApprovedRow {
    const TABLE: &'static str = "access_approvals";
    const ALL: &'static str = "SELECT access_approvals.* FROM access_approvals JOIN access_requests
        ON access_requests.id = access_approvals.request WHERE access_requests.closed_at IS NULL";
    const SET: &'static str = "UPDATE access_approvals SET event = $1, mac = $2 WHERE request = $3 AND approver = $4";

    fn key(&self) -> [String; 2] {
        [self.request.clone(), self.approver.clone()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.request)
            .text(&self.approver)
            .text(&self.identity)
            .number(self.approved_at)
            .text(&self.factor)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.request_lasts(&self.request)
    }

    /// There are none from before there were MACs.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
}

impl TryFrom<Row> for RequestRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        fn damaged(error: impl std::fmt::Display) -> StoreError {
            StoreError::damaged(Row::TABLE, error)
        }
        let services: Result<BTreeSet<ServiceName>, _> = row.services.split(SEPARATOR).map(str::parse).collect();
        let closing = match row.closing.as_deref() {
            Some("denied") => Closing::Denied,
            Some(_) | None => Closing::Withdrawn,
        };
        let closed_at = row.closed_at.map(|at| timestamp(Row::TABLE, at)).transpose()?;
        Ok(Self {
            request: AccessRequest {
                id: row.id.parse().map_err(damaged)?,
                identity: row.identity.parse().map_err(damaged)?,
                asset: row.asset.parse().map_err(damaged)?,
                services: services.map_err(damaged)?,
                role: row.role.parse().map_err(damaged)?,
                grant: usize::try_from(row.grant_number).map_err(damaged)?,
                reason: row.reason,
                permit: row.permit,
                duration: SignedDuration::from_secs(row.duration),
                asked_at: timestamp(Row::TABLE, row.asked_at)?,
            },
            source: row.source,
            closed: closed_at.map(|at| ClosedRequest {
                at,
                by: row.closed_by.unwrap_or_default(),
                closing,
                reason: row.closed_for.unwrap_or_default(),
            }),
        })
    }
}

impl TryFrom<ApprovedRow> for ApprovalRow {
    type Error = StoreError;

    fn try_from(row: ApprovedRow) -> Result<Self, StoreError> {
        fn damaged(error: impl std::fmt::Display) -> StoreError {
            StoreError::damaged(ApprovedRow::TABLE, error)
        }
        Ok(Self {
            request: row.request.parse().map_err(damaged)?,
            approver: row.approver.parse().map_err(damaged)?,
            at: timestamp(ApprovedRow::TABLE, row.approved_at)?,
            factor: row.factor,
        })
    }
}

/// More than ever have to agree.
const APPROVALS: &str =
    "SELECT * FROM access_approvals WHERE request = $1 AND identity = $2 ORDER BY approved_at, approver LIMIT 64";
const OVERTAKEN: StoreError = StoreError::Overtaken("the request");
/// No name holds it.
const SEPARATOR: &str = ",";
/// Requests of one person that could give something, at once.
pub const MOST_OPEN: usize = 8;
/// Requests of one person within a day, whatever became of them.
pub const MOST_IN_A_DAY: usize = 50;
const DAY_MICROS: i64 = 86_400_000_000;
/// How long a request is kept after its end, so that lists can say what became of it. The audit chain tells it for longer.
const KEPT_MICROS: i64 = 30 * DAY_MICROS;
