//! The one cookie, and the token that goes with it in forms.
//!
//! Its value is 32 random bytes, in hex: a visitor's, a sign-in's under way, a session's. Each stage has a new one, so that nobody
//! goes on under a cookie that somebody else knew before. The token is a MAC over it under a key that this process made: a form is of
//! the browser that holds the cookie, and of this stage.
//!
//! `SameSite=Lax`, not `Strict`: a link that a terminal, a mail or a QR code leads to must find its person signed in, and a browser
//! that comes from another site would leave a strict cookie out of just that. No GET changes anything, and a POST needs our own
//! origin and the token besides.

use aws_lc_rs::{digest, hmac};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use zeroize::Zeroizing;

/// `__Host-`: only over TLS, only from this very name, and no neighbour can set it.
const NAME: &str = "__Host-sallyport";
const LENGTH: usize = 32;

/// What a cookie is kept as.
pub(super) type Print = [u8; digest::SHA256_OUTPUT_LEN];

/// The value of a cookie. It is a secret: nothing shows it but the header.
#[derive(Clone)]
pub(super) struct Cookie(Zeroizing<[u8; LENGTH]>);

/// Makes the tokens of this process.
pub(super) struct Tokens(hmac::Key);

impl Cookie {
    pub(super) fn random() -> Self {
        let mut value = Zeroizing::new([0; LENGTH]);
        rand::fill(value.as_mut_slice());
        Self(value)
    }

    /// The one that came with a request. Of several none counts: a browser has one of this name.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut found = None;
        for header in headers.get_all(COOKIE) {
            for pair in header.to_str().ok()?.split(';') {
                let Some((NAME, value)) = pair.trim_matches(' ').split_once('=') else { continue };
                let bytes = HEXLOWER.decode(value.as_bytes()).ok()?;
                let cookie = Self(Zeroizing::new(bytes.try_into().ok()?));
                if found.replace(cookie).is_some() {
                    return None;
                }
            }
        }
        found
    }

    /// For the answer that gives it. Without an age: the browser forgets it when it is closed.
    pub(super) fn set(&self, headers: &mut HeaderMap) {
        let value = Zeroizing::new(HEXLOWER.encode(self.0.as_slice()));
        put(headers, &format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax", *value));
    }

    /// For the answer that takes it away.
    pub(super) fn remove(headers: &mut HeaderMap) {
        put(headers, &format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"));
    }

    pub(super) fn print(&self) -> Print {
        let mut print = Print::default();
        print.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_slice()).as_ref());
        print
    }
}

fn put(headers: &mut HeaderMap, text: &str) {
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        headers.insert(SET_COOKIE, value);
    }
}

impl Tokens {
    pub(super) fn new() -> Self {
        let mut key = Zeroizing::new([0; LENGTH]);
        rand::fill(key.as_mut_slice());
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
    }

    /// The token of the forms that are given to whoever holds this cookie.
    pub(super) fn token(&self, cookie: &Cookie) -> String {
        BASE64URL_NOPAD.encode(hmac::sign(&self.0, cookie.0.as_slice()).as_ref())
    }

    /// Whether a token goes with a cookie.
    pub(super) fn fits(&self, cookie: &Cookie, token: &str) -> bool {
        let Ok(token) = BASE64URL_NOPAD.decode(token.as_bytes()) else { return false };
        hmac::verify(&self.0, cookie.0.as_slice(), &token).is_ok()
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cookie")
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn found(cookies: &[&str]) -> Option<Cookie> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        Cookie::of(&headers)
    }

    #[test]
    fn what_was_given_comes_back_and_is_shown_nowhere_else() {
        let (cookie, mut headers) = (Cookie::random(), HeaderMap::new());
        cookie.set(&mut headers);
        let given = headers[SET_COOKIE].to_str().unwrap().to_owned();
        let (pair, how) = given.split_once(';').unwrap();
        assert_eq!(how, " Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(found(&[pair]).unwrap().print(), cookie.print());
        assert_eq!(found(&[&format!("a=b; {pair}; c")]).unwrap().print(), cookie.print());
        assert_eq!(format!("{cookie:?} {:?}", headers[SET_COOKIE]), "Cookie Sensitive");
    }

    #[test]
    fn of_two_none_counts_and_neither_does_what_is_no_cookie_of_ours() {
        let value = "00".repeat(LENGTH);
        let ours = format!("{NAME}={value}");
        assert!(found(&[&ours]).is_some());
        for cookies in [
            vec![ours.as_str(), ours.as_str()],
            vec![&format!("{ours}; {ours}")],
            vec![&format!("{NAME}={}", &value[2..])],
            vec![&format!("{NAME}={}", value.replace('0', "g"))],
            vec![&format!("sallyport={value}")],
            vec![],
        ] {
            assert!(found(&cookies).is_none(), "{cookies:?}");
        }
    }

    #[test]
    fn a_token_goes_with_its_cookie_and_its_process_alone() {
        let (tokens, mine, other) = (Tokens::new(), Cookie::random(), Cookie::random());
        let token = tokens.token(&mine);
        assert!(tokens.fits(&mine, &token));
        assert!(!tokens.fits(&other, &token) && !Tokens::new().fits(&mine, &token));
        for wrong in ["", "AAAA", &token[1..], &format!("{token}A")] {
            assert!(!tokens.fits(&mine, wrong), "{wrong}");
        }
    }
}
