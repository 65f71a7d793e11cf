//! `sallyport init`: everything a new broker needs, in one folder; or where the shipped systemd unit looks for it.

use std::path::{Path, PathBuf};

use super::{CliError, Context};
use crate::install::{CONFIG, InstallError, MASTER_KEY, Made, PLANT, SystemdService, Wanted, install};

/// `sallyport init`
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Folder for configuration, keys, database and recordings; made if it does not exist
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "systemd",
        default_value_if("systemd", "true", "/etc/sallyport")
    )]
    pub dir: Option<PathBuf>,
    /// Lay everything out as the shipped systemd unit wants it: state in a folder of the service's user, master key sealed to
    /// this machine
    #[arg(long)]
    pub systemd: bool,
    /// The service's user, with `--systemd`
    #[arg(long, value_name = "NAME", requires = "systemd", default_value = "sallyport")]
    pub user: String,
    /// Folder for database and recordings, with `--systemd`
    #[arg(long, value_name = "DIR", requires = "systemd", default_value = "/var/lib/sallyport")]
    pub state_dir: PathBuf,
    /// Database other than an SQLite file in the folder
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// File that holds the password of that database
    #[arg(long, value_name = "FILE", requires = "database")]
    pub database_password_file: Option<PathBuf>,
    /// Name of this broker, one per installation [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Pages for people under this name, with a certificate that the broker makes for itself
    #[arg(long, value_name = "NAME")]
    pub portal: Option<String>,
    /// Copy the master key of an installation that exists, for a second broker on the same database
    #[arg(long, value_name = "FILE", requires = "database")]
    pub master_key: Option<PathBuf>,
    /// Recordings are readable by this age recipient; without it, a pair of keys is made
    #[arg(long, value_name = "AGE1…")]
    pub recipient: Vec<String>,
}

impl Init {
    fn wanted(&self) -> Wanted {
        let service = SystemdService { user: self.user.clone(), state: self.state_dir.clone() };
        Wanted {
            service: self.systemd.then_some(service),
            database: self.database.clone(),
            database_password_file: self.database_password_file.clone(),
            name: self.name.clone(),
            portal: self.portal.clone(),
            master_key: self.master_key.clone(),
            recipients: self.recipient.clone(),
        }
    }
}

/// Makes the folder. Nothing that exists is overwritten.
pub async fn run(arguments: Init, context: &Context) -> Result<(), CliError> {
    let dir = arguments.dir.as_deref().ok_or_else(|| CliError::Usage("`--dir DIR` is missing".to_owned()))?;
    let dir = std::path::absolute(dir).map_err(CliError::failed)?;
    let made = install(&dir, &arguments.wanted(), context.actor()).await?;
    context.print(&said(&dir, &arguments, &made))
}

/// What was made, and what is left to do.
fn said(dir: &Path, arguments: &Init, made: &Made) -> String {
    let example = if made.keys { " and an example plant" } else { "" };
    let mut said = format!("Made `{}` with configuration, master key, database{example}.\n", dir.display());
    if let Some(reader) = &made.reader {
        said.push_str(&format!(
            "\nRecordings can be read only with the key in `{}`.\n\
             Move that file off this machine now, and keep a copy: without it nobody can ever read a recording,\n\
             and with it on this machine, whoever takes the machine can.\n",
            reader.display()
        ));
    }
    if let Some(portal) = &made.portal {
        said.push_str(&format!(
            "\nPeople must use this name and no other: {}\n\
             Passkeys are bound to it. The certificate vouches for itself: put one of your authority in its place,\n\
             or let the machines that use it trust this one. Its SHA-256 is\n  {}\n",
            portal.origin, portal.fingerprint
        ));
    }
    if arguments.systemd {
        said.push_str(&format!(
            "\nThe broker opens the sealed master key on this machine alone. Its copy for the safe is `{}`:\n\
             move that file off this machine too. Without it a broken machine takes the database's secrets with it.\n",
            dir.join(MASTER_KEY).display()
        ));
    }
    if let Some(to_type) = &made.not_sealed {
        said.push_str(&format!("\n{to_type}"));
    }
    if let (true, Some(path)) = (arguments.systemd, &arguments.database_password_file) {
        let (user, path) = (&arguments.user, path.display());
        said.push_str(&format!(
            "\nThe service must be able to read the database's password: `chgrp {user} {path}; chmod 640 {path}`.\n"
        ));
    }
    let config = dir.join(CONFIG);
    let config = config.display();
    said.push_str(&format!(
        "\nThe evidence key signs recordings and audit chain. Note its public half where whoever takes this machine cannot\n\
         change it: auditors verify with it.\n  {}\n\nNext:\n",
        made.evidence
    ));
    if made.keys {
        let plant = dir.join(PLANT);
        said.push_str(&format!(
            "  sallyport --config {config} apply -f {}     # when that file says what is yours\n",
            plant.display()
        ));
    } else {
        said.push_str("  (The database has its keys and its plant already: this broker joins it, and there is nothing to apply.)\n");
    }
    said.push_str(&format!("  sallyport --config {config} check\n"));
    said.push_str(&match arguments.systemd {
        true => "  systemctl enable --now sallyport\n".to_owned(),
        false => format!("  sallyport --config {config} serve\n"),
    });
    said
}

impl From<InstallError> for CliError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Config(error) => error.into(),
            InstallError::MasterKey(error) => Self::setup(error),
            InstallError::Vault(error) => Self::setup(error),
            error => Self::failed(error),
        }
    }
}
