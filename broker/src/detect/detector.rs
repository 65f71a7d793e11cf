//! The rules: what is said of the plant, entry by entry, and what of it together is worth telling.

use std::time::Duration;

use super::fact::{Begun, Fact, Who};
use super::places::{Living, Places};
use super::spells::{Crossed, Measure, Spells};
use crate::audit::{AuditEvent, shortened};
use crate::config::Detect;
use crate::live::Asked;

/// What is remembered, and told by.
pub(super) struct Detector {
    limits: Detect,
    refused_of: Spells,
    refused_from: Spells,
    requests_refused: Spells,
    assets: Spells,
    names: Spells,
    units: Spells,
    functions: Spells,
    sessions: Spells,
    refusals: Spells,
    requests: Spells,
    guesses_as: Spells,
    guesses_from: Spells,
    alone: Spells,
    places: Places,
}

/// When an entry was written, and by which broker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    /// In microseconds since the Unix epoch.
    pub(super) at: i64,
    pub(super) broker: &'a str,
}

impl Detector {
    pub(super) fn new(limits: Detect) -> Self {
        let scan = |threshold| Spells::new(Measure::Different, threshold, limits.scan_window);
        let storm = |threshold| Spells::new(Measure::Times, threshold, limits.storm_window);
        let guesses = || Spells::new(Measure::Times, limits.guesses, limits.guess_window);
        Self {
            refused_of: scan(limits.scan_refused),
            refused_from: scan(limits.scan_refused),
            requests_refused: scan(limits.scan_refused),
            assets: scan(limits.scan_assets),
            names: scan(limits.scan_names),
            units: scan(limits.scan_units),
            functions: scan(limits.scan_functions),
            sessions: storm(limits.storm_sessions),
            refusals: storm(limits.storm_sessions),
            requests: storm(limits.storm_requests),
            guesses_as: guesses(),
            guesses_from: guesses(),
            alone: Spells::new(Measure::Times, limits.alone, limits.alone_window),
            places: Places::new(limits.together.clone()),
            limits,
        }
    }

    /// The longest time that anything is remembered for.
    pub(super) fn longest_window(limits: &Detect) -> Duration {
        [limits.scan_window, limits.storm_window, limits.guess_window, limits.alone_window]
            .into_iter()
            .max()
            .unwrap_or_default()
    }

    /// A session that lived before this began to watch.
    pub(super) fn lives(&mut self, session: &str, living: Living) {
        // Whoever was in two places then was told of by whoever watched.
        drop(self.places.began(session, living));
    }

    /// One more entry: what is to be told.
    pub(super) fn hear(&mut self, fact: &Fact, written: Written<'_>) -> Vec<AuditEvent> {
        let at = written.at;
        match fact {
            Fact::Guessed { who, factor } => {
                [self.guessed(who, factor, at), self.named(who, at)].into_iter().flatten().collect()
            }
            Fact::NamedWrongly { who } => self.named(who, at).into_iter().collect(),
            Fact::LeftAlone { who } => self.left_alone(who, at).into_iter().collect(),
            Fact::Denied { who, target } => {
                let target = shortened(target);
                [self.denied(who, &target, at), self.once_more(who, &target, at)].into_iter().flatten().collect()
            }
            Fact::RequestRefused { identity, request } => {
                let crossed = self.requests_refused.note(identity, &shortened(request), 1, at);
                crossed
                    .map(|crossed| self.scan(Some(identity), None, "refused requests", crossed))
                    .into_iter()
                    .collect()
            }
            Fact::RefusedOften { identity, kind, refusals } => {
                // Entered at each doubling: half of them are new.
                let crossed = self.refusals.note(&format!("{identity} {kind}"), "", refusals / 2, at);
                let of = format!("refusals of the kind {kind}");
                crossed.map(|crossed| self.storm(Some(identity), None, of, &crossed)).into_iter().collect()
            }
            Fact::Began(begun) => self.began(begun, written),
            Fact::Ended { session, .. } => {
                self.places.ended(session);
                Vec::new()
            }
            Fact::ClockJumped => {
                self.forget();
                Vec::new()
            }
        }
    }

    /// What somebody asked an asset for since the last look.
    pub(super) fn asked(&mut self, who: &Who, asset: &str, asked: &Asked, at: i64) -> Vec<AuditEvent> {
        let key = format!("{} {asset}", who.identity);
        let mut told = Vec::new();
        let (identity, source) = (Some(&who.identity), Some(&who.source));
        for unit in &asked.units {
            let crossed = self.units.note(&key, &unit.to_string(), 1, at);
            told.extend(crossed.map(|crossed| self.scan(identity, source, &format!("units of {asset}"), crossed)));
        }
        for function in &asked.functions {
            let crossed = self.functions.note(&key, &function.to_string(), 1, at);
            told.extend(crossed.map(|crossed| self.scan(identity, source, &format!("functions of {asset}"), crossed)));
        }
        if asked.requests > 0 {
            let crossed = self.requests.note(&key, "", asked.requests, at);
            told.extend(crossed.map(|crossed| self.storm(identity, source, format!("requests to {asset}"), &crossed)));
        }
        told
    }

