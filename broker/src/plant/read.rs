//! Plant files from disk: one file, several, or a directory of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sallyport_policy::PlantFile;

/// Why plant files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadPlantError {
    /// The file system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory without a plant file.
    #[error("there is no `.toml` file in `{}`", .0.display())]
    Empty(PathBuf),
    /// Errors and the export could not tell them apart.
    #[error("two plant files are called `{0}`")]
    SameName(String),
}

/// Reads files, and every `*.toml` of directories, in a stable order. A file is known by its name without the folder.
///
/// # Errors
/// What cannot be read, a directory without plant files, and names that occur twice.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<PlantFile>, ReadPlantError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = toml_files(path)?;
            if found.is_empty() {
                return Err(ReadPlantError::Empty(path.clone()));
            }
            for path in found {
                files.push(read_file(&path)?);
            }
        } else {
            files.push(read_file(path)?);
        }
    }
    let mut names = BTreeSet::new();
    match files.iter().find(|file| !names.insert(file.name.as_str())) {
        Some(file) => Err(ReadPlantError::SameName(file.name.clone())),
        None => Ok(files),
    }
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, ReadPlantError> {
    let unreadable = |source| ReadPlantError::Unreadable { path: folder.to_path_buf(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() && !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(path: &Path) -> Result<PlantFile, ReadPlantError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ReadPlantError::Unreadable { path: path.to_path_buf(), source })?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(PlantFile { name, text })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_directory_gives_its_toml_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", ".c.toml", "notes.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let names = |paths: &[PathBuf]| -> Vec<String> {
            read_files(paths).unwrap().into_iter().map(|file| file.name).collect()
        };
        assert_eq!(names(&[folder.path().to_path_buf()]), ["a.toml", "b.toml"]);
        let twice = [folder.path().to_path_buf(), folder.path().join("a.toml")];
        assert!(matches!(read_files(&twice), Err(ReadPlantError::SameName(name)) if name == "a.toml"));
    }

    #[test]
    fn a_directory_without_plant_files_is_not_an_empty_plant() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_files(&[folder.path().to_path_buf()]), Err(ReadPlantError::Empty(_))));
    }
}
