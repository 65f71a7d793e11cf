//! Sides that are slow: an asset that takes nothing for a while, a person whose window is small, and what is held meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use std::time::{Duration, Instant};

use russh::client;
use sallyport_policy::Terms;
use tokio::task::JoinHandle;

use crate::ssh::channel::flow::Flow;
use crate::ssh::tests::bed::{Bed, bed, connect_with, hear, soon};
use crate::ssh::tests::relay::{echo, lengths_only};

/// How long the slowest of a neighbour's keystrokes may take to come back, where the machine is busy with other tests too.
const UNNOTICED: Duration = Duration::from_millis(500);
const MIB: usize = 1024 * 1024;
/// More than all that a broker without a say in windows would hold of it.
const BOTH_WAYS: usize = 128 * MIB;

fn small(window: u32) -> client::Config {
    client::Config { window_size: window, ..client::Config::default() }
}

/// Sends so much to a program on the asset that does not read before it is told to.
async fn upload(bed: &Bed, command: String, size: usize) -> JoinHandle<crate::ssh::tests::bed::Heard> {
    let (read, write) = soon(bed.client.channel_open_session()).await.unwrap().split();
    write.exec(true, command).await.unwrap();
    tokio::spawn(async move {
        let sending = tokio::spawn(async move {
            let block = bytes::Bytes::from(vec![0; MIB]);
            for _ in 0..size / MIB {
                write.data_bytes(block.clone()).await?;
            }
            write.eof().await
        });
        let heard = hear(read).await;
        sending.abort();
        heard
    })
}

/// The slowest of many keystrokes on a channel beside.
async fn keystrokes(bed: &Bed, within: Duration) -> Duration {
    let (mut read, write) = soon(bed.client.channel_open_session()).await.unwrap().split();
    write.exec(true, "cat").await.unwrap();
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < within {
        let pressed = Instant::now();
        write.data_bytes("x").await.unwrap();
        while !matches!(soon(read.wait()).await.unwrap(), russh::ChannelMsg::Data { .. }) {}
        slowest = slowest.max(pressed.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_that_pauses_is_waited_for_and_costs_its_neighbours_nothing() {
    let bed = bed(Terms::default(), lengths_only()).await;
    let paused = upload(&bed, "real sleep 12; wc -c".to_owned(), 64 * MIB).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    assert_eq!(bed.exec("say", b"").await.out, b"out");
    assert!(begun.elapsed() < UNNOTICED, "a channel beside one that stands still opens at once: {begun:?}");
    let slowest = keystrokes(&bed, Duration::from_secs(8)).await;
    assert!(slowest < UNNOTICED, "{slowest:?}");
    let held = bed.context.person.incoming().held();
    assert!(held < 8 * MIB, "{held}");
    let heard = soon(paused).await.unwrap();
    assert_eq!((heard.err.as_str(), String::from_utf8_lossy(&heard.out).trim()), ("", "67108864"));
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_an_asset_that_takes_nothing_others_still_move_in_bulk() {
    let bed = bed(Terms::default(), lengths_only()).await;
    let _stands = upload(&bed, "stall".to_owned(), 1024 * MIB).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let moved = upload(&bed, "sink".to_owned(), 32 * MIB).await;
    assert_eq!(soon(moved).await.unwrap().out, b"33554432\n");
    let held = bed.context.person.incoming().held();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    println!("32 MiB beside a channel that stands still: {:?}, held {held}", begun.elapsed());
    assert!(held < 16 * MIB, "{held}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_channels_to_an_asset_that_stops_hold_what_their_windows_were_and_little_more() {
    const CHANNELS: usize = 32;
    let bed = bed(Terms::default(), lengths_only()).await;
    let mut stands = Vec::new();
    for _ in 0..CHANNELS {
        stands.push(upload(&bed, "stall".to_owned(), 64 * MIB).await);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let held = bed.context.person.incoming().held();
    assert!(held < (CHANNELS + 8) * MIB, "{held}");
    let slowest = keystrokes(&bed, Duration::from_secs(2)).await;
    println!("beside {CHANNELS} channels that stand still: {slowest:?}, held {held}");
    assert!(slowest < UNNOTICED, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_asset_claims_to_take_and_does_not_is_not_handed_over() {
    let bed = bed(Terms::default(), lengths_only()).await;
    let mut channels = Vec::new();
    for _ in 0..8 {
        channels.push(soon(bed.client.channel_open_session()).await.unwrap());
    }
    for channel in &channels {
        channel.exec(true, "freeze").await.unwrap();
    }
    for channel in channels {
        tokio::spawn(async move { while channel.data_bytes(vec![0; MIB]).await.is_ok() {} });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (handed, held) = (bed.context.asset.handed_over(), bed.context.person.incoming().held());
    println!("handed over {handed}, held {held}");
    assert!(handed <= MIB, "{handed}");
    assert!(held > MIB && held < 16 * MIB, "{held}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_both_ways_passes_with_small_windows() {
    let bed = bed(Terms::default(), lengths_only()).await;
    for window in [16 * 1024, 32 * 1024, 64 * 1024, 512 * 1024] {
        let client = connect_with(bed.port, small(window), &Flow::default()).await;
        let channel = client.channel_open_session().await.unwrap();
        channel.exec(true, "cat").await.unwrap();
        let begun = Instant::now();
        echo(channel, BOTH_WAYS).await;
        println!("window {window}: cat {:?}", begun.elapsed());
        let begun = Instant::now();
        echo(client.channel_open_direct_tcpip("localhost", 8080, "127.0.0.1", 1).await.unwrap(), BOTH_WAYS).await;
        println!("window {window}: forward {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_both_ways_passes_with_small_windows_through_a_jump() {
    for window in [16 * 1024, 64 * 1024] {
        let mut bed = bed(Terms::default(), lengths_only()).await;
        bed.jump_with(small(window)).await;
        let channel = bed.client.channel_open_session().await.unwrap();
        channel.exec(true, "cat").await.unwrap();
        echo(channel, BOTH_WAYS).await;
    }
}
