//! The portal, as a browser will see it.

use std::os::unix::fs::PermissionsExt;

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::cli::printable;
use crate::config::{Management, Portal};
use crate::identity::RelyingPartySettings;
use crate::portal::{Examined, examine};

const CERTIFICATE: &str = "certificate";

/// So long before a certificate's end somebody should see to the next.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn look(portal: &Portal, now: Timestamp) -> Vec<Finding> {
    // A name that browsers bind no passkey to was an error of the configuration.
    let mut findings = vec![Finding::ok("portal", format!("people type {}", portal.origin))];
    findings.extend(portal.management.as_ref().map(management));
    findings.push(authenticators(portal));
    findings.extend(key_file(portal));
    match examine(portal) {
        Ok(examined) => findings.extend(certificate(portal, &examined, now)),
        Err(error) => {
            let mend = "write the chain and its key in PEM where `[portal]` says; they are read anew when they change";
            findings.push(Finding::fail(CERTIFICATE, error.to_string(), mend));
        }
    }
    findings
}

/// Whether administrators' and auditors' pages are apart.
fn management(management: &Management) -> Finding {
    const MANAGEMENT: &str = "management";
    let says = format!("administrators and auditors type {}", management.origin);
    if management.listen.iter().any(|address| address.ip().is_unspecified()) {
        let says = format!("{says}, and it is open in every network of this machine");
        return Finding::warn(
            MANAGEMENT,
            says,
            "write into `management` the machine's address in the management network",
        );
    }
    Finding::ok(MANAGEMENT, says)
}

/// Whose passkeys and security keys are enrolled.
fn authenticators(portal: &Portal) -> Finding {
    const AUTHENTICATORS: &str = "authenticators";
    if let Err(error) = RelyingPartySettings::from(portal).examine() {
        return Finding::fail(
            AUTHENTICATORS,
            error.to_string(),
            "the broker does not start with it: mend the configuration",
        );
    }
    let whose = match (portal.attestation_roots.len(), portal.attested_models.len()) {
        (0, _) => "anybody's".to_owned(),
        (_, 0) => "those of the makers in `attestation_roots`".to_owned(),
        (_, models) => format!("{models} of the models of the makers in `attestation_roots`"),
    };
    let verified = if portal.unverified_keys { "also keys that ask for no PIN" } else { "all ask for a PIN or finger" };
    Finding::ok(AUTHENTICATORS, format!("{whose} are enrolled, {verified}"))
}

fn key_file(portal: &Portal) -> Option<Finding> {
    let mode = std::fs::metadata(&portal.key).ok()?.permissions().mode();
    let mend = format!("chmod o= {}", portal.key.display());
    (mode & 0o007 != 0).then(|| Finding::warn(CERTIFICATE, "everybody on this machine can read its key", mend))
}

fn certificate(portal: &Portal, examined: &Examined, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![
        names(portal, examined),
        validity(examined, now),
        Finding::ok(CERTIFICATE, format!("SHA-256 {}", examined.fingerprint)),
    ];
    if examined.self_made {
        findings.push(Finding::warn(
            CERTIFICATE,
            "it vouches for itself: a browser warns, and takes no passkey until it is trusted",
            "have your authority sign one, or let the machines that use it trust this one, by its SHA-256",
        ));
    } else if examined.authorities == 0 {
        findings.push(Finding::warn(
            CERTIFICATE,
            "no authority's certificate comes with it: a browser that has none between it and the root refuses it",
            "append the authority's own certificates behind it, unless a root signed it",
        ));
    }
    findings
}

fn names(portal: &Portal, examined: &Examined) -> Finding {
    let names = printable(&examined.names.join(", "));
    if examined.covers_name {
        return Finding::ok(CERTIFICATE, format!("it is for {names}"));
    }
    let says = format!("it is for `{names}`, and not for `{}`: every browser refuses it", portal.name);
    Finding::fail(CERTIFICATE, says, format!("get one for `{}`", portal.name))
}

