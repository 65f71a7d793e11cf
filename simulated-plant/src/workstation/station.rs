//! What the workstation knows and can do: a few commands, so that a session has something to show.

use std::io::Read;
use std::time::Instant;

use jiff::Timestamp;
use rustix::fs::{FileType, Mode, OFlags};

use super::root::{Root, absolute};
use crate::process::{Alarm, Process};

/// The simulated machine, shared by every session on it.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) root: Root,
    process: Process,
    started: Instant,
}

/// What a command answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) out: String,
    pub(super) error: String,
    pub(super) status: u32,
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Say this.
    Say(Said),
    /// Copy input to output until it ends.
    Copy,
    /// Wait.
    Sleep(u64),
    /// Clear the screen.
    Clear,
    /// Leave the shell.
    Leave,
}

impl Said {
    fn out(text: impl Into<String>) -> Act {
        Act::Say(Self { out: text.into(), ..Self::default() })
    }

    fn error(text: impl Into<String>, status: u32) -> Act {
        Act::Say(Self { error: text.into(), status, ..Self::default() })
    }
}

impl Station {
    pub(super) fn new(root: Root, process: Process) -> Self {
        Self { root, process, started: Instant::now() }
    }

    /// Reads one command line. `folder` is where the session stands.
    pub(super) fn act(&self, folder: &mut String, line: &str) -> Act {
        let words = match words(line) {
            Ok(words) => words,
            Err(error) => return Said::error(format!("{error}\n"), 2),
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] | ["true" | ":"] => Act::Say(Said::default()),
            ["false"] => Said::error("", 1),
            ["help"] => Said::out(HELP),
            ["status"] => Said::out(self.status()),
            ["uptime"] => Said::out(format!("up {} s\n", self.started.elapsed().as_secs())),
            ["hostname"] => Said::out("ews-1\n"),
            ["whoami"] => Said::out("operator\n"),
            ["date"] => Said::out(format!("{:.0}\n", Timestamp::now())),
            ["pwd"] => Said::out(format!("{folder}\n")),
            ["echo", rest @ ..] => Said::out(format!("{}\n", rest.join(" "))),
            ["cd"] => self.enter(folder, HOME),
            ["cd", to] => self.enter(folder, to),
            ["ls", rest @ ..] => self.list(folder, rest),
            ["cat"] => Act::Copy,
            ["cat", paths @ ..] => self.show(folder, paths),
            ["sleep", seconds] => match seconds.parse() {
                Ok(seconds) => Act::Sleep(seconds),
                Err(_) => Said::error(format!("sleep: `{seconds}` is not a number of seconds\n"), 1),
            },
            ["clear"] => Act::Clear,
            ["exit" | "logout" | "quit"] => Act::Leave,
            [command, ..] => Said::error(format!("{command}: not found; `help` tells what is\n"), 127),
        }
    }

    /// What the controller and the panel show too.
    fn status(&self) -> String {
        let tank = self.process.now();
        let alarms: Vec<&str> =
            Alarm::ALL.into_iter().filter(|alarm| tank.is_active(*alarm)).map(Alarm::text).collect();
        format!(
            "EWS-1  engineering workstation, cell 1 (simulated)\n\n\
             line     filler 3                   running\n\
             plc-1    project line-3 rev 41      RUN, no forces\n\
             tank-1   level     {:5.1} %   setpoint {:5.1} %\n\
             tank-1   temp      {:5.1} C   limit     85.0 C\n\
             pump-2   speed     {:5.0} rpm\n\
             alarms   {}\n",
            tank.level,
            tank.settings.setpoint,
            tank.temperature,
            tank.speed,
            if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") },
        )
    }

    fn enter(&self, folder: &mut String, to: &str) -> Act {
        let target = absolute(folder, to);
        match self.root.stat(&target, true) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                *folder = target;
                Act::Say(Said::default())
            }
            Ok(_) => Said::error(format!("cd: {to}: not a folder\n"), 1),
            Err(error) => Said::error(format!("cd: {to}: {}\n", error.kind()), 1),
        }
    }

    fn list(&self, folder: &str, words: &[&str]) -> Act {
        let long = words.iter().any(|word| word.starts_with('-') && word.contains('l'));
        let path = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or(".");
        match self.root.list(&absolute(folder, path)) {
            Ok(entries) => {
                let lines = entries.iter().map(|entry| {
                    let name = String::from_utf8_lossy(&entry.name);
                    let mark = if FileType::from_raw_mode(entry.stat.st_mode).is_dir() { "/" } else { "" };
                    if long { format!("{:>12}  {name}{mark}\n", entry.stat.st_size) } else { format!("{name}{mark}\n") }
                });
                Said::out(lines.collect::<String>())
            }
            Err(error) => Said::error(format!("ls: {path}: {}\n", error.kind()), 1),
        }
    }

    fn show(&self, folder: &str, paths: &[&str]) -> Act {
        let mut said = Said::default();
        for path in paths {
            let opened = self.root.open(&absolute(folder, path), OFlags::RDONLY, Mode::empty());
            let mut text = Vec::new();
            match opened.and_then(|file| file.take(LARGEST_SHOWN).read_to_end(&mut text)) {
                Ok(_) => said.out.push_str(&String::from_utf8_lossy(&text)),
                Err(error) => {
                    said.error.push_str(&format!("cat: {path}: {}\n", error.kind()));
                    said.status = 1;
                }
            }
        }
        Act::Say(said)
    }
}

/// Splits a line into words, with single and double quotes and backslashes.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            (letter, Some(_)) => word.get_or_insert_default().push(letter),
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\n', None) => words.extend(word.take()),
            ('|' | ';' | '&' | '<' | '>' | '`' | '$' | '(', None) => {
                return Err("this workstation runs single commands only");
            }
            (letter, None) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// Where sessions begin.
pub(super) const HOME: &str = "/home/operator";
/// `cat` shows no more of a file; sftp gives all of it.
const LARGEST_SHOWN: u64 = 1 << 20;

const HELP: &str = "\
status            what the line is doing
ls [-l] [PATH]    files
cat [FILE ...]    show files; without one, repeat what is typed
cd, pwd           folders
echo, date, uptime, hostname, whoami, sleep N, clear
exit              leave
";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;
    use crate::process::Tank;

    #[test]
    fn words_are_split_as_people_expect() {
        assert_eq!(words(r#"echo 'a b' "c \"d\"" e\ f """#).unwrap(), ["echo", "a b", "c \"d\"", "e f", ""]);
        assert!(words("echo 'open").is_err());
        assert!(words("cat /etc/passwd | mail").is_err());
    }

    #[test]
    fn commands_answer_with_a_status() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("home/operator")).unwrap();
        std::fs::write(folder.path().join("home/operator/notes.txt"), "n\n").unwrap();
        let station = Station::new(Root::open_folder(folder.path()).unwrap(), Process::new(Tank::running()));
        let mut stands = HOME.to_owned();
        let mut said = |line: &str| match station.act(&mut stands, line) {
            Act::Say(said) => (said.out, said.status),
            act => panic!("{line}: {act:?}"),
        };
        assert_eq!(said("cat notes.txt"), ("n\n".to_owned(), 0));
        assert_eq!(said("cat missing"), (String::new(), 1));
        assert_eq!(said("cd .."), (String::new(), 0));
        assert_eq!(said("ls"), ("operator/\n".to_owned(), 0));
        assert_eq!(said("rm -rf /").1, 127);
        assert_eq!(said("cat /../../etc/hostname").1, 1);
        let status = said("status").0;
        assert!(status.contains("level      64.0 %") && status.contains("alarms   none"), "{status}");
    }
}
