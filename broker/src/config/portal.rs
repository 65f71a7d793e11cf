//! `[portal]`: where the pages for people are, under which name, and how long a sign-in lasts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::check::Check;
use super::file;

/// The longest name that DNS carries.
const LONGEST_NAME: usize = 253;
/// The longest part of one.
const LONGEST_LABEL: usize = 63;

/// `[portal]`
#[derive(Debug, Clone)]
pub struct Portal {
    /// For https; at least one.
    pub listen: Vec<SocketAddr>,
    /// The name that people type, in lower case, and no address: passkeys are bound to it.
    pub name: String,
    /// As browsers say it: `https://NAME`, with the port unless it is 443.
    pub origin: String,
    /// Where administrators' and auditors' pages are, if not at the same addresses.
    pub management: Option<Management>,
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// A sign-in ends when nothing was asked for so long.
    pub idle: Duration,
    /// A sign-in ends after so long, whatever is asked.
    pub longest: Duration,
    /// Whoever adds or removes a factor has given a second one within so long.
    pub fresh: Duration,
    /// Whether an authenticator counts that asks nobody for a PIN or finger: as a second factor, and never alone.
    pub unverified_keys: bool,
    /// PEM files of who makes authenticators: only theirs are enrolled then. None: anybody's.
    pub attestation_roots: Vec<PathBuf>,
    /// Of those, only these models, by AAGUID. None: every one of theirs.
    pub attested_models: Vec<String>,
}

/// Addresses of their own for administrators' and auditors' pages: in a network that operators do not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// For https; at least one.
    pub listen: Vec<SocketAddr>,
    /// As browsers say it there. The name is the portal's: passkeys are bound to that.
    pub origin: String,
}

impl Check<'_> {
    /// Nothing where what is written names no portal; why not is among the problems then.
    pub(super) fn portal(&mut self, portal: file::PortalSection) -> Option<Portal> {
        let written = portal.listen.as_ref().map_or(0, Vec::len);
        let listen: Vec<SocketAddr> = match portal.listen {
            Some(list) => list.into_iter().filter_map(|address| self.socket(&address)).collect(),
            None => vec![SocketAddr::from(([0, 0, 0, 0], 8443))],
        };
        let Some(name) = portal.name else {
            let message = "`[portal]` says no `name`".to_owned();
            self.problem_at(None, message, "write the name that people type, as in `gate.plant.example`");
            return None;
        };
        self.portal_name(&name);
        if let Some(model) = portal.attested_models.first().filter(|_| portal.attestation_roots.is_empty()) {
            let message = "`attested_models` without `attestation_roots` demands nothing".to_owned();
            self.problem(model, message, "name the files with their makers' certificates in `attestation_roots`");
        }
        let Some(first) = listen.first() else {
            // A socket that could not be read has its problem already.
            if written == 0 {
                self.problem(&name, "`[portal]` listens nowhere".to_owned(), "write `listen = [\"0.0.0.0:8443\"]`");
            }
            return None;
        };
        let origin = self.origin(portal.origin, name.get_ref(), first.port());
        if let (Some(origin), None) = (&portal.management_origin, &portal.management) {
            let message = "`management_origin` without `management` is the origin of nothing".to_owned();
            self.problem(origin, message, "name the addresses in `management`, or take the line out");
        }
        let written = portal.management.map(|list| (list, portal.management_origin));
        let management = written.and_then(|(list, written)| self.management(list, written, &name, &listen, &origin));
        Some(Portal {
            listen,
            origin,
            management,
            name: name.into_inner(),
            certificate: self.folder.join(portal.certificate.unwrap_or_else(|| "portal.crt".into())),
            key: self.folder.join(portal.key.unwrap_or_else(|| "portal.key".into())),
            idle: self.positive(portal.idle, Duration::from_mins(15)),
            longest: self.positive(portal.longest, Duration::from_hours(8)),
            fresh: self.positive(portal.fresh, Duration::from_mins(5)),
            unverified_keys: portal.unverified_keys,
            attestation_roots: portal.attestation_roots.iter().map(|path| self.folder.join(path)).collect(),
            attested_models: portal.attested_models.into_iter().map(Spanned::into_inner).collect(),
        })
    }

    /// An address that operators come to as well would be none of their own.
    fn management(
        &mut self,
        list: Vec<Spanned<String>>,
        origin: Option<Spanned<String>>,
        name: &Spanned<String>,
        operators: &[SocketAddr],
        theirs: &str,
    ) -> Option<Management> {
        let mut listen = Vec::new();
        for written in &list {
            let Some(address) = self.socket(written) else { continue };
            if operators.iter().any(|operators| is_same_door(*operators, address)) {
                let message = format!("`{address}` in `management` is reached by `listen` too: it would not be apart");
                self.problem(written, message, "write into `listen` the address that operators come to");
            }
            listen.push(address);
        }
        let Some(first) = listen.first() else {
            if list.is_empty() {
                let message = "`management` names no address".to_owned();
                self.problem(
                    name,
                    message,
                    "write one, as in `management = [\"10.0.0.5:8443\"]`, or take the line out",
                );
            }
            return None;
        };
        // Whoever maps the port of the one in a firewall maps that of the other.
        let as_theirs = origin.is_none() && operators.first().is_some_and(|operators| operators.port() == first.port());
        let origin = if as_theirs { theirs.to_owned() } else { self.origin(origin, name.get_ref(), first.port()) };
        Some(Management { listen, origin })
    }

    fn portal_name(&mut self, name: &Spanned<String>) {
        if name.get_ref().parse::<IpAddr>().is_ok() {
            let message = format!("`{}` is an address, and browsers bind passkeys to names alone", name.get_ref());
            self.problem(name, message, "give the broker a name in DNS or in the hosts files, and write that");
        } else if !is_name(name.get_ref()) {
            let message = format!("`{}` is not a host name", name.get_ref());
            self.problem(name, message, "small letters, digits, `-` and `.`, as in `gate.plant.example`");
        }
    }

    /// A browser says its origin without the port where that is https's own; anything else would match no request.
    fn origin(&mut self, written: Option<Spanned<String>>, name: &str, port: u16) -> String {
        let by_name = format!("https://{name}");
        let Some(written) = written else {
            return if port == 443 { by_name } else { format!("{by_name}:{port}") };
        };
        let fits = match written.get_ref().strip_prefix(&by_name) {
            Some("") => true,
            Some(rest) => rest.strip_prefix(':').is_some_and(is_port),
            None => false,
        };
        if !fits {
            let message = format!("`{}` is not an origin of `{name}`", written.get_ref());
            self.problem(&written, message, &format!("write `{by_name}`, and `:PORT` behind it unless that is 443"));
        }
        written.into_inner()
    }
}

