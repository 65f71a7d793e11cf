#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;

use tempfile::TempDir;

use super::*;

const BOUND: u64 = 1 << 20;

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn event(number: usize) -> String {
    format!("{{\"number\":{number},\"filling\":\"{}\"}}", "x".repeat(200))
}

fn events(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(event).collect()
}

/// Reads all there is, and confirms it.
fn drained(queue: &Queue) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let batch = queue.read(100).unwrap();
        if batch.events.is_empty() {
            return all;
        }
        all.extend(batch.events);
        queue.confirm(batch.end).unwrap();
    }
}

fn segments(folder: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "queue"));
    files.sort();
    files
}

#[test]
fn events_come_in_order_once_over_many_segments_and_restarts() {
    let folder = folder();
    let mut came = Vec::new();
    for run in 0..5 {
        let queue = Queue::open(folder.path(), BOUND).unwrap();
        for part in 0..8 {
            let from = run * 800 + part * 100;
            assert_eq!(queue.append(&events(from..from + 100)).lost, 0);
        }
        let batch = queue.read(60).unwrap();
        queue.confirm(batch.end).unwrap();
        came.extend(batch.events);
        // Read, and cut off before it was confirmed.
        queue.read(60).unwrap();
        drop(queue);
        let queue = Queue::open(folder.path(), BOUND).unwrap();
        came.extend(drained(&queue));
        assert_eq!((queue.waiting(), queue.take_damage()), (0, 0));
    }
    assert_eq!(came, events(0..4000));
    assert!(segments(&folder).len() <= 2, "{:?}", segments(&folder));
}

#[test]
fn what_was_not_confirmed_is_read_again() {
    let folder = folder();
    let queue = Queue::open(folder.path(), BOUND).unwrap();
    queue.append(&events(0..10));
    let first = queue.read(4).unwrap();
    queue.confirm(first.end).unwrap();
    assert_eq!(queue.read(4).unwrap().events, events(4..8));
    queue.rewind();
    assert_eq!(queue.read(100).unwrap().events, events(4..10));
}

#[test]
fn a_full_queue_keeps_what_it_has_and_counts_the_rest() {
    let folder = folder();
    let queue = Queue::open(folder.path(), BOUND).unwrap();
    let added = queue.append(&events(0..10_000));
    assert!(added.lost > 4000 && queue.waiting() <= BOUND, "{added:?}");
    assert_eq!(added.reason.as_deref(), Some("its queue is full"));
    assert!(!queue.has_room());
    assert_eq!(queue.append(&events(0..1)).lost, 1);
    let kept = 10_000 - usize::try_from(added.lost).unwrap();
    assert_eq!(waiting_in(folder.path()).unwrap(), queue.waiting());
    assert_eq!(drained(&queue), events(0..kept));
    assert!(queue.has_room());
    assert_eq!(queue.append(&events(0..100)).lost, 0);
    assert_eq!(drained(&queue), events(0..100));
}

#[test]
fn a_disk_that_cannot_be_written_loses_what_comes_and_nothing_else() {
    let folder = folder();
    let queue = Queue::open(&folder.path().join("a"), BOUND).unwrap();
    queue.append(&events(0..10));
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    let added = queue.append(&events(10..20));
    assert_eq!(added.lost, 10, "{added:?}");
    fs::create_dir(folder.path().join("a")).unwrap();
    assert_eq!(queue.append(&events(20..30)).lost, 0);
    assert_eq!(drained(&queue), events(20..30));
    assert_eq!(queue.take_damage(), 1);
}

#[test]
fn what_somebody_else_did_to_a_file_is_passed_over_and_counted() {
    type Deed = fn(&Path);
    let cut: Deed = |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(700).unwrap();
    let emptied: Deed = |path| fs::write(path, "").unwrap();
    let removed: Deed = |path| fs::remove_file(path).unwrap();
    let garbage: Deed = |path| fs::write(path, [b'\xff'; 4000]).unwrap();
    let changed: Deed = |path| {
        let text = fs::read_to_string(path).unwrap().replacen("\"number\":5,", "\"number\":7,", 1);
        fs::write(path, text).unwrap();
    };
    for (name, deed) in
        [("cut", cut), ("emptied", emptied), ("removed", removed), ("garbage", garbage), ("changed", changed)]
    {
        for read_before in [0, 4] {
            let folder = folder();
            let queue = Queue::open(folder.path(), BOUND).unwrap();
            queue.append(&events(0..10));
            let before = queue.read(read_before).unwrap();
            deed(&segments(&folder)[0]);
            // Nothing is told of it before more comes: the end of the file may just not be written yet.
            let first = queue.read(100).unwrap();
            queue.append(&events(10..20));
            let mut came = before.events;
            came.extend(first.events);
            came.extend(drained(&queue));
            assert!(came.ends_with(&events(10..20)), "{name} after {read_before}: {came:?}");
            let known = events(0..20);
            assert!(
                came.iter().all(|event| known.contains(event)) && came.is_sorted_by_key(|event| event.len()),
                "{name}"
            );
            assert_eq!(queue.take_damage(), 1, "{name} after {read_before}");
        }
    }
}

#[test]
fn a_line_that_a_crash_broke_off_is_no_damage() {
    let folder = folder();
    let queue = Queue::open(folder.path(), BOUND).unwrap();
    queue.append(&events(0..3));
    drop(queue);
    let path = &segments(&folder)[0];
    let length = fs::metadata(path).unwrap().len();
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length - 5).unwrap();
    let queue = Queue::open(folder.path(), BOUND).unwrap();
    queue.append(&events(3..5));
    assert_eq!(drained(&queue), [events(0..2), events(3..5)].concat());
    assert_eq!(queue.take_damage(), 0);
}

#[test]
fn a_lost_note_doubles_and_loses_nothing() {
    let folder = folder();
    let queue = Queue::open(folder.path(), BOUND).unwrap();
    queue.append(&events(0..5));
    let batch = queue.read(2).unwrap();
    queue.confirm(batch.end).unwrap();
    drop(queue);
    fs::write(folder.path().join("sent"), "no number\n").unwrap();
    let queue = Queue::open(folder.path(), BOUND).unwrap();
    assert_eq!(drained(&queue), events(0..5));
}

/// What an earlier run still had in hand comes into a file of its own, after this run has looked which there are.
#[test]
fn a_segment_that_somebody_else_began_costs_nothing() {
    let folder = folder();
    let before = Queue::open(folder.path(), BOUND).unwrap();
    let queue = Queue::open(folder.path(), BOUND).unwrap();
    assert_eq!(before.append(&events(0..10)).lost, 0);
    assert_eq!(queue.append(&events(10..20)).lost, 0);
    assert_eq!(drained(&queue), events(0..20));
}
