//! The keys of calls.
//!
//! Owns: what an `Idempotency-Key` becomes. Must not know: what is done under it. Invariant: the same key of the same
//! user on the same route gives the same UUID, and strings of different users never meet, nor those of strangers at
//! different addresses. A UUIDv7 is unique by itself and stands for itself: it is the one kind of key that somebody
//! without a login can repeat from another address.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use roundtable_hub::clock;
use roundtable_protocol::{Code, EventId, Problem, UserId, uuid_of_text};
use uuid::Uuid;

use crate::auth::Visitor;
use crate::origin::Arrival;
use crate::problem::ApiError;
use crate::state::App;

/// The header.
pub const HEADER: &str = "idempotency-key";
/// The longest key. Unit: characters.
const LONGEST: usize = 200;

/// The key of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// A UUIDv7 as it was sent, another string as the UUID that stands for it, or a fresh one.
    pub id: Uuid,
    /// Whether the caller chose it: such a call may be a repetition, which is looked up before anything is decided.
    pub sent: bool,
}

impl Key {
    /// Returns a key that nobody has used.
    pub fn fresh() -> Self {
        Self { id: clock::new_key(), sent: false }
    }

    /// Returns the key of the `n`th command of a call that gives several.
    pub fn part(self, n: u64) -> Self {
        Self { id: EventId::derive(self.id, n).0, ..self }
    }
}

/// Whose keys are told apart from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    User(UserId),
    Stranger(IpAddr),
}

impl FromRequestParts<App> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(HEADER) else { return Ok(Self::fresh()) };
        let visitor = parts.extensions.get::<Visitor>().and_then(|visitor| visitor.0.as_ref());
        let asker = match visitor {
            Some(known) => Asker::User(known.user.id),
            None => Asker::Stranger(parts.extensions.get::<Arrival>().ok_or(Code::Internal)?.address),
        };
        let key = value.to_str().ok().and_then(|text| key_of(asker, parts.uri.path(), text));
        key.map(|id| Self { id, sent: true }).ok_or_else(|| invalid().into())
    }
}

fn key_of(asker: Asker, scope: &str, text: &str) -> Option<Uuid> {
    if let Some(key) = Uuid::parse_str(text).ok().filter(is_v7) {
        return Some(key);
    }
    let usable = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    usable.then(|| match asker {
        Asker::User(user) => uuid_of_text(user, scope, text),
        Asker::Stranger(address) => uuid_of_text(UserId::NIL, &format!("{scope} {address}"), text),
    })
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

    const ANA: Asker = Asker::User(UserId(Uuid::from_u128(1)));
    const BEN: Asker = Asker::User(UserId(Uuid::from_u128(2)));

    #[test]
    fn a_uuid_of_version_7_is_the_key_itself() {
        let text = "01934b2e-5a00-7000-8000-000000000001";
        assert_eq!(key_of(ANA, "/x", text), Uuid::parse_str(text).ok());
        let v4 = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
        assert_ne!(key_of(ANA, "/x", v4), Uuid::parse_str(v4).ok());
    }

    #[test]
    fn another_string_stands_for_itself_per_user_and_route() {
        let key = key_of(ANA, "/x", "order 7");
        assert!(key.is_some());
        assert_eq!(key, key_of(ANA, "/x", "order 7"));
        assert_ne!(key, key_of(BEN, "/x", "order 7"));
        assert_ne!(key, key_of(ANA, "/y", "order 7"));
        assert_ne!(key, key_of(ANA, "/x", "order 8"));
    }

    #[test]
    fn strings_of_strangers_at_different_addresses_never_meet() {
        let stranger = |address: [u8; 4]| Asker::Stranger(address.into());
        let key = key_of(stranger([192, 0, 2, 1]), "/x", "1");
        assert_eq!(key, key_of(stranger([192, 0, 2, 1]), "/x", "1"));
        assert_ne!(key, key_of(stranger([192, 0, 2, 2]), "/x", "1"));
        assert_ne!(key, key_of(Asker::User(UserId::NIL), "/x", "1"));
        let v7 = "01934b2e-5a00-7000-8000-000000000001";
        assert_eq!(key_of(stranger([192, 0, 2, 1]), "/x", v7), key_of(stranger([192, 0, 2, 2]), "/x", v7));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for text in ["", "a\tb", "\u{7f}", &"x".repeat(201)] {
            assert_eq!(key_of(ANA, "/x", text), None, "{text}");
        }
        assert!(key_of(ANA, "/x", &"x".repeat(200)).is_some());
    }
}
