//! What somebody tries: numbers that become commands.

use roundtable_core::Upload;
use roundtable_protocol::branching::{HeadMoved, MergeHow, RestoreHow};
use roundtable_protocol::command::{self as c, Command};
use roundtable_protocol::context::{OpName, PatchOp, Strategy as Conflicts, Take};
use roundtable_protocol::event::SessionArchived;
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::{
    AttachmentId, BranchId, CheckpointId, EventId, LeaseId, MemoryId, MessageId, ParticipantId, Seq, Stream, TurnId,
};
use roundtable_protocol::model::{Attachment, EndReason, ParticipantKind, Pending, Respond, SettingsPatch, Usage};
use uuid::Uuid;

use super::{PEOPLE, Try, World, user};

impl World {
    pub(super) fn pick<T: Copy>(all: &[T], n: u8, none: T) -> T {
        // One in sixteen is something that is not there; the others prefer what is new.
        if n.is_multiple_of(16) || all.is_empty() {
            return none;
        }
        all[all.len() - 1 - usize::from(n) % all.len().min(12)]
    }

    pub(super) fn command(&self, t: &Try) -> Option<Command> {
        let message = Self::pick(&self.messages, t.a, MessageId::NIL);
        let turn = Self::pick(&self.turns, t.a, TurnId::NIL);
        let ids: Vec<ParticipantId> = self.session.participants().map(|p| p.id).collect();
        let participant = Self::pick(&ids, t.a, ParticipantId::NIL);
        let role = Role::ALL[usize::from(t.b) % 4];
        let text = t.text.clone();
        Some(match t.what {
            0 => Command::SessionStart(c::SessionStart {}),
            1 => Command::SessionRename(c::SessionRename { title: text }),
            2 => {
                Command::SessionChangeDetails(c::SessionChangeDetails { tags: Some(vec![text]), ..Default::default() })
            }
            3 => Command::SessionChangeSettings(settings(t)),
            4 if t.a < 16 => Command::SessionEnd(c::SessionEnd {
                terminate: t.b.is_multiple_of(2),
                reason: None,
                pending: Pending::Cancel,
            }),
            5 => Command::ParticipantJoin(c::ParticipantJoin {
                user: user(t.a % PEOPLE),
                kind: ParticipantKind::User,
                role,
                display_name: text,
                guest: true,
                via: None,
                colour: None,
                vouched: t.b < 64,
            }),
            6 => Command::ParticipantLeave(c::ParticipantLeave {}),
            7 if t.b < 100 => Command::ParticipantRemove(c::ParticipantRemove { participant, reason: Some(text) }),
            8 => Command::ParticipantChangeRole(c::ParticipantChangeRole { participant, role }),
            9 => Command::MessagePost(c::MessagePost {
                text,
                reply_to: t.a.is_multiple_of(3).then_some(message),
                mentions: if t.a.is_multiple_of(7) { vec![participant] } else { vec![] },
                ask: [None, Some(true), Some(false)][usize::from(t.a) % 3],
                attachments: if t.b.is_multiple_of(5) { vec![upload_id(t.a % 8)] } else { vec![] },
                branch: t.b.is_multiple_of(3).then(|| self.branch(t)),
                parent: t.b.is_multiple_of(4).then_some(message),
                if_head_moved: [HeadMoved::Append, HeadMoved::Fork, HeadMoved::Reject][usize::from(t.b) % 3],
                sibling_of: (t.b % 11 == 7).then_some(message),
                data: t.b.is_multiple_of(9).then(|| serde_json::json!({ "n": t.a })),
            }),
            10 => Command::MessageEdit(c::MessageEdit { message, text }),
            11 => Command::MessageRedact(c::MessageRedact { message, reason: None }),
            12 => Command::DecisionRecord(c::DecisionRecord { message }),
            13 => Command::DecisionWithdraw(c::DecisionWithdraw { message }),
            14 => Command::TurnAsk(c::TurnAsk { message, sibling: t.b.is_multiple_of(6) }),
            15 => Command::TurnEdit(c::TurnEdit { turn, text }),
            16 => Command::TurnWithdraw(c::TurnWithdraw { turn }),
            17 => Command::TurnStop(c::TurnStop { turn }),
            18..=22 => return Some(self.drive(t, turn)),
            23 => Command::ParticipantChangeProfile(c::ParticipantChangeProfile {
                display_name: t.a.is_multiple_of(2).then_some(text),
                colour: t.a.is_multiple_of(3).then_some(t.b % 16),
            }),
            26 => Command::CheckpointCreate(c::CheckpointCreate { name: text }),
            27 => Command::CheckpointRename(c::CheckpointRename { checkpoint: self.checkpoint(t), name: text }),
            28 => Command::CheckpointDelete(c::CheckpointDelete { checkpoint: self.checkpoint(t) }),
            29 if t.a < 100 => Command::SessionPause(c::SessionPause { reason: Some(text) }),
            30 => Command::SessionResume(c::SessionResume {}),
            31 => Command::SessionDetach(c::SessionDetach {}),
            32 => {
                let later = std::time::Duration::from_secs(5 + u64::from(t.b) / 4);
                let expires_at = (!t.a.is_multiple_of(5)).then(|| self.now.checked_add(later).expect("a time"));
                Command::SessionChangeExpiry(c::SessionChangeExpiry { expires_at })
            }
            33 if t.b < 40 => Command::SessionFail(c::SessionFail { code: "x".into(), detail: text }),
            34 => {
                let owner = self.session.owner().filter(|_| t.b.is_multiple_of(2)).map(|p| p.id);
                Command::SessionAttach(c::SessionAttach { participant: owner.unwrap_or(participant) })
            }
            35 => Command::SessionMissHost(c::SessionMissHost { since: self.now }),
            36 if t.a < 40 => Command::SessionEnd(c::SessionEnd { pending: Pending::Finish, ..Default::default() }),
            37 => Command::SessionArchive(SessionArchived { heads: vec![] }),
            38 => Command::ContextPatch(self.patch(t)),
            39 => {
                let branch = self.context_branch(t);
                let write = self.session.context_writes(branch, None, usize::from(t.a) + 1).pop();
                let event = write.as_ref().map(|w| w.event).filter(|_| t.b.is_multiple_of(2));
                let to_version = if event.is_none() { write.map(|w| w.version) } else { None };
                Command::ContextRevert(c::ContextRevert { branch, event, to_version, ..Default::default() })
            }
            40 => Command::ContextResolve(c::ContextResolve {
                conflict: self.session.context_conflicts().first().map_or(EventId::NIL, |open| open.id),
                take: [Take::Current, Take::Yours, Take::Value][usize::from(t.b) % 3],
                value: (t.b % 3 == 2).then(|| text.into()),
            }),
            41 => Command::MemoryAdd(c::MemoryAdd {
                text,
                tags: vec![],
                source: t.a.is_multiple_of(3).then_some(message),
                pinned: t.b.is_multiple_of(4),
            }),
            42 => Command::MemoryEdit(c::MemoryEdit {
                memory: self.memory(t),
                text: t.b.is_multiple_of(2).then_some(text),
                tags: t.b.is_multiple_of(3).then(Vec::new),
                pinned: t.b.is_multiple_of(5).then_some(t.a.is_multiple_of(2)),
            }),
            43 => Command::MemoryRemove(c::MemoryRemove { memory: self.memory(t), reason: None }),
            44 => Command::ActionPerform(c::ActionPerform { name: "vote".into(), data: text.into() }),
            45 => Command::ActionDefineType(c::ActionDefineType {
                name: "vote".into(),
                schema: t.a.is_multiple_of(2).then(|| serde_json::json!({"maxLength": t.b})),
            }),
            46 => Command::CheckpointRestore(c::CheckpointRestore {
                checkpoint: self.checkpoint(t),
                how: if t.b.is_multiple_of(2) { RestoreHow::InPlace } else { RestoreHow::Branch },
                branch: None,
                name: None,
                then: vec![],
            }),
            47 => Command::BranchCreate(c::BranchCreate {
                name: t.a.is_multiple_of(2).then_some(text),
                message: t.b.is_multiple_of(2).then_some(message),
                ..Default::default()
            }),
            48 => Command::BranchMove(c::BranchMove { branch: self.branch(t), head: message, if_head: None }),
            49 => Command::BranchRename(c::BranchRename { branch: self.branch(t), name: text }),
            50 => Command::BranchArchive(c::BranchArchive { branch: self.branch(t), archived: !t.b.is_multiple_of(3) }),
            51 => Command::BranchFocus(c::BranchFocus { branch: self.branch(t) }),
            52 => Command::BranchMerge(self.merge(t)),
            53 => Command::SessionFork(c::SessionFork {
                message: t.a.is_multiple_of(2).then_some(message),
                seq: (t.b % 4 == 1).then_some(Seq(u64::from(t.a))),
                checkpoint: (t.b % 4 == 2).then(|| self.checkpoint(t)),
                ..Default::default()
            }),
            54 => Command::CopiesErase(c::CopiesErase {
                from: self.session.id(),
                messages: vec![message],
                memories: vec![self.memory(t)],
            }),
            55 => Command::ParticipantApprove(c::ParticipantApprove { participant: self.waiting(t) }),
            56 => Command::ParticipantDeny(c::ParticipantDeny { participant: self.waiting(t), reason: Some(text) }),
            57 => Command::ParticipantWithdrawRequest(c::ParticipantWithdrawRequest { user: user(t.a % PEOPLE) }),
            58 => Command::ErrorReport(c::ErrorReport { code: "x".into(), detail: text, turn: None }),
            _ => return None,
        })
    }

