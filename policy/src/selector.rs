//! How a grant or a forbid names assets, identities, services and accounts.

use std::fmt;

use serde::Serialize;

use crate::asset::Asset;
use crate::names::{AssetId, IdentityId, ZoneId};
use crate::subject::Subject;

/// A pattern in which `*` stands for any run of characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// A pattern; without `*` and `?` it matches only itself.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Does the whole text match?
    pub fn matches(&self, text: &str) -> bool {
        glob_matches(&self.0, text)
    }

    /// Can it match more than one text?
    pub fn is_pattern(&self) -> bool {
        is_pattern(&self.0)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which assets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetSelector {
    /// One, by name.
    Name(AssetId),
    /// Those with this tag.
    Tag(String),
    /// Those in this zone.
    Zone(ZoneId),
    /// Those whose name matches.
    Glob(Glob),
}

impl AssetSelector {
    /// Is this asset meant?
    pub fn matches(&self, asset: &Asset) -> bool {
        match self {
            Self::Name(id) => asset.id == *id,
            Self::Tag(tag) => asset.tags.contains(tag),
            Self::Zone(zone) => asset.zone == *zone,
            Self::Glob(glob) => glob.matches(asset.id.as_str()),
        }
    }
}

impl fmt::Display for AssetSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(id) => write!(f, "{id}"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
            Self::Zone(zone) => write!(f, "zone:{zone}"),
            Self::Glob(glob) => write!(f, "{glob}"),
        }
    }
}

/// Which people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentitySelector {
    /// One, by name.
    Name(IdentityId),
    /// Those whose name matches.
    Glob(Glob),
    /// Those in a group that matches; `group:x`, or a group name that holds a colon, as `vendor:*`.
    Group(Glob),
}

impl IdentitySelector {
    /// Is this person meant?
    pub fn matches(&self, subject: &Subject) -> bool {
        match self {
            Self::Name(id) => subject.identity == *id,
            Self::Glob(glob) => glob.matches(subject.identity.as_str()),
            Self::Group(glob) => subject.groups.iter().any(|group| glob.matches(group)),
        }
    }
}

impl fmt::Display for IdentitySelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(id) => write!(f, "{id}"),
            Self::Glob(glob) => write!(f, "{glob}"),
            Self::Group(glob) => write!(f, "group:{glob}"),
        }
    }
}

macro_rules! serialize_as_written {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
serialize_as_written!(AssetSelector, IdentitySelector);

pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Matches in time proportional to the product of the lengths at worst: only the latest `*` is ever gone back to.
pub(crate) fn glob_matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let mut wanted = pattern;
    let mut star: Option<(&str, &str)> = None;
    loop {
        let next = wanted.chars().next();
        if next == Some('*') {
            wanted = &wanted[1..];
            star = Some((wanted, rest));
            continue;
        }
        match (next, rest.chars().next()) {
            (None, None) => return true,
            (Some(p), Some(c)) if p == '?' || p == c => {
                wanted = &wanted[p.len_utf8()..];
                rest = &rest[c.len_utf8()..];
            }
            _ => {
                let Some((after_star, from)) = star else { return false };
                let Some(skipped) = from.chars().next() else { return false };
                rest = &from[skipped.len_utf8()..];
                wanted = after_star;
                star = Some((after_star, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_star_is_any_run_and_a_question_mark_one_character() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*", "anything", true),
            ("ews-*", "ews-1", true),
            ("ews-*", "plc-ews-1", false),
            ("*-1", "ews-1", true),
            ("*-1", "ews-11", false),
            ("e*-*1", "ews-1-21", true),
            ("ews-?", "ews-1", true),
            ("ews-?", "ews-12", false),
            ("LC_*", "LC_ALL", true),
            ("", "", true),
            ("", "x", false),
            ("**a", "bba", true),
            ("é?", "éü", true),
            ("a*b*c*d", "abcabcabd", true),
        ] {
            assert_eq!(glob_matches(pattern, text), matches, "{pattern} ~ {text}");
        }
    }

    #[test]
    fn only_what_can_match_more_than_one_text_is_a_pattern() {
        for (text, pattern) in [("ews-*", true), ("ews-?", true), ("*", true), ("ews-1", false), ("", false)] {
            assert_eq!(Glob::new(text).is_pattern(), pattern, "{text}");
        }
    }

    #[test]
    fn selectors_are_shown_as_they_are_written() {
        for (selector, text) in [
            (AssetSelector::Name("ews-1".parse().unwrap()), "ews-1"),
            (AssetSelector::Tag("safety".to_owned()), "tag:safety"),
            (AssetSelector::Zone("cell-1".parse().unwrap()), "zone:cell-1"),
            (AssetSelector::Glob(Glob::new("plc-*")), "plc-*"),
        ] {
            assert_eq!(selector.to_string(), text);
            assert_eq!(serde_json::to_value(&selector).unwrap(), text);
        }
        for (selector, text) in [
            (IdentitySelector::Name("alice".parse().unwrap()), "alice"),
            (IdentitySelector::Glob(Glob::new("vendor-*")), "vendor-*"),
            (IdentitySelector::Group(Glob::new("vendor:*")), "group:vendor:*"),
        ] {
            assert_eq!(selector.to_string(), text);
            assert_eq!(serde_json::to_value(&selector).unwrap(), text);
        }
    }

    #[test]
    fn a_hostile_pattern_does_not_explode() {
        assert!(!glob_matches(&format!("{}b", "a*".repeat(200)), &"a".repeat(5_000)));
    }
}
