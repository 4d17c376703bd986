//! The WebSocket `/api/v1/ws`.
//!
//! Owns: the upgrade, connections, reading frames. Must not know: rules, order, fan-out. Invariant: bad input is
//! answered and the connection stays, until there is so much of it that it can only be an attack.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | one task per connection: outbox out, frames in |
//! | [`parse`] | from text to frames and commands, with places of errors |
//! | [`transport`] | the socket: read through a library, written by the rooms |

pub mod connection;
pub mod parse;
pub mod transport;

use axum::extract::{Extension, Request, State};
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use roundtable_protocol::frame::SUBPROTOCOL;
use roundtable_protocol::{Code, Problem};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::auth::Visitor;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::serve::Permit;
use crate::state::App;
use connection::Connection;

/// Opens the WebSocket: subprotocol `roundtable.v1`, one socket for many sessions.
///
/// Client frames are `ClientFrame`, server frames `ServerFrame`. Bulk comes as binary frames (a byte 0x01, then the raw
/// deflate of the JSON) when `hello` offered `deflate`. Close codes 4400 to 4499 are final.
#[utoipa::path(get, path = "/api/v1/ws", tag = "events", responses((status = 101, description = "Frames from here on")))]
pub async fn upgrade(
    State(app): State<App>,
    Visitor(visitor): Visitor,
    Extension(arrival): Extension<Arrival>,
    Extension(permit): Extension<Permit>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let accept = handshake(request.headers())?;
    let socket = app.open_socket(arrival.address)?;
    let running = app.connections.token();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _counted = (permit, socket, running);
        // What a client does wrong on its own connection is no news.
        let Ok(upgraded) = upgrade.await else { return };
        match taken_out(upgraded) {
            Ok((stream, early)) => Connection::new(app, stream, early).await.run(visitor).await,
            Err(()) => tracing::error!("an upgraded connection is no TCP stream"),
        }
    });
    let headers = [
        (CONNECTION, "upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_ACCEPT, &accept),
        (SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// Takes the TCP stream out of an upgraded connection, with what was read from it already.
fn taken_out(upgraded: Upgraded) -> Result<(TcpStream, bytes::Bytes), ()> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| ())?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

/// Checks the opening handshake (RFC 6455, section 4.2.1) and returns the key that answers it.
fn handshake(headers: &HeaderMap) -> Result<String, Problem> {
    let upgrades = has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket");
    let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let Some(key) = key.filter(|_| upgrades && version) else {
        return Err(refused("this address takes WebSocket upgrades only, of version 13"));
    };
    if !asks_for_subprotocol(headers) {
        return Err(refused("ask for the subprotocol roundtable.v1"));
    }
    Ok(derive_accept_key(key.as_bytes()))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

fn refused(detail: &str) -> Problem {
    Problem::new(Code::InvalidField).with_detail(detail)
}

fn asks_for_subprotocol(headers: &HeaderMap) -> bool {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL)
}