    pub(super) fn waiting(&self, t: &Try) -> ParticipantId {
        let all: Vec<ParticipantId> = self.session.join_requests().iter().map(|r| r.id).collect();
        Self::pick(&all, t.a, ParticipantId::NIL)
    }

    pub(super) fn memory(&self, t: &Try) -> MemoryId {
        let all: Vec<MemoryId> = self.session.memories().map(|(id, _)| id).collect();
        Self::pick(&all, t.a, MemoryId::NIL)
    }

    pub(super) fn branch(&self, t: &Try) -> BranchId {
        let all: Vec<BranchId> = self.session.branches().iter().map(|b| b.id).collect();
        Self::pick(&all, t.a, BranchId::NIL)
    }

    pub(super) fn merge(&self, t: &Try) -> c::BranchMerge {
        let main = self.session.branches()[0].id;
        let (into, from) = if t.b.is_multiple_of(2) { (main, self.branch(t)) } else { (self.branch(t), main) };
        let only = self.session.compare(into, from).map(|both| both.only_b).unwrap_or_default();
        let messages: Vec<MessageId> = only.into_iter().take(3).collect();
        let said = messages.iter().map(|id| c::Said {
            message: *id,
            text: "again".to_owned(),
            attachments: vec![],
            data: None,
        });
        let how = [MergeHow::Adopt, MergeHow::Pick, MergeHow::Summary][usize::from(t.b) % 3];
        let text = t.a.is_multiple_of(2).then(|| t.text.clone());
        let said = said.collect();
        c::BranchMerge { into, from, how, if_head: None, messages, text, question: None, said }
    }

