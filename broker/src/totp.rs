//! TOTP (RFC 6238) as a pure function of seed, settings and time. That each code counts once is the store's part.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use crate::vault::Secret;

/// How an authenticator computes its codes. The default is what every app expects: SHA-1, 6 digits, 30 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpSettings {
    /// The hash below the HMAC.
    pub algorithm: TotpAlgorithm,
    /// How long a code is.
    pub digits: Digits,
    /// How many seconds a code stands.
    pub period: Period,
}

/// The hash below the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TotpAlgorithm {
    /// What every app can do. (HMAC does not need the hash to resist collisions.)
    Sha1,
    /// Some apps ignore it and compute SHA-1.
    Sha256,
    /// Some apps ignore it and compute SHA-1.
    Sha512,
}

/// Six or eight digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(u32);

/// Seconds that a code stands: 15 to 120.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(i64);

/// What a code turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The code of this step, which lies after the last one used.
    Step(i64),
    /// A code of now that was used already.
    Used,
    /// Not a code of now.
    None,
}

/// Settings that are not possible.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotpSettingsError {
    /// Neither 6 nor 8.
    #[error("a code has 6 or 8 digits, not {0}")]
    Digits(i64),
    /// Out of range.
    #[error("a code stands 15 to 120 seconds, not {0}")]
    Period(i64),
    /// An algorithm that does not exist.
    #[error("unknown TOTP algorithm `{0}`")]
    Algorithm(String),
}

impl Default for TotpSettings {
    fn default() -> Self {
        Self { algorithm: TotpAlgorithm::Sha1, digits: Digits(6), period: Period(30) }
    }
}

impl TotpSettings {
    /// A new seed, as long as the hash (RFC 4226, section 4).
    #[must_use]
    pub fn new_seed(&self) -> Secret<Vec<u8>> {
        let mut seed = Secret::new(vec![0; self.algorithm.seed_len()]);
        rand::fill(seed.expose_mut().as_mut_slice());
        seed
    }

    /// The code of one step.
    #[must_use]
    pub fn code(&self, seed: &Secret<Vec<u8>>, step: i64) -> Secret<String> {
        let key = hmac::Key::new(self.algorithm.hmac(), seed.expose());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        // RFC 4226, section 5.3: the low nibble of the last byte says where the code's 31 bits start.
        let offset = usize::from(tag.last().copied().unwrap_or(0) & 0x0f);
        let number = tag[offset..].iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let digits = self.digits.0;
        let code = (number & 0x7fff_ffff) % 10_u32.pow(digits);
        Secret::new(format!("{code:0width$}", width = digits as usize))
    }

    /// The step that `now` lies in.
    #[must_use]
    pub fn step(&self, now: Timestamp) -> i64 {
        now.as_second().div_euclid(self.period.0)
    }

    /// When a step began; nothing for the one before any code was used.
    #[must_use]
    pub fn begin(&self, step: i64) -> Option<Timestamp> {
        let second = step.checked_mul(self.period.0).filter(|second| *second >= 0)?;
        Timestamp::from_second(second).ok()
    }

    /// Which step's code this is: now's, or one to either side. Takes the same time whatever is right.
    pub(crate) fn matching(&self, seed: &Secret<Vec<u8>>, code: &str, now: Timestamp, last_step: i64) -> Match {
        let mut found = Match::None;
        for step in (self.step(now) - DRIFT)..=(self.step(now) + DRIFT) {
            let expected = self.code(seed, step);
            let equal = bool::from(expected.expose().as_bytes().ct_eq(code.as_bytes()));
            // The latest that fits: should two steps share a code, both are spent at once.
            found = match (equal, step > last_step) {
                (true, true) => Match::Step(step),
                (true, false) => Match::Used,
                (false, _) => found,
            };
        }
        found
    }

    /// At which other time a code that is not right now would be right: steps from now, as close as any within [`NEARBY`]. For the
    /// auditor alone, whose next question is which clock is wrong. Takes the same time whatever it finds.
    pub(crate) fn nearby(&self, seed: &Secret<Vec<u8>>, code: &str, now: Timestamp) -> Option<i64> {
        let mut found: Option<i64> = None;
        for away in -NEARBY..=NEARBY {
            let expected = self.code(seed, self.step(now) + away);
            let equal = bool::from(expected.expose().as_bytes().ct_eq(code.as_bytes()));
            let closer = found.is_none_or(|before| away.abs() < before.abs());
            found = if equal && closer { Some(away) } else { found };
        }
        found
    }

    /// What an authenticator app reads from a QR code.
    #[must_use]
    pub fn uri(&self, issuer: &str, identity: &str, seed: &Secret<Vec<u8>>) -> Secret<String> {
        let (issuer, identity) = (percent(issuer), percent(identity));
        let secret = Secret::new(BASE32_NOPAD.encode(seed.expose()));
        Secret::new(format!(
            "otpauth://totp/{issuer}:{identity}?secret={}&issuer={issuer}&algorithm={}&digits={}&period={}",
            secret.expose(),
            self.algorithm,
            self.digits.0,
            self.period.0,
        ))
    }

    /// Whether `input` has the shape of a code.
    #[must_use]
    pub(crate) fn looks_like_code(&self, input: &str) -> bool {
        input.len() == self.digits.0 as usize && input.bytes().all(|byte| byte.is_ascii_digit())
    }
}

