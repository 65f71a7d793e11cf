//! The queue for password hashes: a hash costs a processor for a while, and anybody may ask for one.
//!
//! * A few workers, each with memory of its own that is allocated once.
//! * Bounded, per network and in all. Who does not find a place is answered without a hash.
//! * Fair: networks take turns, so that a thousand guesses from one cost the others nothing. Pairs of person and source that
//!   have logged in before come first.
//! * Whoever gives up (the connection is gone) leaves the queue.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::Block;
use tokio::sync::oneshot;
use zeroize::Zeroize;

/// Waiting, in each lane.
const MOST: usize = 128;
/// Waiting, per network and lane.
const MOST_PER_NETWORK: usize = 8;
/// Workers: one processor is left for what goes on, and memory is not for hashes alone.
const MOST_WORKERS: usize = 8;

/// From where, and how well known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// The broker's own commands.
    Own,
    /// A person from a network where they have logged in before.
    Known(IpAddr),
    /// Anybody else.
    Stranger(IpAddr),
}

/// There is no place in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The queue.
pub(super) struct Queue(Mutex<State>);

struct State {
    /// The memory of workers that have nothing to do.
    idle: Vec<Vec<Block>>,
    next: u64,
    known: Lane,
    strangers: Lane,
}

/// Who waits, by network; networks take turns.
#[derive(Default)]
struct Lane {
    turns: VecDeque<Option<IpAddr>>,
    waiting: HashMap<Option<IpAddr>, VecDeque<Waiter>>,
    all: usize,
}

struct Waiter {
    number: u64,
    call: oneshot::Sender<Worker>,
}

/// The right to compute one hash, and the memory for it. Dropping it calls the next.
pub(super) struct Worker {
    queue: Arc<Queue>,
    memory: Vec<Block>,
}

/// A place in the queue; it is left when this is dropped.
struct Place<'q> {
    queue: &'q Queue,
    asker: Asker,
    number: u64,
}

impl Queue {
    /// As many workers as there are processors but one; each has `blocks` of memory when it first works.
    pub(super) fn new() -> Arc<Self> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_workers(processors.saturating_sub(1).clamp(1, MOST_WORKERS))
    }

    fn with_workers(workers: usize) -> Arc<Self> {
        let idle = std::iter::repeat_with(Vec::new).take(workers).collect();
        Arc::new(Self(Mutex::new(State { idle, next: 0, known: Lane::default(), strangers: Lane::default() })))
    }

    /// Waits for a worker.
    pub(super) async fn worker(self: &Arc<Self>, asker: Asker) -> Result<Worker, Full> {
        let (_place, called) = {
            let mut state = self.lock();
            // Whoever waits came before; a worker is idle only if nobody does.
            if let Some(memory) = state.idle.pop() {
                return Ok(Worker { queue: Arc::clone(self), memory });
            }
            let number = state.next;
            state.next += 1;
            let (call, called) = oneshot::channel();
            state.lane(asker).join(asker.network(), Waiter { number, call })?;
            (Place { queue: self, asker, number }, called)
        };
        // The sender is dropped where a network with fewer in the queue took the place.
        called.await.map_err(|_| Full)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        let state = self.lock();
        state.known.all + state.strangers.all
    }
}

impl Asker {
    fn network(self) -> Option<IpAddr> {
        match self {
            Self::Own => None,
            Self::Known(network) | Self::Stranger(network) => Some(network),
        }
    }
}

impl State {
    fn lane(&mut self, asker: Asker) -> &mut Lane {
        match asker {
            Asker::Own | Asker::Known(_) => &mut self.known,
            Asker::Stranger(_) => &mut self.strangers,
        }
    }
}

