//! One upgraded socket: read through a WebSocket library, written by whoever has something for it.
//!
//! Owns: the two ways of one TCP stream. Must not know: frames' content. Invariants: every byte out goes through the
//! connection's outbox, so that rooms can write to it directly and nothing is torn; [`Transport::receive`] can be
//! dropped at any moment without losing input.
//!
//! Reading, masks, fragments, UTF-8, pings and limits are tungstenite's. What it wants to write (pongs, closes) is
//! handed to the outbox as whole frames.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ws::Utf8Bytes;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use roundtable_hub::outbox::{Wire, WrittenOut};
use roundtable_hub::{Frame, Outbox};
use roundtable_protocol::frame::MAX_FRAME_BYTES;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// Size of the read buffer, which grows for a larger frame. The library's default costs 128 KiB a connection, and what
/// people send is small.
const BUFFER_BYTES: usize = 1024;

/// How much is taken in at once while draining.
const DRAIN_BYTES: usize = 16 * 1024;

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary frame.
    Binary,
    /// A ping or pong of the protocol, answered below.
    Nothing,
    /// The other side has closed.
    Closed,
}

/// Why nothing more can come in.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// A frame larger than allowed was announced.
    TooLarge,
    /// What came is no WebSocket.
    Protocol,
    /// The connection is gone.
    Gone,
}

/// An upgraded socket.
pub struct Transport {
    stream: Arc<TcpStream>,
    reader: WebSocketStream<Ends>,
}

impl Transport {
    /// Takes an upgraded socket and what was read from it already; from now on `outbox` writes to it.
    pub async fn new(stream: TcpStream, early: Bytes, outbox: &Arc<Outbox>) -> Self {
        let stream = Arc::new(stream);
        outbox.attach(Arc::new(Socket(Arc::clone(&stream))));
        // An empty rest would still hold the whole buffer that the request was read into.
        let early = Bytes::copy_from_slice(&early);
        let ends = Ends { stream: Arc::clone(&stream), early, outbox: Arc::clone(outbox) };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let reader = WebSocketStream::from_raw_socket(ends, Role::Server, Some(config)).await;
        Self { stream, reader }
    }

    /// Waits for the next frame. Cancel safe.
    pub async fn receive(&mut self) -> Result<Incoming, Broken> {
        match self.reader.next().await {
            Some(Ok(Message::Text(text))) => {
                // The text has been checked by the library; the type is another library's.
                Utf8Bytes::try_from(Bytes::from(text)).map(Incoming::Text).map_err(|_| Broken::Protocol)
            }
            Some(Ok(Message::Binary(_))) => Ok(Incoming::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Incoming::Nothing),
            Some(Ok(Message::Close(_))) | None => Ok(Incoming::Closed),
            Some(Err(error)) => Err(broken(&error)),
        }
    }

    /// Waits until the socket takes bytes again. Cancel safe.
    pub async fn writable(&self) -> Result<(), Broken> {
        self.stream.writable().await.map_err(|_| Broken::Gone)
    }

    /// Says why, and that nothing follows.
    pub async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Broken> {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.reader.close(Some(frame)).await.map_err(|error| broken(&error))
    }

    /// Says that nothing follows, then takes in and forgets whatever comes until the other side ends.
    pub async fn drain(&self) {
        // A socket that is gone already has nothing to take in.
        let _ = SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write);
        let mut scratch = vec![0; DRAIN_BYTES];
        while self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Writes everything that waits in `outbox`, waiting for the socket where need be.
    pub async fn write_all(&self, outbox: &Outbox) -> Result<(), Broken> {
        loop {
            match outbox.write_out() {
                WrittenOut::All => return Ok(()),
                WrittenOut::Gone => return Err(Broken::Gone),
                WrittenOut::Blocked => self.writable().await?,
            }
        }
    }
}

fn broken(error: &WsError) -> Broken {
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { .. }) => Broken::TooLarge,
        WsError::Protocol(_) | WsError::Utf8(_) => Broken::Protocol,
        _ => Broken::Gone,
    }
}

/// The writing end, as rooms have it.
struct Socket(Arc<TcpStream>);

impl Wire for Socket {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            [piece] => self.0.try_write(piece),
            pieces => self.0.try_write_vectored(pieces),
        }
    }
}

/// Both ends, as the library has them: input from the socket, output to the outbox.
struct Ends {
    stream: Arc<TcpStream>,
    early: Bytes,
    outbox: Arc<Outbox>,
}

impl AsyncRead for Ends {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let n = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..n]);
            self.early.advance(n);
            if self.early.is_empty() {
                self.early = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        loop {
            std::task::ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf.initialize_unfilled()) {
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Ends {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.push(Frame::control(Bytes::copy_from_slice(bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
