//! Where somebody wanted to go before they signed in: one of our own pages, or the first one. Nothing else is ever led to.

/// The first page.
pub(super) const START: &str = "/";

/// Pages that somebody may come back to.
const PAGES: &[&str] = &["/sessions", "/requests", "/factors"];
/// Before a short code that stands alone behind it.
const CODES: &str = "/c/";

/// The page of ours that a path means.
pub(super) fn wanted(path: &str) -> &str {
    let code = |code: &str| {
        (1..=64).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if PAGES.contains(&path) || path.strip_prefix(CODES).is_some_and(code) { path } else { START }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_led_to() {
        for path in ["/sessions", "/requests", "/factors", "/c/7KQ2-MXP4"] {
            assert_eq!(wanted(path), path);
        }
        for path in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/sign-out",
            "/c/",
            "/c/a/b",
            "/c/..",
            "/sessions/",
            "/sessions?x",
            "sessions",
            "/c//evil.example",
            "/sessions\r\nset-cookie: a",
            "/sessions/1/end",
        ] {
            assert_eq!(wanted(path), START, "{path}");
        }
    }
}
