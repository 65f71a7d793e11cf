//! The controller over a socket, with frames written by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use data_encoding::HEXUPPER;
use expect_test::{Expect, expect};

use super::*;
use crate::process::{Mode, Tank};

/// A controller whose process stands still, and a connection to it.
struct Bench {
    process: Process,
    address: SocketAddr,
    socket: TcpStream,
    stop: CancellationToken,
}

impl Bench {
    async fn new() -> Self {
        let process = Process::new(Tank::running());
        let controller = Controller::bind(0, process.clone()).await.unwrap();
        let (address, stop) = (controller.address().unwrap(), CancellationToken::new());
        tokio::spawn(controller.serve(stop.clone()));
        Self { process, address, socket: TcpStream::connect(address).await.unwrap(), stop }
    }

    async fn send(&mut self, hex: &str) {
        self.socket.write_all(&bytes(hex)).await.unwrap();
    }

    /// One whole frame.
    async fn receive(&mut self) -> String {
        let mut frame = vec![0; 6];
        timeout(PATIENCE, self.socket.read_exact(&mut frame)).await.unwrap().unwrap();
        let length = usize::from(u16::from_be_bytes([frame[4], frame[5]]));
        frame.resize(6 + length, 0);
        self.socket.read_exact(&mut frame[6..]).await.unwrap();
        HEXUPPER.encode(&frame)
    }

    /// The answer to a message for unit 1, without its header.
    async fn ask(&mut self, message: &str) -> String {
        let length = u16::try_from(bytes(message).len() + 1).unwrap();
        self.send(&format!("0A0B 0000 {length:04X} 01 {message}")).await;
        let answer = self.receive().await;
        assert!(answer.starts_with("0A0B0000") && answer[12..].starts_with("01"), "{answer}");
        answer[14..].to_owned()
    }

    async fn is_closed(&mut self) -> bool {
        let read = timeout(PATIENCE, self.socket.read(&mut [0; 1])).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}

/// What does not come within it does not come: a test fails then instead of waiting on.
const PATIENCE: Duration = Duration::from_secs(10);

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
    HEXUPPER.decode(hex.as_bytes()).unwrap()
}

/// Asks for one thing after the other and shows the answers.
async fn check(messages: &[&str], expected: Expect) {
    let mut bench = Bench::new().await;
    let mut shown = String::new();
    for message in messages {
        shown.push_str(&format!("{message} -> {}\n", bench.ask(message).await));
    }
    expected.assert_eq(&shown);
}

