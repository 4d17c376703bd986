//! From text to frames and commands.
//!
//! Owns: shapes, and the place of each error. Must not know: whether a command is allowed. Invariants: an error names
//! the request that it is about whenever that could be read; commands that only the server gives are unknown here.

use roundtable_protocol::command::{
    ActionDefineType, ActionPerform, BranchArchive, BranchCreate, BranchFocus, BranchMerge, BranchMove, BranchRename,
    CheckpointCreate, CheckpointDelete, CheckpointRename, CheckpointRestore, ContextPatch, ContextResolve,
    ContextRevert, DecisionRecord, DecisionWithdraw, ErrorReport, MemoryAdd, MemoryEdit, MemoryRemove, MessageEdit,
    MessagePost, MessageRedact, ParticipantApprove, ParticipantChangeProfile, ParticipantChangeRole, ParticipantDeny,
    ParticipantLeave, ParticipantRemove, SessionChangeDetails, SessionChangeExpiry, SessionDetach, SessionEnd,
    SessionPause, SessionRename, SessionResume, SessionStart, TurnAsk, TurnEdit, TurnStop, TurnWithdraw,
};
use roundtable_protocol::frame::{Ack, CommandFrame, EphemeralIn, Hello, Ping, Subscribe, Unsubscribe};
use roundtable_protocol::model::SettingsPatch;
use roundtable_protocol::{ClientFrame, Code, Command, Problem};
use serde::Deserialize;
use serde_json::Value;

use crate::idempotency::is_v7;
use crate::json;

/// A frame that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The request that it was, when that could be read.
    pub re: Option<u64>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// The part of every frame that says what it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    id: Value,
}

/// Reads a frame.
///
/// # Errors
/// The text is no JSON, its type is unknown, or a field has a wrong shape.
pub fn frame(text: &str) -> Result<ClientFrame, Unreadable> {
    let bytes = text.as_bytes();
    json::check_depth(bytes).map_err(|problem| Unreadable { re: None, problem })?;
    let head: Head<'_> = json::parse_flat(bytes).map_err(|problem| Unreadable { re: None, problem })?;
    let re = head.id.as_u64();
    let read = match head.kind.as_ref() {
        "hello" => json::parse_flat::<Hello>(bytes).map(ClientFrame::Hello),
        "subscribe" => json::parse_flat::<Subscribe>(bytes).map(ClientFrame::Subscribe),
        "unsubscribe" => json::parse_flat::<Unsubscribe>(bytes).map(ClientFrame::Unsubscribe),
        "command" => json::parse_flat::<CommandFrame>(bytes).map(ClientFrame::Command),
        "ephemeral" => json::parse_flat::<EphemeralIn>(bytes).map(ClientFrame::Ephemeral),
        "ack" => json::parse_flat::<Ack>(bytes).map(ClientFrame::Ack),
        "ping" => json::parse_flat::<Ping>(bytes).map(ClientFrame::Ping),
        _ => Err(Problem::new(Code::UnknownFrame)
            .with_detail(format!("the frame types are {}", ClientFrame::TYPES.join(", ")))),
    };
    read.map_err(|problem| Unreadable { re, problem })
}

/// Checks the key of a command: it becomes the id of what is made.
///
/// # Errors
/// `invalid_key`
pub fn key(frame: &CommandFrame) -> Result<(), Problem> {
    if is_v7(&frame.key) {
        return Ok(());
    }
    Err(Problem::new(Code::InvalidKey).with_field("/key", Code::InvalidKey, "must be a UUIDv7"))
}

