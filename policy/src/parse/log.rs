//! Faults as they are found, with the place in the file each is about.

use sallyport_plain::printable;
use strsim::damerau_levenshtein;

use crate::error::{PlantError, PlantFile};

/// A place in a file: which file, and the byte where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) file: usize,
    pub(crate) offset: usize,
}

/// The faults found so far.
pub(crate) struct Log<'f> {
    files: Vec<&'f PlantFile>,
    /// Where the lines of each file begin.
    lines: Vec<Vec<usize>>,
    errors: Vec<PlantError>,
    warnings: Vec<PlantError>,
}

impl<'f> Log<'f> {
    pub(crate) fn new(files: Vec<&'f PlantFile>) -> Self {
        let lines = files
            .iter()
            .map(|file| std::iter::once(0).chain(file.text.match_indices('\n').map(|(at, _)| at + 1)).collect())
            .collect();
        Self { files, lines, errors: Vec::new(), warnings: Vec::new() }
    }

    /// Notes a fault.
    pub(crate) fn error(&mut self, at: At, message: impl Into<String>) {
        self.suggest(at, message, None);
    }

    /// Notes a fault, with a way to mend it.
    pub(crate) fn suggest(&mut self, at: At, message: impl Into<String>, suggestion: Option<String>) {
        let error = self.locate(at, message.into(), suggestion);
        self.errors.push(error);
    }

    /// Notes a fault: a word that is not one of those there are.
    pub(crate) fn unknown<'a>(
        &mut self,
        at: At,
        message: impl Into<String>,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        self.suggest(at, message, nearest(word, known).map(|near| format!("did you mean `{near}`?")));
    }

    /// Notes something allowed that looks like a slip.
    pub(crate) fn warn(&mut self, at: At, message: impl Into<String>) {
        let warning = self.locate(at, message.into(), None);
        self.warnings.push(warning);
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The errors and the warnings.
    pub(crate) fn finish(mut self) -> (Vec<PlantError>, Vec<PlantError>) {
        self.warnings.sort();
        self.warnings.dedup();
        (self.errors, self.warnings)
    }

    /// The beginning of the file of this name.
    pub(crate) fn file(&self, name: &str) -> Option<At> {
        self.files.iter().position(|file| file.name == name).map(|file| At { file, offset: 0 })
    }

    /// The file's name and the line, from 1.
    pub(crate) fn line(&self, at: At) -> (&'f str, usize) {
        let name = self.files.get(at.file).map_or("", |file| file.name.as_str());
        (name, self.lines.get(at.file).map_or(1, |lines| lines.partition_point(|begin| *begin <= at.offset)).max(1))
    }

    fn locate(&self, at: At, message: String, suggestion: Option<String>) -> PlantError {
        let (file, line) = self.line(at);
        let text = self.files.get(at.file).map_or("", |file| file.text.as_str());
        let begin = self.lines.get(at.file).and_then(|lines| lines.get(line - 1)).copied().unwrap_or(0);
        let behind = text.get(begin..).unwrap_or_default().char_indices();
        let column = behind.take_while(|(place, _)| begin + place < at.offset).count() + 1;
        // What a file says may act on the terminal of whoever reads what is wrong with it, or break the line.
        let plain = |text: String| printable(&text).into_owned();
        let (message, suggestion) = (plain(message), suggestion.map(plain));
        PlantError { file: file.to_owned(), line, column, message, suggestion }
    }
}

/// The word that was probably meant: the same but for case, or one or a few slips away.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any name: comparing would cost much and help nobody.
    if word.len() > 200 {
        return None;
    }
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|near| (damerau_levenshtein(&word.to_lowercase(), &near.to_lowercase()), near))
        .filter(|(slips, _)| *slips <= allowed)
        .min()
        .map(|(_, near)| near)
}
