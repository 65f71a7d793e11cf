//! What the filter of a session would do with an operation.

use std::fmt;

use jiff::Timestamp;
use sallyport_policy::{
    Decision, Opening, Policy, Protocol, ProtocolRules, ResolvedFilter, ResolvedRule, RuleRef, Terms, WriteWindow,
    may_open,
};
use sallyport_protocol_filter::modbus::{
    self, Limits, Mode, PROTOCOL, Request, Rule, Rules, exception_of, parse_operation,
};
use sallyport_protocol_filter::{Cause, Kind, Verdict};
use serde::Serialize;

use super::asked::Asked;
use super::{CliError, Context};
use crate::cli::printable;
use crate::identity::Standing;
use crate::live::Endpoint;
use crate::store::Listed;
use crate::tcp::rules;

/// An operation with what would become of it.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    operation: String,
    unit: u8,
    /// What the session still lacks: `factors` or `approval`. The filter is that of the grant that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    once: Option<&'static str>,
    /// None: there would be no session.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filtered>,
    /// What of the device's answers is put right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tolerate: Vec<&'static str>,
    windows: Vec<Window>,
    /// Could write windows be looked up?
    windows_known: bool,
}

/// What a filter says.
#[derive(Debug, Serialize)]
struct Filtered {
    name: String,
    verdict: &'static str,
    rule: String,
    /// The rule in words, if the plant file or a window has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_says: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// What the client would be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
}

/// A write window of the person on the service.
#[derive(Debug, Serialize)]
pub(super) struct Window {
    #[serde(flatten)]
    window: WriteWindow,
    /// Why it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    void: Option<String>,
}

/// The windows of the person on the service that are open or will be. None where there is no broker whose windows could be asked for;
/// only plant files that were `given` can be asked about there.
pub(super) async fn windows(
    asked: &Asked,
    policy: &Policy,
    given: bool,
    context: &Context,
) -> Result<Option<Vec<Window>>, CliError> {
    if given && context.config().is_err() {
        return Ok(None);
    }
    let (store, at) = (context.rows().await?, asked.at);
    let Asked { subject, asset, service, .. } = asked;
    let found = if at >= asked.now {
        store.windows_of(&subject.identity, asset, service, at).await.map_err(CliError::failed)?
    } else {
        // What was closed since was open then.
        let rows = store.write_windows(true, at).await.map_err(CliError::failed)?;
        let theirs = |window: &WriteWindow| {
            (&window.identity, &window.asset, &window.service) == (&subject.identity, asset, service)
        };
        // What was closed carries no MAC: of the past only what took away is told by the row alone.
        let genuine = rows.into_iter().map(Listed::into_parts).filter(|(_, fault)| fault.is_none()).map(|(row, _)| row);
        let lasted = genuine.filter(|row| theirs(&row.window) && at < row.window.until);
        lasted.filter(|row| row.closed.as_ref().is_none_or(|(closed, _)| at < *closed)).map(|row| row.window).collect()
    };
    let mut windows = Vec::new();
    for window in found {
        let row = store.identity(window.opened_by.as_str()).await.map_err(CliError::failed)?;
        let standing = row.map_or(Standing::Unknown, |row| Standing::of(&window.opened_by, row, at));
        let void = match standing {
            Standing::Active { subject: opener, .. } => match may_open(policy, &opener, subject, &window, at) {
                Opening::Permit(_) => None,
                Opening::Deny(denial) => Some(denial.to_string()),
            },
            Standing::Locked { .. } | Standing::Removed | Standing::Expired { .. } | Standing::Unknown => {
                Some(format!("`{}`, who opened it, is locked, removed or expired", window.opened_by))
            }
        };
        windows.push(Window { window, void });
    }
    Ok(Some(windows))
}