    fn guessed(&mut self, who: &Who, factor: &str, at: i64) -> Option<AuditEvent> {
        let under = self.guesses_as.note(&shortened(&who.identity), factor, 1, at);
        let from = self.guesses_from.note(&who.source, factor, 1, at);
        let crossed = from.as_ref().or(under.as_ref())?;
        Some(AuditEvent::GuessingDetected {
            identity: under.as_ref().map(|_| shortened(&who.identity)),
            source: from.as_ref().map(|_| who.source.clone()),
            count: crossed.count,
            within: self.limits.guess_window.as_secs(),
            factors: crossed.examples.clone(),
        })
    }

    fn named(&mut self, who: &Who, at: i64) -> Option<AuditEvent> {
        let crossed = self.names.note(&who.source, &shortened(&who.identity), 1, at)?;
        Some(self.scan(None, Some(&who.source), "names", crossed))
    }

    fn left_alone(&mut self, who: &Who, at: i64) -> Option<AuditEvent> {
        let crossed = self.alone.note(&who.identity, &who.source, 1, at)?;
        Some(AuditEvent::FactorAloneDetected {
            identity: who.identity.clone(),
            count: crossed.count,
            within: self.limits.alone_window.as_secs(),
            sources: crossed.examples,
        })
    }

    fn denied(&mut self, who: &Who, target: &str, at: i64) -> Option<AuditEvent> {
        let of = self.refused_of.note(&who.identity, target, 1, at);
        let from = self.refused_from.note(&who.source, target, 1, at);
        let (identity, source) = (of.as_ref().map(|_| &who.identity), from.as_ref().map(|_| &who.source));
        let crossed = of.clone().or_else(|| from.clone())?;
        Some(self.scan(identity, source, "refused targets", crossed))
    }

    /// One more session to a target, begun or refused.
    fn once_more(&mut self, who: &Who, target: &str, at: i64) -> Option<AuditEvent> {
        let crossed = self.sessions.note(&format!("{} {target}", who.identity), "", 1, at)?;
        Some(self.storm(Some(&who.identity), Some(&who.source), format!("sessions to {target}"), &crossed))
    }

    fn began(&mut self, begun: &Begun, written: Written<'_>) -> Vec<AuditEvent> {
        let Begun { session, who, asset, service } = begun;
        let at = written.at;
        let mut told = Vec::new();
        let crossed = self.assets.note(&who.identity, asset, 1, at);
        told.extend(crossed.map(|crossed| self.scan(Some(&who.identity), Some(&who.source), "assets", crossed)));
        told.extend(self.once_more(who, &format!("{asset}:{service}"), at));
        let living = Living { who: who.clone(), broker: written.broker.to_owned(), at };
        told.extend(self.places.began(session, living).map(|other| AuditEvent::TwoPlacesDetected {
            identity: who.identity.clone(),
            source: who.source.clone(),
            session: session.clone(),
            other_source: other.source,
            other_session: other.session,
            other_broker: other.broker,
        }));
        told
    }

    fn scan(&self, identity: Option<&String>, source: Option<&String>, of: &str, crossed: Crossed) -> AuditEvent {
        AuditEvent::ScanDetected {
            identity: identity.cloned(),
            source: source.cloned(),
            of: of.to_owned(),
            count: crossed.count,
            within: self.limits.scan_window.as_secs(),
            examples: crossed.examples,
        }
    }

    fn storm(&self, identity: Option<&String>, source: Option<&String>, of: String, crossed: &Crossed) -> AuditEvent {
        let (identity, source, within) = (identity.cloned(), source.cloned(), self.limits.storm_window.as_secs());
        AuditEvent::StormDetected { identity, source, of, count: crossed.count, within }
    }

    /// The clock was moved: what is remembered by it says nothing of what comes.
    fn forget(&mut self) {
        let counted = [
            &mut self.refused_of,
            &mut self.refused_from,
            &mut self.requests_refused,
            &mut self.assets,
            &mut self.names,
            &mut self.units,
            &mut self.functions,
            &mut self.sessions,
            &mut self.refusals,
            &mut self.requests,
            &mut self.guesses_as,
            &mut self.guesses_from,
            &mut self.alone,
        ];
        counted.into_iter().for_each(Spells::forget);
    }
}
