//! What a plant file would do to people, and to what lives now.

use jiff::Timestamp;
use sallyport_policy::Policy;
use serde::Serialize;

use super::agreed::Agreed;
use super::change::{AccessChanges, changes};
use super::ending::{EndingLease, EndingSession, EndingWindow, Exchange, Side};
use super::report::absent;
use crate::identity::Somebody;
use crate::store::leases::LeaseRow;
use crate::store::windows::WindowRow;
use crate::store::{Genuine, Listed, Store, StoreError};

/// All that follows from one plant taking the place of another.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Consequences {
    /// Who gains and who loses what.
    #[serde(flatten)]
    pub(crate) access: AccessChanges,
    /// The live sessions that would end.
    pub(crate) sessions: Vec<EndingSession>,
    /// The second factors that would count no more.
    pub(crate) leases: Vec<EndingLease>,
    /// The write windows that would shut.
    pub(crate) windows: Vec<EndingWindow>,
}

/// Computes them for everybody, from what the database holds now.
pub(crate) async fn consequences(
    old: &Policy,
    new: &Policy,
    people: &[Somebody],
    store: &Store,
    now: Timestamp,
) -> Result<Consequences, StoreError> {
    let absent = absent(&[old, new], people);
    let subjects = people.iter().chain(&absent).map(|each| &each.subject);
    let (before, after) = (Agreed::of(store, old, people, now).await?, Agreed::of(store, new, people, now).await?);
    let sides = (Side { policy: old, agreed: &before }, Side { policy: new, agreed: &after });
    let exchange = Exchange::of(sides.0, sides.1, people, now);
    let leases = store.leases(None, false, now).await?.into_iter().filter_map(Listed::genuine);
    let leases: Vec<LeaseRow> = leases.map(Genuine::into_inner).collect();
    let windows = store.write_windows(false, now).await?.into_iter().filter_map(Listed::genuine);
    let windows = windows.map(Genuine::into_inner).map(|WindowRow { window, .. }| window).collect();
    Ok(Consequences {
        access: changes(old, new, subjects),
        sessions: exchange.sessions(&store.live_sessions(None).await?),
        leases: exchange.leases(leases),
        windows: exchange.windows(windows),
    })
}
