//! Share codes: six characters that let somebody watch while a session is live.
//!
//! Owns: what a code looks like, making and switching it off. Must not know: how somebody comes in by one (that is the
//! door, [`super::join`]). Invariant: a code is known only to those who may manage links, and is never logged.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use roundtable_hub::{Standing, clock};
use roundtable_protocol::{Code, Permission, SessionId};
use roundtable_store::{ShareCode, StoreError};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::Here;
use crate::idempotency::Key;
use crate::json::Path;
use crate::problem::ApiError;
use crate::routes::created;
use crate::state::App;

/// Digits and letters without those that look alike: no 0 and O, no 1 and I.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// How many characters a code has: 30 bits.
const LENGTH: usize = 6;
/// How often another code is drawn when the first one is taken. With a thousand live codes one draw in a million is.
const DRAWS: u64 = 8;

/// A session's share code.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CodeBody {
    /// Six characters; they let somebody in as a viewer while the session is live.
    share_code: String,
}

/// Gives the session a new share code; the old one stops working.
#[utoipa::path(post, path = "/api/v1/sessions/{session_id}/code", tag = "doors", params(("session_id" = SessionId, Path)),
    responses((status = 201, description = "The code", body = CodeBody)))]
pub async fn create(State(app): State<App>, Here(standing): Here, key: Key) -> Result<Response, ApiError> {
    if !standing.info.state.is_open() {
        return Err(Code::SessionNotActive.into());
    }
    let session = standing.info.id;
    for n in 0..DRAWS {
        let share_code = drawn(&app.secret, session, key.id, n);
        // A repeated call draws the same code and finds it in place.
        let there = app.store.share_code(session).await? == ShareCode::On(share_code.clone());
        if there || app.store.put_share_code(session, share_code.clone(), true).await? {
            app.manager.rights_moved(standing.info.project_id);
            return Ok(created(CodeBody { share_code }));
        }
    }
    Err(Code::Unavailable.into())
}

/// Switches the share code off. Those who are in stay.
#[utoipa::path(delete, path = "/api/v1/sessions/{session_id}/code", tag = "doors", params(("session_id" = SessionId, Path)),
    responses((status = 204, description = "Switched off")))]
pub async fn remove(
    State(app): State<App>,
    Here(standing): Here,
    Path(session): Path<SessionId>,
) -> Result<StatusCode, ApiError> {
    if app.store.end_share_code(session).await? {
        app.manager.rights_moved(standing.info.project_id);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the code that this reader may hand on: while the session is live, to those who manage links. A session that
/// has had none yet gets its first one here.
pub(super) async fn shown(app: &App, standing: &Standing) -> Result<Option<String>, StoreError> {
    if !standing.info.state.is_open() || !standing.grant.allows(Permission::LinkManage) {
        return Ok(None);
    }
    first(app, standing.info.id).await
}

/// Returns the code of an open session, made now if it has never had one.
pub(super) async fn first(app: &App, session: SessionId) -> Result<Option<String>, StoreError> {
    for n in 0..DRAWS {
        match app.store.share_code(session).await? {
            ShareCode::On(code) => return Ok(Some(code)),
            ShareCode::Off => return Ok(None),
            ShareCode::Never => {}
        }
        app.store.put_share_code(session, drawn(&app.secret, session, clock::new_key(), n), false).await?;
    }
    Ok(None)
}

/// Draws a code from what only this process knows.
fn drawn(secret: &[u8; 32], session: SessionId, key: Uuid, n: u64) -> String {
    let digest = Sha256::new()
        .chain_update(secret)
        .chain_update(session.0.as_bytes())
        .chain_update(key.as_bytes())
        .chain_update(n.to_be_bytes())
        .finalize();
    digest.iter().take(LENGTH).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// Returns the code that somebody has typed, whatever the case and however it was grouped; none when it cannot be one.
pub(super) fn read(text: &str) -> Option<String> {
    let mut code = String::with_capacity(LENGTH);
    for c in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}')) {
        let c = c.to_ascii_uppercase();
        if code.len() == LENGTH || !c.is_ascii() || !ALPHABET.contains(&(c as u8)) {
            return None;
        }
        code.push(c);
    }
    (code.len() == LENGTH).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_was_typed() {
        for text in ["K7MPQ2", "k7mpq2", " k7m pq2 ", "K7M-PQ2", "k7m\u{2013}pq2", "k\t7mpq2\n"] {
            assert_eq!(read(text).as_deref(), Some("K7MPQ2"), "{text:?}");
        }
        for text in ["", "K7MPQ", "K7MPQ22", "K7MPO2", "K7MP02", "K7MPI2", "K7MP12", "K7MPQ\u{e9}", "K7MPQ\u{212a}"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&"-".repeat(100_000)), None);
    }

    #[test]
    fn codes_are_drawn_from_all_characters_and_repeat_for_the_same_key_alone() {
        let draw = |n| drawn(&[7; 32], SessionId::NIL, Uuid::from_u128(1), n);
        let many: Vec<String> = (0..2_000).map(draw).collect();
        let mut used: Vec<char> = many.iter().flat_map(|code| code.chars()).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.into_iter().collect::<String>().as_bytes(), ALPHABET);
        assert_eq!(draw(3), many[3]);
        assert_ne!(drawn(&[8; 32], SessionId::NIL, Uuid::from_u128(1), 3), many[3]);
        assert!(many.iter().all(|code| read(code).as_ref() == Some(code)));
    }
}
