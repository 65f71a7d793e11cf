#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use super::*;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1024 * 1024;

#[test]
fn the_more_waits_the_smaller_a_window_gets_and_never_so_small_that_russh_asks_no_more() {
    assert_eq!(window(0, 0), WINDOW);
    assert_eq!(window(FREE, 0), WINDOW);
    let windows: Vec<_> = (0..256).map(|step| window(step * STEP / 4, 0)).collect();
    assert!(windows.windows(2).all(|pair| pair[0] >= pair[1]));
    assert_eq!(windows.last(), Some(&LEAST));
    assert_eq!(window(usize::MAX, usize::MAX / 2), LEAST);
}

#[test]
fn what_others_hold_makes_windows_smaller_but_stops_nobody_who_holds_little() {
    assert!(window(2 * MIB, 8) < window(2 * MIB, 0));
    assert_eq!(window(FREE, 32), WINDOW / 16);
}

#[test]
fn beside_a_channel_that_is_behind_one_that_is_not_gets_large_windows_in_its_pauses() {
    let incoming = Incoming::default();
    let (behind, _beside) = (incoming.queue(1), incoming.queue(2));
    assert_eq!((incoming.next_window(1, WINDOW), incoming.pause()), (WINDOW, None));
    behind.push(Item::Data(vec![0; 6 * MIB].into()));
    let small = incoming.next_window(1, WINDOW);
    assert!(small < SMALL, "{small}");
    assert_eq!((incoming.pause(), incoming.pause()), (Some(PAUSE), None));
    assert_eq!(incoming.next_window(1, small), small, "nobody has asked for more");
    assert_eq!(incoming.next_window(2, small), small);
    assert_eq!(incoming.next_window(1, small), BESIDE);
    assert_eq!(incoming.next_window(2, BESIDE), small, "the next packet is likely of the one that is behind");
    assert_eq!(incoming.next_window(1, small), small);
    behind.push(Item::Data(vec![0; 12 * MIB].into()));
    assert_eq!(incoming.next_window(2, small), LEAST);
    assert!(incoming.next_window(1, small) < SMALL, "what it costs the broker has an end");
    behind.abandon();
    assert_eq!(incoming.next_window(2, LEAST), WINDOW, "what a closed channel held counts no more");
}

#[test]
fn what_a_connection_within_another_lets_come_finds_room_in_the_window_around_it() {
    let within = Flow::within_another();
    assert_eq!(within.incoming().next_window(1, WINDOW_WITHIN), WINDOW_WITHIN);
    // russh enlarges a window that is less than half; a packet has at least 64 bytes beside its up to 32 KiB.
    let (most, room) = (WINDOW_WITHIN + WINDOW_WITHIN / 256, WINDOW / 2);
    assert!(most < room, "{most} bytes may come where {room} have room");
    let behind = within.incoming().queue(1);
    behind.push(Item::Data(vec![0; 6 * MIB].into()));
    assert!(within.incoming().next_window(1, WINDOW_WITHIN) < SMALL);
}

#[test]
fn only_channels_that_are_behind_are_paused_and_not_each_for_itself() {
    let incoming = Incoming::default();
    let queues: Vec<_> = (0..10).map(|channel| incoming.queue(channel)).collect();
    queues[1..].iter().for_each(|queue| queue.push(Item::Data(vec![0; MIB].into())));
    let paused = |channel| {
        incoming.next_window(channel, LEAST);
        incoming.pause().is_some()
    };
    assert!(!paused(0));
    assert_eq!((0..90).filter(|turn| paused(1 + turn % 9)).count(), 10);
}

#[test]
fn who_sends_beyond_all_windows_is_known_by_it() {
    let incoming = Incoming::default();
    let (one, _other) = (incoming.queue(1), incoming.queue(2));
    one.push(Item::Data(vec![0; 17 * MIB].into()));
    assert!(!incoming.is_overrun());
    one.push(Item::Data(vec![0; MIB].into()));
    assert!(incoming.is_overrun());
}

#[tokio::test(start_paused = true)]
async fn no_more_is_handed_over_than_is_written_and_a_few_more_bytes() {
    let outgoing = Arc::new(Outgoing::default());
    let (near, mut far) = tokio::io::duplex(64);
    let mut socket = Metered::new(near, Arc::clone(&outgoing));
    let mut handed = 0;
    // A write that is not all taken.
    assert!(now(async { (socket.write_all(&[0; 128]).await, socket.flush().await) }).await.is_some());
    while let Some(room) = now(outgoing.room(32 * 1024)).await {
        room.taken();
        handed += 32 * 1024;
    }
    assert!(handed > MOST_HANDED / 2 && handed <= MOST_HANDED, "{handed}");
    tokio::time::advance(FORGOTTEN * 10).await;
    assert!(now(outgoing.room(32 * 1024)).await.is_none(), "while something is being written, nothing is forgotten");
    let mut read = [0; 64];
    far.read_exact(&mut read).await.unwrap();
    assert!(now(socket.read_u8()).await.is_none());
    assert!(now(outgoing.room(32 * 1024)).await.is_some(), "what is written makes room");
    assert_eq!(outgoing.held.load(Ordering::Relaxed), 0, "room that was not used is given back");
}

