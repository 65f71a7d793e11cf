//! What a command line is for, as far as that is certain.
//!
//! This is no lock: whoever may run commands can write a file with `cat`. It gives scp, rsync and sftp-server, when
//! they are run the way their clients run them, the same rights and the same records that sftp has. Upload and
//! download are hard limits only where neither exec nor shell is granted.

/// What an exec request runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// `scp -t` or `scp -f`: files, in scp's own protocol.
    Scp(Way, String),
    /// `rsync --server`: files, in a protocol that is not decoded.
    Rsync(Way, String),
    /// `sftp-server`: files, in the sftp protocol.
    SftpServer,
    /// Anything else, and anything that is not certain.
    Other,
}

/// Which way files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// To the asset.
    Upload,
    /// From the asset.
    Download,
}

impl Way {
    /// The stable word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Way::Upload => "upload",
            Way::Download => "download",
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Classifies a command line as a POSIX shell would read it.
pub(crate) fn classify(line: &[u8]) -> Command {
    certain(line).unwrap_or(Command::Other)
}

fn certain(line: &[u8]) -> Option<Command> {
    let words = words(std::str::from_utf8(line).ok()?)?;
    let (program, arguments) = words.split_first()?;
    // A word with a slash names one file; only the usual places are certain to hold what the name says.
    let program = match program.rsplit_once('/') {
        None => program.as_str(),
        Some((folder, name)) if FOLDERS.contains(&folder) => name,
        Some(_) => return None,
    };
    match program {
        "scp" => scp(arguments),
        "rsync" => rsync(arguments),
        "sftp-server" => sftp_server(arguments),
        _ => None,
    }
}

const FOLDERS: [&str; 8] = [
    "/bin",
    "/usr/bin",
    "/usr/local/bin",
    "/usr/lib/openssh",
    "/usr/libexec",
    "/usr/libexec/openssh",
    "/usr/lib/ssh",
    "/usr/lib",
];

fn scp(arguments: &[String]) -> Option<Command> {
    let mut way = None;
    let mut rest = arguments.iter();
    let mut target = None;
    while let Some(word) = rest.next() {
        match word.strip_prefix('-') {
            Some("-") => {
                target = Some(rest.as_slice());
                break;
            }
            Some(flags) if !flags.is_empty() => {
                for flag in flags.chars() {
                    match flag {
                        't' if way.is_none() => way = Some(Way::Upload),
                        'f' if way.is_none() => way = Some(Way::Download),
                        'r' | 'p' | 'd' | 'v' | 'q' => {}
                        _ => return None,
                    }
                }
            }
            Some(_) | None => {
                let mut from_here = vec![word.clone()];
                from_here.extend(rest.cloned());
                return named(way?, &from_here);
            }
        }
    }
    named(way?, target?)
}

fn named(way: Way, targets: &[String]) -> Option<Command> {
    match (way, targets) {
        (_, []) => None,
        (Way::Upload, [target]) => Some(Command::Scp(way, target.clone())),
        (Way::Upload, _) => None,
        (Way::Download, sources) => Some(Command::Scp(way, sources.join(" "))),
    }
}

fn rsync(arguments: &[String]) -> Option<Command> {
    let (first, rest) = arguments.split_first()?;
    if first != "--server" {
        return None;
    }
    let way = if rest.first().is_some_and(|word| word == "--sender") { Way::Download } else { Way::Upload };
    // A second word that changes the direction or the program's nature makes it uncertain.
    let odd = ["--sender", "--daemon", "--server"];
    let tail = if way == Way::Download { rest.get(1..)? } else { rest };
    if tail.iter().any(|word| odd.contains(&word.as_str())) {
        return None;
    }
    Some(Command::Rsync(way, tail.last()?.clone()))
}

fn sftp_server(arguments: &[String]) -> Option<Command> {
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-e" | "-R" => {}
            "-l" | "-f" | "-u" | "-d" | "-P" | "-p" => {
                rest.next()?;
            }
            _ => return None,
        }
    }
    Some(Command::SftpServer)
}