    pub(super) fn checkpoint(&self, t: &Try) -> CheckpointId {
        let all: Vec<CheckpointId> = self.session.checkpoints().map(|k| k.checkpoint.id).collect();
        Self::pick(&all, t.a, CheckpointId::NIL)
    }

    /// A small write, often on an old version.
    pub(super) fn context_branch(&self, t: &Try) -> Option<BranchId> {
        t.b.is_multiple_of(3).then(|| self.branch(t))
    }

    pub(super) fn patch(&self, t: &Try) -> c::ContextPatch {
        let strategies = [None, None, Some(Conflicts::Manual), Some(Conflicts::Merge), Some(Conflicts::RolePriority)];
        let paths = ["/a", "/a/b", "/list", "/list/0", "/list/-", ""];
        let op = [OpName::Add, OpName::Add, OpName::Replace, OpName::Remove, OpName::Append][usize::from(t.b) % 5];
        let value: serde_json::Value = match t.a % 4 {
            0 => serde_json::json!({ "b": t.text }),
            1 => serde_json::json!([t.text]),
            _ => t.text.clone().into(),
        };
        let path = paths[usize::from(t.a / 4) % paths.len()];
        let branch = self.context_branch(t);
        let writes = self.session.context_writes(branch, None, usize::from(t.b % 8) + 1);
        c::ContextPatch {
            branch,
            base: Some(writes.last().map_or(Seq::ZERO, |w| w.version)),
            ops: vec![PatchOp::new(op, path, Some(value))],
            strategy: strategies[usize::from(t.a) % 5],
            ..Default::default()
        }
    }

