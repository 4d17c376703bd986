//! The small trait between a connection and whatever puts its frames on the wire.
//!
//! Owns: what a connection needs of a socket. Must not know: frames' content. Invariant: [`Transport::receive`] can be
//! dropped at any moment without losing input.

use std::future::Future;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::CapacityError;

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

/// A socket that carries frames.
pub trait Transport: Send {
    /// Waits for the next frame. Cancel safe.
    fn receive(&mut self) -> impl Future<Output = Result<Incoming, Broken>> + Send;

    /// Hands a text frame on, without forcing it out.
    fn feed_text(&mut self, text: Bytes) -> impl Future<Output = Result<(), Broken>> + Send;

    /// Hands a binary frame on, without forcing it out.
    fn feed_binary(&mut self, data: Bytes) -> impl Future<Output = Result<(), Broken>> + Send;

    /// Forces everything out.
    fn flush(&mut self) -> impl Future<Output = Result<(), Broken>> + Send;

    /// Says why, and that nothing follows.
    fn close(&mut self, code: u16, reason: &'static str) -> impl Future<Output = Result<(), Broken>> + Send;
}

/// axum's WebSocket.
#[derive(Debug)]
pub struct AxumTransport(WebSocket);

impl AxumTransport {
    /// Wraps an upgraded socket.
    pub fn new(socket: WebSocket) -> Self {
        Self(socket)
    }

    async fn feed(&mut self, message: Message) -> Result<(), Broken> {
        self.0.feed(message).await.map_err(broken)
    }
}

impl Transport for AxumTransport {
    async fn receive(&mut self) -> Result<Incoming, Broken> {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
            Some(Ok(Message::Binary(_))) => Ok(Incoming::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Incoming::Nothing),
            Some(Ok(Message::Close(_))) | None => Ok(Incoming::Closed),
            Some(Err(error)) => Err(broken(error)),
        }
    }

    async fn feed_text(&mut self, text: Bytes) -> Result<(), Broken> {
        // Frames are JSON that was written here, so this check cannot fail; there is no way around it in safe code.
        let text = Utf8Bytes::try_from(text).map_err(|_| Broken::Protocol)?;
        self.feed(Message::Text(text)).await
    }

    async fn feed_binary(&mut self, data: Bytes) -> Result<(), Broken> {
        self.feed(Message::Binary(data)).await
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        self.0.flush().await.map_err(broken)
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Broken> {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        self.0.send(Message::Close(Some(frame))).await.map_err(broken)
    }
}

fn broken(error: axum::Error) -> Broken {
    match error.into_inner().downcast_ref::<WsError>() {
        Some(WsError::Capacity(CapacityError::MessageTooLong { .. })) => Broken::TooLarge,
        Some(WsError::Protocol(_) | WsError::Utf8(_)) => Broken::Protocol,
        _ => Broken::Gone,
    }
}
