//! The Remote Framebuffer protocol (RFC 6143), the part a panel needs: no security, Raw pixels, pointer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::sync::watch;
use tokio::time::timeout;

use super::canvas::{Area, Canvas, Colour, HEIGHT, WIDTH};
use super::picture::{self, Button};
use super::pixel::PixelFormat;
use crate::process::{Process, Tank};

/// One viewer, from its first byte to its last.
pub(super) async fn connection<S: AsyncRead + AsyncWrite>(stream: S, process: Process) -> io::Result<()> {
    let (input, output) = tokio::io::split(stream);
    let (mut input, mut output) = (BufReader::with_capacity(BUFFER, input), BufWriter::with_capacity(BUFFER, output));
    timeout(HANDSHAKE, handshake(&mut input, &mut output)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let mut viewer = Viewer {
        tank: process.watch(),
        process,
        format: PixelFormat::NATURAL,
        shown: Canvas::new(Colour::Unseen),
        asked: None,
        pressed: false,
    };
    viewer.serve(&mut input, &mut output).await
}

/// Version, security "none", and what the picture is.
async fn handshake(input: &mut (impl AsyncRead + Unpin), output: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    output.write_all(b"RFB 003.008\n").await?;
    output.flush().await?;
    let mut version = [0; 12];
    input.read_exact(&mut version).await?;
    match &version {
        b"RFB 003.008\n" | b"RFB 003.007\n" => {
            output.write_all(&[1, SECURITY_NONE]).await?;
            output.flush().await?;
            if input.read_u8().await? != SECURITY_NONE {
                return Err(invalid("a security type that was not offered"));
            }
            // Before 3.8, no result follows where there is no security.
            if version[10] == b'8' {
                output.write_u32(0).await?;
            }
        }
        // Other numbers are treated as 3.3, as the RFC wants it: the server decides.
        version if version.starts_with(b"RFB 003.") && version[11] == b'\n' => {
            output.write_u32(SECURITY_NONE.into()).await?;
        }
        _ => return Err(invalid("no RFB version")),
    }
    output.flush().await?;
    let _shared = input.read_u8().await?;
    let (width, height) = (WIDTH as u16, HEIGHT as u16);
    output.write_u16(width).await?;
    output.write_u16(height).await?;
    output.write_all(&PixelFormat::NATURAL.to_bytes()).await?;
    output.write_u32(NAME.len() as u32).await?;
    output.write_all(NAME.as_bytes()).await?;
    output.flush().await
}

struct Viewer {
    process: Process,
    tank: watch::Receiver<Tank>,
    format: PixelFormat,
    /// What the viewer has on its screen.
    shown: Canvas,
    /// An update that was asked for and not yet sent.
    asked: Option<Asked>,
    /// Is the left button down?
    pressed: bool,
}

/// What of the picture a viewer asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    area: Area,
    /// Only what is not on its screen yet.
    incremental: bool,
}

impl Viewer {
    async fn serve(
        &mut self,
        input: &mut (impl AsyncBufReadExt + Unpin),
        output: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        loop {
            // Nothing is read beyond the buffer until a whole message is handled, so each wait can be given up safely.
            let message = tokio::select! {
                filled = timeout(IDLE, input.fill_buf()) => match filled {
                    Ok(filled) => Some(!filled?.is_empty()),
                    Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                },
                changed = self.tank.changed(), if self.asked.is_some() => match changed {
                    Ok(()) => None,
                    Err(_) => return Ok(()),
                },
            };
            match message {
                Some(true) => timeout(IDLE, self.message(input)).await.map_err(|_| io::ErrorKind::TimedOut)??,
                Some(false) => return Ok(()),
                None => {}
            }
            self.update(output).await?;
        }
    }

