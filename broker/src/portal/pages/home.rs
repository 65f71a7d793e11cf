//! What somebody may reach now, with the line to type for each.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use sallyport_policy::Decision;

use super::{frame, page};
use crate::approval;
use crate::login::reach::{ReachedBy, Way, reachable};
use crate::portal::audience::{Audience, Pages};
use crate::portal::look;
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;

pub(super) fn routes() -> Pages {
    let routes = Router::new().route("/", get(home));
    Pages::of(Audience::Operators, routes)
}

async fn home(State(site): State<Arc<Site>>, signed_in: SignedIn) -> Response<Body> {
    let (broker, proof) = (site.broker(), &signed_in.proof);
    let (policy, isolated) = (broker.policy.current(), broker.live.isolated());
    let approvals = approval::given(broker, &policy, proof.subject(), None).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "Approvals cannot be looked at, so none is listed");
        Vec::new()
    });
    let reachable = reachable(&policy, proof.subject(), proof.proofs(), &approvals, &isolated, broker.now());
    let host = Host {
        name: &site.settings().name,
        port: broker.config.listen.ssh.first().map_or(22, std::net::SocketAddr::port),
        identity: signed_in.identity().as_str(),
    };
    let rows = reachable.iter().map(|reached| host.row(reached)).collect();
    page(StatusCode::OK, &look::Home { frame: frame(&site, &signed_in, look::Place::Reach).await, rows })
}

/// The broker, as somebody reaches it by ssh.
struct Host<'a> {
    name: &'a str,
    port: u16,
    identity: &'a str,
}

impl Host<'_> {
    fn row(&self, reached: &ReachedBy) -> look::Reachable {
        let reach = &reached.reach;
        look::Reachable {
            asset: reach.asset.as_str().into(),
            service: reach.service.as_str().into(),
            account: reach.account.as_str().into(),
            now: now(reached),
            line: self.line(reached).into(),
        }
    }

    fn line(&self, reached: &ReachedBy) -> String {
        let (Self { name, port, identity }, ReachedBy { reach, way, .. }) = (self, reached);
        let usual = *port == 22;
        match way {
            Way::Session if usual => format!("ssh -J {identity}@{name} {}@{}", reach.account, reach.asset),
            Way::Session => format!("ssh -J {identity}@{name}:{port} {}@{}", reach.account, reach.asset),
            Way::Forward(forward) if usual => format!("ssh -N -L {forward} {identity}@{name}"),
            Way::Forward(forward) => format!("ssh -N -L {forward} -p {port} {identity}@{name}"),
        }
    }
}

fn now(reached: &ReachedBy) -> look::Now {
    match &reached.reach.decision {
        Decision::Permit(_) | Decision::NeedFactors(_) | Decision::NeedApproval(_) if reached.isolated => {
            look::Now::Isolated
        }
        Decision::Permit(permit) => look::Now::Yes(permit.terms.not_after.map(look::When::from)),
        Decision::NeedFactors(_) => look::Now::AfterFactor,
        Decision::NeedApproval(_) => look::Now::AfterApproval,
        Decision::Deny(_) => look::Now::No,
    }
}