    /// Most of the time what a driver would say, sometimes under a wrong claim.
    pub(super) fn drive(&self, t: &Try, turn: TurnId) -> Command {
        let running = self.session.running_turn().filter(|_| t.b > 20);
        let (turn, lease) = running.map_or((turn, LeaseId::NIL), |r| (r.turn, r.lease.id));
        let text = t.text.clone();
        match t.what {
            18 => {
                let turn = self.session.queue().first().filter(|_| t.b > 20).map_or(turn, |q| q.turn);
                let lease = LeaseId(Uuid::from_u128(u128::from(self.keys)));
                Command::TurnStart(c::TurnStart { turn, lease, driver: "guide".into(), label: "Guide".into() })
            }
            19 => {
                let offset = running.map_or(u64::from(t.a), |r| r.length);
                Command::TurnProgress(c::TurnProgress { turn, lease, offset, text, pace: vec![] })
            }
            20 => Command::TurnComplete(c::TurnComplete {
                turn,
                lease,
                hash: String::new(),
                reason: EndReason::EndTurn,
                usage: Usage::default(),
            }),
            21 => {
                Command::TurnFail(c::TurnFail { turn, lease, code: "x".into(), detail: text, usage: Usage::default() })
            }
            _ => Command::TurnLose(c::TurnLose { turn, lease }),
        }
    }
}

fn settings(t: &Try) -> SettingsPatch {
    let respond = [None, Some(Respond::Mention), Some(Respond::Always), Some(Respond::Reply), Some(Respond::Manual)];
    SettingsPatch {
        respond: Some(respond[usize::from(t.b) % 5]),
        side_for_viewers: Some(t.a.is_multiple_of(2)),
        require_approval: Some(t.b.is_multiple_of(2)),
        allow_join: Some(!t.a.is_multiple_of(8)),
        idle_limit_s: t.a.is_multiple_of(8).then(|| t.b.is_multiple_of(2).then_some(200)),
        max_participants: (t.a < 32).then_some(Some(u32::from(t.b % 8))),
        ..SettingsPatch::default()
    }
}

fn upload_id(n: u8) -> AttachmentId {
    AttachmentId(Uuid::from_u128(9_000 + u128::from(n)))
}

/// Files that wait: two of each of the first two people, one for each of the first two streams.
pub(super) fn uploads() -> Vec<Upload> {
    let upload = |n: u8| Upload {
        uploader: user(n / 4),
        stream: Stream::ALL[usize::from(n % 2)],
        attachment: Attachment {
            id: upload_id(n),
            name: format!("file {n}"),
            media_type: "text/plain".to_owned(),
            size_bytes: 1,
            width: None,
            height: None,
        },
    };
    (0..8).map(upload).collect()
}