    /// Reads one message of the viewer's.
    async fn message(&mut self, input: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        match input.read_u8().await? {
            SET_PIXEL_FORMAT => {
                let [_, _, _, format @ ..] = bytes::<19>(input).await?;
                self.format = PixelFormat::from_bytes(format).map_err(io::Error::other)?;
            }
            SET_ENCODINGS => {
                let [_, high, low] = bytes(input).await?;
                // Raw, which every viewer takes, is all that is sent.
                skip(input, u64::from(u16::from_be_bytes([high, low])) * 4).await?;
            }
            UPDATE_REQUEST => {
                let [incremental, x1, x0, y1, y0, w1, w0, h1, h0] = bytes(input).await?;
                let number = |high, low| usize::from(u16::from_be_bytes([high, low]));
                let area = Area::new(number(x1, x0), number(y1, y0), number(w1, w0), number(h1, h0));
                self.asked = area.within(&Area::WHOLE).map(|area| Asked { area, incremental: incremental != 0 });
            }
            KEY => skip(input, 7).await?,
            POINTER => {
                let [buttons, x1, x0, y1, y0] = bytes(input).await?;
                self.point(buttons, u16::from_be_bytes([x1, x0]), u16::from_be_bytes([y1, y0]));
            }
            CUT_TEXT => {
                let [_, _, _, length @ ..] = bytes::<7>(input).await?;
                let length = u32::from_be_bytes(length);
                if length > LONGEST_CUT_TEXT {
                    return Err(invalid("a clipboard that is too long"));
                }
                skip(input, length.into()).await?;
            }
            _ => return Err(invalid("a message of unknown type and so of unknown length")),
        }
        Ok(())
    }

    /// A button of the panel is pressed when the left button goes down on it.
    fn point(&mut self, buttons: u8, x: u16, y: u16) {
        let down = buttons & 1 != 0;
        if down
            && !self.pressed
            && let Some(button) = Button::at(x.into(), y.into())
        {
            self.process.change(|tank| button.press(tank));
        }
        self.pressed = down;
    }

    /// Sends what was asked for, if there is any of it.
    async fn update(&mut self, output: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let Some(Asked { area, incremental }) = self.asked else { return Ok(()) };
        let picture = picture::draw(&self.tank.borrow_and_update());
        let send: Vec<Area> = match incremental {
            true => Canvas::tiles(area).filter_map(|tile| self.shown.difference(&picture, tile)).collect(),
            false => Canvas::tiles(area).collect(),
        };
        if send.is_empty() {
            return Ok(());
        }
        self.asked = None;
        output.write_all(&[UPDATE, 0]).await?;
        output.write_u16(send.len() as u16).await?;
        let mut pixels = Vec::new();
        for area in send {
            for number in [area.x, area.y, area.width, area.height] {
                output.write_u16(number as u16).await?;
            }
            output.write_i32(RAW).await?;
            pixels.clear();
            picture.pixels(area).for_each(|colour: Colour| self.format.write(colour, &mut pixels));
            output.write_all(&pixels).await?;
            self.shown.copy(&picture, area);
        }
        output.flush().await
    }
}

async fn bytes<const N: usize>(input: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Reads over what is of no use here, without keeping it.
async fn skip(input: &mut (impl AsyncRead + Unpin), length: u64) -> io::Result<()> {
    match tokio::io::copy(&mut input.take(length), &mut tokio::io::sink()).await? {
        read if read == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// What a viewer shows in its title.
pub(super) const NAME: &str = "hmi-1: tank 1";
const SECURITY_NONE: u8 = 1;
const SET_PIXEL_FORMAT: u8 = 0;
const SET_ENCODINGS: u8 = 2;
const UPDATE_REQUEST: u8 = 3;
const KEY: u8 = 4;
const POINTER: u8 = 5;
const CUT_TEXT: u8 = 6;
const UPDATE: u8 = 0;
const RAW: i32 = 0;
/// Bytes in either direction.
const BUFFER: usize = 8 * 1024;
const LONGEST_CUT_TEXT: u32 = 1 << 20;
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a viewer may stay silent, or take for one message. One that shows the picture asks several times a second.
const IDLE: Duration = Duration::from_secs(3600);
