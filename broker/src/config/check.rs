//! Collects what is wrong with a configuration, and reads the values that every section is made of.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::error::{self, Problem};
use super::units::{duration, size};

/// Collects every problem, so that one run shows them all.
pub(super) struct Check<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) folder: &'a Path,
    pub(super) problems: Vec<Problem>,
}

impl Check<'_> {
    pub(super) fn socket(&mut self, written: &Spanned<String>) -> Option<SocketAddr> {
        let parsed = written.get_ref().parse::<SocketAddr>();
        if parsed.is_err() {
            let message = format!("`{}` is not an address with a port", written.get_ref());
            let mend = match written.get_ref().parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => format!("did you mean `{address}:2222`?"),
                Ok(IpAddr::V6(address)) => format!("did you mean `[{address}]:2222`?"),
                Err(_) => "write it as `0.0.0.0:2222`".to_owned(),
            };
            self.problem(written, message, &mend);
        }
        parsed.ok()
    }

    pub(super) fn one_of<T: Copy>(&mut self, written: Option<Spanned<String>>, choices: &[(&str, T); 2]) -> T {
        let Some(written) = written else { return choices[0].1 };
        if let Some((_, value)) = choices.iter().find(|(word, _)| word == written.get_ref()) {
            return *value;
        }
        let message = format!("`{}` is not one of the choices", written.get_ref());
        self.problem(&written, message, &format!("use `{}` or `{}`", choices[0].0, choices[1].0));
        choices[0].1
    }

    pub(super) fn count(&mut self, written: Option<Spanned<u32>>, default: usize) -> usize {
        let Some(written) = written else { return default };
        if *written.get_ref() == 0 {
            self.problem(&written, "0 would let nobody in".to_owned(), &format!("the default is {default}"));
        }
        usize::try_from(*written.get_ref()).unwrap_or(default)
    }

    pub(super) fn duration(&mut self, written: Option<Spanned<String>>, default: Duration) -> Duration {
        let Some(written) = written else { return default };
        duration(written.get_ref()).unwrap_or_else(|message| {
            self.problem(&written, message, "write it as `90s`, `15m` or `8h`");
            default
        })
    }

    pub(super) fn positive(&mut self, written: Option<Spanned<String>>, default: Duration) -> Duration {
        let zero = written.as_ref().filter(|text| duration(text.get_ref()) == Ok(Duration::ZERO)).cloned();
        if let Some(text) = zero {
            self.problem(&text, "no time at all would let nobody in".to_owned(), "write it as `90s`");
        }
        self.duration(written, default)
    }

    pub(super) fn size(&mut self, written: Option<&Spanned<String>>, default: u64) -> u64 {
        let Some(written) = written else { return default };
        size(written.get_ref()).unwrap_or_else(|message| {
            self.problem(written, message, "write it as `500MiB` or `20GiB`");
            default
        })
    }

    pub(super) fn path_or(&self, written: Option<PathBuf>, default: &str) -> PathBuf {
        written.map_or_else(|| default.into(), |path| self.folder.join(path))
    }

    pub(super) fn problem<T>(&mut self, at: &Spanned<T>, message: String, suggestion: &str) {
        self.problem_at(Some(at.span()), message, suggestion);
    }

    pub(super) fn problem_at(&mut self, span: Option<std::ops::Range<usize>>, message: String, suggestion: &str) {
        let (line, column) = error::place(self.text, span.map_or(0, |span| span.start));
        let suggestion = Some(suggestion.to_owned());
        self.problems.push(Problem { file: self.path.to_path_buf(), line, column, message, suggestion });
    }
}

/// What a broker is called when nobody says otherwise.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