impl Lane {
    fn join(&mut self, network: Option<IpAddr>, waiter: Waiter) -> Result<(), Full> {
        let mine = self.waiting.get(&network).map_or(0, VecDeque::len);
        if mine >= MOST_PER_NETWORK {
            return Err(Full);
        }
        if self.all >= MOST {
            self.give_up_one_of_more_than(mine + 1)?;
        }
        if mine == 0 {
            self.turns.push_back(network);
        }
        self.waiting.entry(network).or_default().push_back(waiter);
        self.all += 1;
        Ok(())
    }

    /// The last of the network that has most waiting makes room for one of a network that has fewer.
    fn give_up_one_of_more_than(&mut self, few: usize) -> Result<(), Full> {
        let most = self.waiting.iter().max_by_key(|(_, waiting)| waiting.len());
        let Some((&network, waiting)) = most.filter(|(_, waiting)| waiting.len() > few) else { return Err(Full) };
        let number = waiting.back().map(|waiter| waiter.number).ok_or(Full)?;
        self.leave(network, number);
        Ok(())
    }

    fn leave(&mut self, network: Option<IpAddr>, number: u64) {
        let Some(waiting) = self.waiting.get_mut(&network) else { return };
        let before = waiting.len();
        waiting.retain(|waiter| waiter.number != number);
        self.all -= before - waiting.len();
        if waiting.is_empty() {
            self.waiting.remove(&network);
            self.turns.retain(|turn| *turn != network);
        }
    }

    /// The first of the network whose turn it is.
    fn next(&mut self) -> Option<Waiter> {
        let network = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&network)?;
        let first = waiting.pop_front()?;
        self.all -= 1;
        if waiting.is_empty() {
            self.waiting.remove(&network);
        } else {
            self.turns.push_back(network);
        }
        Some(first)
    }
}

impl Worker {
    /// Memory for one hash: allocated the first time, the same ever after.
    pub(super) fn memory(&mut self, blocks: usize) -> &mut [Block] {
        if self.memory.len() < blocks {
            self.memory = vec![Block::new(); blocks];
        }
        &mut self.memory[..blocks]
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut state = self.queue.lock();
        let next = state.known.next().or_else(|| state.strangers.next());
        let Some(waiter) = next else {
            drop(state);
            // Nobody needs it now: nothing of a password's hash stays behind. A hash overwrites what is left of the one before.
            let mut memory = memory;
            memory.iter_mut().for_each(Zeroize::zeroize);
            return self.queue.put_back(memory);
        };
        drop(state);
        // Who has just given up drops the worker, which calls the next.
        drop(waiter.call.send(Worker { queue: Arc::clone(&self.queue), memory }));
    }
}

