//! The law of the record, held over every way on which bytes pass: a keystroke on an ssh channel, a stream that nobody looks
//! into, and a stream that a filter decodes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use sallyport_policy::{RecorderTrouble, Terms};
use sallyport_session_recorder::Kind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::Record;
use crate::ssh::tests::bed::{Bed, Notebook, Strike, bed_on};
use crate::tcp::{Filtered, Frank, Person, Relay, UNNOTED};

const KEPT_WITHIN: Duration = Duration::from_millis(150);
const HANGS_FOR: Duration = Duration::from_millis(400);
/// What would pass against the law has passed by then.
const A_MOMENT: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
enum Way {
    Keystroke,
    Stream,
    Decoded,
}

type Heard = Arc<std::sync::Mutex<Vec<u8>>>;

/// A person and an asset, and what each has heard of the other.
struct Passing {
    notebook: Arc<Notebook>,
    record: Record,
    person: mpsc::Sender<Vec<u8>>,
    asset: mpsc::Sender<Vec<u8>>,
    asset_heard: Heard,
    person_heard: Heard,
    /// What would end the way if it were dropped.
    _bed: Option<Bed>,
}

impl Way {
    async fn begin(self, on_trouble: RecorderTrouble) -> Passing {
        let notebook = Arc::new(Notebook::default());
        let record = Record::new(notebook.clone(), on_trouble).kept_within(KEPT_WITHIN);
        if let Way::Keystroke = self {
            return keystroke(notebook, record, on_trouble).await;
        }
        let track = record.open(&json!({})).unwrap();
        let ((person, theirs), (to_asset, asset)) = (pair().await, pair().await);
        let side = Person::on_socket(theirs);
        if let Way::Stream = self {
            let mut relay = Relay::new(track, side, to_asset);
            tokio::spawn(async move { relay.run().await });
        } else {
            let mut relay = Filtered::new(track, "frank", Frank::default(), Default::default(), side, to_asset);
            tokio::spawn(async move {
                let (_rules, rules) = watch::channel(());
                relay.run(rules).await
            });
        }
        let ((person, person_heard), (asset, asset_heard)) = (wired(person), wired(asset));
        Passing { notebook, record, person, asset, asset_heard, person_heard, _bed: None }
    }
}

async fn keystroke(notebook: Arc<Notebook>, record: Record, on_trouble: RecorderTrouble) -> Passing {
    let terms = Terms { recorder_trouble: on_trouble, ..Terms::default() };
    let bed = bed_on(terms, notebook.clone(), record.clone()).await;
    let (asset, says) = mpsc::channel(8);
    *bed.asset.says.lock().await = Some(says);
    let (mut read, write) = bed.client.channel_open_session().await.unwrap().split();
    write.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    write.exec(true, "wired").await.unwrap();
    let (person, mut typed) = mpsc::channel::<Vec<u8>>(8);
    tokio::spawn(async move {
        while let Some(bytes) = typed.recv().await {
            // A channel that has been closed takes nothing more.
            drop(write.data_bytes(bytes).await);
        }
    });
    let person_heard = Heard::default();
    let heard = person_heard.clone();
    tokio::spawn(async move {
        while let Some(message) = read.wait().await {
            if let russh::ChannelMsg::Data { data } = message {
                heard.lock().unwrap().extend_from_slice(&data);
            }
        }
    });
    let asset_heard = bed.asset.input.clone();
    Passing { notebook, record, person, asset, asset_heard, person_heard, _bed: Some(bed) }
}

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

fn wired(socket: TcpStream) -> (mpsc::Sender<Vec<u8>>, Heard) {
    let ((mut read, mut write), heard) = (socket.into_split(), Heard::default());
    let (says, mut said) = mpsc::channel::<Vec<u8>>(8);
    tokio::spawn(async move {
        while let Some(bytes) = said.recv().await {
            drop(write.write_all(&bytes).await);
        }
    });
    let hearing = heard.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            hearing.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    (says, heard)
}

/// Whether it comes to hold, within a bound.
async fn comes(holds: impl Fn() -> bool) -> bool {
    for _ in 0..1000 {
        if holds() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

impl Passing {
    /// What of the law does not hold on this way, when the recorder breaks like this.
    async fn faults(self, strike: Strike, on_trouble: RecorderTrouble) -> Vec<&'static str> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, fault: &'static str| {
            if !holds {
                faults.push(fault);
            }
        };
        let heard = |who: &Heard, what: &[u8]| *who.lock().unwrap() == what;
        self.person.send(b"before".to_vec()).await.unwrap();
        must(comes(|| heard(&self.asset_heard, b"before")).await, "what a sound recorder has taken arrives");
        must(self.notebook.bytes(Kind::Input) == b"before", "input that arrived is on record");
        self.asset.send(b"answer".to_vec()).await.unwrap();
        must(comes(|| heard(&self.person_heard, b"answer")).await, "output that a sound recorder has taken arrives");
        must(self.notebook.bytes(Kind::Output) == b"answer", "output that arrived is on record");

        *self.notebook.strike.lock().unwrap() = Some(strike);
        self.person.send(b"secret".to_vec()).await.unwrap();
        must(comes(|| self.record.trouble.is_raised()).await, "the session hears of the failure");
        *self.notebook.strike.lock().unwrap() = None;
        // A side whose channel has been closed meanwhile says nothing more.
        drop(self.person.send(b"once more".to_vec()).await);
        drop(self.asset.send(vec![UNNOTED]).await);
        tokio::time::sleep(A_MOMENT).await;
        must(heard(&self.asset_heard, b"before"), "no byte reaches the asset from the failure on");
        let shown = match on_trouble {
            RecorderTrouble::End => b"answer".to_vec(),
            RecorderTrouble::ViewOnly => [b"answer".as_slice(), &[UNNOTED]].concat(),
        };
        must(heard(&self.person_heard, &shown), "the person is shown more only in the grace of `view-only`");
        faults
    }
}

/// Whatever the way, and however the recorder breaks. All of it is looked at before the test fails, so that it tells which
/// ways have left the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_not_recorded_does_not_pass_and_ends_the_session() {
    let mut faults = Vec::new();
    for way in [Way::Keystroke, Way::Stream, Way::Decoded] {
        for strike in [Strike::Fails, Strike::Hangs(HANGS_FOR)] {
            for on_trouble in [RecorderTrouble::End, RecorderTrouble::ViewOnly] {
                let passing = way.begin(on_trouble).await;
                for fault in passing.faults(strike, on_trouble).await {
                    faults.push(format!("{way:?}, {strike:?}, {on_trouble}: not so: {fault}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
