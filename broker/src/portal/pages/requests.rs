//! `/requests`: what somebody asks others to approve, and what others ask of them.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Form, Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use sallyport_policy::{AssetId, Policy, RequestDenial, RequestState, ServiceName, lasting, lasting_text};
use serde::Deserialize;

use super::{frame, json, lead_to, notice, page, passkeys};
use crate::approval::{self, Approver, Desk, NotApprover, NotAsked, NotDecided, Seen, Wish};
use crate::identity::{Asserted, Offer, Refused};
use crate::logging::counted;
use crate::login::{ceremony, step_up};
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::look::{self, Choice};
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;

const HERE: &str = "/requests";

/// What is offered to choose from.
const LASTING: &[&str] = &["15m", "30m", "1h", "2h", "4h", "8h", "12h", "24h"];
/// What is chosen already.
const USUAL: &str = "1h";

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route(HERE, get(show).post(ask))
        .route("/requests/{id}/withdraw", post(withdraw))
        .route("/requests/{id}/deny", post(deny))
        .route("/requests/{id}/approve/options", post(options))
        .route("/requests/{id}/approve/finish", post(finish));
    Pages::of(Audience::Operators, routes)
}

async fn show(State(site): State<Arc<Site>>, person: SignedIn) -> Response<Body> {
    draw(&site, &person, StatusCode::OK, Typed::default(), None).await
}

/// What was typed to ask for something.
#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    asset: String,
    #[serde(default)]
    lasting: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    permit: String,
}

