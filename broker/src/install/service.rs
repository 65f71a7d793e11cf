//! What the shipped systemd unit needs: who owns what, and the master key sealed to the machine.

use std::path::Path;
use std::{fs, io};

use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid, chmodat, chownat};

use super::InstallError;
use crate::config::SYSTEMD_CREDS;
use crate::vault::{MasterKey, SealedCredential, SealedError};

/// The user that the service runs as.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServiceUser {
    uid: Uid,
    gid: Gid,
}

impl ServiceUser {
    /// Finds it among the machine's own users; a service's user is one of these.
    pub(super) fn find(name: &str) -> Result<Self, InstallError> {
        if !rustix::process::geteuid().is_root() {
            return Err(InstallError::NotRoot);
        }
        let users = fs::read_to_string(PASSWD).map_err(file(PASSWD.as_ref()))?;
        let (uid, gid) = user_in(&users, name).ok_or_else(|| InstallError::NoUser(name.to_owned()))?;
        if uid == 0 {
            return Err(InstallError::RootUser(name.to_owned()));
        }
        Ok(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) })
    }

    /// The service owns its state, and nobody else looks at it.
    pub(super) fn owns(self, state: &Path) -> Result<(), InstallError> {
        for entry in fs::read_dir(state).map_err(file(state))? {
            let path = entry.map_err(file(state))?.path();
            chownat(CWD, &path, Some(self.uid), Some(self.gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| file(&path)(error.into()))?;
        }
        // Last: from here on the service could put something there.
        chownat(CWD, state, Some(self.uid), Some(self.gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| file(state)(error.into()))
    }

    /// The service reads it and does not change it.
    pub(super) fn reads(self, path: &Path, mode: u32) -> Result<(), InstallError> {
        let given = chownat(CWD, path, None, Some(self.gid), AtFlags::SYMLINK_NOFOLLOW)
            .and_then(|()| chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty()));
        given.map_err(|error| file(path)(error.into()))
    }
}

fn file(path: &Path) -> impl Fn(io::Error) -> InstallError {
    move |source| InstallError::File { path: path.to_path_buf(), source }
}

/// User and group of a name in a file like `/etc/passwd`.
fn user_in(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// Seals the master key into `config`'s folder; says what to type where this machine cannot.
pub(super) fn seal(master: &MasterKey, config: &Path, key: &Path) -> Result<Option<String>, InstallError> {
    let sealed = config.join(format!("{CREDENTIAL}.cred"));
    let credential =
        SealedCredential { name: CREDENTIAL.to_owned(), sealed: sealed.clone(), program: SYSTEMD_CREDS.into() };
    match master.seal_to_machine(&credential) {
        Ok(()) => Ok(None),
        Err(error @ (SealedError::Program { .. } | SealedError::Refused { .. })) => Ok(Some(format!(
            "The master key is NOT sealed: {error}.\nWhere the broker is to run, type as root:\n  \
             systemd-creds encrypt --name={CREDENTIAL} {} {}\n",
            key.display(),
            sealed.display()
        ))),
        Err(error) => Err(error.into()),
    }
}

/// As the unit has it.
pub(super) const CREDENTIAL: &str = "master-key";
const PASSWD: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nsallyport2:x:7:8::/:/bin/sh\nsallyport:x:998:997::/:/bin/sh\nbad:x\n";
        assert_eq!(user_in(users, "sallyport"), Some((998, 997)));
        assert_eq!(user_in(users, "sally"), None);
        assert_eq!(user_in(users, "bad"), None);
    }
}
