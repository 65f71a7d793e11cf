//! `[database]` and `[secrets]`: where the tables are, and where the key is that opens what is sealed in them.

use toml::Spanned;

use super::check::Check;
use super::file;
use crate::store::DatabaseConfig;
use crate::vault::{MasterKeySource, SealedCredential};

impl Check<'_> {
    pub(super) fn database(&mut self, database: file::Database) -> DatabaseConfig {
        let password_file = database.password_file.map(|path| self.folder.join(path));
        let Some(url) = database.url else {
            return DatabaseConfig { url: "sqlite:/var/lib/sallyport/sallyport.db".to_owned(), password_file };
        };
        let written = url.get_ref().as_str();
        let meant = if let Some(path) = written.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            format!("sqlite:{}", self.folder.join(path).display())
        } else if let Some(rest) = ["postgres://", "postgresql://"].iter().find_map(|p| written.strip_prefix(p)) {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
            if user.contains(':') || rest.contains("password=") {
                self.problem(&url, "the database password is in the url".to_owned(), "put it into `password_file`");
            }
            written.to_owned()
        } else {
            let message = "the database is neither sqlite nor postgres".to_owned();
            self.problem(&url, message, "use `sqlite:PATH` or `postgres://USER@HOST/NAME`");
            written.to_owned()
        };
        DatabaseConfig { url: meant, password_file }
    }

    pub(super) fn master_key(&mut self, secrets: file::Secrets) -> MasterKeySource {
        let credential = match (secrets.master_key, secrets.master_key_credential) {
            (file, None) => {
                for only in [&secrets.master_key_sealed, &secrets.systemd_creds].into_iter().flatten() {
                    let message = "this is of a sealed credential, and none is named".to_owned();
                    self.problem(only, message, "name it with `master_key_credential`, or leave this out");
                }
                return MasterKeySource::File(match file {
                    Some(path) => self.folder.join(path.into_inner()),
                    None => "/etc/sallyport/master.key".into(),
                });
            }
            (None, Some(name)) => name,
            (Some(_), Some(name)) => {
                let message = "`master_key` and `master_key_credential` contradict each other".to_owned();
                self.problem(&name, message, "keep one of them");
                name
            }
        };
        let name = credential.get_ref();
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            let message = format!("`{name}` is not the name of a credential");
            self.problem(&credential, message, "use the name that stands in `LoadCredentialEncrypted=`");
        }
        let program = secrets.systemd_creds.map_or_else(
            || SYSTEMD_CREDS.into(),
            |written| {
                if !written.get_ref().is_absolute() {
                    let message = format!("`{}` is not an absolute path", written.get_ref().display());
                    self.problem(&written, message, "root runs it: no search path is believed");
                }
                written.into_inner()
            },
        );
        let sealed = secrets.master_key_sealed.map_or_else(|| format!("{name}.cred").into(), Spanned::into_inner);
        let sealed = self.folder.join(sealed);
        MasterKeySource::Credential(Box::new(SealedCredential { sealed, program, name: credential.into_inner() }))
    }
}

/// Where systemd puts it.
pub(crate) const SYSTEMD_CREDS: &str = "/usr/bin/systemd-creds";