async fn draw(
    site: &Site,
    person: &SignedIn,
    status: StatusCode,
    typed: Typed,
    problem: Option<String>,
) -> Response<Body> {
    match requests(site, person, typed, problem).await {
        Ok(requests) => page(status, &requests),
        Err(error) => {
            counted!(warn, "Requests could not be read", %error);
            notice::failed(site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

async fn requests(
    site: &Site,
    person: &SignedIn,
    typed: Typed,
    problem: Option<String>,
) -> Result<look::Requests, Refused> {
    let (broker, subject) = (site.broker(), person.proof.subject());
    let policy = broker.policy.current();
    let desk = Desk::new(&broker.store, &policy, broker.now());
    let (own, others) = (desk.own(person.identity()).await?, desk.awaiting(subject).await?);
    Ok(look::Requests {
        frame: frame(site, person, look::Place::Requests).await,
        others: others.iter().filter_map(|seen| of_another(seen, person)).collect(),
        can_approve: broker.identities.has_passkey(person.identity()).await?,
        own: own.iter().filter_map(of_their_own).collect(),
        new: new(&policy, person, typed, problem),
    })
}

/// What somebody could ask for.
fn new(policy: &Policy, person: &SignedIn, typed: Typed, problem: Option<String>) -> Option<look::NewRequest> {
    let subject = person.proof.subject();
    let assets: Vec<&AssetId> =
        policy.assets().map(|asset| &asset.id).filter(|id| policy.asks_for_approval(subject, Some(id))).collect();
    if assets.is_empty() {
        return None;
    }
    let chosen = |value: &str, other: &str| usize::from(value != other);
    let mut assets: Vec<Choice> =
        assets.into_iter().map(|id| Choice { value: id.to_string(), text: id.as_str().into() }).collect();
    assets.sort_by_key(|choice| chosen(&choice.value, &typed.asset));
    let wanted = if typed.lasting.is_empty() { USUAL } else { &typed.lasting };
    let mut times: Vec<Choice> =
        LASTING.iter().map(|text| Choice { value: (*text).to_owned(), text: text.into() }).collect();
    // The first of a list is what is chosen.
    times.sort_by_key(|choice| chosen(&choice.value, wanted));
    let (reason, permit) = (typed.reason.into(), typed.permit.into());
    Some(look::NewRequest { assets, lasting: times, reason, permit, problem })
}

fn of_another(seen: &Seen, person: &SignedIn) -> Option<look::OthersRequest> {
    let request = &seen.row.request;
    Some(look::OthersRequest {
        id: request.id.to_string(),
        name: request.identity.as_str().into(),
        source: (&seen.row.source).into(),
        target: target(seen).into(),
        lasting: lasting_text(request.duration).into(),
        reason: (&request.reason).into(),
        permit: request.permit.as_deref().unwrap_or_default().into(),
        since: request.asked_at.into(),
        by: seen.approvals.iter().map(|approval| approval.approver.as_str().into()).collect(),
        stands: stands(seen)?,
        seen: seen.approvals.len(),
        mine: seen.approvals.iter().any(|approval| approval.approver == *person.identity()),
    })
}

fn of_their_own(seen: &Seen) -> Option<look::OwnRequest> {
    let request = &seen.row.request;
    Some(look::OwnRequest {
        id: request.id.to_string(),
        target: target(seen).into(),
        lasting: lasting_text(request.duration).into(),
        reason: (&request.reason).into(),
        permit: request.permit.as_deref().unwrap_or_default().into(),
        stands: stands(seen)?,
    })
}

fn target(seen: &Seen) -> String {
    let services: Vec<&str> = seen.row.request.services.iter().map(ServiceName::as_str).collect();
    format!("{} ({})", seen.row.request.asset, services.join(", "))
}

fn stands(seen: &Seen) -> Option<look::Approved> {
    match &seen.state {
        RequestState::Waiting { given, needed, until } => Some(look::Approved::Waits(*given, *needed, (*until).into())),
        RequestState::Approved { until } => Some(look::Approved::Until((*until).into())),
        RequestState::Over | RequestState::Gone => None,
    }
}

async fn ask(State(site): State<Arc<Site>>, person: SignedIn, Form(typed): Form<Typed>) -> Response<Body> {
    let problem = match wish(&typed) {
        Some(wish) => match approval::ask(site.broker(), person.identity(), person.line.source(), wish).await {
            Ok(_) => return lead_to(HERE),
            Err(error) => match not_asked(&error) {
                Some(sentence) => sentence,
                None => {
                    counted!(error, "A request could not be entered", %error);
                    return notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE);
                }
            },
        },
        None => "Choose an asset, and for how long.".to_owned(),
    };
    draw(&site, &person, StatusCode::FORBIDDEN, typed, Some(problem)).await
}

fn wish(typed: &Typed) -> Option<Wish> {
    Some(Wish {
        asset: typed.asset.parse().ok()?,
        service: None,
        lasting: lasting(&typed.lasting)?,
        reason: typed.reason.clone(),
        permit: Some(typed.permit.clone()),
    })
}

/// What somebody is told whose request was not entered; nothing where something of ours failed.
fn not_asked(error: &NotAsked) -> Option<String> {
    match error {
        NotAsked::Denied(RequestDenial::NoGrant) | NotAsked::Standing => {
            Some("You may not ask for that, or it does not exist.".to_owned())
        }
        NotAsked::Denied(RequestDenial::NotNeeded) => {
            Some("That needs nobody's approval: connect as usual.".to_owned())
        }
        NotAsked::Denied(RequestDenial::TooLong { rule }) => {
            Some(format!("That can be approved for {} at most.", lasting_text(rule.max)))
        }
        NotAsked::Denied(RequestDenial::TooShort) => Some("That is too short to do anything in.".to_owned()),
        NotAsked::Words(words) => Some(words.clone()),
        NotAsked::TooManyOpen => Some("As many of your requests are open as may be. Withdraw one first.".to_owned()),
        NotAsked::TooOften => Some("You have asked too often today. Try again tomorrow.".to_owned()),
        NotAsked::Audit(_) | NotAsked::Store(_) => None,
    }
}

async fn withdraw(State(site): State<Arc<Site>>, person: SignedIn, Path(id): Path<String>) -> Response<Body> {
    match approval::withdraw(site.broker(), person.identity(), &id).await {
        // One that is over by itself is as they wished; another person's is not there.
        Ok(_) | Err(NotDecided::Unknown | NotDecided::Changed) => lead_to(HERE),
        Err(error) => {
            counted!(error, "A request could not be withdrawn", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

#[derive(Deserialize)]
struct Denied {
    #[serde(default)]
    reason: String,
}

/// Takes away, so that nothing more is asked for it than to be signed in.
async fn deny(
    State(site): State<Arc<Site>>,
    person: SignedIn,
    Path(id): Path<String>,
    Form(denied): Form<Denied>,
) -> Response<Body> {
    match approval::deny(site.broker(), person.identity(), &id, &denied.reason).await {
        Ok(_) | Err(NotDecided::Changed | NotDecided::Reason) => lead_to(HERE),
        Err(NotDecided::Unknown | NotDecided::Own | NotDecided::Before | NotDecided::Enough) => {
            notice::not_found(&site)
        }
        Err(error @ (NotDecided::Audit(_) | NotDecided::Store(_))) => {
            counted!(error, "A request could not be denied", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// What the passkey is to sign, for a request that is as the page has shown it.
async fn options(
    State(site): State<Arc<Site>>,
    person: SignedIn,
    Path(id): Path<String>,
    Json(fields): Json<json::Fields>,
) -> Response<Body> {
    let broker = site.broker();
    let policy = broker.policy.current();
    let awaiting = match Desk::new(&broker.store, &policy, broker.now()).awaiting(person.proof.subject()).await {
        Ok(awaiting) => awaiting,
        Err(error) => {
            counted!(warn, "Requests could not be read", %error);
            return json::failed();
        }
    };
    let Some(found) = awaiting.into_iter().find(|found| found.row.request.id.as_str() == id) else {
        return json::stale();
    };
    if fields.seen.parse::<usize>().ok() != Some(found.approvals.len()) {
        return json::stale();
    }
    match broker.identities.begin_assertion(person.identity(), broker.now()).await {
        Ok((options, asserting)) => {
            let ceremony = Ceremony::Approve { asserting: Box::new(asserting), request: Box::new(found) };
            site.ceremonies.keep(&person.cookie, ceremony, Instant::now());
            json::options(options)
        }
        Err(refused) => json::refused(refused.sentence()),
    }
}

/// What it has signed.
async fn finish(
    State(site): State<Arc<Site>>,
    person: SignedIn,
    Path(id): Path<String>,
    Json(signed): Json<json::Signed>,
) -> Response<Body> {
    let taken = site.ceremonies.take(&person.cookie, Instant::now());
    let Some(Ceremony::Approve { asserting, request }) = taken else { return json::stale() };
    if request.row.request.id.as_str() != id {
        return json::stale();
    }
    let (broker, source) = (site.broker(), person.line.source());
    let assertion = match broker.identities.finish_assertion(*asserting, &signed.credential, broker.now()).await {
        Ok(assertion) => assertion,
        Err(refused) => return passkeys::refused(&site, person.identity().as_str(), source, &refused).await,
    };
    let asked = &request.row.request;
    let purpose = format!("to approve request {id} of {}: {}", asked.identity, target(&request));
    if let Err(error) = ceremony::asserted(broker, &assertion, source, purpose).await {
        counted!(error, "An approval could not be audited, so it does not count", %error);
        return json::failed();
    }
    approve(&site, &person, &assertion, &request).await
}

async fn approve(site: &Site, person: &SignedIn, assertion: &Asserted, seen: &Seen) -> Response<Body> {
    let (broker, source) = (site.broker(), person.line.source());
    let proof = match step_up::proven_again(broker, &person.proof, source, Offer::Assertion(assertion)).await {
        Ok(proof) => proof,
        Err(sentence) => return json::refused(sentence),
    };
    let approver = match Approver::of(broker, &proof).await {
        Ok(approver) => approver,
        Err(NotApprover::Stale | NotApprover::Standing) => return json::stale(),
        Err(NotApprover::Store(error)) => {
            counted!(error, "Who approves could not be looked up", %error);
            return json::failed();
        }
    };
    let (id, count) = (seen.row.request.id.as_str(), seen.approvals.len());
    match approval::approve(broker, &approver, id, Some(count)).await {
        Ok(_) => json::next(HERE),
        Err(NotDecided::Own) => json::refused("Nobody approves their own request."),
        Err(NotDecided::Before) => json::refused("You have approved it before. It takes somebody else."),
        Err(NotDecided::Unknown | NotDecided::Enough | NotDecided::Changed | NotDecided::Reason) => json::stale(),
        Err(error @ (NotDecided::Audit(_) | NotDecided::Store(_))) => {
            counted!(error, "A request could not be approved", %error);
            json::failed()
        }
    }
}