/// Judges an operation as the session's filter would, on a fresh connection. Without a decision there is no session.
pub(super) fn judge(
    text: &str,
    asked: &Asked,
    policy: &Policy,
    decision: Option<&Decision>,
    windows: Option<Vec<Window>>,
) -> Result<Judged, CliError> {
    let (asset, service) = (&asked.asset, &asked.service);
    let found = policy.asset(asset).and_then(|asset| asset.services.get(service));
    let found = found.filter(|service| service.protocol == Protocol::Modbus).ok_or_else(|| {
        CliError::Usage(format!(
            "`{service}` is no Modbus service of `{asset}`: `--operation` needs one, such as `--service modbus`"
        ))
    })?;
    let wanted = parse_operation(text, &rules::tags(policy, found))
        .map_err(|error| CliError::Usage(format!("`--operation`: {error}")))?;
    let (windows_known, windows) = (windows.is_some(), windows.unwrap_or_default());
    let added: Vec<ResolvedRule> =
        windows.iter().filter(|each| each.void.is_none()).flat_map(|each| policy.window_rules(&each.window)).collect();
    let (once, terms) = match decision {
        None | Some(Decision::Deny(_)) => (None, None),
        Some(Decision::NeedFactors(need)) => (Some("factors"), terms_of(policy, &need.rule)),
        Some(Decision::NeedApproval(approval)) => (Some("approval"), terms_of(policy, &approval.rule)),
        Some(Decision::Permit(permit)) => (None, Some(&permit.terms)),
    };
    let dated = terms.and_then(|terms| rules::modbus(policy, Endpoint { asset, service }, terms, &added, asked.at));
    let resolved = terms.and_then(|terms| policy.filter_for(asset, service, terms));
    let filter = dated.zip(resolved).map(|(dated, resolved)| {
        let case = Case { rules: &dated.rules, unit: wanted.unit, request: wanted.request(), at: asked.at };
        case.judge(&resolved, &added)
    });
    let (operation, unit) = (text.trim().to_owned(), wanted.unit);
    let tolerate = found.tolerate.iter().map(|each| each.as_str()).collect();
    Ok(Judged { operation, unit, once, filter, tolerate, windows, windows_known })
}

fn terms_of<'p>(policy: &'p Policy, rule: &RuleRef) -> Option<&'p Terms> {
    policy.grant(rule).map(|grant| &grant.terms)
}

struct Case<'a> {
    rules: &'a Rules,
    unit: u8,
    request: Request<'a>,
    at: Timestamp,
}