#[tokio::test]
async fn what_a_peer_does_not_take_keeps_nobody_from_reading_what_it_sends() {
    let outgoing = Arc::new(Outgoing::default());
    let (near, mut far) = tokio::io::duplex(64);
    let mut socket = Metered::new(near, Arc::clone(&outgoing));
    now(outgoing.room(MIB / 2)).await.unwrap().taken();
    let sent: Vec<u8> = (0..MIB / 2).map(|at| (at % 251) as u8).collect();
    now(async { (socket.write_all(&sent).await.unwrap(), socket.flush().await.unwrap()) }).await.unwrap();
    far.write_all(b"meanwhile").await.unwrap();
    let mut read = [0; 9];
    now(socket.read_exact(&mut read)).await.unwrap().unwrap();
    assert_eq!(&read, b"meanwhile");

    // Whoever reads on sends on, in order; and the end comes after it.
    let peer = tokio::spawn(async move {
        let mut taken = vec![0; sent.len()];
        far.read_exact(&mut taken).await.unwrap();
        assert!(taken == sent);
        far.write_all(b"got").await.unwrap();
        far.read_to_end(&mut taken).await.unwrap();
        assert!(taken[sent.len()..] == sent[..]);
        sent
    });
    let mut read = [0; 3];
    socket.read_exact(&mut read).await.unwrap();
    assert_eq!(outgoing.held.load(Ordering::Relaxed), 0, "all of it is written");
    let again: Vec<u8> = (0..MIB / 2).map(|at| (at % 251) as u8).collect();
    now(outgoing.room(MIB / 2)).await.unwrap().taken();
    socket.write_all(&again).await.unwrap();
    socket.shutdown().await.unwrap();
    drop(socket);
    assert!(peer.await.unwrap() == again);
}

#[tokio::test]
async fn no_more_waits_for_a_peer_than_was_handed_over_and_what_russh_says_itself() {
    let outgoing = Arc::new(Outgoing::default());
    let (near, _far) = tokio::io::duplex(64);
    let mut socket = Metered::new(near, Arc::clone(&outgoing));
    let mut taken = 0;
    while let Some(written) = now(socket.write(&[0; 1000])).await {
        taken += written.unwrap();
    }
    assert_eq!(taken, 64 + metered::BESIDE_HANDED, "a stranger gets no more");
    now(outgoing.room(100_000)).await.unwrap().taken();
    while let Some(written) = now(socket.write(&[0; 1000])).await {
        taken += written.unwrap();
    }
    assert_eq!(taken, 64 + metered::BESIDE_HANDED + 100_000 + MESSAGE);
}

/// russh counts keepalives that nobody answers, but not while it writes.
#[tokio::test(start_paused = true)]
async fn a_peer_that_neither_takes_nor_sends_is_waited_for_and_told_from_one_that_sends() {
    let outgoing = Arc::new(Outgoing::default());
    let (near, mut far) = tokio::io::duplex(64);
    let mut socket = Metered::new(near, Arc::clone(&outgoing));
    assert!(now(socket.read_u8()).await.is_none());
    socket.write_all(&[1; 1000]).await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(now(socket.write(&[2; 32])).await.is_none(), "it would answer no keepalive");

    // Sending alone is enough, and nothing of it is lost.
    let sent = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        far.write_all(b"alive").await.unwrap();
    };
    let (written, ()) = tokio::join!(socket.write_all(&[2; 32]), sent);
    written.unwrap();
    let mut read = [0; 5];
    socket.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"alive");

    // So is taking.
    assert!(now(socket.read_u8()).await.is_none());
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut taken = vec![0; 1032];
    let took = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        far.read_exact(&mut taken).await.unwrap();
    };
    let (written, ()) = tokio::join!(async { (socket.write_all(&[3; 32]).await, now(socket.flush()).await) }, took);
    written.0.unwrap();
    assert!(taken.iter().enumerate().all(|(at, byte)| *byte == if at < 1000 { 1 } else { 2 }));
}

#[tokio::test(start_paused = true)]
async fn what_russh_dropped_with_a_closed_channel_is_forgotten() {
    let outgoing = Outgoing::default();
    while let Some(room) = now(outgoing.room(32 * 1024)).await {
        room.taken();
    }
    tokio::time::timeout(FORGOTTEN * 2, outgoing.room(32 * 1024)).await.unwrap();
}

#[tokio::test]
async fn where_all_together_have_handed_over_too_much_each_still_has_a_little() {
    let in_all = Arc::new(Pool::new(MIB));
    let several: Vec<_> = (0..16).map(|_| Outgoing::part_of(&in_all)).collect();
    for one in &several {
        one.writing.store(true, Ordering::Relaxed);
        while let Some(room) = now(one.room(16 * 1024)).await {
            room.taken();
        }
    }
    let held: Vec<_> = several.iter().map(|one| one.held.load(Ordering::Relaxed)).collect();
    assert!(held.iter().all(|held| *held >= ALWAYS_HANDED / 2), "{held:?}");
    assert!(held[2..].iter().all(|held| *held <= ALWAYS_HANDED), "{held:?}");
    drop(several);
    assert_eq!(in_all.used(), 0);
}

/// What a future gives at once.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
