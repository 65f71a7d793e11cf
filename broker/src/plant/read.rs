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
    /// Bytes that are no text, as a spreadsheet writes them that saves in another encoding.
    #[error("`{}` is not UTF-8, from line {line}, column {column} on: save it as UTF-8 (in a spreadsheet: `CSV UTF-8`)", path.display())]
    NotUtf8 {
        /// What.
        path: PathBuf,
        /// Where it stops being text.
        line: usize,
        /// Where in that line, in characters.
        column: usize,
    },
    /// What Windows calls Unicode.
    #[error("`{}` is UTF-16: save it as UTF-8 (in a spreadsheet: `CSV UTF-8`)", .0.display())]
    Utf16(PathBuf),
    /// A directory without a plant file.
    #[error("there is no `.toml` file in `{}`", .0.display())]
    Empty(PathBuf),
    /// Tag lists alone: an empty plant, which would take everything from everybody.
    #[error("there is no plant file among what was named, only tag lists")]
    OnlyTagLists,
    /// Errors and the export could not tell them apart.
    #[error("two plant files are called `{0}`")]
    SameName(String),
}

/// The files of a plant.
#[derive(Debug)]
pub struct PlantFiles {
    /// Plant files, and the tag lists that they name.
    pub files: Vec<PlantFile>,
    /// CSV files in a folder of plant files that none of them names: they are no part of the plant.
    pub unnamed: Vec<PathBuf>,
}

/// Reads files, and every `*.toml` of directories, in a stable order; and the tag lists that they name, which lie beside them. A
/// file is known by its name without the folder.
///
/// A tag list that is not there is left out: what names it is told by the policy, with its place.
///
/// # Errors
/// What cannot be read, a directory without plant files, and names that occur twice.
pub fn read_files(paths: &[PathBuf]) -> Result<PlantFiles, ReadPlantError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let files = files_with(path, "toml")?;
            if files.is_empty() {
                return Err(ReadPlantError::Empty(path.clone()));
            }
            found.extend(files);
        } else {
            found.push(path.clone());
        }
    }
    let mut files = found.iter().map(|path| read_file(path)).collect::<Result<Vec<_>, _>>()?;
    if !files.is_empty() && files.iter().all(|file| file.name.ends_with(".csv")) {
        return Err(ReadPlantError::OnlyTagLists);
    }
    for path in tag_lists(&found, &files) {
        files.push(read_file(&path)?);
        found.push(path);
    }
    let mut names = BTreeSet::new();
    if let Some(file) = files.iter().find(|file| !names.insert(file.name.as_str())) {
        return Err(ReadPlantError::SameName(file.name.clone()));
    }
    let mut unnamed = Vec::new();
    for folder in paths.iter().filter(|path| path.is_dir()) {
        unnamed.extend(files_with(folder, "csv")?.into_iter().filter(|path| !is_among(path, &found)));
    }
    Ok(PlantFiles { files, unnamed })
}

/// The tag lists that are named and there, each once, and not those that were asked for already.
fn tag_lists(found: &[PathBuf], files: &[PlantFile]) -> Vec<PathBuf> {
    let mut lists: Vec<PathBuf> = Vec::new();
    for (path, file) in found.iter().zip(files) {
        for name in file.tag_lists() {
            let list = path.with_file_name(name);
            if list.is_file() && !is_among(&list, found) && !is_among(&list, &lists) {
                lists.push(list);
            }
        }
    }
    lists
}

/// However the two are written: `./plant.toml` and `plant.toml` are one file.
fn is_among(path: &Path, paths: &[PathBuf]) -> bool {
    // By the folder and not through a link: two names for one file are two files of the plant.
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (folder.canonicalize().ok(), path.file_name().map(ToOwned::to_owned))
    };
    let wanted = place(path);
    paths.iter().any(|other| place(other) == wanted)
}

