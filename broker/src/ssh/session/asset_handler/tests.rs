//! A hostile asset: an SSH server that opens channels at its client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey};
use russh::server;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::ssh::Flow;
use crate::ssh::session::asset::{self, AssetConnection, AssetCredential, Peer};
use crate::ssh::tests::bed::soon;
use crate::vault::Secret;

const KINDS: [&str; 7] =
    ["session", "direct-tcpip", "direct-streamlocal", "forwarded-tcpip", "forwarded-streamlocal", "auth-agent", "x11"];

/// Lets anybody in, and hands out its connection's handle.
struct Hostile(mpsc::UnboundedSender<server::Handle>);

impl server::Handler for Hostile {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, _: &str) -> Result<server::Auth, Self::Error> {
        Ok(server::Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut server::Session) -> Result<(), Self::Error> {
        self.0.send(session.handle()).unwrap();
        Ok(())
    }
}

/// The broker's connection to a hostile asset, and the asset's own end of it.
async fn dialled() -> (AssetConnection, server::Handle) {
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    let pinned = [key.public_key().clone()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut handles) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let config = Arc::new(server::Config { keys: vec![key], ..server::Config::default() });
        let running = server::run_stream(config, socket, Hostile(sender)).await.unwrap();
        let _ends_somehow = running.await;
    });
    let account = "operator".parse().unwrap();
    let algorithms = sallyport_policy::AssetAlgorithms::Standard;
    let peer = Peer { address, pinned: &pinned, algorithms, account: &account, flow: Flow::default() };
    let credential = AssetCredential::Password(Secret::new("x".to_owned()));
    let asset = asset::dial(peer, credential, Duration::from_secs(10)).await.unwrap();
    (asset, soon(handles.recv()).await.unwrap())
}

/// Whether the broker lets the asset open a channel of this kind.
async fn opens(hostile: &server::Handle, kind: &str) -> bool {
    let opened = match kind {
        "session" => hostile.channel_open_session().await,
        "direct-tcpip" => hostile.channel_open_direct_tcpip("10.0.0.1", 22, "10.0.0.2", 1).await,
        "direct-streamlocal" => hostile.channel_open_direct_streamlocal("/run/docker.sock").await,
        "forwarded-tcpip" => hostile.channel_open_forwarded_tcpip("10.0.0.1", 22, "10.0.0.2", 1).await,
        "forwarded-streamlocal" => hostile.channel_open_forwarded_streamlocal("/run/docker.sock").await,
        "auth-agent" => hostile.channel_open_agent().await,
        "x11" => hostile.channel_open_x11("10.0.0.2", 1).await,
        other => panic!("no such kind: {other}"),
    };
    opened.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_channel_that_an_asset_opens_is_refused_and_the_connection_lives() {
    let (asset, hostile) = dialled().await;
    for kind in KINDS {
        assert!(!soon(opens(&hostile, kind)).await, "{kind}");
    }
    assert!(!asset.closed().is_cancelled());
    assert_eq!(asset.misbehaved(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_that_goes_on_opening_channels_is_cut_off_whatever_their_kind() {
    for kind in KINDS {
        let (asset, hostile) = dialled().await;
        let flood = async {
            while !asset.closed().is_cancelled() {
                assert!(!opens(&hostile, kind).await, "{kind}");
            }
        };
        // Its last question may stay without an answer: what is waited for is the end of the connection.
        tokio::select! {
            () = flood => {}
            () = async { soon(asset.closed().cancelled_owned()).await } => {}
        }
        let reason = asset.misbehaved().unwrap();
        assert!(reason.contains(&format!("{} x {kind}", MOST_UNASKED + 1)), "{reason}");
    }
}
