//! The relay between two sockets, with a filter that does as it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sallyport_policy::RecorderTrouble;
use sallyport_protocol_filter::{Journal, Malformed, Now, Outbound, ProtocolFilter, Side};
use sallyport_session_recorder::{Kind, RecordError, TrackId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Filtered;
use crate::session::{Record, Track};
use crate::ssh::tests::bed::Notebook;
use crate::tcp::journal::Notes;
use crate::tcp::relay::ASSET_LAST_WORDS;
use crate::tcp::{Person, StreamEnd};

/// What makes the filter break.
const BREAKS: u8 = 0xff;
/// What makes the filter wait for the asset's next word.
const WAITS: u8 = 0xfe;

/// What makes the filter pass a piece without a note, as some do with what is too frequent.
pub(crate) const UNNOTED: u8 = 0xfd;

/// Passes everything, with a note for each piece that does not ask for none.
#[derive(Default)]
pub(crate) struct Frank {
    waits: bool,
}

impl ProtocolFilter for Frank {
    type Rules = ();
    type Operation<'a> = &'a [u8];

    fn receive(
        &mut self,
        from: Side,
        bytes: &[u8],
        _: Now,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, Malformed> {
        assert!(!bytes.contains(&BREAKS), "told to break");
        self.waits = match from {
            Side::Client => bytes.contains(&WAITS) && self.waits,
            Side::Server => false,
        };
        if self.waits {
            return Ok(0);
        }
        self.waits = from == Side::Client;
        if !bytes.contains(&UNNOTED) {
            journal.note(&bytes);
        }
        out.to(if from == Side::Client { Side::Server } else { Side::Client }).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn finish(&mut self, _: Side) -> Result<(), Malformed> {
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn tick(&mut self, _: Now, _: &mut Outbound, _: &mut dyn Journal<Self>) {}

    fn replace_rules(&mut self, (): ()) {}
}

impl Journal<Frank> for Notes {
    fn note(&mut self, operation: &&[u8]) {
        self.write(&operation.len());
    }
}

struct Bed {
    person: TcpStream,
    asset: TcpStream,
    notebook: Arc<Notebook>,
    track: Track,
    /// How often the loops were woken.
    wakes: Arc<AtomicUsize>,
    running: JoinHandle<StreamEnd>,
}

/// Both ends of a connection on the loopback that holds little.
async fn pair() -> (TcpStream, TcpStream) {
    let narrow = || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket
    };
    let listener = narrow();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let near = narrow().connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

async fn bed(notebook: Notebook) -> Bed {
    let notebook = Arc::new(notebook);
    let track = Record::new(notebook.clone(), RecorderTrouble::ViewOnly).on_track(TrackId(1));
    let ((person, theirs), (to_asset, asset)) = (pair().await, pair().await);
    let mut relay = Filtered::new(
        track.clone(),
        "frank",
        Frank::default(),
        Default::default(),
        Person::on_socket(theirs),
        to_asset,
    );
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    let running = tokio::spawn(async move {
        let (_rules, rules) = watch::channel(());
        let outcome = {
            let mut run = pin!(relay.run(rules));
            poll_fn(|context| {
                counted.fetch_add(1, Ordering::SeqCst);
                run.as_mut().poll(context)
            })
            .await
        };
        relay.close(Some(&outcome)).await;
        outcome
    });
    Bed { person, asset, notebook, track, wakes, running }
}

/// A stream that hangs fails its test instead.
async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("in time")
}

async fn arrives(at: &mut TcpStream, wanted: &[u8]) {
    let mut read = vec![0; wanted.len()];
    within(at.read_exact(&mut read)).await.unwrap();
    assert!(read == wanted, "something else arrived");
}

/// Waits until it holds, within a bound.
async fn until(holds: impl Fn() -> bool) {
    within(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_is_recorded_before_what_it_led_to_and_both_before_they_are_sent() {
    let mut bed = bed(Notebook::default()).await;
    bed.person.write_all(b"ask").await.unwrap();
    arrives(&mut bed.asset, b"ask").await;
    let kinds = || bed.notebook.entries.lock().unwrap().iter().map(|(_, kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds(), [Kind::Input, Kind::Operation]);
    bed.asset.write_all(b"answer").await.unwrap();
    arrives(&mut bed.person, b"answer").await;
    assert_eq!(kinds(), [Kind::Input, Kind::Operation, Kind::Operation, Kind::Output]);
    drop(bed.person.shutdown().await);
    let mut rest = Vec::new();
    bed.asset.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "the end of the person's direction is passed on");
    bed.asset.shutdown().await.unwrap();
    let notebook = bed.notebook.clone();
    assert_eq!(within(bed.running).await.unwrap(), StreamEnd::Left);
    let closed = &notebook.json(Kind::Closed)[0];
    assert_eq!((&closed["input_bytes"], &closed["output_bytes"]), (&3.into(), &6.into()));
}

/// At whichever entry the record fails, nothing of that step goes out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_is_not_recorded_whole_is_not_sent() {
    for fail_at in 0..4 {
        let mut bed = bed(Notebook { fail_at: Some(fail_at), ..Notebook::default() }).await;
        bed.person.write_all(b"ask").await.unwrap();
        if fail_at > 1 {
            arrives(&mut bed.asset, b"ask").await;
            bed.asset.write_all(b"answer").await.unwrap();
        }
        until(|| bed.track.record().trouble.is_raised()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        for side in [&bed.person, &bed.asset] {
            let sent = side.try_read(&mut [0; 8]).map_err(|error| error.kind());
            assert_eq!(sent, Err(std::io::ErrorKind::WouldBlock), "failed at {fail_at}");
        }
        bed.running.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_filter_breaks_on_is_recorded() {
    let mut bed = bed(Notebook::default()).await;
    bed.person.write_all(&[1, 2, BREAKS]).await.unwrap();
    let notebook = bed.notebook.clone();
    assert!(within(bed.running).await.unwrap_err().is_panic(), "the stream does not go on");
    assert_eq!(notebook.bytes(Kind::Input), [1, 2, BREAKS]);
    let mut sent = Vec::new();
    drop(bed.asset.read_to_end(&mut sent).await);
    assert!(sent.is_empty());
}

/// A filter that does not take something yet does not keep it off the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_to_wait_is_recorded_once_and_at_once() {
    let mut bed = bed(Notebook::default()).await;
    bed.person.write_all(b"first").await.unwrap();
    arrives(&mut bed.asset, b"first").await;
    bed.person.write_all(&[WAITS]).await.unwrap();
    let input = [b"first", [WAITS].as_slice()].concat();
    until(|| bed.notebook.bytes(Kind::Input) == input).await;
    assert_eq!(bed.notebook.json(Kind::Operation).len(), 1);
    bed.asset.write_all(b"answer").await.unwrap();
    arrives(&mut bed.asset, &[WAITS]).await;
    assert_eq!(bed.notebook.bytes(Kind::Input), input);
    assert_eq!(bed.notebook.json(Kind::Operation).len(), 3);
    bed.running.abort();
}

/// What was heard and recorded before, and what needs no entry of its own, neither: the picture alone goes on for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_recorder_has_failed_nothing_more_goes_to_the_asset() {
    let mut bed = bed(Notebook::default()).await;
    bed.person.write_all(b"first").await.unwrap();
    arrives(&mut bed.asset, b"first").await;
    bed.person.write_all(&[WAITS, UNNOTED]).await.unwrap();
    until(|| bed.notebook.bytes(Kind::Input).ends_with(&[WAITS, UNNOTED])).await;
    bed.track.failed(RecordError::Failed);
    for _ in 0..2 {
        bed.asset.write_all(&[UNNOTED]).await.unwrap();
        arrives(&mut bed.person, &[UNNOTED]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sent = bed.asset.try_read(&mut [0; 8]).map_err(|error| error.kind());
    assert_eq!(sent, Err(std::io::ErrorKind::WouldBlock));
    bed.running.abort();
}

/// More than the asset's socket takes: some is sent at once, some has to wait, and what comes later has to wait behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_that_is_slow_gets_everything_in_order() {
    let mut bed = bed(Notebook { lengths_only: true, ..Notebook::default() }).await;
    let all: Vec<u8> = (0..8_u32 << 20).map(|at| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) % 200).unwrap()).collect();
    let (mut person, sent) = (bed.person, all.clone());
    let sending = tokio::spawn(async move {
        person.write_all(&sent).await.unwrap();
        person
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!sending.is_finished(), "what an asset does not take is not heard either");
    let (first, rest) = all.split_at(all.len() / 2);
    arrives(&mut bed.asset, first).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    arrives(&mut bed.asset, rest).await;
    let person = sending.await.unwrap();
    drop(person);
    assert_eq!(within(bed.asset.read(&mut [0; 8])).await.unwrap(), 0);
    bed.asset.shutdown().await.unwrap();
    assert_eq!(within(bed.running).await.unwrap(), StreamEnd::Left);
}

/// Whichever call meets it, the reason is the socket's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_that_breaks_off_is_said_to() {
    let mut bed = bed(Notebook::default()).await;
    bed.person.write_all(b"ask").await.unwrap();
    arrives(&mut bed.asset, b"ask").await;
    bed.asset.set_zero_linger().unwrap();
    drop(bed.asset);
    drop(bed.person.write_all(b"more").await);
    let outcome = within(bed.running).await.unwrap();
    assert!(matches!(&outcome, StreamEnd::AssetReset(reason) if reason.contains("reset")), "{outcome:?}");
}

/// What one loop has for another wakes nobody: a request and its answer are two things heard, and one wake more for chance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_woken_only_by_what_comes() {
    const EXCHANGES: usize = 50;
    let mut bed = bed(Notebook::default()).await;
    for _ in 0..EXCHANGES {
        bed.person.write_all(b"ask").await.unwrap();
        arrives(&mut bed.asset, b"ask").await;
        bed.asset.write_all(b"answer").await.unwrap();
        arrives(&mut bed.person, b"answer").await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let woken = bed.wakes.load(Ordering::SeqCst);
    assert!(woken <= 3 * EXCHANGES, "{woken} wakes for {EXCHANGES} exchanges");
    tokio::time::sleep(ASSET_LAST_WORDS + Duration::from_millis(500)).await;
    assert_eq!(bed.wakes.load(Ordering::SeqCst), woken, "a stream that stands still is left alone");
    bed.running.abort();
}