/// Whether who connects to one may come in by the other. An address of all interfaces is everybody's.
fn is_same_door(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (everywhere || one.ip().to_canonical() == other.ip().to_canonical())
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.chars().all(fine)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label that begins with a digit can be how browsers read an address: `10.1`, `0x7f000001`.
    let ends_as_name = name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_lowercase()));
    name.len() <= LONGEST_NAME && ends_as_name && name.split('.').all(label)
}

/// As browsers write it: no zero before it, and never https's own.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0 && port != 443 && port.to_string() == text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::path::Path;

    use expect_test::{Expect, expect};

    use super::super::Config;
    use super::*;

    fn read(portal: &str) -> Result<Config, String> {
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let text = format!("recording.recipients = [\"{recipient}\"]\n[portal]\n{portal}\n");
        Config::parse(Path::new("/etc/sallyport/broker.toml"), &text).map_err(|error| error.to_string())
    }

    fn check(portal: &str, expected: Expect) {
        let said = match read(portal).map(|config| config.portal) {
            Ok(Some(portal)) => {
                let Portal { listen, name, origin, certificate, key, idle, longest, fresh, .. } = portal;
                let (certificate, key) = (certificate.display(), key.display());
                format!("{listen:?} {name} {origin} {certificate} {key} {idle:?} {longest:?} {fresh:?}")
            }
            Ok(None) => "none".to_owned(),
            Err(problems) => problems,
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn a_name_is_enough_and_the_origin_is_what_browsers_say() {
        check(
            "name = 'gate.plant.example'",
            expect![
                "[0.0.0.0:8443] gate.plant.example https://gate.plant.example:8443 /etc/sallyport/portal.crt /etc/sallyport/portal.key 900s 28800s 300s"
            ],
        );
        let origin = |portal: &str| read(portal).unwrap().portal.unwrap().origin;
        assert_eq!(origin("name = 'gate'\nlisten = ['[::]:443']"), "https://gate");
        assert_eq!(origin("name = 'gate'\norigin = 'https://gate'"), "https://gate");
        assert_eq!(origin("name = 'gate'\norigin = 'https://gate:9443'"), "https://gate:9443");
    }

    #[test]
    fn authenticators_verify_who_uses_them_and_are_anybodys_unless_it_is_written_otherwise() {
        let portal = read("name = 'gate'").unwrap().portal.unwrap();
        assert_eq!((portal.unverified_keys, portal.attestation_roots.len()), (false, 0));
        let written =
            "name = 'gate'\nunverified_keys = true\nattestation_roots = ['makers.pem']\nattested_models = ['a']";
        let portal = read(written).unwrap().portal.unwrap();
        assert_eq!(portal.attestation_roots, [PathBuf::from("/etc/sallyport/makers.pem")]);
        assert_eq!((portal.unverified_keys, portal.attested_models), (true, vec!["a".to_owned()]));
        check(
            "name = 'gate'\nattested_models = ['a']",
            expect![
                "/etc/sallyport/broker.toml:4:20: `attested_models` without `attestation_roots` demands nothing; name the files with their makers' certificates in `attestation_roots`"
            ],
        );
    }

    #[test]
    fn without_the_section_there_is_no_portal() {
        let text = "recording.recipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]";
        assert!(Config::parse(Path::new("broker.toml"), text).unwrap().portal.is_none());
    }

    #[test]
    fn what_no_browser_would_accept_is_refused_with_its_mend() {
        check(
            "",
            expect![
                "/etc/sallyport/broker.toml:1:1: `[portal]` says no `name`; write the name that people type, as in `gate.plant.example`"
            ],
        );
        check(
            "listen = []\nname = 'gate'",
            expect![[
                r#"/etc/sallyport/broker.toml:4:8: `[portal]` listens nowhere; write `listen = ["0.0.0.0:8443"]`"#
            ]],
        );
        check(
            "name = '10.0.0.1'",
            expect![
                "/etc/sallyport/broker.toml:3:8: `10.0.0.1` is an address, and browsers bind passkeys to names alone; give the broker a name in DNS or in the hosts files, and write that"
            ],
        );
        check(
            "name = 'Gate.Plant'\nidle = '0s'",
            expect![[r#"
            /etc/sallyport/broker.toml:3:8: `Gate.Plant` is not a host name; small letters, digits, `-` and `.`, as in `gate.plant.example`
            /etc/sallyport/broker.toml:4:8: no time at all would let nobody in; write it as `90s`"#]],
        );
        check(
            "name = 'gate'\norigin = 'http://gate:8443'",
            expect![
                "/etc/sallyport/broker.toml:4:10: `http://gate:8443` is not an origin of `gate`; write `https://gate`, and `:PORT` behind it unless that is 443"
            ],
        );
    }

    #[test]
    fn pages_of_administrators_can_have_addresses_of_their_own_in_the_same_name() {
        let management = |portal: &str| read(&format!("name = 'gate'\n{portal}")).unwrap().portal.unwrap().management;
        assert_eq!(management(""), None);
        for (portal, expected) in [
            ("listen = ['10.1.0.5:8443']\nmanagement = ['10.0.0.5:8443']", "https://gate:8443"),
            ("management = ['10.0.0.5:9443']", "https://gate:9443"),
            ("management = ['10.0.0.5:443']", "https://gate"),
            ("listen = ['10.1.0.5:8443']\norigin = 'https://gate'\nmanagement = ['10.0.0.5:8443']", "https://gate"),
            ("management = ['10.0.0.5:9443']\nmanagement_origin = 'https://gate:444'", "https://gate:444"),
        ] {
            let found = management(portal).unwrap();
            assert_eq!((found.listen.len(), found.origin.as_str()), (1, expected), "{portal}");
        }
        check(
            "name = 'gate'\nmanagement = ['10.0.0.5:8443']",
            expect![
                "/etc/sallyport/broker.toml:4:15: `10.0.0.5:8443` in `management` is reached by `listen` too: it would not be apart; write into `listen` the address that operators come to"
            ],
        );
        check(
            "listen = ['10.1.0.5:8443']\nname = 'gate'\nmanagement = []",
            expect![[
                r#"/etc/sallyport/broker.toml:4:8: `management` names no address; write one, as in `management = ["10.0.0.5:8443"]`, or take the line out"#
            ]],
        );
        check(
            "name = 'gate'\nmanagement = ['10.0.0.5:9443']\nmanagement_origin = 'https://other:9443'",
            expect![
                "/etc/sallyport/broker.toml:5:21: `https://other:9443` is not an origin of `gate`; write `https://gate`, and `:PORT` behind it unless that is 443"
            ],
        );
        check(
            "name = 'gate'\nmanagement_origin = 'https://gate:9443'",
            expect![
                "/etc/sallyport/broker.toml:4:21: `management_origin` without `management` is the origin of nothing; name the addresses in `management`, or take the line out"
            ],
        );
    }

    #[test]
    fn an_origin_is_of_the_name_and_nothing_else() {
        for origin in [
            "https://gate/",
            "https://gate:443",
            "https://gate:08443",
            "https://gate.evil",
            "https://gate:0",
            "https://gate:8443/x",
        ] {
            assert!(read(&format!("name = 'gate'\norigin = '{origin}'")).is_err(), "{origin}");
        }
        for name in ["a..b", "-a", "a-", "", "gate.10", "a_b", "a b", "gate:8443", "0x7f.1"] {
            assert!(read(&format!("name = '{name}'")).is_err(), "{name}");
        }
    }
}
