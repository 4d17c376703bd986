//! The context figures of a report, counted as somebody does who has nothing but the events of `main`.

use roundtable_protocol::context::{ChangeOp, ContextChange};
use roundtable_protocol::event::{Event, EventBody};
use roundtable_protocol::report::ContextFigures;
use serde_json::{Value, json};

/// Counts the context figures of a report in the events of `main` before it.
pub fn context(main: &[&Event]) -> ContextFigures {
    let (mut figures, mut document) = (ContextFigures::default(), json!({}));
    for event in main {
        match &event.body {
            EventBody::ContextPatched(data) if !data.ops.is_empty() => {
                figures.writes += 1;
                if event.header.branch.is_none() {
                    data.ops.iter().for_each(|change| perform(&mut document, change));
                }
            }
            EventBody::ContextConflicted(_) => figures.conflicts += 1,
            EventBody::ContextResolved(_) => figures.resolved += 1,
            _ => {}
        }
    }
    let size_bytes = serde_json::to_vec(&document).expect("JSON").len() as u64;
    ContextFigures { values: count(&document) - 1, size_bytes, ..figures }
}

fn count(value: &Value) -> u64 {
    1 + match value {
        Value::Array(all) => all.iter().map(count).sum(),
        Value::Object(all) => all.values().map(count).sum(),
        _ => 0,
    }
}

fn perform(document: &mut Value, change: &ContextChange) {
    let value = change.value.clone().unwrap_or(Value::Null);
    let mut keys: Vec<String> = change.path.split('/').skip(1).map(unescape).collect();
    let Some(last) = keys.pop() else {
        *document = value;
        return;
    };
    let holder = keys.iter().fold(document, |at, key| match at {
        Value::Array(all) => &mut all[key.parse::<usize>().expect("an index")],
        other => other.get_mut(key).expect("a recorded path is there"),
    });
    match holder {
        Value::Array(all) => {
            let at: usize = last.parse().expect("an index");
            match change.op {
                ChangeOp::Add => all.insert(at, value),
                ChangeOp::Replace => all[at] = value,
                ChangeOp::Remove => drop(all.remove(at)),
            }
        }
        Value::Object(all) => match change.op {
            ChangeOp::Add | ChangeOp::Replace => drop(all.insert(last, value)),
            ChangeOp::Remove => drop(all.remove(&last)),
        },
        other => panic!("{} is in {other}", change.path),
    }
}

fn unescape(token: &str) -> String {
    let token = token.replace("~1", "/").replace("~0", "~");
    token.strip_prefix('@').filter(|rest| rest.starts_with('@')).map_or(token.clone(), str::to_owned)
}