impl TotpAlgorithm {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn seed_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Digits {
    /// As stored.
    #[must_use]
    pub fn count(self) -> i64 {
        i64::from(self.0)
    }
}

impl Period {
    /// As stored.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Digits {
    type Error = TotpSettingsError;

    fn try_from(digits: i64) -> Result<Self, Self::Error> {
        match digits {
            6 => Ok(Self(6)),
            8 => Ok(Self(8)),
            other => Err(TotpSettingsError::Digits(other)),
        }
    }
}

impl TryFrom<i64> for Period {
    type Error = TotpSettingsError;

    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        match seconds {
            15..=120 => Ok(Self(seconds)),
            other => Err(TotpSettingsError::Period(other)),
        }
    }
}

impl fmt::Display for TotpAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        })
    }
}

impl FromStr for TotpAlgorithm {
    type Err = TotpSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "SHA1" => Ok(Self::Sha1),
            "SHA256" => Ok(Self::Sha256),
            "SHA512" => Ok(Self::Sha512),
            other => Err(TotpSettingsError::Algorithm(other.to_owned())),
        }
    }
}

/// RFC 3986: everything but unreserved characters is escaped.
fn percent(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// Steps that a clock may be off, either way.
const DRIFT: i64 = 1;
/// Steps within which it is looked whether a wrong code is one of another time: an hour at half a minute, and a little more, for
/// a clock that was set to summer time.
const NEARBY: i64 = 125;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn settings(algorithm: TotpAlgorithm, digits: i64) -> TotpSettings {
        TotpSettings { algorithm, digits: digits.try_into().unwrap(), period: Period(30) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn rfc_6238_appendix_b() {
        let seed = |length: usize| Secret::new(b"1234567890".iter().copied().cycle().take(length).collect::<Vec<u8>>());
        for (second, sha1, sha256, sha512) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            for (algorithm, length, expected) in [
                (TotpAlgorithm::Sha1, 20, sha1),
                (TotpAlgorithm::Sha256, 32, sha256),
                (TotpAlgorithm::Sha512, 64, sha512),
            ] {
                let settings = settings(algorithm, 8);
                assert_eq!(settings.code(&seed(length), settings.step(at(second))).expose(), expected);
            }
        }
    }

    #[test]
    fn a_code_of_another_hour_is_wrong_and_named() {
        let settings = TotpSettings::default();
        let (seed, now) = (Secret::new(b"12345678901234567890".to_vec()), at(1_790_000_000));
        for away in [2, -2, 10, -10, 120, NEARBY, -NEARBY] {
            let code = settings.code(&seed, settings.step(now) + away);
            assert_eq!(settings.matching(&seed, code.expose(), now, 0), Match::None, "{away}");
            assert_eq!(settings.nearby(&seed, code.expose(), now), Some(away));
        }
        let far = settings.code(&seed, settings.step(now) + NEARBY + 1);
        assert_eq!(settings.nearby(&seed, far.expose(), now), None);
    }

    #[test]
    fn the_same_codes_as_another_implementation() {
        let settings = TotpSettings::default();
        for round in 0..50_u64 {
            let seed = settings.new_seed();
            let other = totp_rs::Builder::new()
                .with_secret(<[u8; 20]>::try_from(seed.expose().as_slice()).unwrap())
                .build()
                .unwrap();
            let second = 1_790_000_000 + round * 7919;
            let step = settings.step(at(i64::try_from(second).unwrap()));
            assert_eq!(settings.code(&seed, step).expose(), &other.generate(second).to_string());
        }
    }

    #[test]
    fn one_step_of_drift_and_no_more() {
        let settings = TotpSettings::default();
        let seed = Secret::new(vec![7; 20]);
        let now = at(3_000_000);
        let step = settings.step(now);
        for (offset, accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let code = settings.code(&seed, step + offset);
            let found = settings.matching(&seed, code.expose(), now, -1);
            assert_eq!(found, if accepted { Match::Step(step + offset) } else { Match::None }, "{offset}");
        }
    }

    #[test]
    fn a_step_at_or_before_the_last_used_one_is_used() {
        let settings = TotpSettings::default();
        let seed = Secret::new(vec![7; 20]);
        let now = at(3_000_000);
        let step = settings.step(now);
        let matching =
            |offset: i64, last| settings.matching(&seed, settings.code(&seed, step + offset).expose(), now, last);
        assert_eq!(matching(0, step), Match::Used);
        assert_eq!(matching(-1, step), Match::Used, "an older code after a newer one");
        assert_eq!(matching(1, step), Match::Step(step + 1));
    }

    #[test]
    fn the_uri_says_what_the_app_needs_and_escapes_the_rest() {
        let uri = TotpSettings::default().uri("Plant & Co", "alice", &Secret::new(b"12345678901234567890".to_vec()));
        assert_eq!(
            uri.expose(),
            "otpauth://totp/Plant%20%26%20Co:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Plant%20%26%20Co&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn impossible_settings_are_refused() {
        assert_eq!(Digits::try_from(7), Err(TotpSettingsError::Digits(7)));
        assert_eq!(Period::try_from(0), Err(TotpSettingsError::Period(0)));
        assert!("MD5".parse::<TotpAlgorithm>().is_err());
    }
}
