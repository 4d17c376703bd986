//! A JSON value whose copies share what they have in common.
//!
//! Owns: the shape, its measures, equality as RFC 6902 has it. Must not know: paths or writers. Invariant: a clone costs
//! one count, and a change copies only the containers on its way.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(Arc<str>),
    Array(Arc<Vec<Node>>),
    Object(Arc<BTreeMap<String, Node>>),
}

/// How large a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// About what it takes as JSON. Unit: bytes.
    pub bytes: usize,
    /// How many values it holds, itself among them.
    pub values: usize,
    /// How deep containers are nested; a scalar has 0.
    pub depth: usize,
}

impl Node {
    /// Returns `{}`.
    pub fn object() -> Self {
        Self::Object(Arc::default())
    }

    /// Returns the text of the member `id`, by which an element of an array is addressed.
    pub fn id(&self) -> Option<String> {
        let Self::Object(members) = self else { return None };
        match members.get("id")? {
            Self::Text(id) if !id.is_empty() => Some(id.to_string()),
            Self::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }

    pub fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// Returns whether both are the same value; 1 and 1.0 are (RFC 6902, 4.6).
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b || a.as_f64() == b.as_f64() && !both_exact(a, b),
            (Self::Array(a), Self::Array(b)) => {
                Arc::ptr_eq(a, b) || a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same(b))
            }
            (Self::Object(a), Self::Object(b)) => {
                let member = |((ka, a), (kb, b)): ((&String, &Self), (&String, &Self))| ka == kb && a.same(b);
                Arc::ptr_eq(a, b) || a.len() == b.len() && a.iter().zip(b.iter()).all(member)
            }
            (a, b) => a == b,
        }
    }

    /// Returns how large it is; stops counting below 100 levels.
    pub fn measure(&self) -> Measure {
        self.measure_to(100)
    }

    fn measure_to(&self, levels: usize) -> Measure {
        let own = |bytes| Measure { bytes, values: 1, depth: 0 };
        let inside = |sum: Measure, more: usize, kid: Measure| Measure {
            bytes: sum.bytes + more + kid.bytes,
            values: sum.values + kid.values,
            depth: sum.depth.max(kid.depth + 1),
        };
        let empty = Measure { bytes: 2, values: 1, depth: 1 };
        match self {
            Self::Null => own(4),
            Self::Bool(_) => own(5),
            Self::Number(n) => own(n.to_string().len()),
            Self::Text(text) => own(text_bytes(text)),
            _ if levels == 0 => Measure { depth: 1, ..own(2) },
            Self::Array(all) => all.iter().fold(empty, |sum, kid| inside(sum, 1, kid.measure_to(levels - 1))),
            Self::Object(all) => {
                all.iter().fold(empty, |sum, (key, kid)| inside(sum, text_bytes(key) + 2, kid.measure_to(levels - 1)))
            }
        }
    }

    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(n) => Value::Number(n.clone()),
            Self::Text(text) => Value::String(text.to_string()),
            Self::Array(all) => Value::Array(all.iter().map(Self::to_value).collect()),
            Self::Object(all) => Value::Object(all.iter().map(|(k, v)| (k.clone(), v.to_value())).collect()),
        }
    }
}

fn both_exact(a: &Number, b: &Number) -> bool {
    !a.is_f64() && !b.is_f64()
}

/// Returns how long text is as JSON, quotes and escapes counted.
fn text_bytes(text: &str) -> usize {
    let escaped = |b: u8| match b {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..=31 => 5,
        _ => 0,
    };
    text.len() + 2 + text.bytes().map(escaped).sum::<usize>()
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => Self::Number(n.clone()),
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Array(all) => Self::Array(Arc::new(all.iter().map(Self::from).collect())),
            Value::Object(all) => Self::Object(Arc::new(all.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect())),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Number(n) => n.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(all) => serializer.collect_seq(all.iter()),
            Self::Object(all) => serializer.collect_map(all.iter()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&Value::deserialize(deserializer)?))
    }
}
