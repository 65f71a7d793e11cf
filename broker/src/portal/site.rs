//! What every connection of the portal shares: where people are let in, who is signed in, and how it shows itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::ceremonies::Ceremonies;
use super::certificate::Reloading;
use super::cookie::Tokens;
use super::jar::{Bounds, Jar};
use super::pace::Pace;
use crate::broker::Broker;
use crate::config::Portal;
use crate::identity::MultiFactor;
use crate::listen::Door;
use crate::login::{Entrance, SigningIn};

/// Sign-ins after whose password a second factor is due.
const MOST_PENDING: usize = 1024;
/// Of one person: two windows, and one that was forgotten.
const MOST_PENDING_OF_ONE: usize = 3;
/// How long somebody may look for their second factor: the first one is not fresh any more after that.
const SECOND_WITHIN: Duration = Duration::from_secs(5 * 60);
/// People who are signed in.
const MOST_SIGNED_IN: usize = 4096;
/// Of one person: browsers on several machines.
const MOST_SIGNED_IN_OF_ONE: usize = 8;
/// What has run out is dropped this often.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Shared by every connection of the portal.
#[derive(Debug)]
pub(super) struct Site {
    entrance: Arc<Entrance>,
    settings: Portal,
    tls: Arc<ServerConfig>,
    certificate: Arc<Reloading>,
    /// Makes what proves that a form was ours.
    pub(super) tokens: Tokens,
    /// Sign-ins that wait for a second factor.
    pub(super) pending: Jar<Pending>,
    /// Challenges that wait for a browser's answer.
    pub(super) ceremonies: Ceremonies,
    /// How fast they do one thing after another.
    pub(super) pace: Pace,
    /// Who is signed in. A restart of the broker ends them all.
    pub(super) signed_in: Jar<Arc<MultiFactor>>,
}

/// A sign-in under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// How far it has come.
    pub(super) signing_in: SigningIn,
    /// The path of ours that was wanted.
    pub(super) next: String,
}

impl Site {
    pub(super) fn new(
        entrance: Arc<Entrance>,
        settings: Portal,
        certificate: Arc<Reloading>,
        tls: Arc<ServerConfig>,
    ) -> Arc<Self> {
        let pending = Bounds {
            most: MOST_PENDING,
            most_of_one: MOST_PENDING_OF_ONE,
            idle: SECOND_WITHIN,
            longest: SECOND_WITHIN,
        };
        let signed_in = Bounds {
            most: MOST_SIGNED_IN,
            most_of_one: MOST_SIGNED_IN_OF_ONE,
            idle: settings.idle,
            longest: settings.longest,
        };
        let (pending, signed_in) = (Jar::new(pending), Jar::new(signed_in));
        Arc::new(Self {
            entrance,
            settings,
            tls,
            certificate,
            tokens: Tokens::new(),
            pending,
            ceremonies: Ceremonies::default(),
            pace: Pace::default(),
            signed_in,
        })
    }

    pub(super) fn broker(&self) -> &Arc<Broker> {
        &self.entrance.broker
    }

    pub(super) fn entrance(&self) -> &Arc<Entrance> {
        &self.entrance
    }

    pub(super) fn door(&self) -> &Arc<Door> {
        &self.entrance.door
    }

    pub(super) fn settings(&self) -> &Portal {
        &self.settings
    }

    pub(super) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    /// Keeps the certificate fresh and drops what has run out, until `stop`.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let sweeping = async {
            while stop.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
                self.pending.sweep(Instant::now());
                self.signed_in.sweep(Instant::now());
                self.ceremonies.sweep(Instant::now());
                self.pace.sweep(Instant::now());
            }
        };
        tokio::join!(sweeping, Arc::clone(&self.certificate).follow(stop.clone()));
    }
}
