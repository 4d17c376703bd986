//! A WebSocket client that costs next to nothing for each frame, so that it is never what is measured.
//!
//! Owns: framing (RFC 6455), one read buffer for all connections. Must not know: what the frames say.
//! Invariant: a frame is handed out as it lies in the buffer, once and whole; nothing is copied unless a read ends
//! inside a frame.

use anyhow::{Context, Result, bail, ensure};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::tally::now;

/// How much one read may bring; the buffer grows when a single frame is larger.
const SCRATCH: usize = 512 * 1024;
/// The mask of every frame. Any will do: it guards proxies, and there are none (RFC 6455 section 10.3).
const MASK: [u8; 4] = [0x5a, 0xc3, 0x99, 0x0f];

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// An open WebSocket.
pub struct Socket {
    read: RefCell<OwnedReadHalf>,
    write: OwnedWriteHalf,
    /// The part of a frame that has come so far.
    rest: RefCell<Vec<u8>>,
    /// What the kernel has not taken yet.
    unsent: RefCell<Vec<u8>>,
    flushing: Cell<bool>,
}

impl Socket {
    /// Connects and upgrades.
    pub async fn open(address: SocketAddr, path: &str, subprotocol: Option<&str>) -> Result<Rc<Self>> {
        let mut stream = TcpStream::connect(address).await.context("failed to connect")?;
        stream.set_nodelay(true)?;
        let protocol = subprotocol.map(|name| format!("sec-websocket-protocol: {name}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: cm91bmR0YWJsZSBsb2FkIQ==\r\n{protocol}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::with_capacity(1024);
        let end = loop {
            ensure!(stream.read_buf(&mut head).await? > 0, "the server closed the connection instead of upgrading");
            if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
                break end + 4;
            }
        };
        ensure!(head.starts_with(b"HTTP/1.1 101"), "no upgrade: {}", String::from_utf8_lossy(&head));
        let rest = head.split_off(end);
        let (read, write) = stream.into_split();
        Ok(Rc::new(Self {
            read: RefCell::new(read),
            write,
            rest: RefCell::new(rest),
            unsent: RefCell::default(),
            flushing: Cell::new(false),
        }))
    }

    /// Sends a text frame. Never waits: what the kernel does not take at once goes out as it can.
    pub fn send(self: &Rc<Self>, text: &str) {
        self.send_all(std::iter::once(text));
    }

    /// Sends text frames with one write.
    pub fn send_all<'a>(self: &Rc<Self>, texts: impl Iterator<Item = &'a str>) {
        let mut bytes = Vec::with_capacity(512);
        texts.for_each(|text| encode(&mut bytes, TEXT, text.as_bytes()));
        self.write(&bytes);
    }

