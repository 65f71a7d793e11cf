//! Credentials of accounts on assets.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sallyport_policy::{AccountName, AssetId};
use serde::Serialize;

use super::hidden_input::read_hidden;
use super::identity::{admin, failed};
use super::{CliError, Context, Row};
use crate::store::accounts::AccountRow;
use crate::vault::Credential;

/// `sallyport account …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Keep a password or a private key for an account; a password is asked for at the terminal
    Set {
        /// The asset, as in the plant file
        asset: AssetId,
        /// The login on it
        account: AccountName,
        /// Read the password from this file, or with `-` from standard input
        #[arg(long, value_name = "FILE", conflicts_with = "key")]
        password_file: Option<PathBuf>,
        /// Keep this private key instead (OpenSSH, PKCS#8 or PuTTY)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Read the key's passphrase from this file, or with `-` from standard input
        #[arg(long, value_name = "FILE", requires = "key")]
        passphrase_file: Option<PathBuf>,
    },
    /// List the accounts whose credential is kept
    List,
    /// Forget an account's credential
    Remove {
        /// The asset
        asset: AssetId,
        /// The login on it
        account: AccountName,
    },
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Set { asset, account, password_file, key, passphrase_file } => {
            let credential = match key {
                Some(key) => read_key(&key, passphrase_file.as_deref())?,
                None => {
                    let prompt = format!("Password of {account} on {asset}");
                    let password = read_hidden(&prompt, password_file.as_deref(), true)?;
                    Credential::password(password).map_err(CliError::failed)?
                }
            };
            let admin = admin(context).await?;
            admin.set_account(asset.as_str(), account.as_str(), &credential, Timestamp::now()).await.map_err(failed)
        }
        Command::List => {
            let rows = context.store().await?.accounts().await.map_err(CliError::failed)?;
            context.print_list(&rows.into_iter().map(View::from).collect::<Vec<_>>())
        }
        Command::Remove { asset, account } => {
            admin(context).await?.remove_account(asset.as_str(), account.as_str()).await.map_err(failed)
        }
    }
}

fn read_key(file: &Path, passphrase_file: Option<&Path>) -> Result<Credential, CliError> {
    use crate::vault::CredentialError;
    let text = read_hidden("Private key", Some(file), false)?;
    match Credential::key(&text, None) {
        // It is protected: now the passphrase is worth asking for.
        Err(CredentialError::Passphrase) => {
            let passphrase = read_hidden(&format!("Passphrase of {}", file.display()), passphrase_file, false)?;
            Credential::key(&text, Some(&passphrase)).map_err(CliError::failed)
        }
        other => other.map_err(CliError::failed),
    }
}

#[derive(Serialize)]
struct View {
    asset: String,
    account: String,
    kind: String,
    public_key: String,
    changed_at: Timestamp,
}

impl From<AccountRow> for View {
    fn from(row: AccountRow) -> Self {
        Self {
            asset: row.asset,
            account: row.account,
            kind: row.kind,
            public_key: row.public_part,
            changed_at: row.changed_at,
        }
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] = &["asset", "account", "kind", "public key", "changed"];

    fn cells(&self) -> Vec<String> {
        let Self { asset, account, kind, public_key, changed_at } = self;
        vec![asset.clone(), account.clone(), kind.clone(), public_key.clone(), format!("{changed_at:.0}")]
    }
}
