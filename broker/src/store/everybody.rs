//! Everybody at once, with what they have enrolled: for whoever asks about all people, and not about one.

use std::collections::BTreeMap;

use super::factors::{Key, KeyRow, Recovery, Totp, TotpRow};
use super::genuine::Stored;
use super::identities::IdentityRow;
use super::webauthn::PasskeyRow;
use super::{Genuine, Store, StoreError, identities, webauthn};

/// Somebody with what they have enrolled, as far as the rows are genuine.
#[derive(Debug)]
pub struct Enrolled {
    /// The name at login.
    pub id: String,
    /// Their row, where it is genuine: without it they are nobody.
    pub identity: Option<Genuine<IdentityRow>>,
    /// Their keys.
    pub keys: Vec<Genuine<KeyRow>>,
    /// Their passkeys and security keys.
    pub passkeys: Vec<Genuine<PasskeyRow>>,
    /// Their authenticator.
    pub totp: Option<Genuine<TotpRow>>,
    /// How many recovery codes they have left.
    pub recovery_codes_left: usize,
}

impl Store {
    /// Everybody, also who was removed, by name. Each table is read once, and the chain once for each person.
    pub async fn everybody(&self) -> Result<Vec<Enrolled>, StoreError> {
        let people = self.by_person::<identities::Row>().await?;
        let mut keys = self.by_person::<Key>().await?;
        let mut passkeys = self.by_person::<webauthn::Row>().await?;
        let mut totp = self.by_person::<Totp>().await?;
        let mut codes = self.by_person::<Recovery>().await?;
        let mut everybody = Vec::with_capacity(people.len());
        for (id, row) in people {
            let witness = self.witness(&id).await?;
            everybody.push(Enrolled {
                identity: self.genuine_of(row, &witness)?.pop(),
                keys: self.genuine_of(keys.remove(&id).unwrap_or_default(), &witness)?,
                passkeys: self.genuine_of(passkeys.remove(&id).unwrap_or_default(), &witness)?,
                totp: self.genuine_of(totp.remove(&id).unwrap_or_default(), &witness)?.pop(),
                recovery_codes_left: self.believed(codes.remove(&id).unwrap_or_default(), &witness)?.len(),
                id,
            });
        }
        Ok(everybody)
    }

    async fn by_person<R: Stored>(&self) -> Result<BTreeMap<String, Vec<R>>, StoreError> {
        let rows: Vec<R> = sqlx::query_as(R::ALL).fetch_all(self.reader()?).await?;
        let mut by_person = BTreeMap::<String, Vec<R>>::new();
        for row in rows {
            let owner = row.identity().map(ToOwned::to_owned);
            by_person.entry(owner.unwrap_or_default()).or_default().push(row);
        }
        Ok(by_person)
    }
}