/// Reads a command from its name and data.
///
/// # Errors
/// `unknown_command`, or `unknown_field` and `invalid_field` with a pointer below `/data`.
pub fn command(name: &str, data: Value) -> Result<Command, Problem> {
    let data = if data.is_null() { Value::Object(serde_json::Map::new()) } else { data };
    match name {
        "session.start" => shaped::<SessionStart>(data).map(Command::SessionStart),
        "session.rename" => shaped::<SessionRename>(data).map(Command::SessionRename),
        "session.change_details" => shaped::<SessionChangeDetails>(data).map(Command::SessionChangeDetails),
        "session.change_settings" => shaped::<SettingsPatch>(data).map(Command::SessionChangeSettings),
        "session.pause" => shaped::<SessionPause>(data).map(Command::SessionPause),
        "session.resume" => shaped::<SessionResume>(data).map(Command::SessionResume),
        "session.detach" => shaped::<SessionDetach>(data).map(Command::SessionDetach),
        "session.change_expiry" => shaped::<SessionChangeExpiry>(data).map(Command::SessionChangeExpiry),
        "session.end" => shaped::<SessionEnd>(data).map(Command::SessionEnd),
        "participant.approve" => shaped::<ParticipantApprove>(data).map(Command::ParticipantApprove),
        "participant.deny" => shaped::<ParticipantDeny>(data).map(Command::ParticipantDeny),
        "participant.leave" => shaped::<ParticipantLeave>(data).map(Command::ParticipantLeave),
        "participant.remove" => shaped::<ParticipantRemove>(data).map(Command::ParticipantRemove),
        "participant.change_role" => shaped::<ParticipantChangeRole>(data).map(Command::ParticipantChangeRole),
        "participant.change_profile" => shaped::<ParticipantChangeProfile>(data).map(Command::ParticipantChangeProfile),
        "message.post" => shaped::<MessagePost>(data).map(Command::MessagePost),
        "message.edit" => shaped::<MessageEdit>(data).map(Command::MessageEdit),
        "message.redact" => shaped::<MessageRedact>(data).map(Command::MessageRedact),
        "decision.record" => shaped::<DecisionRecord>(data).map(Command::DecisionRecord),
        "decision.withdraw" => shaped::<DecisionWithdraw>(data).map(Command::DecisionWithdraw),
        "checkpoint.create" => shaped::<CheckpointCreate>(data).map(Command::CheckpointCreate),
        "checkpoint.rename" => shaped::<CheckpointRename>(data).map(Command::CheckpointRename),
        "memory.add" => shaped::<MemoryAdd>(data).map(Command::MemoryAdd),
        "memory.edit" => shaped::<MemoryEdit>(data).map(Command::MemoryEdit),
        "memory.remove" => shaped::<MemoryRemove>(data).map(Command::MemoryRemove),
        "action.define_type" => shaped::<ActionDefineType>(data).map(Command::ActionDefineType),
        "action.perform" => shaped::<ActionPerform>(data).map(Command::ActionPerform),
        "checkpoint.delete" => shaped::<CheckpointDelete>(data).map(Command::CheckpointDelete),
        "checkpoint.restore" => shaped::<CheckpointRestore>(data).map(Command::CheckpointRestore),
        "branch.create" => shaped::<BranchCreate>(data).map(Command::BranchCreate),
        "branch.move" => shaped::<BranchMove>(data).map(Command::BranchMove),
        "branch.rename" => shaped::<BranchRename>(data).map(Command::BranchRename),
        "branch.archive" => shaped::<BranchArchive>(data).map(Command::BranchArchive),
        "branch.focus" => shaped::<BranchFocus>(data).map(Command::BranchFocus),
        "branch.merge" => shaped::<BranchMerge>(data).map(Command::BranchMerge),
        "error.report" => shaped::<ErrorReport>(data).map(Command::ErrorReport),
        "turn.ask" => shaped::<TurnAsk>(data).map(Command::TurnAsk),
        "turn.edit" => shaped::<TurnEdit>(data).map(Command::TurnEdit),
        "turn.withdraw" => shaped::<TurnWithdraw>(data).map(Command::TurnWithdraw),
        "turn.stop" => shaped::<TurnStop>(data).map(Command::TurnStop),
        "context.patch" => shaped::<ContextPatch>(data).map(Command::ContextPatch),
        "context.revert" => shaped::<ContextRevert>(data).map(Command::ContextRevert),
        "context.resolve" => shaped::<ContextResolve>(data).map(Command::ContextResolve),
        _ => Err(Problem::new(Code::UnknownCommand).with_field(
            "/name",
            Code::UnknownCommand,
            "no command of this name can be given from outside",
        )),
    }
}

fn shaped<T: serde::de::DeserializeOwned>(data: Value) -> Result<T, Problem> {
    json::convert(data, "/data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Option<u64>, Code, String) {
        let Unreadable { re, problem } = frame(text).expect_err(text);
        (re, problem.code, problem.errors.first().map(|error| error.pointer.clone()).unwrap_or_default())
    }

    #[test]
    fn a_frame_that_cannot_be_read_is_told_by_request_code_and_place() {
        assert_eq!(refused("{"), (None, Code::MalformedJson, String::new()));
        assert_eq!(refused("{\"id\":7}"), (None, Code::InvalidField, "/type".to_owned()));
        assert_eq!(refused("{\"type\":\"dance\",\"id\":7}"), (Some(7), Code::UnknownFrame, String::new()));
        assert_eq!(
            refused("{\"type\":\"subscribe\",\"id\":7}"),
            (Some(7), Code::InvalidField, "/session_id".to_owned())
        );
        assert_eq!(
            refused(
                "{\"type\":\"subscribe\",\"id\":7,\"session_id\":\"01934b2e-5a00-7000-8000-000000000001\",\"streams\":[{\"stream\":\"nowhere\"}]}"
            ),
            (Some(7), Code::InvalidField, "/streams/0/stream".to_owned())
        );
        assert_eq!(refused("{\"type\":\"ping\",\"id\":\"seven\"}"), (None, Code::InvalidField, "/id".to_owned()));
        assert_eq!(refused(&"[".repeat(40)).1, Code::MalformedJson);
    }

    #[test]
    fn exactly_the_commands_of_clients_are_known() {
        let sample = |name: &str| command(name, serde_json::json!({"x": 1})).expect_err(name).code;
        let known: Vec<&str> =
            Command::NAMES.iter().copied().filter(|name| sample(name) != Code::UnknownCommand).collect();
        let internal = [
            "participant.join",
            "participant.withdraw_request",
            "turn.start",
            "turn.progress",
            "turn.complete",
            "turn.fail",
            "turn.lose",
            "session.fail",
            "session.attach",
            "session.miss_host",
            "session.archive",
            // Who may host sessions is asked on the way in, so it has a route of its own.
            "session.fork",
            "copies.erase",
        ];
        let expected: Vec<&str> = Command::NAMES.iter().copied().filter(|name| !internal.contains(name)).collect();
        assert_eq!(known, expected);
        assert_eq!(sample("session.destroy"), Code::UnknownCommand);
    }

    #[test]
    fn a_command_is_read_under_its_own_name() {
        for name in ["session.start", "participant.leave", "session.end", "session.change_details"] {
            assert_eq!(command(name, Value::Null).expect(name).name(), name);
        }
        let data = serde_json::json!({"text": "hi", "ask": false});
        let Ok(Command::MessagePost(post)) = command("message.post", data) else { panic!("a message") };
        assert_eq!((post.text.as_str(), post.ask), ("hi", Some(false)));
    }

    #[test]
    fn a_wrong_field_of_a_command_is_pointed_at() {
        let problem = command("message.post", serde_json::json!({"text": 7})).expect_err("a number");
        assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (Code::InvalidField, "/data/text"));
        let problem = command("message.post", serde_json::json!({"text": "x", "loud": true})).expect_err("unknown");
        assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (Code::UnknownField, "/data/loud"));
    }
}
