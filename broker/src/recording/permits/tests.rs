//! Permits by themselves; `recording/tests/hangs.rs` has them on a runtime whose disk hangs.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

fn permits(number: usize) -> Permits {
    Permits { held: Held::new(number), watch: None }
}

#[test]
fn there_is_a_permit_for_each_worker_but_one() {
    for workers in [1, 4, 7] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build().unwrap();
        let permits = runtime.block_on(async { Permits::of_this_runtime() }).unwrap();
        let held: Vec<_> = std::iter::from_fn(|| permits.held.take(1, None)).take(100).collect();
        assert_eq!(held.len(), workers - 1);
    }
    assert!(Permits::none().held.take(1, None).is_none());
}

#[test]
fn a_permit_comes_back_however_the_write_ends() {
    let permits = permits(1);
    let held = || !permits.held.is_free();
    assert!(permits.write(held), "it is held while it is written");
    assert!(permits.held.is_free());
    let failed: Result<(), ()> = permits.write(|| Err(()));
    assert!(failed.is_err() && permits.held.is_free());
    let broke = catch_unwind(AssertUnwindSafe(|| permits.write(|| std::panic::resume_unwind(Box::new(())))));
    assert!(broke.is_err() && permits.held.is_free());
    assert!(permits.write(held), "and can be held again");
}

#[test]
fn a_write_that_does_not_end_in_time_makes_all_others_step_out_until_it_has_ended_and_one_was_quick() {
    let held = Held::new(3);
    let take = |now| held.take(now, None);
    let hangs = take(1).unwrap();
    assert!(take(1 + limit()).is_some(), "in time");
    assert!(take(2 + limit()).is_none(), "late");
    drop(hangs);
    held.ended(1 + limit());
    assert!(take(10 + limit()).is_none(), "nobody knows yet that the disk is quick again");
    held.ended(limit());
    assert!(take(10 + limit()).is_some());
}

#[test]
fn a_write_that_stepped_out_and_was_slow_counts_too() {
    let permits = permits(1);
    let taken = permits.held.take(1, None);
    permits.write(|| std::thread::sleep(QUICK + Duration::from_millis(5)));
    drop(taken);
    assert!(permits.held.take(permits.held.now(), None).is_none());
    permits.write(|| {});
    assert!(permits.held.take(permits.held.now(), None).is_some());
}
