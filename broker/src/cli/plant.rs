//! `sallyport plant`: the plant as it was applied.

use std::path::PathBuf;

use serde::Serialize;

use super::{CliError, Context, Row};
use crate::store::plants::{Plant, PlantVersion};

/// `sallyport plant …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Give back exactly what was applied
    Export {
        /// Version other than the one in force
        #[arg(long)]
        version: Option<i64>,
        /// Folder to write the files to; needed when there are several
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// List every version: when, by whom, and its hash
    History,
}

#[derive(Debug, Serialize)]
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct Version {
    version: i64,
    applied_at: jiff::Timestamp,
    applied_by: String,
    sha256: String,
}

impl Row for Version {
    const COLUMNS: &'static [&'static str] = &["version", "applied at", "by", "sha256"];

    fn cells(&self) -> Vec<String> {
        vec![self.version.to_string(), format!("{:.0}", self.applied_at), self.applied_by.clone(), self.sha256.clone()]
    }
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let store = context.rows().await?;
    match command {
        Command::History => {
            let versions = store.plant_versions().await.map_err(CliError::failed)?;
            let rows: Vec<Version> = versions
                .into_iter()
                .map(|PlantVersion { version, sha256, applied_by, applied_at }| Version {
                    version,
                    applied_at,
                    applied_by,
                    sha256,
                })
                .collect();
            context.print_list(&rows)
        }
        Command::Export { version, dir } => {
            let plant = match version {
                Some(version) => store.plant(version).await.map_err(CliError::failed)?,
                None => store
                    .current_plant()
                    .await
                    .map_err(CliError::failed)?
                    .ok_or_else(|| CliError::Failed("no plant was ever applied".to_owned()))?,
            };
            export(&plant, dir, context)
        }
    }
}

fn export(plant: &Plant, dir: Option<PathBuf>, context: &Context) -> Result<(), CliError> {
    if let Some(dir) = dir {
        for file in &plant.files {
            // The name comes from the database: it must stay a name.
            let name = std::path::Path::new(&file.name)
                .file_name()
                .ok_or_else(|| CliError::Failed(format!("`{}` is not the name of a file", file.name)))?;
            let path = dir.join(name);
            let written = crate::install::write_new(&path, 0o640, file.text.as_bytes());
            written.map_err(|error| CliError::Failed(format!("cannot write `{}`: {error}", path.display())))?;
        }
        return Ok(());
    }
    if context.json() {
        let files: Vec<File> = plant.files.iter().map(|file| File { name: &file.name, text: &file.text }).collect();
        return context.print_json(&files);
    }
    match plant.files.as_slice() {
        // Word for word: what was applied comes back.
        [file] => context.print_bytes(file.text.as_bytes()),
        files => Err(CliError::Usage(format!(
            "version {} has {} files; give `--dir` or `--json`",
            plant.version,
            files.len()
        ))),
    }
}
