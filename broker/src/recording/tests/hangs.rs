//! A disk that hangs in some sessions, while others go on.

use std::sync::mpsc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::*;

/// More than there are workers.
const HANGING: u8 = 16;
/// A write of so many bytes hangs.
const LARGE: usize = 4096;
/// Nothing that goes on takes so long, on any machine.
const LONG: Duration = Duration::from_secs(20);

/// Runs it on a worker. The thread that waits needs none.
fn on_a_worker<T: Send + 'static>(
    runtime: &Runtime,
    act: impl Future<Output = T> + Send + 'static,
) -> mpsc::Receiver<T> {
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move { tell.send(act.await) });
    told
}

#[test]
fn a_disk_that_hangs_in_many_sessions_never_holds_the_last_worker() {
    let runtime = crate::workers::runtime().unwrap();
    let (desk, recordings, handles) = runtime.block_on(async {
        let desk = Desk::new().await;
        let recordings = desk.open();
        let mut handles = Vec::new();
        for number in 0..=HANGING {
            handles.push(desk.start(&recordings, number).await);
        }
        (desk, recordings, handles)
    });
    desk.disk.hang_from(LARGE as u64);
    let mut noise = vec![0; LARGE];
    rand::fill(noise.as_mut_slice());
    let (goes_on, hanging) = handles.split_last().unwrap();
    let hung: Vec<_> = hanging
        .iter()
        .cloned()
        .map(|handle| {
            let noise = noise.clone();
            on_a_worker(&runtime, async move { handle.append(T1, Kind::Output, &noise) })
        })
        .collect();
    let handle = goes_on.clone();
    let went_on = on_a_worker(&runtime, async move {
        for _ in 0..50 {
            handle.append(T1, Kind::Input, b"key").unwrap();
            // Timers have their turn too.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let went_on = went_on.recv_timeout(LONG);
    let still = hung.iter().filter(|hung| matches!(hung.try_recv(), Err(mpsc::TryRecvError::Empty))).count();
    // Before anything is asserted: a runtime whose workers are held does not end.
    desk.disk.mend();
    assert_eq!(went_on, Ok(()), "the others go on");
    assert_eq!(still, usize::from(HANGING), "what hangs has not been recorded meanwhile");
    for hung in hung {
        assert!(matches!(hung.recv_timeout(LONG), Ok(Ok(()))), "what hung is recorded at last");
    }
    runtime.block_on(async {
        for handle in handles {
            handle.seal("left", "").await.unwrap();
        }
    });
    drop(recordings);
}

/// Both ends of a connection: one on the runtime, one that is this thread's.
fn pair(runtime: &Runtime) -> (TcpStream, std::net::TcpStream) {
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_read_timeout(Some(LONG)).unwrap();
        (listener.accept().await.unwrap().0, ours)
    })
}

/// All workers stand still, and the one that waits for sockets hears of something that leads to a write that hangs. No other has a
/// cause to wait for sockets in its place.
#[test]
fn a_disk_that_hangs_for_the_one_who_waits_for_sockets_keeps_nobody_from_being_heard() {
    use std::io::{Read, Write};
    let runtime = crate::workers::runtime().unwrap();
    let (desk, recordings, handle) = runtime.block_on(async {
        let desk = Desk::new().await;
        let recordings = desk.open();
        let handle = desk.start(&recordings, 1).await;
        (desk, recordings, handle)
    });
    let ((mut victim, mut hits), (mut other, mut asks)) = (pair(&runtime), pair(&runtime));
    let written = handle.clone();
    let hung = on_a_worker(&runtime, async move {
        victim.read_u8().await.unwrap();
        written.append(T1, Kind::Output, &[7; LARGE])
    });
    let answering = on_a_worker(&runtime, async move {
        while let Ok(byte) = other.read_u8().await {
            other.write_u8(byte).await.unwrap();
        }
    });
    desk.disk.hang_from(1);
    // Until all have gone to sleep.
    std::thread::sleep(Duration::from_millis(200));
    hits.write_all(&[1]).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let mut answers = Vec::new();
    for byte in 0..5 {
        asks.write_all(&[byte]).unwrap();
        let mut answer = [0xff];
        answers.push(asks.read_exact(&mut answer).map(|()| answer[0]).map_err(|error| error.kind()));
    }
    let hung_meanwhile = matches!(hung.try_recv(), Err(mpsc::TryRecvError::Empty));
    desk.disk.mend();
    assert_eq!(answers, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
    assert!(hung_meanwhile);
    assert!(matches!(hung.recv_timeout(LONG), Ok(Ok(()))));
    drop(asks);
    assert_eq!(answering.recv_timeout(LONG), Ok(()));
    runtime.block_on(async { handle.seal("left", "").await.unwrap() });
    drop(recordings);
}