fn files_with(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>, ReadPlantError> {
    let unreadable = |source| ReadPlantError::Unreadable { path: folder.to_path_buf(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == wanted) && path.is_file() && !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(path: &Path) -> Result<PlantFile, ReadPlantError> {
    let path_of = || path.to_path_buf();
    let bytes = std::fs::read(path).map_err(|source| ReadPlantError::Unreadable { path: path_of(), source })?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(ReadPlantError::Utf16(path_of()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = error.as_bytes().utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let begun = sound.rsplit('\n').next().unwrap_or(sound);
        let line = sound.matches('\n').count() + 1;
        ReadPlantError::NotUtf8 { path: path_of(), line, column: begun.chars().count() + 1 }
    })?;
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
            read_files(paths).unwrap().files.into_iter().map(|file| file.name).collect()
        };
        assert_eq!(names(&[folder.path().to_path_buf()]), ["a.toml", "b.toml"]);
        let twice = [folder.path().to_path_buf(), folder.path().join("a.toml")];
        assert!(matches!(read_files(&twice), Err(ReadPlantError::SameName(name)) if name == "a.toml"));
    }

    #[test]
    fn tag_lists_come_from_beside_the_file_that_names_them_and_from_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let plant = folder.path().join("plant");
        std::fs::create_dir(&plant).unwrap();
        let service = |list: &str| format!("[asset.x]\nservices.modbus = {{ tag_list = \"{list}\" }}\n");
        for (name, text) in [
            ("a.toml", service("plc.csv")),
            ("b.toml", service("plc.csv") + "[asset.y]\nservices.modbus = { tag_list = \"../secret.csv\" }\n"),
            ("c.toml", service("absent.csv")),
            ("plc.csv", "name".to_owned()),
            ("other.csv", "name".to_owned()),
            (".hidden.csv", "name".to_owned()),
            ("../secret.csv", "name".to_owned()),
        ] {
            std::fs::write(plant.join(name), text).unwrap();
        }
        let read = |paths: &[PathBuf]| {
            let PlantFiles { files, unnamed } = read_files(paths).unwrap();
            (files.into_iter().map(|file| file.name).collect::<Vec<_>>(), unnamed)
        };
        assert_eq!(
            read(std::slice::from_ref(&plant)),
            (["a.toml", "b.toml", "c.toml", "plc.csv"].map(str::to_owned).to_vec(), vec![plant.join("other.csv")])
        );
        let alone = [plant.join("a.toml")];
        assert_eq!(read(&alone), (["a.toml", "plc.csv"].map(str::to_owned).to_vec(), vec![]));
        let both = [plant.join("a.toml"), folder.path().join("plant/../plant/plc.csv")];
        assert!(matches!(read_files(&[plant.join("plc.csv")]), Err(ReadPlantError::OnlyTagLists)));
        assert_eq!(read(&both), (["a.toml", "plc.csv"].map(str::to_owned).to_vec(), vec![]));
    }

    #[test]
    fn what_is_no_utf8_says_where() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, place) in [
            (&b"name,reference\nlevel,40001\nPr\xfcfung,40002\n"[..], "line 3, column 3"),
            (b"\xff\xfen\0", "is UTF-16"),
            (b"n\xff\xfe\0", "line 1, column 2"),
            ("\u{e9}\n".as_bytes().strip_prefix(b"\xc3").unwrap(), "line 1, column 1"),
            (b"\n\xe9", "line 2, column 1"),
        ] {
            let path = folder.path().join("plc.csv");
            std::fs::write(&path, bytes).unwrap();
            let said = read_files(&[path]).unwrap_err().to_string();
            assert!(said.contains(place) && said.contains("save it as UTF-8"), "{said}");
        }
    }

    #[test]
    fn a_directory_without_plant_files_is_not_an_empty_plant() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_files(&[folder.path().to_path_buf()]), Err(ReadPlantError::Empty(_))));
    }
}