fn validity(examined: &Examined, now: Timestamp) -> Finding {
    let (from, until) = (examined.not_before, examined.not_after);
    let mend = "replace both files; the broker reads them anew";
    if now < from {
        Finding::fail(
            CERTIFICATE,
            format!("it is not valid before {from:.0}: every browser refuses it"),
            "set the clock",
        )
    } else if until <= now {
        Finding::fail(CERTIFICATE, format!("it was valid until {until:.0}: every browser refuses it"), mend)
    } else if until.duration_since(now) < SOON {
        Finding::warn(CERTIFICATE, format!("it is valid until {until:.0} only"), mend)
    } else {
        Finding::ok(CERTIFICATE, format!("it is valid until {until:.0}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use expect_test::{Expect, expect};

    use super::*;

    fn check(change: impl FnOnce(&mut Examined), expected: Expect) {
        let portal = Portal {
            listen: Vec::new(),
            name: "gate.plant.example".to_owned(),
            origin: "https://gate.plant.example:8443".to_owned(),
            management: None,
            certificate: "portal.crt".into(),
            key: "portal.key".into(),
            idle: std::time::Duration::ZERO,
            longest: std::time::Duration::ZERO,
            fresh: std::time::Duration::ZERO,
            unverified_keys: false,
            attestation_roots: Vec::new(),
            attested_models: Vec::new(),
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut examined = Examined {
            names: vec!["gate.plant.example".to_owned()],
            covers_name: true,
            not_before: at("2026-01-01T00:00:00Z"),
            not_after: at("2027-01-01T00:00:00Z"),
            self_made: false,
            authorities: 1,
            fingerprint: "AA:BB".to_owned(),
        };
        change(&mut examined);
        let findings = certificate(&portal, &examined, at("2026-11-29T06:00:00Z"));
        let told: Vec<String> =
            findings.iter().map(|finding| format!("{:?} {}", finding.state, finding.says)).collect();
        expected.assert_eq(&told.join("\n"));
    }

    #[test]
    fn what_a_browser_will_say_is_said_before_it_does() {
        check(
            |_| {},
            expect![[r#"
            Ok it is for gate.plant.example
            Ok it is valid until 2027-01-01T00:00:00Z
            Ok SHA-256 AA:BB"#]],
        );
        check(
            |examined| (examined.self_made, examined.authorities) = (true, 0),
            expect![[r#"
            Ok it is for gate.plant.example
            Ok it is valid until 2027-01-01T00:00:00Z
            Ok SHA-256 AA:BB
            Warn it vouches for itself: a browser warns, and takes no passkey until it is trusted"#]],
        );
        check(
            |examined| (examined.covers_name, examined.authorities) = (false, 0),
            expect![[r#"
            Fail it is for `gate.plant.example`, and not for `gate.plant.example`: every browser refuses it
            Ok it is valid until 2027-01-01T00:00:00Z
            Ok SHA-256 AA:BB
            Warn no authority's certificate comes with it: a browser that has none between it and the root refuses it"#]],
        );
        check(
            |examined| examined.not_after = "2026-12-01T00:00:00Z".parse().unwrap(),
            expect![[r#"
            Ok it is for gate.plant.example
            Warn it is valid until 2026-12-01T00:00:00Z only
            Ok SHA-256 AA:BB"#]],
        );
        check(
            |examined| examined.not_after = "2026-11-29T06:00:00Z".parse().unwrap(),
            expect![[r#"
            Ok it is for gate.plant.example
            Fail it was valid until 2026-11-29T06:00:00Z: every browser refuses it
            Ok SHA-256 AA:BB"#]],
        );
        check(
            |examined| examined.not_before = "2026-12-01T00:00:00Z".parse().unwrap(),
            expect![[r#"
            Ok it is for gate.plant.example
            Fail it is not valid before 2026-12-01T00:00:00Z: every browser refuses it
            Ok SHA-256 AA:BB"#]],
        );
    }
}