/// The words of a command line without any of the shell's own powers; `None` when it uses one.
///
/// Patterns (`*`, `?`, `[`) and a leading `~` are let through: they choose files, they do not run anything.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '\'' => break,
                        '\n' | '\r' | '\0' => return None,
                        inside => quoted.push(inside),
                    }
                }
            }
            '"' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '$' | '`' | '\\' | '!' | '\n' | '\r' | '\0' => return None,
                        inside => quoted.push(inside),
                    }
                }
            }
            '\\' => match rest.next()? {
                '\n' | '\r' | '\0' => return None,
                escaped => word.get_or_insert_default().push(escaped),
            },
            '\n' | '\r' | '\0' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '$' | '`' | '#' | '!' | '{' | '}' => {
                return None;
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    // `NAME=value` before a command is an assignment, not the program.
    if words.first().is_some_and(|first| first.contains('=')) {
        return None;
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let found = match classify(line.as_bytes()) {
            Command::Scp(way, target) => format!("scp {way} {target}"),
            Command::Rsync(way, target) => format!("rsync {way} {target}"),
            Command::SftpServer => "sftp-server".to_owned(),
            Command::Other => "other".to_owned(),
        };
        assert_eq!(found, expected, "{line:?}");
    }

    #[test]
    fn what_clients_really_send() {
        check("scp -t .", "scp upload .");
        check("scp -f notes.txt", "scp download notes.txt");
        check("scp -v -r -p -t -- /tmp/x", "scp upload /tmp/x");
        check("scp -rpf -- dir", "scp download dir");
        check("scp -d -t 'my folder'", "scp upload my folder");
        check("/usr/bin/scp -f a\\ b", "scp download a b");
        check("scp -f *.txt", "scp download *.txt");
        check("scp -r -f ~/logs", "scp download ~/logs");
        check("rsync --server -vlogDtpre.iLsfxCIvu . /data", "rsync upload /data");
        check("rsync --server --sender -vlogDtpre.iLsfxCIvu . /data", "rsync download /data");
        check("/usr/lib/openssh/sftp-server", "sftp-server");
        check("/usr/lib/openssh/sftp-server -R -l ERROR", "sftp-server");
        check("/usr/libexec/sftp-server -e", "sftp-server");
    }

    #[test]
    fn whatever_the_shell_could_turn_into_more_is_other() {
        for line in [
            "scp -t x; rm -rf /",
            "scp -t x && id",
            "scp -t x | tee y",
            "scp -t x\nid",
            "scp -t x\rid",
            "scp -t `id`",
            "scp -t $(id)",
            "scp -t $HOME",
            "scp -t \"$HOME\"",
            "scp -t \"a\\b\"",
            "scp -t x > y",
            "scp -t x &",
            "scp -t x # y",
            "scp -t {a,b}",
            "(scp -t x)",
            "scp -t 'x",
            "scp -t \"x",
            "scp -t x\\",
            "A=b scp -t x",
            "PATH=/tmp scp -t x",
        ] {
            check(line, "other");
        }
    }

    #[test]
    fn whatever_is_not_the_program_at_its_place_is_other() {
        for line in [
            "",
            " ",
            "id",
            "scp",
            "scp a b",
            "scp -t",
            "scp -t a b",
            "scp -t -f x",
            "scp -tf x",
            "scp -S /tmp/evil -t x",
            "scp -oProxyCommand=id -t x",
            "./scp -t x",
            "/tmp/scp -t x",
            "../bin/scp -t x",
            "/usr/bin/../../tmp/scp -t x",
            "sudo scp -t x",
            "env scp -t x",
            "sh -c 'scp -t x'",
            "SCP -t x",
            "rsync --server",
            "rsync -a --server . x",
            "rsync --server --daemon .",
            "rsync --server -a --sender . x",
            "sftp-server --help",
            "sftp-server -l",
            "git-upload-pack 'x'",
        ] {
            check(line, "other");
        }
        assert_eq!(classify(b"scp -t \xff"), Command::Other);
    }

    #[test]
    fn quotes_join_into_one_word() {
        check("'scp' -t 'a;b'\"c d\"", "scp upload a;bc d");
        check("s'c'p -f ''", "scp download ");
        check("\\scp -f x", "scp download x");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_classified(line: Vec<u8>) {
            let _any_answer_is_fine = classify(&line);
        }

        #[test]
        fn a_shell_power_anywhere_outside_quotes_makes_it_other(
            at in 0usize..9, power in proptest::sample::select(vec![';', '&', '|', '\n', '`', '$', '>', '<', '(']),
        ) {
            let mut line = "scp -t  x".to_owned();
            line.insert(at, power);
            proptest::prop_assert_eq!(classify(line.as_bytes()), Command::Other);
        }
    }
}
