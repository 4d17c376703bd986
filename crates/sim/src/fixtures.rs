//! `fixtures/views/*.jsonl`: sessions told step by step, with the view after each.
//!
//! Owns: the tales and the file format (`fixtures/README.md`). Must not know: how the view folds. Invariant: what is
//! written depends on nothing but this source, so that a stale file shows.

use std::io;
use std::path::PathBuf;

use roundtable_core::{Caller, Context, Copied, Decision, Founding, Rejection, Session, Upload};
use roundtable_protocol::command::{Command, Envelope, ParticipantJoin, ParticipantWithdrawRequest};
use roundtable_protocol::grant::Role;
use roundtable_protocol::ids::{
    AttachmentId, DEFAULT_PROJECT, Epoch, MessageId, ParticipantId, Seq, SessionId, Stream, StreamSet, Timestamp,
    UserId,
};
use roundtable_protocol::model::{Attachment, ParticipantKind, SessionKind, Settings, Visibility};
use roundtable_protocol::view::View;
use serde_json::{Value, json};

use crate::disk::{Commit, Disk};
use crate::grants;
use crate::rng::{DAY_ONE_MS, Rng};

mod tales;

/// Where the files are, seen from this crate.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/views")
}

/// Returns every file: its name and its text.
pub fn all() -> Vec<(String, String)> {
    let text = |lines: Vec<Value>| lines.iter().map(|line| format!("{line}\n")).collect();
    tales::ALL.iter().map(|(name, tale)| (format!("{name}.jsonl"), text(tale()))).collect()
}

/// Writes every file and removes others. Returns how many there are.
///
/// # Errors
/// The folder cannot be written.
pub fn write() -> io::Result<usize> {
    let files = all();
    std::fs::create_dir_all(folder())?;
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        let known = files.iter().any(|(name, _)| path.file_name().is_some_and(|n| n == name.as_str()));
        if !known {
            std::fs::remove_file(path)?;
        }
    }
    for (name, text) in &files {
        std::fs::write(folder().join(name), text)?;
    }
    Ok(files.len())
}

/// A session that is being told.
struct Tale {
    rng: Rng,
    now: i64,
    session: Session,
    view: View,
    disk: Disk,
    lines: Vec<Value>,
    uploads: Vec<Upload>,
}

/// Who the owner is in every tale.
const ANA: u64 = 1;
const BEN: u64 = 2;
const CYD: u64 = 3;

fn user(n: u64) -> UserId {
    UserId::derive(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0077), n)
}

impl Tale {
    /// Founds a session that Ana owns, with an assistant in it.
    fn found(seed: u64, start: bool) -> Self {
        Self::found_as(seed, start, "Plans")
    }

    /// The same under another title, or none.
    fn found_as(seed: u64, start: bool, title: &str) -> Self {
        Self::begin(seed, start, title, Session::create)
    }

    /// The same as a copy of another session.
    fn copied(seed: u64, copied: &Copied) -> Self {
        Self::begin(seed, true, "", |cx, key, founding| Session::create_copy(cx, key, founding, copied))
    }

    fn begin(
        seed: u64,
        start: bool,
        title: &str,
        decide: impl FnOnce(&Context<'_>, uuid::Uuid, &Founding) -> Result<Decision, Rejection>,
    ) -> Self {
        let mut rng = Rng::new(seed, 7);
        let id = SessionId(rng.uuid());
        let founding = Founding {
            session: id,
            epoch: Epoch("abcdefghijkm".to_owned()),
            project: DEFAULT_PROJECT,
            owner: user(ANA),
            owner_name: "Ana".to_owned(),
            owner_colour: None,
            title: title.to_owned(),
            kind: SessionKind::Collaborative,
            visibility: Visibility::Private,
            settings: Settings::default(),
            description: String::new(),
            tags: vec!["first".to_owned()],
            category: None,
            expires_at: None,
            start,
            assistant: Some((user(99), "Assistant".to_owned())),
        };
        let mut tale = Self {
            now: DAY_ONE_MS,
            session: Session::empty(id),
            view: View::default(),
            disk: Disk::default(),
            lines: Vec::new(),
            uploads: Vec::new(),
            rng,
        };
        let grant = grants::system(&tale.session);
        let cx = Context { now: tale.at(), caller: Caller::System, grant: &grant, present: &[], uploads: &[] };
        let key = tale.rng.uuid();
        let decision = decide(&cx, key, &founding).expect("the tale's founding is usable");
        tale.record(Commit { events: decision.events, redactions: decision.redactions });
        tale
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now).expect("in this century")
    }

