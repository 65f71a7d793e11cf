//! Reads what must not be seen: from a file, from a pipe, or from the terminal without echo. Never from an argument, where
//! every user of the machine could read it.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use super::CliError;
use crate::vault::Secret;

/// Reads a secret. `file` is what the option named: a path, or `-` for standard input. Without it the terminal is asked,
/// twice where a typing error would be found out too late.
pub(super) fn read_hidden(prompt: &str, file: Option<&Path>, twice: bool) -> Result<Secret<String>, CliError> {
    match file {
        Some(path) if path != Path::new("-") => {
            let file = File::open(path).map_err(|error| CliError::Failed(format!("`{}`: {error}", path.display())))?;
            read_all(file)
        }
        None if io::stdin().is_terminal() => ask(prompt, twice),
        _ => read_all(io::stdin()),
    }
}

fn ask(prompt: &str, twice: bool) -> Result<Secret<String>, CliError> {
    let first = ask_once(prompt)?;
    if twice && ask_once(&format!("{prompt} again"))?.expose() != first.expose() {
        return Err(CliError::Failed("the two are not the same; nothing was changed".to_owned()));
    }
    Ok(first)
}

fn ask_once(prompt: &str) -> Result<Secret<String>, CliError> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(CliError::failed)?;
    let _quiet = Quiet::new(&terminal).map_err(CliError::failed)?;
    (&terminal).write_all(format!("{prompt}: ").as_bytes()).map_err(CliError::failed)?;
    let typed = read_line(&terminal).map_err(CliError::failed)?;
    (&terminal).write_all(b"\n").map_err(CliError::failed)?;
    let typed = typed.ok_or_else(|| CliError::Failed("given up; nothing was changed".to_owned()))?;
    text(typed)
}

/// A line, byte by byte: the terminal's own editing is off with its echo. Nothing when it was given up.
fn read_line(mut terminal: &File) -> io::Result<Option<Secret<Vec<u8>>>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACE: u8 = 8;
    const ERASE: u8 = 127;
    let mut line = Secret::new(Vec::with_capacity(LONGEST));
    loop {
        let mut byte = [0_u8];
        if terminal.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let typed = line.expose_mut();
        match byte[0] {
            b'\n' | b'\r' => return Ok(Some(line)),
            INTERRUPT | END => return Ok(None),
            BACKSPACE | ERASE => {
                // One character, however many bytes it has.
                while typed.pop().is_some_and(|last| last & 0b1100_0000 == 0b1000_0000) {}
            }
            other if typed.len() < LONGEST => typed.push(other),
            _ => return Err(io::Error::other("this is longer than any secret")),
        }
    }
}

fn read_all(from: impl Read) -> Result<Secret<String>, CliError> {
    let mut bytes = Secret::new(Vec::with_capacity(LONGEST + 1));
    from.take(LONGEST as u64 + 1).read_to_end(bytes.expose_mut()).map_err(CliError::failed)?;
    if bytes.expose().len() > LONGEST {
        return Err(CliError::Failed("this is longer than any secret".to_owned()));
    }
    text(bytes)
}

/// Without the line's end that editors and `echo` leave.
fn text(bytes: Secret<Vec<u8>>) -> Result<Secret<String>, CliError> {
    let text =
        std::str::from_utf8(bytes.expose()).map_err(|_| CliError::Failed("this is not UTF-8 text".to_owned()))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

/// A terminal without echo, until this goes.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> rustix::io::Result<Self> {
        let before = termios::tcgetattr(terminal)?;
        let mut quiet = before.clone();
        // Without signals from the keyboard too: an interrupt must not leave the terminal mute.
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        termios::tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        if let Err(error) = termios::tcsetattr(self.terminal, OptionalActions::Flush, &self.before) {
            eprintln!("sallyport: cannot give the terminal its echo back ({error}); type `stty sane`");
        }
    }
}

/// A private key of 4096 bits has 3.4 KiB.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn the_end_of_a_line_is_not_part_of_a_secret() {
        for (written, read) in
            [("word", "word"), ("word\n", "word"), ("word\r\n", "word"), ("two\nlines\n", "two\nlines")]
        {
            assert_eq!(read_all(written.as_bytes()).unwrap().expose(), read);
        }
    }

    #[test]
    fn what_is_no_text_or_has_no_end_is_refused() {
        assert!(read_all(&b"\xff"[..]).is_err());
        assert!(read_all(io::repeat(b'x')).is_err());
    }
}
