//! `sallyport demo-code`: the authenticator of somebody who has none.

use std::path::Path;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;

use super::{DemoError, prepare};
use crate::config::Config;
use crate::store::Store;
use crate::totp::TotpSettings;
use crate::vault::{MasterKey, Secret, Vault, VaultError};

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    /// The folder of the demo.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// Nobody of that name.
    #[error("nobody of this demo is called `{0}`; there are alice and bob")]
    Nobody(String),
    /// A seed that is not one.
    #[error("the seed of `{0}` in demo.json is damaged")]
    Seed(String),
}

/// A code that counts and was not used yet. Each counts once: where the current one is spent, this waits for the next.
///
/// # Errors
/// No demo in the folder, or nobody of that name.
pub(crate) async fn current_code(dir: &Path, name: &str) -> Result<String, CodeError> {
    let demo = prepare::read(dir)?;
    let person = demo.identities.iter().find(|person| person.name == name);
    let person = person.ok_or_else(|| CodeError::Nobody(name.to_owned()))?;
    let seed = BASE32_NOPAD.decode(person.totp_secret.as_bytes()).map_err(|_| CodeError::Seed(name.to_owned()))?;
    let (seed, settings) = (Secret::new(seed), TotpSettings::default());
    let config = Config::load(&demo.config).map_err(DemoError::from)?;
    let store = Store::open(&config.database).await.map_err(DemoError::from)?;
    let master = MasterKey::load(&config.master_key).map_err(VaultError::from).map_err(DemoError::from)?;
    Vault::open(store.clone(), &master).await.map_err(DemoError::from)?;
    let spent = store.totp(name).await.map_err(DemoError::from)?.map_or(-1, |row| row.last_step);
    store.close().await;
    loop {
        let now = settings.step(Timestamp::now());
        let step = now.max(spent + 1);
        // The broker takes the next step's code too: authenticators' clocks are never quite right.
        if step <= now + 1 {
            return Ok(settings.code(&seed, step).expose().clone());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
