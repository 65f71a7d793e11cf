//! The public half of an evidence key, as somebody gives it: a text, or a file that holds some.

use std::path::Path;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use ed25519_dalek::VerifyingKey;
use ssh_key::PublicKey;

use super::CliError;

/// All keys that were given with `--public-key`.
pub(super) fn given(texts: &[String]) -> Result<Vec<VerifyingKey>, CliError> {
    let mut keys = Vec::new();
    for text in texts {
        keys.extend(read(text)?);
    }
    Ok(keys)
}

/// One text: a key, or the name of a file with one in each line.
fn read(text: &str) -> Result<Vec<VerifyingKey>, CliError> {
    let path = Path::new(text);
    if !path.is_file() {
        return Ok(vec![key(text.trim()).ok_or_else(|| CliError::Usage(wrong(text)))?]);
    }
    let content = std::fs::read_to_string(path)
        .map_err(|error| CliError::Failed(format!("cannot read the public key `{text}`: {error}")))?;
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Option<Vec<VerifyingKey>> = lines.map(key).collect();
    // What stands in the file is not repeated: it may be a secret in the wrong place.
    keys.filter(|keys| !keys.is_empty())
        .ok_or_else(|| CliError::Failed(format!("`{text}` holds no Ed25519 public key; {FORMS}")))
}

/// A line of OpenSSH, its middle alone, hex, or base64 of the 32 bytes.
fn key(text: &str) -> Option<VerifyingKey> {
    let bytes = openssh(text).or_else(|| openssh(&format!("ssh-ed25519 {text}"))).or_else(|| {
        let decoded = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let decoded = decoded.or_else(|| BASE64.decode(text.as_bytes()).ok());
        decoded.or_else(|| BASE64_NOPAD.decode(text.as_bytes()).ok())?.try_into().ok()
    })?;
    // A weak key verifies signatures that nobody made.
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())
}

fn openssh(line: &str) -> Option<[u8; 32]> {
    Some(PublicKey::from_openssh(line).ok()?.key_data().ed25519()?.0)
}

fn wrong(text: &str) -> String {
    match text.contains('/') || text.ends_with(".pub") {
        true => format!("there is no file `{text}` with a public key"),
        false => format!("`{text}` is no Ed25519 public key; {FORMS}"),
    }
}

const FORMS: &str =
    "it is written as `ssh-ed25519 AAAA…`, in hex or in base64, as `sallyport secrets show evidence` prints it";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_key_is_taken_in_every_form_it_is_printed_in_and_in_no_other() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        let public = PublicKey::from(ssh_key::public::Ed25519PublicKey(key.to_bytes()));
        let line = public.to_openssh().unwrap();
        let hex = data_encoding::HEXLOWER.encode(key.as_bytes());
        let forms = [
            line.clone(),
            format!("{line} sallyport evidence"),
            line.split(' ').nth(1).unwrap().to_owned(),
            hex.to_uppercase(),
            hex,
            BASE64.encode(key.as_bytes()),
            BASE64_NOPAD.encode(key.as_bytes()),
        ];
        for form in &forms {
            assert_eq!(given(std::slice::from_ref(form)).unwrap(), [key], "{form}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("# the plant's\n\n{}\n{}\n", forms[0], forms[3])).unwrap();
        assert_eq!(given(&[file.path().to_str().unwrap().to_owned()]).unwrap(), [key, key]);
        for wrong in ["", "evidence.pub", "/nonexistent/key", "ssh-ed25519", &"00".repeat(32), &"0".repeat(63)] {
            assert!(given(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        std::fs::write(file.path(), "AGE-SECRET-KEY-1QQ\n").unwrap();
        let said = given(&[file.path().to_str().unwrap().to_owned()]).unwrap_err().to_string();
        assert!(!said.contains("AGE-SECRET") && said.contains("secrets show evidence"), "{said}");
    }
}