    /// Somebody gives a command. Returns its key as the id of a message, which it is for posts.
    fn says(&mut self, who: u64, stream: Stream, command: Command) -> MessageId {
        self.gives(Caller::User(user(who)), stream, command)
    }

    /// The server itself gives a command.
    fn house(&mut self, command: Command) {
        self.gives(Caller::System, Stream::Main, command);
    }

    fn gives(&mut self, caller: Caller, stream: Stream, command: Command) -> MessageId {
        self.now += 1_000;
        let key = self.rng.uuid();
        let grant = match caller {
            Caller::System => grants::system(&self.session),
            Caller::User(user) => grants::grant(&self.session, user),
        };
        let everybody: Vec<ParticipantId> = self.session.participants().map(|p| p.id).collect();
        let cx = Context { now: self.at(), caller, grant: &grant, present: &everybody, uploads: &self.uploads };
        let seen = Some(self.view.head(stream));
        let envelope = Envelope { key, stream, seen, retry: false, command };
        let decision = self.session.decide(&cx, &envelope).expect("the tale's commands are allowed");
        self.record(Commit { events: decision.events, redactions: decision.redactions });
        MessageId(key)
    }

    fn record(&mut self, commit: Commit) {
        for event in &commit.events {
            self.session.apply(event);
            self.view.apply(event);
            self.line(json!({ "event": event }));
        }
        self.disk.write(&commit);
    }

    fn line(&mut self, mut step: Value) {
        step["view"] = json!(self.view);
        self.lines.push(step);
    }

    /// Time passes, with only these people connected; what is due happens.
    fn waits(&mut self, seconds: i64, present: &[u64]) {
        self.now += seconds * 1_000;
        let present: Vec<ParticipantId> = present.iter().map(|who| self.participant(*who)).collect();
        let key = self.rng.uuid();
        let grant = grants::system(&self.session);
        let cx = Context { now: self.at(), caller: Caller::System, grant: &grant, present: &present, uploads: &[] };
        let decision = self.session.on_time(&cx, key);
        assert!(!decision.events.is_empty(), "a tale waits for something");
        self.record(Commit { events: decision.events, redactions: decision.redactions });
    }

    /// Somebody uploads a file for a stream.
    fn uploads(
        &mut self,
        who: u64,
        stream: Stream,
        name: &str,
        media_type: &str,
        size: Option<(u32, u32)>,
    ) -> AttachmentId {
        let id = AttachmentId(self.rng.uuid());
        let attachment = Attachment {
            id,
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            size_bytes: 2_048,
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
        };
        self.uploads.push(Upload { uploader: user(who), stream, attachment });
        id
    }

    /// Somebody comes in by a door.
    fn joins(&mut self, who: u64, role: Role, name: &str) {
        self.house(Command::ParticipantJoin(ParticipantJoin {
            user: user(who),
            kind: ParticipantKind::User,
            role,
            display_name: name.to_owned(),
            guest: true,
            via: None,
            colour: None,
            vouched: false,
        }));
    }

    /// Somebody who waits to be let in goes.
    fn withdraws(&mut self, who: u64) {
        self.house(Command::ParticipantWithdrawRequest(ParticipantWithdrawRequest { user: user(who) }));
    }

    fn waiting(&self, who: u64) -> ParticipantId {
        self.session.asked(user(who)).expect("has knocked in this tale").request.id
    }

    fn participant(&self, who: u64) -> ParticipantId {
        self.session.participant_of(user(who)).expect("has joined in this tale").id
    }

    /// Ephemeral text arrives.
    fn delta(&mut self, message: MessageId, offset: u64, text: &str) {
        let taken = self.view.apply_delta(message, offset, text);
        self.line(json!({"delta": {"message": message, "offset": offset, "text": text}, "taken": taken}));
    }

    /// An event of a kind that this version does not know arrives.
    fn skip(&mut self, stream: Stream) {
        let seq = Seq(self.view.head(stream).0 + 1);
        self.view.skip(stream, seq);
        self.line(json!({"skip": {"stream": stream, "seq": seq}}));
    }

    /// What a joiner with these streams would be sent.
    fn head(&mut self, streams: &[Stream]) {
        let head = self.view.to_head(streams.iter().copied().collect::<StreamSet>());
        self.lines.push(json!({"head": streams, "view": head}));
    }

    /// Tells the same session as it is read from the log now, with erased texts erased.
    fn read_again(&self) -> Vec<Value> {
        let mut view = View::default();
        let mut lines = Vec::new();
        for event in self.disk.log() {
            view.apply(event);
            lines.push(json!({"event": event, "view": view}));
        }
        lines
    }
}