impl Queue {
    /// Somebody may have come while the memory was wiped.
    fn put_back(self: &Arc<Self>, memory: Vec<Block>) {
        let mut state = self.lock();
        match state.known.next().or_else(|| state.strangers.next()) {
            Some(waiter) => {
                drop(state);
                drop(waiter.call.send(Worker { queue: Arc::clone(self), memory }));
            }
            None => state.idle.push(memory),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.lock().lane(self.asker).leave(self.asker.network(), self.number);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    type Waiting<'q> = Pin<Box<dyn Future<Output = Result<Worker, Full>> + Send + 'q>>;

    fn stranger(n: u32) -> Asker {
        Asker::Stranger(IpAddr::from(n.to_be_bytes()))
    }

    /// Joins the queue, and gives what waits there.
    fn join(queue: &Arc<Queue>, asker: Asker) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(queue.worker(asker));
        assert!(poll(&mut waiting).is_pending());
        waiting
    }

    fn poll(waiting: &mut Waiting<'_>) -> Poll<Result<Worker, Full>> {
        waiting.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }

    /// Which of those that wait has been called, with its worker.
    fn called(waiting: &mut Vec<(u32, Waiting<'_>)>) -> (u32, Worker) {
        for index in 0..waiting.len() {
            if let Poll::Ready(worker) = poll(&mut waiting[index].1) {
                let (name, _) = waiting.remove(index);
                return (name, worker.unwrap());
            }
        }
        unreachable!("nobody was called")
    }

    #[tokio::test]
    async fn networks_take_turns_however_many_one_of_them_sends() {
        let queue = Queue::with_workers(1);
        let mut worker = queue.worker(stranger(1)).await.unwrap();
        let mut waiting: Vec<_> = (0..6).map(|_| (1, join(&queue, stranger(1)))).collect();
        waiting.push((2, join(&queue, stranger(2))));
        waiting.push((3, join(&queue, stranger(3))));
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(worker);
            let (name, next) = called(&mut waiting);
            order.push(name);
            worker = next;
        }
        assert_eq!(order, [1, 2, 3, 1, 1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn who_was_here_before_comes_first() {
        let queue = Queue::with_workers(1);
        let worker = queue.worker(stranger(1)).await.unwrap();
        let mut waiting: Vec<_> = (0..20).map(|n| (n, join(&queue, stranger(n)))).collect();
        waiting.push((99, join(&queue, Asker::Known(IpAddr::from([192, 0, 2, 1])))));
        drop(worker);
        assert_eq!(called(&mut waiting).0, 99);
    }

    #[tokio::test]
    async fn a_network_that_has_many_waiting_is_answered_at_once_and_takes_no_place() {
        let queue = Queue::with_workers(1);
        let _worker = queue.worker(stranger(1)).await.unwrap();
        let _waiting: Vec<_> = (0..MOST_PER_NETWORK).map(|_| join(&queue, stranger(1))).collect();
        assert!(matches!(queue.worker(stranger(1)).await, Err(Full)));
        assert_eq!(queue.waiting(), MOST_PER_NETWORK);
        let _other = join(&queue, stranger(2));
    }

    #[tokio::test]
    async fn a_full_queue_makes_room_for_a_network_that_has_fewer_in_it() {
        let queue = Queue::with_workers(1);
        let _worker = queue.worker(stranger(1)).await.unwrap();
        let networks = u32::try_from(MOST / MOST_PER_NETWORK).unwrap();
        let mut waiting: Vec<_> =
            (0..networks).flat_map(|n| vec![n; MOST_PER_NETWORK]).map(|n| (n, join(&queue, stranger(n)))).collect();
        let mut newcomer = join(&queue, stranger(1000));
        assert_eq!(queue.waiting(), MOST);
        let given_up = waiting.iter_mut().filter_map(|(_, each)| match poll(each) {
            Poll::Ready(answer) => Some(answer.is_err()),
            Poll::Pending => None,
        });
        assert_eq!(given_up.collect::<Vec<_>>(), [true]);
        assert!(poll(&mut newcomer).is_pending());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue_and_takes_no_worker() {
        let queue = Queue::with_workers(1);
        let worker = queue.worker(stranger(1)).await.unwrap();
        let gone: Vec<_> = (0..50).map(|n| join(&queue, stranger(n))).collect();
        let mut waiting = vec![(77, join(&queue, stranger(77)))];
        assert_eq!(queue.waiting(), 51);
        drop(gone);
        assert_eq!(queue.waiting(), 1);
        drop(worker);
        let (name, worker) = called(&mut waiting);
        assert_eq!(name, 77);
        // One that is called and gives up before it hears of it.
        let deaf = join(&queue, stranger(5));
        drop(worker);
        drop(deaf);
        assert!(queue.worker(stranger(6)).await.is_ok());
    }

    #[tokio::test]
    async fn memory_is_allocated_once_and_nothing_stays_in_it() {
        let queue = Queue::with_workers(1);
        let mut worker = queue.worker(Asker::Own).await.unwrap();
        let memory = worker.memory(64);
        memory[3].as_mut()[7] = 42;
        let address = memory.as_ptr();
        drop(worker);
        let mut worker = queue.worker(Asker::Own).await.unwrap();
        assert_eq!(worker.memory(64).as_ptr(), address);
        assert!(worker.memory(64).iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }
}
