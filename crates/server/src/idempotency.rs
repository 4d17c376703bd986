//! The keys of calls.
//!
//! Owns: what an `Idempotency-Key` becomes. Must not know: what is done under it. Invariant: the same key of the same
//! user on the same route gives the same UUID, and keys of different users never meet.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use roundtable_hub::clock;
use roundtable_protocol::{Code, Problem, UserId, uuid_of_text};
use uuid::Uuid;

use crate::auth::Visitor;
use crate::problem::ApiError;
use crate::state::App;

/// The header.
pub const HEADER: &str = "idempotency-key";
/// The longest key. Unit: characters.
const LONGEST: usize = 200;

/// The key of a call: a UUIDv7 as it was sent, another string as the UUID that stands for it, or a fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub Uuid);

impl FromRequestParts<App> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(HEADER) else { return Ok(Self(clock::new_key())) };
        let visitor = parts.extensions.get::<Visitor>().and_then(|visitor| visitor.0.as_ref());
        let user = visitor.map_or(UserId::NIL, |known| known.user.id);
        let key = value.to_str().ok().and_then(|text| key_of(user, parts.uri.path(), text));
        key.map(Self).ok_or_else(|| invalid().into())
    }
}

fn key_of(user: UserId, scope: &str, text: &str) -> Option<Uuid> {
    if let Some(key) = Uuid::parse_str(text).ok().filter(is_v7) {
        return Some(key);
    }
    let usable = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    usable.then(|| uuid_of_text(user, scope, text))
}

/// Returns whether a key may be the id of what it makes.
pub fn is_v7(key: &Uuid) -> bool {
    key.get_version_num() == 7
}

fn invalid() -> Problem {
    let detail = "must be a UUIDv7, or at most 200 printable ASCII characters";
    Problem::new(Code::InvalidKey).with_detail(format!("Idempotency-Key {detail}")).with_field(
        "/headers/idempotency-key",
        Code::InvalidKey,
        detail,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_of_version_7_is_the_key_itself() {
        let text = "01934b2e-5a00-7000-8000-000000000001";
        assert_eq!(key_of(UserId::NIL, "/x", text), Uuid::parse_str(text).ok());
        let v4 = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
        assert_ne!(key_of(UserId::NIL, "/x", v4), Uuid::parse_str(v4).ok());
    }

    #[test]
    fn another_string_stands_for_itself_per_user_and_route() {
        let (a, b) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let key = key_of(a, "/x", "order 7");
        assert!(key.is_some());
        assert_eq!(key, key_of(a, "/x", "order 7"));
        assert_ne!(key, key_of(b, "/x", "order 7"));
        assert_ne!(key, key_of(a, "/y", "order 7"));
        assert_ne!(key, key_of(a, "/x", "order 8"));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for text in ["", "a\tb", "\u{7f}", &"x".repeat(201)] {
            assert_eq!(key_of(UserId::NIL, "/x", text), None, "{text}");
        }
        assert!(key_of(UserId::NIL, "/x", &"x".repeat(200)).is_some());
    }
}
