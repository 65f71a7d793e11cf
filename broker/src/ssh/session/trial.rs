//! An asset tried without anybody's session: whether it shows the pinned key, and takes an account's credential. No channel is opened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use russh::keys::ssh_key::PublicKey;
use sallyport_policy::{Account, AccountAuth, AccountName, AssetAlgorithms, AssetId, Service};

use super::asset::{self, AssetCredential, DialError, Peer};
use super::dial::stored;
use crate::ssh::Flow;
use crate::vault::{AssetLogin, Vault};

/// An ssh service to be tried.
pub(crate) struct SshTrial {
    asset: AssetId,
    address: SocketAddr,
    pinned: Vec<PublicKey>,
    algorithms: AssetAlgorithms,
    /// Each connection is given up after this.
    limit: Duration,
}

impl SshTrial {
    pub(crate) fn of(asset: &AssetId, address: SocketAddr, service: &Service, limit: Duration) -> Self {
        let pinned = service.host_keys.iter().filter_map(|line| PublicKey::from_openssh(line).ok()).collect();
        Self { asset: asset.clone(), address, pinned, algorithms: service.algorithms, limit }
    }

    /// Whether it shows one of the pinned keys.
    pub(crate) async fn shows_its_key(&self) -> Result<(), DialError> {
        asset::meet(self.peer(&AccountName::none()), self.limit).await
    }

    /// Whether it takes the credential of an account; nothing where that is asked of the person. The key comes first: to whoever has another one
    /// nothing is sent. In the asset's log a certificate is `by`, and `trial` stands for the session.
    pub(crate) async fn takes_login(
        &self,
        account: &Account,
        vault: &Vault,
        by: &str,
        trial: &str,
        now: Timestamp,
    ) -> Option<Result<(), DialError>> {
        let credential = match account.auth {
            AccountAuth::Prompt => return None,
            AccountAuth::Certificate => {
                let login = AssetLogin {
                    account: account.name.as_str(),
                    identity: by,
                    session: trial,
                    extensions: &[],
                    at_any_time: false,
                };
                let signed = vault.asset_login(&login, now).map_err(|error| DialError::Vault(error.to_string()));
                signed.map(|(key, certificate)| AssetCredential::Certificate {
                    key: Arc::new(key),
                    certificate: Box::new(certificate),
                })
            }
            AccountAuth::Password | AccountAuth::Key => stored(vault, &self.asset, &account.name).await,
        };
        Some(match credential {
            Ok(credential) => self.logs_in(account, credential).await,
            Err(error) => Err(error),
        })
    }

    async fn logs_in(&self, account: &Account, credential: AssetCredential) -> Result<(), DialError> {
        asset::dial(self.peer(&account.name), credential, self.limit).await?.close().await;
        Ok(())
    }

    fn peer<'a>(&'a self, account: &'a AccountName) -> Peer<'a> {
        Peer {
            address: self.address,
            pinned: &self.pinned,
            algorithms: self.algorithms,
            account,
            flow: Flow::default(),
        }
    }
}