#[tokio::test]
async fn every_function_is_answered() {
    check(
        &[
            "01 0000 0004",
            "02 0000 0006",
            "03 0064 000A",
            "04 0000 000A",
            "05 0000 0000",
            "06 0064 0578",
            "08 0000 A537",
            "0F 0000 0002 01 03",
            "10 0065 0002 04 01F4 00C8",
            "11",
            "16 0064 00FF 0400",
            "17 0064 0001 0067 0001 02 0000",
            "2B 0E 01 00",
            "2B 0E 03 04",
            "2B 0E 04 04",
            "2B 0E 01 05",
        ],
        expect![[r#"
            01 0000 0004 -> 010101
            02 0000 0006 -> 020120
            03 0064 000A -> 031405AA013601F400014282000000000000038400C8
            04 0000 000A -> 0414028002C60078007805AA42800000000000000000
            05 0000 0000 -> 0500000000
            06 0064 0578 -> 0600640578
            08 0000 A537 -> 080000A537
            0F 0000 0002 01 03 -> 0F00000002
            10 0065 0002 04 01F4 00C8 -> 1000650002
            11 -> 1106706C632D31FF
            16 0064 00FF 0400 -> 16006400FF0400
            17 0064 0001 0067 0001 02 0000 -> 17020478
            2B 0E 01 00 -> 2B0E0182000003000953616C6C79706F7274010753494D2D504C430203312E30
            2B 0E 03 04 -> 2B0E0382000003041453696D756C6174656420636F6E74726F6C6C65720505706C632D31060654616E6B2031
            2B 0E 04 04 -> 2B0E0482000001041453696D756C6174656420636F6E74726F6C6C6572
            2B 0E 01 05 -> 2B0E0182000003000953616C6C79706F7274010753494D2D504C430203312E30
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_done_gets_the_exception_for_its_cause() {
    check(
        &[
            // Functions that a controller of this kind has not.
            "07",
            "14 07 06 0001 0000 0001",
            "5A 00 01",
            "00",
            "83",
            "08 0001 0000",
            "08 0004 0000",
            "2B 0D 00",
            // Quantities, lengths and byte counts.
            "03 0064 0000",
            "03 0000 007E",
            "01 0000 07D1",
            "03 0064 0001 00",
            "03 0064",
            "10 0064 0001 04 0000 0000",
            "10 0064 0002 04 0000",
            "0F 0000 0009 01 FF",
            "08 0000",
            "11 00",
            "2B 0E 05 00",
            // Addresses; a wrong quantity comes first.
            "03 0000 0001",
            "03 0064 000B",
            "03 FFFF 0001",
            "04 0009 0002",
            "05 0004 FF00",
            "06 0063 0000",
            "17 0063 0001 0064 0001 02 0000",
            "2B 0E 04 07",
            // Values.
            "05 0000 0001",
            "06 0064 05DD",
            "06 0067 0002",
            "10 0068 0002 04 7FC0 0000",
            "10 0068 0002 04 42CA 0000",
        ],
        expect![[r#"
            07 -> 8701
            14 07 06 0001 0000 0001 -> 9401
            5A 00 01 -> DA01
            00 -> 8001
            83 -> 8301
            08 0001 0000 -> 8801
            08 0004 0000 -> 8801
            2B 0D 00 -> AB01
            03 0064 0000 -> 8303
            03 0000 007E -> 8303
            01 0000 07D1 -> 8103
            03 0064 0001 00 -> 8303
            03 0064 -> 8303
            10 0064 0001 04 0000 0000 -> 9003
            10 0064 0002 04 0000 -> 9003
            0F 0000 0009 01 FF -> 8F03
            08 0000 -> 8803
            11 00 -> 9103
            2B 0E 05 00 -> AB03
            03 0000 0001 -> 8302
            03 0064 000B -> 8302
            03 FFFF 0001 -> 8302
            04 0009 0002 -> 8402
            05 0004 FF00 -> 8502
            06 0063 0000 -> 8602
            17 0063 0001 0064 0001 02 0000 -> 9702
            2B 0E 04 07 -> AB02
            05 0000 0001 -> 8503
            06 0064 05DD -> 8603
            06 0067 0002 -> 8603
            10 0068 0002 04 7FC0 0000 -> 9003
            10 0068 0002 04 42CA 0000 -> 9003
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_write_changes_the_process() {
    let mut bench = Bench::new().await;
    bench.ask("06 0064 03E8").await;
    bench.ask("10 0065 0003 06 007B 0190 0000").await;
    bench.ask("10 0068 0002 04 4220 0000").await;
    bench.ask("10 006A 0002 04 2345 0001").await;
    bench.ask("0F 0000 0001 01 00").await;
    let Tank { settings, delivered, .. } = bench.process.now();
    assert_eq!((settings.pump_speed, settings.inlet, settings.outlet), (1000, 12.3, 40.0));
    assert_eq!((settings.mode, settings.setpoint, settings.pump_on), (Mode::Manual, 40.0, false));
    assert_eq!(delivered, f64::from(0x0001_2345));
    assert_eq!(bench.ask("17 006A 0002 0064 0001 02 0258").await, "170423450001");
    assert_eq!(bench.process.now().settings.pump_speed, 600);
}

#[tokio::test]
async fn a_write_is_carried_out_whole_or_not_at_all() {
    let mut bench = Bench::new().await;
    let before = bench.process.now();
    // A good speed, a position of 100.1 %; a good speed, and a read that leads out of the table.
    assert_eq!(bench.ask("10 0064 0002 04 0001 03E9").await, "9003");
    assert_eq!(bench.ask("17 006D 0002 0064 0001 02 0001").await, "9702");
    assert_eq!(bench.ask("0F 0003 0002 01 03").await, "8F02");
    assert_eq!(bench.process.now(), before);
}

#[tokio::test]
async fn what_is_read_and_written_back_moves_nothing() {
    let mut bench = Bench::new().await;
    bench.process.change(|tank| {
        tank.settings.inlet = 31.27;
        tank.delivered = 12.9;
    });
    let before = bench.process.now();
    let read = bench.ask("03 0064 000A").await;
    bench.ask(&format!("10 0064 000A 14 {}", &read[4..])).await;
    assert_eq!(bench.process.now(), before);
}

#[tokio::test]
async fn what_is_read_moves_with_the_process() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.ask("04 0000 0001").await, "04020280");
    for _ in 0..20 {
        bench.process.step(Duration::from_secs(1));
    }
    assert_ne!(bench.ask("04 0000 0001").await, "04020280");
}

#[tokio::test]
async fn alarms_are_read_and_acknowledged() {
    let mut bench = Bench::new().await;
    bench.ask("05 0000 0000").await;
    for _ in 0..300 {
        bench.process.step(Duration::from_secs(1));
    }
    assert_eq!(bench.ask("02 0000 0006").await, "020116", "low, hot, not acknowledged");
    bench.ask("05 0003 FF00").await;
    assert_eq!(bench.ask("02 0000 0006").await, "020106");
    assert_eq!(bench.ask("01 0003 0001").await, "010100", "the button fell back");
}

#[tokio::test]
async fn only_its_own_units_answer() {
    let mut bench = Bench::new().await;
    for (unit, answer) in [("00", "03020001"), ("01", "03020001"), ("FF", "03020001"), ("02", "830B"), ("F7", "830B")] {
        bench.send(&format!("0001 0000 0006 {unit} 03 0067 0001")).await;
        let received = bench.receive().await;
        assert_eq!(received[12..], format!("{unit}{answer}"));
    }
    bench.send("0001 0000 0006 02 06 0067 0000").await;
    bench.receive().await;
    assert_eq!(bench.process.now().settings.mode, Mode::Automatic, "written for another unit");
}

#[tokio::test]
async fn however_the_stream_is_cut_answers_come_in_order() {
    let mut bench = Bench::new().await;
    let requests = "0001 0000 0006 01 03 0064 0001  0001 0000 0006 01 06 0064 03E8  0002 0000 0006 FF 03 0064 0001  0003 0000 0002 01 63";
    let answers = ["000100000005010302", "000100000006010600", "000200000005FF0302", "00030000000301E301"];
    bench.send(requests).await;
    for answer in answers {
        let received = bench.receive().await;
        assert!(received.starts_with(answer), "{received}");
    }
    for byte in bytes(requests) {
        bench.socket.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    for answer in answers {
        let received = bench.receive().await;
        assert!(received.starts_with(answer), "{received}");
    }
}

#[tokio::test]
async fn what_is_no_modbus_ends_the_connection_unanswered() {
    for frame in [
        "0001 0001 0006 01 03 0064 0001",
        "0001 0000 0000 01 03 0064 0001",
        "0001 0000 0001 01 03 0064 0001",
        "0001 0000 00FF 01 03 0064 0001",
        "0001 0000 FFFF 01 03 0064 0001",
        "474554 202F20 485454502F312E310D0A0D0A",
    ] {
        let mut bench = Bench::new().await;
        bench.send(frame).await;
        assert!(bench.is_closed().await, "{frame}");
        bench.socket = TcpStream::connect(bench.address).await.unwrap();
        assert_eq!(bench.ask("03 0067 0001").await, "03020001", "another connection, after {frame}");
    }
}

#[tokio::test]
async fn the_longest_message_is_read_and_one_longer_is_not() {
    let mut bench = Bench::new().await;
    let data = "00".repeat(248);
    let echo = bench.ask(&format!("08 0000 {data}")).await;
    assert_eq!(echo, format!("080000{data}"));
    bench.send(&format!("0001 0000 00FF 01 08 0000 {data}0000")).await;
    assert!(bench.is_closed().await);
}

#[tokio::test]
async fn there_is_room_for_so_many_connections_and_no_more() {
    let mut bench = Bench::new().await;
    bench.ask("03 0067 0001").await;
    let mut others = Vec::new();
    for _ in 1..MOST_CONNECTIONS {
        let mut socket = TcpStream::connect(bench.address).await.unwrap();
        std::mem::swap(&mut socket, &mut bench.socket);
        bench.ask("03 0067 0001").await;
        others.push(socket);
    }
    let one_more = TcpStream::connect(bench.address).await.unwrap();
    let last = std::mem::replace(&mut bench.socket, one_more);
    assert!(bench.is_closed().await);
    bench.socket = last;
    bench.ask("03 0067 0001").await;
    // When one leaves, the next finds room.
    drop(others.pop());
    let again = async {
        loop {
            bench.socket = TcpStream::connect(bench.address).await.unwrap();
            let sent = bench.socket.write_all(&bytes("0001 0000 0006 01 03 0067 0001")).await;
            if sent.is_ok() && bench.socket.read(&mut [0; 1]).await.is_ok_and(|read| read == 1) {
                break;
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn its_stop_ends_every_connection() {
    let mut bench = Bench::new().await;
    bench.ask("03 0067 0001").await;
    bench.stop.cancel();
    assert!(bench.is_closed().await);
}
