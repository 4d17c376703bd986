//! The WebSocket `/api/v1/ws`.
//!
//! Owns: the upgrade, connections, reading frames. Must not know: rules, order, fan-out. Invariant: bad input is
//! answered and the connection stays, until there is so much of it that it can only be an attack.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | one task per connection: outbox out, frames in |
//! | [`parse`] | from text to frames and commands, with places of errors |
//! | [`transport`] | the small trait between connection and framing |

pub mod connection;
pub mod parse;
pub mod transport;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use roundtable_protocol::frame::{MAX_FRAME_BYTES, SUBPROTOCOL};
use roundtable_protocol::{Code, Problem};

use crate::auth::Visitor;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::serve::Permit;
use crate::state::App;
use connection::Connection;
use transport::AxumTransport;

/// Size of the read buffer and of the write buffer. The defaults cost 135 KB a connection.
const BUFFER_BYTES: usize = 4096;

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
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| refused("this address takes WebSocket upgrades only"))?;
    if !asks_for_subprotocol(&headers) {
        return Err(refused("ask for the subprotocol roundtable.v1").into());
    }
    let socket = app.open_socket(arrival.address)?;
    let running = app.connections.token();
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES);
    Ok(upgrade.on_upgrade(async move |stream| {
        let _counted = (permit, socket, running);
        Connection::new(app, AxumTransport::new(stream)).run(visitor).await;
    }))
}

fn refused(detail: &str) -> Problem {
    Problem::new(Code::InvalidField).with_detail(detail)
}

fn asks_for_subprotocol(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL)
}
