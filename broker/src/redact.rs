//! A secret in the wrong place: what an error repeats of its input must not be one.

/// The text without what looks like a secret: private keys, one-time secrets, passwords in URLs. For everything that an
/// error or a log line repeats of what somebody gave; a public key, a name, a path stay as they are.
#[must_use]
pub(crate) fn without_secrets(text: &str) -> String {
    let text = cut(text, "AGE-SECRET-KEY-", |rest| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    let text = cut(&text, "AGE-PLUGIN-", |rest| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    let text = cut(&text, "otpauth://", |rest| rest.find(|c: char| c.is_whitespace() || "`'\"".contains(c)));
    let text = cut(&text, "-----BEGIN ", pem_end);
    // The line after the header of a PEM file, by itself: `openssh-key-v1`, as base64.
    let text = cut(&text, "b3BlbnNzaC1rZXktdjE", |rest| rest.find(|c: char| c.is_whitespace() || "`'\"\\".contains(c)));
    passwords_in_urls(&text)
}

/// Replaces each piece that begins with `mark`, in whatever case, and goes on to where `end` says.
fn cut(text: &str, mark: &str, end: impl Fn(&str) -> Option<usize>) -> String {
    let folded = text.to_ascii_lowercase();
    let mark = mark.to_ascii_lowercase();
    let (mut kept, mut from) = (String::with_capacity(text.len()), 0);
    while let Some(at) = folded[from..].find(&mark).map(|at| from + at) {
        kept.push_str(&text[from..at]);
        kept.push_str(HIDDEN);
        let begun = at + mark.len();
        from = end(&text[begun..]).map_or(text.len(), |length| begun + length);
    }
    kept.push_str(&text[from..]);
    kept
}

/// Behind the last line of what is written as PEM. Without that line it goes on to the end.
fn pem_end(rest: &str) -> Option<usize> {
    const LAST: &str = "-----END ";
    let end = rest.find(LAST)? + LAST.len();
    Some(end + rest[end..].find("-----").map_or(rest.len() - end, |at| at + 5))
}

/// `scheme://user:PASSWORD@host` and `?password=PASSWORD`.
fn passwords_in_urls(text: &str) -> String {
    let text = cut(text, "password=", |rest| rest.find(|c: char| c.is_whitespace() || "&`'\"".contains(c)));
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(at) = rest.find("://").map(|at| at + 3) {
        let (before, after) = rest.split_at(at);
        kept.push_str(before);
        let authority = after.find(|c: char| c.is_whitespace() || "`'\"".contains(c)).unwrap_or(after.len());
        let user = after[..authority].rfind('@').unwrap_or(0);
        match after[..user].find(':') {
            Some(colon) => {
                kept.push_str(&after[..=colon]);
                kept.push_str(HIDDEN);
                rest = &after[user..];
            }
            None => rest = after,
        }
    }
    kept.push_str(rest);
    kept
}

/// What stands in its place.
const HIDDEN: &str = "(a secret, not shown)";

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "HUNTER2HUNTER2";

    #[test]
    fn whatever_looks_like_a_secret_is_left_out_wherever_it_stands() {
        let pem = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----");
        for secret in [
            format!("AGE-SECRET-KEY-1{SECRET}"),
            format!("age-secret-key-1{SECRET}"),
            format!("AGE-PLUGIN-YUBIKEY-1{SECRET}"),
            format!("otpauth://totp/x:alice?secret={SECRET}&issuer=x"),
            pem.replace('\n', "\\n"),
            pem.replace("OPENSSH", "RSA"),
            format!("-----BEGIN PRIVATE KEY-----\n{SECRET}"),
            pem,
            format!("b3BlbnNzaC1rZXktdjEAAAA{SECRET}"),
            format!("postgres://sally:{SECRET}@db/x"),
            format!("postgres://sally:a@b:{SECRET}@db/x"),
            format!("postgres://sally@db/x?password={SECRET}&sslmode=verify-full"),
            format!("host=db PASSWORD={SECRET}"),
        ] {
            for (before, after) in [("", ""), ("broker.toml:1:2: `", "` is not known"), ("ø \"", "\"\nnext line ø")] {
                let said = without_secrets(&format!("{before}{secret}{after}"));
                assert!(!said.contains(SECRET), "{said}");
                assert!(said.contains(HIDDEN) && said.starts_with(before), "{said}");
            }
            let twice = without_secrets(&format!("`{secret}` and `{secret}`"));
            assert!(!twice.contains(SECRET), "{twice}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "broker.toml:17:15: `age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p` is not known",
            "`ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ root@gate` has no certificate",
            "cannot reach postgres://sallyport@db.example:5432/sallyport?sslmode=verify-full: refused",
            "see https://example.org/a:b for `alice:operator@ews-1`",
            "the password is wrong",
            "",
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }
}
