//! Typed actions: what programs and people do beside speaking.
//!
//! Owns: the types and their schemas, which events bear an action's data. Must not know: what an action means.
//! Invariant: data that is recorded fits the schema that its type had at that moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtable_protocol::command::{ActionDefineType, ActionPerform, ErrorReport};
use roundtable_protocol::event::{ActionPerformed, ActionRedacted, ActionTypeDefined, ErrorRecorded, Event};
use roundtable_protocol::ids::{Seq, Stream};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::draft::{By, Draft};
use super::{Session, text};
use crate::context::{Decision, Rejection};

mod schema;

/// How many types a session may define.
pub const MAX_ACTION_TYPES: usize = 100;
/// Largest data of an action, and largest schema. Unit: bytes as JSON.
pub(super) const MAX_ACTION_BYTES: usize = 16 * 1024;
/// Longest words of an error. Unit: characters.
const MAX_DETAIL: usize = 2_000;
/// How deep data may be.
const MAX_DEPTH: usize = 32;
/// Longest type. Unit: characters.
const MAX_TYPE: usize = 64;
/// How many actions lie in one page: cloning a session copies no page until one of the two writes to it.
const PAGE: usize = 256;

/// The types, and where actions are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Actions {
    types: Arc<BTreeMap<String, Value>>,
    /// The seqs in `main` of actions whose data has not been erased.
    pages: Vec<Arc<Vec<Seq>>>,
}

impl Actions {
    pub fn types(&self) -> &BTreeMap<String, Value> {
        &self.types
    }

    /// Returns where actions are whose data has not been erased, the oldest first.
    fn all(&self) -> impl Iterator<Item = Seq> {
        self.pages.iter().flat_map(|page| page.iter().copied())
    }

    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub fn apply_type_defined(&mut self, data: &ActionTypeDefined) {
        let types = Arc::make_mut(&mut self.types);
        match &data.schema {
            Some(schema) => types.insert(data.name.clone(), schema.clone()),
            None => types.remove(&data.name),
        };
    }

    pub fn apply_performed(&mut self, event: &Event) {
        match self.pages.last_mut().filter(|page| page.len() < PAGE) {
            Some(page) => Arc::make_mut(page).push(event.seq),
            None => self.pages.push(Arc::new(vec![event.seq])),
        }
    }

    pub fn apply_redacted(&mut self, data: &ActionRedacted) {
        for page in &mut self.pages {
            if page.first().is_some_and(|first| *first <= data.upto) {
                Arc::make_mut(page).retain(|seq| *seq > data.upto);
            }
        }
        self.pages.retain(|page| !page.is_empty());
    }
}

pub(super) fn decide_define_type(by: &By<'_>, data: &ActionDefineType) -> Result<Decision, Rejection> {
    let name = name("/type", &data.name)?;
    let types = by.session.actions.types();
    if types.get(&name) == data.schema.as_ref() {
        return Err(Code::AlreadyRecorded.into());
    }
    if let Some(schema) = &data.schema {
        measure("/schema", schema, MAX_ACTION_BYTES)?;
        schema::check_schema(schema).map_err(|why| Rejection::field("/schema", Code::InvalidSchema, why))?;
        if types.len() >= MAX_ACTION_TYPES && !types.contains_key(&name) {
            return Err(Code::TooManyActionTypes.into());
        }
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, Vec::new(), ActionTypeDefined { name, schema: data.schema.clone() });
    Ok(draft.finish())
}

pub(super) fn decide_perform(by: &By<'_>, data: &ActionPerform) -> Result<Decision, Rejection> {
    let name = name("/type", &data.name)?;
    measure("/data", &data.data, MAX_ACTION_BYTES)?;
    if let Some(schema) = by.session.actions.types().get(&name) {
        schema::check(schema, &data.data).map_err(|why| Rejection::field("/data", Code::ActionDataInvalid, why))?;
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, Vec::new(), ActionPerformed { name, data: data.data.clone(), redacted: false });
    Ok(draft.finish())
}

/// Records an error, in the caller's name or the server's own.
pub(super) fn decide_report(by: &By<'_>, data: &ErrorReport) -> Result<Decision, Rejection> {
    let code = name("/code", &data.code)?;
    let detail = text::lines("/detail", &data.detail, MAX_DETAIL)?;
    if detail.is_empty() {
        return Err(Rejection::field("/detail", Code::TextEmpty, "say what went wrong"));
    }
    let mut draft = by.draft();
    draft.push(Stream::Main, Vec::new(), ErrorRecorded { code, detail, turn: data.turn, redacted: false });
    Ok(draft.finish())
}

/// Erases the data of actions and the words of errors, the oldest first, at most `rows` of them.
pub(super) fn erase_some(session: &Session, draft: &mut Draft, rows: usize, reason: &str) {
    let some: Vec<Seq> = session.actions.all().take(rows).collect();
    if let Some(last) = some.last() {
        draft.push(Stream::Main, Vec::new(), ActionRedacted { upto: *last, reason: Some(reason.to_owned()) });
        draft.redact(some.into_iter().map(|seq| (Stream::Main, seq)));
    }
}

/// Checks how large and how deep a value is, without writing it out.
pub(super) fn measure(pointer: &'static str, value: &Value, most: usize) -> Result<(), Rejection> {
    measure_into(pointer, value, most, 0, &mut 0)
}

fn measure_into(
    pointer: &'static str,
    value: &Value,
    most: usize,
    depth: usize,
    bytes: &mut usize,
) -> Result<(), Rejection> {
    if depth > MAX_DEPTH {
        let detail = format!("at most {MAX_DEPTH} levels");
        return Err(Rejection::field(pointer, Code::DataTooDeep, detail));
    }
    *bytes += match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(n) => n.to_string().len() + 1,
        Value::String(text) => text.len() + 3,
        Value::Array(_) | Value::Object(_) => 3,
    };
    if *bytes > most {
        return Err(Rejection::field(pointer, Code::DataTooLarge, format!("at most {most} bytes as JSON")));
    }
    match value {
        Value::Array(all) => all.iter().try_for_each(|one| measure_into(pointer, one, most, depth + 1, bytes)),
        Value::Object(all) => all.iter().try_for_each(|(name, one)| {
            *bytes += name.len() + 3;
            measure_into(pointer, one, most, depth + 1, bytes)
        }),
        _ => Ok(()),
    }
}

fn name(pointer: &'static str, text: &str) -> Result<String, Rejection> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > MAX_TYPE || !text.chars().all(fits) {
        let detail = format!("1 to {MAX_TYPE} of the characters a-z, 0-9, '.', '_', '-'");
        return Err(Rejection::field(pointer, Code::InvalidField, detail));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
