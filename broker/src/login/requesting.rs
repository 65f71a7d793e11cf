//! `ssh alice@broker request ews-1 WHY`, and what others say to it: the words of people about requests, and the sentences that answer them.

use std::fmt::Write as _;

use jiff::SignedDuration;
use sallyport_policy::{AssetId, RequestDenial, RequestState, ServiceName, lasting, lasting_text};

use crate::approval::{self, Approver, Desk, NotApprover, NotAsked, NotDecided, Seen, Wish};
use crate::session::{Authenticated, Session, not_for_you, printable};
use crate::store::StoreError;

const USAGE: &str = "Say for which asset, for how long, and why: \
     ssh alice@broker request ews-1 --for 2h --permit PTW-17 replace the drive of line 4";

const CANNOT: &str = "The broker cannot do this now. Try again later; if it lasts, tell your administrator.";

const ENVELOPE: &str = "An envelope is open here: it asks nobody and approves nothing.";

/// How long something is asked for where nothing is said of it.
const USUAL: SignedDuration = SignedDuration::from_hours(1);

/// What follows the word `request`. Both outcomes are a sentence for the person.
pub(crate) async fn request(session: &Session<Authenticated>, words: &str) -> Result<String, String> {
    if session.proof().emergency().is_some() {
        return Err(ENVELOPE.to_owned());
    }
    let asked = Asked::read(words).ok_or_else(|| USAGE.to_owned())?;
    let host = asked.host;
    let (broker, identity) = (session.broker(), session.proof().identity());
    let policy = broker.policy.current();
    let known =
        policy.assets().find(|asset| asset.id.as_str().eq_ignore_ascii_case(host)).map(|asset| asset.id.clone());
    let service = asked.service.map(str::parse::<ServiceName>).transpose();
    let (Some(asset), Ok(service)) = (known, service) else {
        return Err(nothing_to_ask(session, host, &RequestDenial::NoGrant).await);
    };
    let wish = Wish {
        asset,
        service,
        lasting: asked.lasting,
        reason: asked.reason.to_owned(),
        permit: asked.permit.map(ToOwned::to_owned),
    };
    match approval::ask(broker, identity, session.source(), wish).await {
        Ok(seen) => Ok(format!("{}\nHow it stands: ssh {identity}@broker requests", own_line(&seen))),
        Err(NotAsked::Denied(denial)) => Err(nothing_to_ask(session, host, &denial).await),
        Err(NotAsked::Standing) => Err(not_for_you(host)),
        Err(NotAsked::Words(words)) => Err(words),
        Err(NotAsked::TooManyOpen) => Err(format!(
            "As many of your requests are open as may be. Withdraw one first: ssh {identity}@broker withdraw ID"
        )),
        Err(NotAsked::TooOften) => Err("You have asked too often today. Try again tomorrow.".to_owned()),
        Err(error @ (NotAsked::Audit(_) | NotAsked::Store(_))) => {
            tracing::error!(%error, "A request could not be entered");
            Err(CANNOT.to_owned())
        }
    }
}

/// What the policy lets nobody ask for is refused on the record, as if they had tried to reach it.
async fn nothing_to_ask(session: &Session<Authenticated>, host: &str, denial: &RequestDenial) -> String {
    let sentence = match denial {
        RequestDenial::NoGrant => not_for_you(host),
        RequestDenial::NotNeeded => format!("{} needs nobody's approval: connect as usual.", printable(host)),
        RequestDenial::TooLong { rule } => {
            return format!("It can be approved for {} at most: say so with --for.", lasting_text(rule.max));
        }
        RequestDenial::TooShort => {
            return "That is too short to do anything in. Say for how long with --for.".to_owned();
        }
    };
    let recorded = session.refuse_on_record(host, "request", &denial.to_string()).await;
    recorded.map_or_else(|refusal| refusal.sentence(host), |()| sentence)
}

/// What follows the word `withdraw`.
pub(crate) async fn withdraw(session: &Session<Authenticated>, words: &str) -> Result<String, String> {
    let (id, identity) = (words.trim(), session.proof().identity());
    let withdrawn = approval::withdraw(session.broker(), identity, id).await;
    withdrawn.map(|row| format!("Request {} is withdrawn.", row.request.id)).map_err(|error| not_decided(id, &error))
}

/// What follows the word `deny`: which, and why.
pub(crate) async fn deny(session: &Session<Authenticated>, words: &str) -> Result<String, String> {
    if session.proof().emergency().is_some() {
        return Err(ENVELOPE.to_owned());
    }
    let (id, reason) = words.trim().split_once(char::is_whitespace).unwrap_or((words.trim(), ""));
    match approval::deny(session.broker(), session.proof().identity(), id, reason).await {
        Ok(row) => Ok(format!("Request {} of {} is denied.", row.request.id, row.request.identity)),
        Err(NotDecided::Reason) => Err("Say which, and why: ssh bob@broker deny ID not today".to_owned()),
        Err(error) => Err(refused(session, id, "deny", &error).await),
    }
}

