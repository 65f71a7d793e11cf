//! Whoever breaks the glass: nobody that the broker knows, with the code of an envelope.

use std::process::Command;

use sallyport_tests::{Finished, Person, finish};

use crate::site::Site;

/// Somebody in the control room.
pub(crate) struct Glass<'a> {
    site: &'a Site,
    person: Person,
}

impl<'a> Glass<'a> {
    pub(crate) fn new(site: &'a Site) -> Glass<'a> {
        Glass { site, person: site.plant.stranger("nobody") }
    }

    /// Seals envelopes; gives their codes.
    pub(crate) fn seal(&self, arguments: &[&str]) -> Vec<String> {
        let sealed = self.site.plant.json(&[&["break-glass", "seal", "--print"], arguments].concat());
        let code = |value: &serde_json::Value| value["code"].as_str().expect("a code").to_owned();
        sealed.as_array().expect("envelopes").iter().map(code).collect()
    }

    /// `ssh glass:operator@ASSET@broker`
    pub(crate) fn direct(&self, code: &str, asset: &str, line: &str) -> Finished {
        self.with(&[code, "line 4 does not stop"], &["-l", &format!("glass:operator@{asset}"), "broker", line])
    }

    /// `ssh` with these answers.
    pub(crate) fn with(&self, answers: &[&str], arguments: &[&str]) -> Finished {
        finish(self.command(answers, arguments), b"")
    }

    /// The same, to be started.
    pub(crate) fn command(&self, answers: &[&str], arguments: &[&str]) -> Command {
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let mut command = self.person.command_answering("ssh", &answers);
        command.arg("-F").arg(self.person.config()).args(arguments);
        command
    }
}
