//! Recordings of earlier versions: they fold to what they folded to then. The files are never edited; new ones come.
//!
//! A recording holds one event a line as it travels, and in its last line what the fold must give.

use std::collections::BTreeSet;
use std::path::PathBuf;

use roundtable_core::Session;
use roundtable_protocol::event::{Event, EventBody};
use roundtable_protocol::ids::{Seq, SessionId, Stream};
use roundtable_protocol::model::{Participant, SessionInfo};
use serde::Deserialize;

#[derive(Deserialize)]
struct Last {
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    session: SessionId,
    info: SessionInfo,
    participants: Vec<Participant>,
    roles_rev: u64,
    heads: [Seq; 4],
    /// Message id, stream, erased, marked as a decision.
    messages: Vec<(roundtable_protocol::MessageId, Stream, bool, bool)>,
    queue: Vec<roundtable_protocol::TurnId>,
    running: Option<roundtable_protocol::TurnId>,
    /// The version of the shared context, what it says, and how many conflicts wait. Absent in recordings of before.
    context: Option<(Seq, serde_json::Value, usize)>,
}

fn recordings() -> Vec<(PathBuf, Vec<Event>, Expected)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/recordings/v1"));
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the recordings are there") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let mut lines: Vec<&str> = text.lines().collect();
        let last: Last = serde_json::from_str(lines.pop().expect("a last line")).expect("what is expected");
        let events = lines.iter().map(|line| serde_json::from_str(line).expect("an event")).collect();
        all.push((path, events, last.expected));
    }
    all
}

#[test]
fn every_recording_folds_to_the_same_state() {
    let all = recordings();
    assert!(!all.is_empty());
    for (path, events, expected) in all {
        let mut session = Session::empty(expected.session);
        events.iter().for_each(|event| session.apply(event));
        let name = path.display();
        assert_eq!(session.info(), expected.info, "{name}");
        assert_eq!(session.participants().cloned().collect::<Vec<_>>(), expected.participants, "{name}");
        assert_eq!((session.roles_rev(), session.heads()), (expected.roles_rev, expected.heads), "{name}");
        for (id, stream, redacted, decision) in expected.messages {
            let m = session.message(id).expect("the message is known");
            assert_eq!((m.stream, m.redacted, m.decision), (stream, redacted, decision), "{name}: {id}");
        }
        assert_eq!(session.queue().iter().map(|t| t.turn).collect::<Vec<_>>(), expected.queue, "{name}");
        assert_eq!(session.running_turn().map(|t| t.turn), expected.running, "{name}");
        if let Some((version, value, conflicts)) = expected.context {
            assert_eq!(
                (session.context_version(None), session.context_conflicts().len()),
                (version, conflicts),
                "{name}"
            );
            assert_eq!(session.context_value(None, "").expect("a document"), value, "{name}");
        }
    }
}

#[test]
fn the_recordings_hold_every_kind_of_event() {
    let all = recordings();
    let held: BTreeSet<&str> = all.iter().flat_map(|(_, events, _)| events).map(|e| e.body.kind()).collect();
    let missing: Vec<_> = EventBody::KINDS.iter().filter(|kind| !held.contains(**kind)).collect();
    assert!(missing.is_empty(), "record one with {missing:?}");
}