/// What somebody is about to approve: how it stands now, and a line about it.
pub(crate) async fn to_approve(session: &Session<Authenticated>, id: &str) -> Result<(usize, String), String> {
    let (broker, policy) = (session.broker(), session.broker().policy.current());
    if session.proof().emergency().is_some() {
        return Err(ENVELOPE.to_owned());
    }
    let awaiting = Desk::new(&broker.store, &policy, broker.now()).awaiting(session.proof().subject()).await;
    let awaiting = awaiting.map_err(|error| cannot(&error))?;
    match awaiting.into_iter().find(|seen| seen.row.request.id.as_str().eq_ignore_ascii_case(id)) {
        Some(seen) => Ok((seen.approvals.len(), other_line(&seen))),
        None => {
            let own = broker.store.access_request(&id.to_lowercase()).await.map_err(|error| cannot(&error))?;
            let own = own.is_some_and(|row| row.request.identity == *session.proof().identity());
            let error = if own { NotDecided::Own } else { NotDecided::Unknown };
            Err(refused(session, id, "approve", &error).await)
        }
    }
}

/// Approves it, as it stood when they looked at it.
pub(crate) async fn approve(
    session: &Session<Authenticated>,
    approver: &Approver,
    id: &str,
    seen: usize,
) -> Result<String, String> {
    match approval::approve(session.broker(), approver, id, Some(seen)).await {
        Ok(Seen { row, state: RequestState::Approved { until }, .. }) => {
            let request = &row.request;
            Ok(format!("Approved: {} may reach {} until {until:.0}.", request.identity, request.asset))
        }
        Ok(Seen { row, state, .. }) => Ok(format!("You have approved request {}. {}", row.request.id, stands(&state))),
        Err(error) => Err(refused(session, id, "approve", &error).await),
    }
}

/// Why somebody cannot approve.
pub(crate) fn not_approver(error: &NotApprover) -> String {
    match error {
        NotApprover::Stale => "This takes a second factor that is given now.".to_owned(),
        NotApprover::Standing => ENVELOPE.to_owned(),
        NotApprover::Store(error) => cannot(error),
    }
}

/// That somebody tried to decide what they may not is on the record.
async fn refused(session: &Session<Authenticated>, id: &str, what: &str, error: &NotDecided) -> String {
    if let NotDecided::Unknown | NotDecided::Own = error
        && let Err(refusal) = session.refuse_on_record(id, what, &error.to_string()).await
    {
        return refusal.sentence(id);
    }
    not_decided(id, error)
}

fn not_decided(id: &str, error: &NotDecided) -> String {
    match error {
        NotDecided::Unknown => format!("There is no open request `{}` that you may decide.", printable(id)),
        NotDecided::Own => "Nobody approves or denies their own request. You can withdraw it.".to_owned(),
        NotDecided::Before => "You have approved it before. It takes somebody else.".to_owned(),
        NotDecided::Enough => "Enough have approved it already.".to_owned(),
        NotDecided::Changed => "Somebody was faster: it is not as it was. Look at it again.".to_owned(),
        NotDecided::Reason => "A reason is missing, or too long.".to_owned(),
        NotDecided::Audit(error) => {
            tracing::error!(%error, "A decision about a request could not be audited, so it does not count");
            CANNOT.to_owned()
        }
        NotDecided::Store(error) => cannot(error),
    }
}

fn cannot(error: &StoreError) -> String {
    tracing::error!(%error, "Requests cannot be looked at");
    CANNOT.to_owned()
}

/// What somebody asks for, and what others ask of them; nothing where there is neither.
pub(crate) async fn overview(session: &Session<Authenticated>) -> String {
    if session.proof().emergency().is_some() {
        return String::new();
    }
    let (broker, proof) = (session.broker(), session.proof());
    let policy = broker.policy.current();
    let desk = Desk::new(&broker.store, &policy, broker.now());
    let both =
        async { Ok::<_, StoreError>((desk.own(proof.identity()).await?, desk.awaiting(proof.subject()).await?)) };
    let (own, awaiting) = match both.await {
        Ok(both) => both,
        Err(error) => {
            tracing::warn!(%error, "Requests cannot be looked at");
            return "Requests cannot be looked at now.\n".to_owned();
        }
    };
    let (mut text, identity) = (String::new(), proof.identity());
    // Writing to a string cannot fail.
    let written = (|| -> std::fmt::Result {
        if !own.is_empty() {
            writeln!(text, "Your requests:")?;
        }
        for seen in &own {
            writeln!(text, "  {}", own_line(seen))?;
        }
        if !awaiting.is_empty() {
            writeln!(text, "Others ask you:")?;
        }
        for seen in &awaiting {
            writeln!(text, "  {}", other_line(seen))?;
        }
        if !awaiting.is_empty() {
            writeln!(text, "  ssh {identity}@broker approve ID, or ssh {identity}@broker deny ID WHY")?;
        }
        Ok(())
    })();
    debug_assert!(written.is_ok());
    text
}

