//! The panel over a socket, with a viewer written by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::canvas::{Area, Canvas, HEIGHT, WIDTH};
use super::picture::{self, Button};
use super::*;
use crate::process::Tank;

/// A viewer of a panel whose process stands still.
struct Viewer {
    process: Process,
    socket: TcpStream,
    /// Bytes of a pixel, and the screen in them.
    bytes: usize,
    screen: Vec<u32>,
}

impl Viewer {
    async fn connect() -> Self {
        let process = Process::new(Tank::running());
        let panel = Panel::bind(0, process.clone()).await.unwrap();
        let socket = TcpStream::connect(panel.address().unwrap()).await.unwrap();
        tokio::spawn(panel.serve(CancellationToken::new()));
        Self { process, socket, bytes: 4, screen: vec![0; WIDTH * HEIGHT] }
    }

    async fn opened() -> Self {
        let mut viewer = Self::connect().await;
        viewer.handshake("008").await;
        viewer
    }

    async fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        timeout(PATIENCE, self.socket.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    async fn handshake(&mut self, minor: &str) {
        assert_eq!(&self.read().await, b"RFB 003.008\n");
        self.send(format!("RFB 003.{minor}\n").as_bytes()).await;
        if matches!(minor, "007" | "008") {
            assert_eq!(self.read().await, [1, 1]);
            self.send(&[1]).await;
        }
        if minor != "007" {
            // 3.8: the result is good. 3.3: the type is "none".
            assert_eq!(self.read().await, [0, 0, 0, u8::from(minor != "008")]);
        }
        self.send(&[1]).await;
        assert_eq!(self.read().await, [1, 224, 1, 64]);
        assert_eq!(self.read().await, [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
        assert_eq!(self.read().await, [0, 0, 0, 13]);
        assert_eq!(&self.read::<13>().await, rfb::NAME.as_bytes());
    }

    async fn request(&mut self, incremental: bool, area: Area) {
        let mut message = vec![3, u8::from(incremental)];
        for number in [area.x, area.y, area.width, area.height] {
            message.extend(u16::try_from(number).unwrap().to_be_bytes());
        }
        self.send(&message).await;
    }

    /// Takes one update onto the screen; gives what changed and how many bytes that took.
    async fn update(&mut self) -> (Vec<Area>, usize) {
        let [kind, _, high, low] = self.read().await;
        assert_eq!(kind, 0);
        let (mut areas, mut length) = (Vec::new(), 4);
        for _ in 0..u16::from_be_bytes([high, low]) {
            let head = self.read::<12>().await;
            let number = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
            assert_eq!(head[8..], [0; 4], "not Raw");
            let area = Area::new(number(0), number(2), number(4), number(6));
            let mut pixels = vec![0; area.width * area.height * self.bytes];
            timeout(PATIENCE, self.socket.read_exact(&mut pixels)).await.unwrap().unwrap();
            for (at, pixel) in pixels.chunks(self.bytes).enumerate() {
                let place = (area.y + at / area.width) * WIDTH + area.x + at % area.width;
                self.screen[place] = pixel.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
            }
            areas.push(area);
            length += 12 + pixels.len();
        }
        (areas, length)
    }

    async fn point(&mut self, buttons: u8, button: Button) {
        let Area { x, y, .. } = button.area();
        let (x, y) = (u16::try_from(x + 9).unwrap().to_be_bytes(), u16::try_from(y + 9).unwrap().to_be_bytes());
        self.send(&[5, buttons, x[0], x[1], y[0], y[1]]).await;
    }

    /// After this, everything sent before has been handled.
    async fn settle(&mut self) {
        self.request(false, Area::new(0, 0, 1, 1)).await;
        assert_eq!(self.update().await.0, [Area::new(0, 0, 1, 1)]);
    }

    async fn is_closed(&mut self) -> bool {
        let read = timeout(PATIENCE, self.socket.read(&mut [0; 1])).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }

    fn shows(&self, picture: &Canvas) -> bool {
        let drawn = picture.pixels(Area::WHOLE).map(|colour| {
            let [red, green, blue] = colour.rgb();
            u32::from_be_bytes([0, red, green, blue])
        });
        drawn.eq(self.screen.iter().copied())
    }
}

/// What does not come within it does not come: a test fails then instead of waiting on.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn every_version_is_served() {
    for minor in ["008", "007", "003", "005", "889"] {
        let mut viewer = Viewer::connect().await;
        viewer.handshake(minor).await;
        viewer.settle().await;
    }
}

#[tokio::test]
async fn a_viewer_sees_what_is_drawn_and_then_what_changes() {
    let mut viewer = Viewer::opened().await;
    viewer.request(true, Area::WHOLE).await;
    let (_, first) = viewer.update().await;
    assert!(viewer.shows(&picture::draw(&viewer.process.now())));
    for _ in 0..20 {
        viewer.request(true, Area::WHOLE).await;
        viewer.process.step(Duration::from_millis(500));
        let (_, length) = viewer.update().await;
        assert!(viewer.shows(&picture::draw(&viewer.process.now())));
        assert!(length * 10 < first, "{length} of {first} bytes for a small change");
    }
}

#[tokio::test]
async fn an_update_without_news_waits_for_them() {
    let mut viewer = Viewer::opened().await;
    viewer.request(false, Area::WHOLE).await;
    viewer.update().await;
    viewer.request(true, Area::WHOLE).await;
    // Had it been answered, this would not be the next answer.
    viewer.settle().await;
    viewer.request(true, Area::WHOLE).await;
    viewer.point(1, Button::SetpointUp).await;
    viewer.update().await;
    assert!(viewer.shows(&picture::draw(&viewer.process.now())));
    assert_eq!(viewer.process.now().settings.setpoint, 66.0);
}

#[tokio::test]
async fn a_part_is_sent_alone_and_what_lies_outside_is_not() {
    let mut viewer = Viewer::opened().await;
    let part = Area::new(100, 100, 7, 3);
    viewer.request(false, part).await;
    let (areas, _) = viewer.update().await;
    assert!(areas.iter().all(|area| area.within(&part) == Some(*area)), "{areas:?}");
    assert_eq!(areas.iter().map(|area| area.width * area.height).sum::<usize>(), 21);
    viewer.request(false, Area::new(65_535, 65_535, 65_535, 65_535)).await;
    viewer.request(false, Area::new(0, 0, 0, 0)).await;
    viewer.settle().await;
}

#[tokio::test]
async fn pixels_come_in_the_format_that_was_asked_for() {
    for (format, bytes) in [
        ([16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0], 2),
        ([8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0], 1),
        ([32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0], 4),
    ] {
        let mut viewer = Viewer::opened().await;
        viewer.send(&[&[0, 0, 0, 0], &format[..]].concat()).await;
        viewer.bytes = bytes;
        viewer.request(false, Area::WHOLE).await;
        let (areas, length) = viewer.update().await;
        assert_eq!(length, 4 + areas.len() * 12 + WIDTH * HEIGHT * bytes);
        let format = pixel::PixelFormat::from_bytes(format).unwrap();
        for (pixel, colour) in viewer.screen.iter().zip(picture::draw(&viewer.process.now()).pixels(Area::WHOLE)) {
            let mut expected = Vec::new();
            format.write(colour, &mut expected);
            assert_eq!(pixel.to_le_bytes()[..bytes], expected);
        }
    }
}

#[tokio::test]
async fn a_click_presses_once_and_keys_do_nothing() {
    let mut viewer = Viewer::opened().await;
    let before = viewer.process.now();
    viewer.send(&[4, 1, 0, 0, 0, 0, 0xff, 0x0d]).await;
    viewer.point(0, Button::Stop).await;
    viewer.point(4, Button::Stop).await;
    viewer.point(0, Button::Stop).await;
    viewer.send(&[5, 1, 0, 0, 0, 0]).await;
    // Dragged onto a button with the left one down already.
    viewer.point(1, Button::Stop).await;
    viewer.point(0, Button::Stop).await;
    viewer.settle().await;
    assert_eq!(viewer.process.now(), before);
    for buttons in [1, 1, 1, 0] {
        viewer.point(buttons, Button::SetpointDown).await;
    }
    viewer.point(1, Button::Stop).await;
    viewer.settle().await;
    let settings = viewer.process.now().settings;
    assert_eq!((settings.setpoint, settings.pump_on), (64.0, false));
}

#[tokio::test]
async fn long_messages_of_no_use_are_read_over() {
    let mut viewer = Viewer::opened().await;
    viewer.send(&[2, 0, 0xff, 0xff]).await;
    viewer.send(&vec![3; 65_535 * 4]).await;
    viewer.send(&[6, 0, 0, 0, 0, 1, 0, 0]).await;
    viewer.send(&vec![3; 65_536]).await;
    viewer.settle().await;
}

#[tokio::test]
async fn what_is_no_rfb_ends_the_connection() {
    for message in [
        // An unknown message, a clipboard of 2 GiB and one of negative length, a palette.
        &[7, 0, 0, 0][..],
        &[255, 0, 0, 1],
        &[6, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
        &[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc],
        &[0, 0, 0, 0, 8, 8, 0, 0, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0],
    ] {
        let mut viewer = Viewer::opened().await;
        viewer.send(message).await;
        assert!(viewer.is_closed().await, "{message:?}");
    }
    for greeting in [&b"GET / HTTP/1.1\r\n"[..], b"RFB 004.000\n", b"RFB 003.008 "] {
        let mut viewer = Viewer::connect().await;
        viewer.read::<12>().await;
        viewer.send(greeting).await;
        assert!(viewer.is_closed().await, "{greeting:?}");
    }
    let mut viewer = Viewer::connect().await;
    viewer.read::<12>().await;
    viewer.send(b"RFB 003.008\n").await;
    viewer.read::<2>().await;
    viewer.send(&[2]).await;
    assert!(viewer.is_closed().await, "a security type that was not offered");
}

#[tokio::test]
async fn two_viewers_see_the_same() {
    let mut first = Viewer::opened().await;
    let address = first.socket.peer_addr().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    let mut second = Viewer { process: first.process.clone(), socket, bytes: 4, screen: vec![0; WIDTH * HEIGHT] };
    second.handshake("008").await;
    second.request(false, Area::WHOLE).await;
    second.update().await;
    second.request(true, Area::WHOLE).await;
    first.point(1, Button::Stop).await;
    second.update().await;
    assert!(second.shows(&picture::draw(&first.process.now())));
    assert!(!first.process.now().settings.pump_on);
}
