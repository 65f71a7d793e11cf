//! What is kept for the day when the database is gone: the plant in force, what envelopes are checked against, the credentials that
//! emergencies need, and the broker's own keys; all of the latter sealed as the database has them.

use jiff::Timestamp;
use sallyport_policy::{PlantFile, Policy};
use serde::{Deserialize, Serialize};

use crate::live::Isolated;
use crate::store::accounts::AccountRow;
use crate::store::envelopes::EnvelopeRow;
use crate::store::isolations::Standing;
use crate::store::secrets::SecretRow;
use crate::store::{Store, StoreError};

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// When it was read from the database.
    pub(crate) made_at: Timestamp,
    /// Which version of the plant was in force; 0 when none was.
    pub(crate) plant_version: i64,
    plant: Vec<KeptFile>,
    envelopes: Vec<KeptEnvelope>,
    accounts: Vec<KeptAccount>,
    secrets: Vec<KeptSecret>,
    /// The zones that were isolated, each with why. A snapshot of a release before this has none.
    #[serde(default)]
    isolated: Vec<(String, String)>,
}

/// An envelope that can be opened, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptEnvelope {
    pub(crate) number: i64,
    pub(crate) rule: String,
    pub(crate) holder: Option<String>,
    pub(crate) verifier: String,
    pub(crate) expires_at: Option<Timestamp>,
    /// The opening, where it was opened.
    pub(crate) opening: Option<String>,
    pub(crate) revoked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptFile {
    name: String,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptAccount {
    asset: String,
    account: String,
    kind: String,
    sealed: Vec<u8>,
    public_part: String,
    changed_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptSecret {
    name: String,
    sealed: Vec<u8>,
    public_part: String,
    created_at: Timestamp,
}

impl Kept {
    /// Reads what is to be kept. Only what is genuine is.
    pub(crate) async fn read(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let plant = store.current_plant().await?;
        let envelopes = store.envelopes().await?;
        let isolated = store.isolations().await?;
        let plant_version = plant.as_ref().map_or(0, |plant| plant.version);
        let files: Vec<PlantFile> = plant.map(|plant| plant.files).unwrap_or_default();
        // A plant that is in force and cannot be read is no reason to keep nothing: its accounts are not known then.
        let policy = Policy::parse(&files).unwrap_or_else(|_| Policy::empty());
        let accounts =
            store.accounts().await?.into_iter().filter(|row| is_needed(&policy, row)).map(Into::into).collect();
        Ok(Self {
            made_at: now,
            plant_version,
            plant: files.into_iter().map(|PlantFile { name, text }| KeptFile { name, text }).collect(),
            envelopes: envelopes.into_iter().filter_map(|row| Some(row.genuine()?.into_inner().into())).collect(),
            accounts,
            secrets: store.secrets().await?.into_iter().map(Into::into).collect(),
            isolated: isolated
                .into_iter()
                .map(|Standing { isolation, .. }| (isolation.zone, isolation.reason))
                .collect(),
        })
    }

    /// The plant that was in force.
    pub(crate) fn plant(&self) -> Vec<PlantFile> {
        self.plant.iter().map(|file| PlantFile { name: file.name.clone(), text: file.text.clone() }).collect()
    }

    /// The envelopes there were.
    pub(crate) fn envelopes(&self) -> &[KeptEnvelope] {
        &self.envelopes
    }

    /// The credentials of the accounts that emergencies name.
    pub(crate) fn accounts(&self) -> Vec<AccountRow> {
        self.accounts.iter().cloned().map(Into::into).collect()
    }

    /// The zones that were isolated.
    pub(crate) fn isolated(&self) -> Isolated {
        // Of several of one zone the first says why.
        Isolated::new(self.isolated.iter().rev().cloned())
    }

    /// The broker's own keys.
    pub(crate) fn secrets(&self) -> Vec<SecretRow> {
        self.secrets.iter().cloned().map(Into::into).collect()
    }

    /// Whether it says the same, whenever it was read.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        *self == Self { made_at: self.made_at, ..other.clone() }
    }
}

/// Whether any emergency names this account of this asset.
fn is_needed(policy: &Policy, row: &AccountRow) -> bool {
    let Some(asset) = row.asset.parse().ok().and_then(|asset| policy.asset(&asset)) else { return false };
    let named = |glob: &sallyport_policy::Glob| glob.matches(&row.account);
    policy
        .break_glass()
        .any(|glass| glass.accounts.iter().any(named) && glass.assets.iter().any(|selector| selector.matches(asset)))
}

impl From<EnvelopeRow> for KeptEnvelope {
    fn from(row: EnvelopeRow) -> Self {
        let EnvelopeRow { number, rule, holder, verifier, expires_at, opened, revoked, .. } = row;
        let opening = opened.map(|(_, opening)| opening);
        Self { number, rule, holder, verifier, expires_at, opening, revoked: revoked.is_some() }
    }
}

impl From<AccountRow> for KeptAccount {
    fn from(row: AccountRow) -> Self {
        let AccountRow { asset, account, kind, sealed, public_part, changed_at } = row;
        Self { asset, account, kind, sealed, public_part, changed_at }
    }
}

impl From<KeptAccount> for AccountRow {
    fn from(kept: KeptAccount) -> Self {
        let KeptAccount { asset, account, kind, sealed, public_part, changed_at } = kept;
        Self { asset, account, kind, sealed, public_part, changed_at }
    }
}

impl From<SecretRow> for KeptSecret {
    fn from(row: SecretRow) -> Self {
        let SecretRow { name, sealed, public_part, created_at } = row;
        Self { name, sealed, public_part, created_at }
    }
}

impl From<KeptSecret> for SecretRow {
    fn from(kept: KeptSecret) -> Self {
        let KeptSecret { name, sealed, public_part, created_at } = kept;
        Self { name, sealed, public_part, created_at }
    }
}