impl Case<'_> {
    fn judge(&self, resolved: &ResolvedFilter, added: &[ResolvedRule]) -> Filtered {
        let verdict = self.verdict(self.rules);
        let (rule, cause) = match verdict {
            Verdict::Pass { rule } => (rule, None),
            Verdict::WouldDeny { rule, cause } | Verdict::Deny { rule, cause } => (rule, Some(cause)),
        };
        let written = match &resolved.rules {
            ProtocolRules::Modbus(rules) => rules.rules.as_slice(),
            ProtocolRules::Vnc(_) | ProtocolRules::Rdp(_) => &[],
        };
        let says = written.iter().chain(added).find(|written| written.name == rule);
        Filtered {
            name: resolved.name.clone(),
            verdict: verdict.word(),
            rule: rule.to_owned(),
            rule_says: says.map(ToString::to_string),
            cause: cause.map(Cause::word),
            exception: cause.filter(|_| !verdict.passes()).map(exception_of),
            needs: cause.map(|cause| self.needs(cause, rule)),
        }
    }

    fn verdict<'r>(&self, rules: &'r Rules) -> Verdict<'r> {
        rules.judge(self.unit, &self.request, &|_, _| None, self.at.as_millisecond())
    }

    /// What it would take for the operation to pass.
    fn needs(&self, cause: Cause, rule: &str) -> String {
        let kinds: Vec<Kind> = self.request.parts().map(|part| part.kind).collect();
        let kind = kinds.first().copied().unwrap_or_else(|| self.request.function().kind());
        let or_window = if kinds.contains(&Kind::Write) { ", or a write window" } else { "" };
        match cause {
            _ if rule == PROTOCOL => {
                "values and addresses that the protocol itself allows: no filter passes these".to_owned()
            }
            Cause::Function if self.request.is_opaque() => {
                format!("a rule whose `functions` names {}: it is not decoded", self.request.function())
            }
            Cause::Function => format!("a rule that allows `{kind}`{or_window}"),
            Cause::Address if self.unit == 0 => format!("a rule that allows `{kind}` there and whose `unit` names 0"),
            Cause::Address => format!("a rule that allows `{kind}` there on unit {}{or_window}", self.unit),
            Cause::Value => self.limits(rule).map_or_else(
                || format!("a value that `{rule}` allows{or_window}"),
                |last| {
                    format!(
                        "the last value to be known: read or written on the same connection just before, {last}{or_window}"
                    )
                },
            ),
            Cause::Rate => format!("fewer writes in a minute{or_window}"),
            Cause::Window => match self.named(rule).and_then(|rule| rule.from) {
                Some(from) => format!("to be done later: `{rule}` holds from {}{or_window}", moment(from)),
                None => format!("another time: `{rule}` does not hold now{or_window}"),
            },
        }
    }

    /// If only the last value is what is missing: what it has to be.
    fn limits(&self, rule: &str) -> Option<String> {
        let without_last = |rule: &Rule| {
            let limits = rule.limits.clone().map(|limits| Limits { max_step: None, bits: None, ..limits });
            Rule { limits, ..rule.clone() }
        };
        let rules = self.rules.rules().iter().map(without_last).collect();
        let rules = Rules::new(self.rules.name(), Mode::Enforce, rules, self.rules.tags().to_vec());
        if !self.verdict(&rules).passes() {
            return None;
        }
        let limits = self.named(rule)?.limits.as_ref()?;
        let step = limits.max_step.map(|step| format!("at most {step} away"));
        let bits = limits.bits.map(|bits| format!("other in the bits {bits:#x} only"));
        Some(step.into_iter().chain(bits).collect::<Vec<_>>().join(" and "))
    }

    fn named(&self, name: &str) -> Option<&Rule> {
        self.rules.rules().iter().find(|rule| rule.name == name)
    }
}

fn moment(unix_ms: i64) -> String {
    format!("{:.0}", Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX))
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "operation {}, unit {}", printable(&self.operation), self.unit)?;
        match (&self.filter, self.once) {
            (None, _) => writeln!(f, "  there would be no session to do it in")?,
            (Some(filter), once) => {
                if let Some(once) = once {
                    writeln!(f, "  once the {once} asked for above are there:")?;
                }
                write!(f, "{filter}")?;
            }
        }
        if !self.tolerate.is_empty() {
            let words = self.tolerate.join(", ");
            writeln!(f, "  of its answers is put right: {words}; no last value is known from such an answer")?;
        }
        for Window { window, void } in &self.windows {
            let WriteWindow { id, points, from, until, .. } = window;
            write!(f, "  window {id}: {}, from {from:.0} until {until:.0}", printable(&points.to_string()))?;
            match void {
                Some(why) => writeln!(f, "; does not count: {}", printable(why))?,
                None => writeln!(f)?,
            }
        }
        if self.windows_known {
            Ok(())
        } else {
            writeln!(f, "  write windows are not looked at: there is no broker's configuration here")
        }
    }
}

impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  filter {}: {}", self.name, self.verdict)?;
        if let Some(cause) = self.cause {
            write!(f, ", {cause}")?;
        }
        if let Some(code) = self.exception {
            write!(f, "; answered with exception {code} ({})", modbus::exception_name(code))?;
        }
        match &self.rule_says {
            Some(says) => writeln!(f, "\n  rule {}", printable(says))?,
            None => writeln!(f, "\n  rule {}", printable(&self.rule))?,
        }
        match &self.needs {
            Some(needs) => writeln!(f, "  needs {}", printable(needs)),
            None => Ok(()),
        }
    }
}
