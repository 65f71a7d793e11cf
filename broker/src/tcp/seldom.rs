//! Waiting beside what comes often, for what comes seldom.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Waits for it as if it stood here, but looks at it only when it has something: a task that is woken for each message by its
/// sockets does not ask each time whether its session must end, its rules have changed, or its person has gone.
pub(crate) async fn seldom<F: Future>(rare: F) -> F::Output {
    let mut rare = pin!(rare);
    let call = Arc::new(Call { called: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) });
    let waker = Waker::from(Arc::clone(&call));
    poll_fn(|context| {
        call.answered_by(context.waker());
        if !call.called.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        rare.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// That it has something, and the task that is to be woken for it.
struct Call {
    called: AtomicBool,
    task: Mutex<Waker>,
}

impl Call {
    /// Before it is looked whether it has called: a call after that wakes this task.
    fn answered_by(&self, task: &Waker) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(task);
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.called.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_only_when_it_has_something_and_then_it_is() {
        let (looks, something) = (AtomicUsize::new(0), Notify::new());
        let rare = async {
            let mut waiting = pin!(something.notified());
            poll_fn(|context| {
                looks.fetch_add(1, Ordering::SeqCst);
                waiting.as_mut().poll(context)
            })
            .await;
        };
        let mut rare = pin!(seldom(rare));
        for _ in 0..100 {
            tokio::select! {
                biased;
                () = &mut rare => unreachable!("nothing has come"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        something.notify_one();
        rare.await;
        assert_eq!(looks.load(Ordering::SeqCst), 2);
    }

    /// Whichever task waits for it last is woken.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_may_move_to_another_task_before_it_comes() {
        let something = Arc::new(Notify::new());
        let waiting = Arc::clone(&something);
        let mut rare = Box::pin(seldom(async move { waiting.notified().await }));
        let first = tokio::time::timeout(Duration::from_millis(20), &mut rare).await;
        assert!(first.is_err(), "nothing has come");
        let other = tokio::spawn(rare);
        tokio::time::sleep(Duration::from_millis(20)).await;
        something.notify_one();
        assert!(tokio::time::timeout(Duration::from_secs(20), other).await.is_ok_and(|joined| joined.is_ok()));
    }
}
