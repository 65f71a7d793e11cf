//! A panel that shows one picture by RFB 3.8, and a viewer that looks at it. Both are as small as the protocol lets them be.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;

use sallyport_tests::{Network, Peer};

const WIDTH: u16 = 16;
const HEIGHT: u16 = 8;
const NAME: &[u8] = b"tank 1";
/// 32 bits, true colour, little-endian.
const FORMAT: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
/// FramebufferUpdate with one rectangle, Raw: its head, then the pixels.
const PICTURE: usize = 16 + 4 * WIDTH as usize * HEIGHT as usize;

/// Serves everybody who connects to `panel-1`.
pub(crate) fn panel(network: &Arc<Network>) -> Peer {
    // A connection that breaks is the measurement's own doing.
    Peer::listen(network, "10.10.1.39:5900", |mut stream| drop(serve(&mut stream)))
}

fn serve(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"RFB 003.008\n")?;
    take::<12>(stream)?;
    stream.write_all(&[1, 1])?;
    take::<1>(stream)?;
    stream.write_all(&[0; 4])?;
    take::<1>(stream)?;
    stream.write_all(&server_init())?;
    loop {
        match take::<1>(stream)? {
            [0] => {
                take::<19>(stream)?;
            }
            [2] => {
                let [_, high, low] = take::<3>(stream)?;
                stream.read_exact(&mut vec![0; 4 * usize::from(u16::from_be_bytes([high, low]))])?;
            }
            [3] => {
                take::<9>(stream)?;
                let head =
                    [&[0, 0, 0, 1, 0, 0, 0, 0][..], &WIDTH.to_be_bytes(), &HEIGHT.to_be_bytes(), &[0; 4]].concat();
                let pixels = [0x30, 0x20, 0x10, 0].repeat(usize::from(WIDTH * HEIGHT));
                stream.write_all(&[head, pixels].concat())?;
            }
            [4] => {
                take::<7>(stream)?;
            }
            [5] => {
                take::<5>(stream)?;
            }
            _ => return Ok(()),
        }
    }
}

fn server_init() -> Vec<u8> {
    [&WIDTH.to_be_bytes()[..], &HEIGHT.to_be_bytes(), &FORMAT, &[0, 0, 0, NAME.len() as u8], NAME].concat()
}

/// Opens the screen.
pub(crate) fn open(stream: &mut TcpStream) -> Result<()> {
    take::<12>(stream)?;
    stream.write_all(b"RFB 003.008\n")?;
    take::<2>(stream)?;
    stream.write_all(&[1])?;
    take::<4>(stream)?;
    stream.write_all(&[1])?;
    stream.read_exact(&mut vec![0; server_init().len()])
}

/// Asks for the picture and waits until it is there.
pub(crate) fn look(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(&[3, 0, 0, 0, 0, 0, 0, WIDTH as u8, 0, HEIGHT as u8])?;
    stream.read_exact(&mut [0; PICTURE])
}

fn take<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).map(|()| bytes)
}
