//! Which request an answer is to.

use super::flight::{Flight, Slot};
use super::operation::Bore;
use super::request::Request;
use super::response::Response;
use super::tolerance::{Tolerance, Tolerances};

pub(super) const UNASKED: &str = "nothing was asked that this would answer";
const SEVERAL: &str = "more than one request could be answered by this";

/// An answer that came.
pub(super) struct Heard<'a> {
    pub(super) bore: Bore,
    pub(super) response: Response<'a>,
    pub(super) tolerances: Tolerances,
    /// Was a request given up? Then this may be its answer.
    pub(super) given_up: bool,
}

pub(super) struct Paired<'a> {
    /// Of the request.
    pub(super) index: usize,
    pub(super) response: Response<'a>,
    /// Could no other request have been meant?
    pub(super) certain: bool,
    /// What had to be put right.
    pub(super) tolerated: Tolerances,
}

/// The request that a response answers: the oldest with its transaction, unit and function that it fits; where there is none with
/// these, and others are tolerated, the only one that can be meant.
pub(super) fn pair<'a>(flight: &Flight, heard: &Heard<'a>) -> Result<Paired<'a>, &'static str> {
    match exact(flight, heard) {
        Err(UNASKED) if !heard.tolerances.is_empty() => tolerated(flight, heard),
        paired => paired,
    }
}

fn exact<'a>(flight: &Flight, heard: &Heard<'a>) -> Result<Paired<'a>, &'static str> {
    let Bore { transaction, unit } = heard.bore;
    let mut found: Option<(Paired<'a>, Request<'_>)> = None;
    let mut wrong = UNASKED;
    for (index, slot) in flight.slots().iter().enumerate() {
        let Some((adu, request)) = slot.asked() else { continue };
        let meant = (adu.transaction, adu.unit) == (transaction, unit) && is_function(&request, heard.response);
        if !meant || !slot.is_open() {
            continue;
        }
        match (fit(heard, &request), &mut found) {
            (Ok(Fit { response, tolerated }), None) => {
                found = Some((Paired { index, response, certain: true, tolerated }, request));
            }
            (Ok(_), Some((paired, first))) => paired.certain &= *first == request,
            (Err(reason), _) => wrong = reason,
        }
    }
    found.map(|(paired, _)| paired).ok_or(wrong)
}

/// By its transaction alone; where there is none of that, by nothing, as long as nothing else is or may be under way.
fn tolerated<'a>(flight: &Flight, heard: &Heard<'a>) -> Result<Paired<'a>, &'static str> {
    let Bore { transaction, unit } = heard.bore;
    let open = || flight.slots().iter().enumerate().filter(|(_, slot)| slot.is_open());
    let same = |slot: &Slot| slot.transaction() == transaction;
    let known = open().any(|(_, slot)| same(slot));
    let mut put_right = Tolerances::default();
    if !known {
        if !heard.tolerances.holds(Tolerance::Transaction) || heard.given_up {
            return Err(UNASKED);
        }
        put_right = put_right.with(Tolerance::Transaction);
    }
    let mut meant = open().filter(|(_, slot)| !known || same(slot));
    let (index, slot) = match (meant.next(), meant.next()) {
        (Some(only), None) => only,
        (Some(_), Some(_)) => return Err(SEVERAL),
        (None, _) => return Err(UNASKED),
    };
    let (adu, request) = slot.asked().ok_or(UNASKED)?;
    if adu.unit != unit {
        if !heard.tolerances.holds(Tolerance::Unit) {
            return Err(UNASKED);
        }
        put_right = put_right.with(Tolerance::Unit);
    }
    if !is_function(&request, heard.response) {
        return Err(UNASKED);
    }
    let Fit { response, tolerated } = fit(heard, &request)?;
    let tolerated = tolerated.iter().fold(put_right, Tolerances::with);
    Ok(Paired { index, response, certain: true, tolerated })
}

fn is_function(request: &Request<'_>, response: Response<'_>) -> bool {
    request.function().code == response.code() & 0x7F
}

struct Fit<'a> {
    response: Response<'a>,
    tolerated: Tolerances,
}

/// The response as an answer to the request; where that is tolerated, without what is too much of it.
fn fit<'a>(heard: &Heard<'a>, request: &Request<'_>) -> Result<Fit<'a>, &'static str> {
    let Heard { response, tolerances, .. } = *heard;
    match response.answers(request) {
        Err(reason) if tolerances.holds(Tolerance::Surplus) => {
            let response = response.cut_to(request).ok_or(reason)?.answers(request)?;
            Ok(Fit { response, tolerated: Tolerances::default().with(Tolerance::Surplus) })
        }
        answer => answer.map(|response| Fit { response, tolerated: Tolerances::default() }),
    }
}
