#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk(usize, u32);

impl Weigh for Chunk {
    fn weight(&self) -> usize {
        self.0
    }
}

fn queue() -> (Arc<Queue<Chunk>>, Arc<Pool>) {
    let pool = Arc::new(Pool::new(TOTAL));
    (Queue::within(Arc::clone(&pool)), pool)
}

#[tokio::test(start_paused = true)]
async fn it_slows_above_the_mark_and_more_the_fuller_it_is() {
    let (queue, _) = queue();
    queue.push(Chunk(SLOW_ABOVE - 2 * ITEM_COST, 0));
    assert_eq!(queue.pace(), Pace::Free);
    queue.push(Chunk(1024, 1));
    assert_eq!(queue.pace(), Pace::Wait(Duration::from_millis(1)));
    queue.push(Chunk(SLOW_ABOVE / 2, 2));
    assert_eq!(queue.pace(), Pace::Wait(Duration::from_millis(32)));
    queue.push(Chunk(SLOWEST_AT / 2, 3));
    assert_eq!(queue.pace(), Pace::Wait(SLOWEST));
    queue.push(Chunk(SLOWEST_AT, 4));
    assert_eq!(queue.pace(), Pace::Hold);
}

#[tokio::test(start_paused = true)]
async fn without_progress_it_stalls_and_a_trickle_is_none() {
    let (queue, _) = queue();
    queue.push(Chunk(SLOWEST_AT, 0));
    tokio::time::advance(STALLS_AFTER - Duration::from_millis(1)).await;
    assert!(matches!(queue.pace(), Pace::Wait(_)));
    queue.release(PROGRESS);
    tokio::time::advance(STALLS_AFTER - Duration::from_millis(1)).await;
    assert!(matches!(queue.pace(), Pace::Wait(_)));
    queue.release(1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(queue.pace(), Pace::Stalled);
    assert_eq!(queue.stalls_at(), Some(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_no_stalled_one() {
    let (queue, _) = queue();
    queue.push(Chunk(SLOWEST_AT, 0));
    for _ in 0..100 {
        tokio::time::advance(STALLS_AFTER / 2).await;
        queue.release(8 * 1024);
        assert!(matches!(queue.pace(), Pace::Wait(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_idle_for_long_is_not_stalled_by_its_first_item() {
    let (queue, _) = queue();
    tokio::time::advance(STALLS_AFTER * 10).await;
    queue.push(Chunk(SLOWEST_AT, 0));
    assert!(matches!(queue.pace(), Pace::Wait(_)));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_queue_below_the_mark_never_stalls() {
    let (queue, _) = queue();
    queue.push(Chunk(1024, 0));
    tokio::time::advance(STALLS_AFTER * 100).await;
    assert_eq!(queue.pace(), Pace::Free);
    assert_eq!(queue.stalls_at(), None);
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_slows_every_queue_that_holds_something() {
    let pool = Arc::new(Pool::new(1_000_000));
    let one = Queue::within(Arc::clone(&pool));
    let other = Queue::within(Arc::clone(&pool));
    one.push(Chunk(2_000_000, 0));
    assert_eq!(other.pace(), Pace::Free, "an empty queue is not the cause");
    other.push(Chunk(1, 0));
    assert_eq!(other.pace(), Pace::Wait(SLOWEST));
    drop(one);
    assert_eq!(other.pace(), Pace::Free, "what a dropped queue held is given back");
}

#[tokio::test(start_paused = true)]
async fn one_byte_packets_are_counted_for_what_they_are() {
    let (queue, _) = queue();
    for number in 0..u32::try_from(SLOW_ABOVE / ITEM_COST).unwrap() {
        queue.push(Chunk(1, number));
    }
    assert!(matches!(queue.pace(), Pace::Wait(_)));
}

#[tokio::test(start_paused = true)]
async fn after_the_close_what_was_queued_is_still_taken() {
    let (queue, _) = queue();
    queue.push(Chunk(1, 1));
    queue.close();
    queue.push(Chunk(1, 2));
    assert_eq!(queue.take(|_, _| true).await, Some(vec![Chunk(1, 1)]));
    assert_eq!(queue.take(|_, _| true).await, None);
}

proptest! {
    #[test]
    fn nothing_is_lost_or_reordered_and_the_count_returns_to_zero(
        sizes in proptest::collection::vec(0usize..100_000, 1..200), batch in 1usize..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let (queue, pool) = queue();
            let sent: Vec<_> = sizes.iter().enumerate().map(|(n, size)| Chunk(*size, u32::try_from(n).unwrap())).collect();
            let producer = { let (queue, sent) = (Arc::clone(&queue), sent.clone()); tokio::spawn(async move {
                for chunk in sent {
                    queue.push(chunk);
                    if let Pace::Wait(delay) = queue.pace() { tokio::time::sleep(delay).await; }
                    tokio::task::yield_now().await;
                }
                queue.close();
            }) };
            let mut received = Vec::new();
            while let Some(items) = queue.take(|taken, _| taken.len() < batch).await {
                assert!(items.len() <= batch);
                queue.release(items.iter().map(cost).sum());
                received.extend(items);
            }
            producer.await.unwrap();
            assert_eq!(received, sent);
            assert_eq!(queue.held(), 0);
            assert_eq!(pool.used(), 0);
        });
    }
}