    /// Reads until `on_frame` breaks; it gets each text or binary frame and the time at which it was read.
    pub async fn pump<T>(self: &Rc<Self>, mut on_frame: impl FnMut(&[u8], u64) -> Result<ControlFlow<T>>) -> Result<T> {
        let mut held = Some(());
        poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut rest = self.rest.borrow_mut();
                let mut have = rest.len();
                grow(buffer, have);
                buffer[..have].copy_from_slice(&rest);
                let outcome = loop {
                    // What an earlier call left may hold whole frames already.
                    if held.take().is_none() || have == 0 {
                        grow(buffer, have);
                        let mut space = ReadBuf::new(&mut buffer[have..]);
                        match Pin::new(&mut *self.read.borrow_mut()).poll_read(cx, &mut space) {
                            Poll::Pending => break Poll::Pending,
                            Poll::Ready(Err(error)) => break Poll::Ready(Err(error.into())),
                            Poll::Ready(Ok(())) if space.filled().is_empty() => {
                                break Poll::Ready(Err(anyhow::anyhow!("the server closed the connection")));
                            }
                            Poll::Ready(Ok(())) => have += space.filled().len(),
                        }
                    }
                    let mut used = 0;
                    let flow = self.frames(&buffer[..have], &mut used, &mut on_frame);
                    buffer.copy_within(used..have, 0);
                    have -= used;
                    match flow {
                        Ok(ControlFlow::Continue(())) => {}
                        Ok(ControlFlow::Break(value)) => break Poll::Ready(Ok(value)),
                        Err(error) => break Poll::Ready(Err(error)),
                    }
                };
                rest.clear();
                if have == 0 {
                    rest.shrink_to(0);
                }
                rest.extend_from_slice(&buffer[..have]);
                outcome
            })
        })
        .await
    }

    /// Hands out the whole frames at the start of `bytes` and counts in `used` how far that went.
    fn frames<T>(
        self: &Rc<Self>,
        bytes: &[u8],
        used: &mut usize,
        on_frame: &mut impl FnMut(&[u8], u64) -> Result<ControlFlow<T>>,
    ) -> Result<ControlFlow<T>> {
        let at = now();
        while let Some((opcode, start, end)) = frame(&bytes[*used..])? {
            let payload = &bytes[*used + start..*used + end];
            *used += end;
            match opcode {
                TEXT | BINARY => {
                    if let ControlFlow::Break(value) = on_frame(payload, at)? {
                        return Ok(ControlFlow::Break(value));
                    }
                }
                PING => {
                    let mut pong = Vec::new();
                    encode(&mut pong, PONG, payload);
                    self.write(&pong);
                }
                PONG => {}
                CLOSE => {
                    let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                    bail!("the server closed the WebSocket with {code} {reason}");
                }
                _ => bail!("a frame of opcode {opcode}: fragments are not expected"),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn write(self: &Rc<Self>, bytes: &[u8]) {
        let mut unsent = self.unsent.borrow_mut();
        let done = if unsent.is_empty() { self.write.try_write(bytes).unwrap_or(0) } else { 0 };
        unsent.extend_from_slice(&bytes[done..]);
        if !unsent.is_empty() && !self.flushing.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).flush());
        }
    }

    /// Sends what waits. A broken connection is noticed by whoever reads.
    async fn flush(self: Rc<Self>) {
        while self.write.writable().await.is_ok() {
            let mut unsent = self.unsent.borrow_mut();
            match self.write.try_write(&unsent) {
                Ok(done) => drop(unsent.drain(..done)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => unsent.clear(),
            }
            if unsent.is_empty() {
                break;
            }
        }
        self.flushing.set(false);
    }
}

/// Makes room for at least one more read behind what is there.
fn grow(buffer: &mut Vec<u8>, have: usize) {
    if have + SCRATCH / 2 > buffer.len() {
        buffer.resize(buffer.len() * 2 + have, 0);
    }
}

/// Finds the frame at the start of `bytes`: opcode, begin and end of its payload. `None`: it is not there whole.
fn frame(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    ensure!(first & 0x70 == 0, "a frame with a reserved bit: no extension was agreed");
    ensure!(second & 0x80 == 0, "a masked frame from a server");
    let (start, length) = match second {
        126 => match bytes.get(2..4).and_then(|b| b.first_chunk()) {
            Some(length) => (4, usize::from(u16::from_be_bytes(*length))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|b| b.first_chunk()) {
            Some(length) => (10, usize::try_from(u64::from_be_bytes(*length))?),
            None => return Ok(None),
        },
        length => (2, usize::from(length)),
    };
    let whole = bytes.len() >= start + length;
    ensure!(first & 0x80 != 0 || !whole, "a fragment of a frame");
    Ok(whole.then_some((first & 0x0f, start, start + length)))
}

/// Appends a masked frame.
fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    let length = payload.len();
    if length < 126 {
        out.push(0x80 | u8::try_from(length).expect("below 126"));
    } else if let Ok(length) = u16::try_from(length) {
        out.push(0x80 | 126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(0x80 | 127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    for chunk in out[start..].chunks_mut(4) {
        chunk.iter_mut().zip(MASK).for_each(|(byte, mask)| *byte ^= mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_found_whole_or_not_at_all() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            encode(&mut bytes, TEXT, &vec![b'a'; length]);
            // A server does not mask: take the bit and the key out.
            let key = bytes.len() - length - 4;
            bytes.drain(key..key + 4);
            bytes[1] &= 0x7f;
            let found = frame(&bytes).expect("a good frame").expect("a whole frame");
            assert_eq!((found.0, found.2 - found.1, found.2), (TEXT, length, bytes.len()), "{length}");
            for cut in 0..bytes.len().min(20) {
                assert_eq!(frame(&bytes[..cut]).expect("a good start"), None, "{length}, {cut} bytes of it");
            }
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        assert!(frame(&[0xc1, 0]).is_err(), "compressed");
        assert!(frame(&[0x81, 0x80, 0, 0, 0, 0]).is_err(), "masked");
        assert!(frame(&[0x01, 0]).is_err(), "a fragment");
    }
}