fn own_line(seen: &Seen) -> String {
    format!("{}: {}. {}", seen.row.request.id, what(seen), stands(&seen.state))
}

fn other_line(seen: &Seen) -> String {
    let request = &seen.row.request;
    let permit = request.permit.as_ref().map(|permit| format!(" (permit {permit})")).unwrap_or_default();
    let (id, identity, reason) = (&request.id, &request.identity, &request.reason);
    format!("{id}: {identity} asks for {}{permit}: {reason}. {}", what(seen), stands(&seen.state))
}

fn what(seen: &Seen) -> String {
    let request = &seen.row.request;
    let services: Vec<&str> = request.services.iter().map(ServiceName::as_str).collect();
    format!("{} ({}) for {}", request.asset, services.join(", "), lasting_text(request.duration))
}

fn stands(state: &RequestState) -> String {
    match state {
        RequestState::Waiting { given, needed, until } => {
            format!("{given} of {needed} have approved it; it waits until {until:.0}.")
        }
        RequestState::Approved { until } => format!("Approved until {until:.0}."),
        RequestState::Over => "Its time is over.".to_owned(),
        RequestState::Gone => "The plant file does not ask for it any more.".to_owned(),
    }
}

/// What somebody is told of an asset that needs an approval: how to ask for it, or how what they have asked for stands.
pub(super) async fn how_to_ask(session: &Session<Authenticated>, asset: &AssetId) -> String {
    let (broker, identity) = (session.broker(), session.proof().identity());
    let policy = broker.policy.current();
    let own = Desk::new(&broker.store, &policy, broker.now()).own(identity).await;
    let waiting = |seen: &Seen| seen.row.request.asset == *asset && matches!(seen.state, RequestState::Waiting { .. });
    match own.map(|own| own.into_iter().find(waiting)) {
        Ok(Some(seen)) => format!("Your request {}: {}", seen.row.request.id, stands(&seen.state)),
        Ok(None) => format!("Ask for it: ssh {identity}@broker request {asset} --for 1h WHY"),
        Err(error) => cannot(&error),
    }
}

/// The words of a request, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    host: &'a str,
    service: Option<&'a str>,
    lasting: SignedDuration,
    permit: Option<&'a str>,
    reason: &'a str,
}

impl<'a> Asked<'a> {
    /// `[ACCOUNT@]ASSET [--for D] [--permit P] [--service S] WHY`: the options before the reason, in any order.
    fn read(words: &'a str) -> Option<Self> {
        let (mut host, mut service, mut wanted, mut permit) = (None, None, USUAL, None);
        let mut rest = words.trim_start();
        loop {
            let (word, after) = first_word(rest);
            match word {
                "--for" | "--permit" | "--service" => {
                    let (value, after) = first_word(after);
                    match word {
                        "--for" => wanted = lasting(value)?,
                        "--permit" => permit = Some(value).filter(|value| !value.is_empty()),
                        _ => service = Some(value),
                    }
                    rest = after;
                }
                word if word.is_empty() || word.starts_with("--") => return None,
                word if host.is_none() => {
                    host = word.rsplit('@').next();
                    rest = after;
                }
                _ => break,
            }
        }
        let quoted = rest.trim_end().strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
        Some(Self { host: host?, service, lasting: wanted, permit, reason: quoted.unwrap_or(rest.trim_end()) })
    }
}

fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn check(words: &str, expected: Option<Asked<'_>>) {
        assert_eq!(Asked::read(words), expected, "{words}");
    }

    fn asked<'a>(host: &'a str, reason: &'a str) -> Asked<'a> {
        Asked { host, service: None, lasting: USUAL, permit: None, reason }
    }

    #[test]
    fn words_of_a_request() {
        let lasting = SignedDuration::from_hours(2);
        let all = Asked { permit: Some("PTW-17"), lasting, ..asked("ews-1", "replace  the drive") };
        check("ews-1 --for 2h --permit PTW-17 replace  the drive ", Some(all));
        let before = Asked { permit: Some("P"), ..asked("ews-1", "why -- not") };
        check("--permit P operator@ews-1 'why -- not'", Some(before));
        let service = Asked { service: Some("modbus"), ..asked("plc-1", "why") };
        check("plc-1 --service modbus \"why\"", Some(service));
        for wrong in ["", "ews-1", "ews-1 --for", "ews-1 --for 2x why", "ews-1 --four 2h why", "--for 2h"] {
            check(wrong, None);
        }
    }
}
