//! What one session owes another: a copy that is to begin, and copies whose original was erased.
//!
//! Owns: the rows that a commit leaves for this, and doing what they say. Must not know: who may fork. Invariant: a row is
//! written by the commit that makes it true and taken away only when it is done, and the rows for one session are done in
//! their order: so a copy that was begun before a message was erased is there, and loses it, whenever the process dies.

use std::collections::HashSet;
use std::sync::Arc;

use roundtable_core::{Caller, Context, Copied, CopiedMessage, Founding, Session};
use roundtable_protocol::branching::{CopiedFrom, CopiedThere, ForkedFrom};
use roundtable_protocol::command::{CopiesErase, Envelope};
use roundtable_protocol::event::EventBody;
use roundtable_protocol::memory::Memory;
use roundtable_protocol::model::{Membership, Participant, ParticipantKind, SessionKind, Settings, Visibility};
use roundtable_protocol::{
    BranchId, Code, Command, Epoch, Event, EventId, Grant, MemoryId, MessageId, Problem, SessionId, Stream, StreamSet,
    Timestamp, UserId,
};
use roundtable_store::{AppendError, NewOutboxRow, OutboxRow, StoreError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock;
use crate::manager::{SessionManager, unavailable};
use crate::room::{Loaded, Look, birth};
use crate::views::Views;

const FORK: &str = "session.fork";
const ERASE: &str = "copies.erase";
/// How many rows are looked at in one go.
const AT_ONCE: usize = 200;

/// A session that is to begin as a copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ForkRow {
    session: SessionId,
    key: Uuid,
    from: ForkedFrom,
    owner: UserId,
    owner_name: String,
    owner_colour: u8,
    title: Option<String>,
}

/// Whom a row is for.
#[derive(Deserialize)]
struct Told {
    session: SessionId,
}

/// Copies whose original was erased.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EraseRow {
    session: SessionId,
    messages: Vec<MessageId>,
    memories: Vec<MemoryId>,
}

/// Returns the rows that go with events of one commit. `session` has them folded in; `title` looks up what a fork is to be
/// called, which only the command says.
pub(crate) fn rows<'a>(
    session: &Session,
    events: impl Iterator<Item = &'a Event> + Clone,
    title: impl Fn(EventId) -> Option<String>,
) -> Vec<NewOutboxRow> {
    let row = |kind: &str, key: Uuid, body: Vec<u8>| NewOutboxRow {
        kind: kind.to_owned(),
        idempotency_key: key,
        due_at: session.last_at(),
        body: body.into(),
    };
    let mut rows = Vec::new();
    let (mut messages, mut memories, mut first) = (Vec::new(), Vec::new(), None);
    for event in events {
        match &event.body {
            EventBody::SessionForked(data) => {
                let by = event.header.actor.participant().and_then(|id| session.participant(id));
                let Some(by) = by else { continue };
                let (branch, message, seq) = (data.branch, data.message, data.seq);
                let fork = ForkRow {
                    session: data.session,
                    key: event.header.id.0,
                    from: ForkedFrom { session: session.id(), branch, message, seq, left_out: 0 },
                    owner: by.user_id,
                    owner_name: by.display_name.clone(),
                    owner_colour: by.colour,
                    title: title(event.header.id),
                };
                rows.push(row(FORK, data.session.0, json(&fork)));
            }
            EventBody::MessageRedacted(data) if event.stream == Stream::Main => messages.push(data.message),
            EventBody::MemoryRemoved(data) => memories.push(data.memory),
            _ => continue,
        }
        first = first.or(Some(event.header.id));
    }
    let Some(first) = first.filter(|_| !messages.is_empty() || !memories.is_empty()) else { return rows };
    let n = |id: &MessageId| session.message(*id).map(|m| m.n);
    for (i, fork) in session.forks().iter().enumerate() {
        let last = fork.message.and_then(|id| n(&id));
        let messages: Vec<MessageId> = messages.iter().copied().filter(|id| n(id) <= last).collect();
        if !messages.is_empty() || !memories.is_empty() {
            let erase = EraseRow { session: fork.session, messages, memories: memories.clone() };
            rows.push(row(ERASE, SessionId::derive(first.0, 2_000 + i as u64).0, json(&erase)));
        }
    }
    rows
}

/// Returns whether something is owed to copies after this.
pub(crate) fn owes(body: &EventBody) -> bool {
    matches!(body, EventBody::SessionForked(_) | EventBody::MessageRedacted(_) | EventBody::MemoryRemoved(_))
}

fn json<T: Serialize>(row: &T) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows serialise: string keys, no failing parts")
}

impl SessionManager {
    /// Does what sessions owe each other. What cannot be done now stays, and so does what comes after it for the same session.
    pub(crate) async fn settle_lineage(&self) -> Result<(), StoreError> {
        let _turn = self.shared().settling.lock().await;
        let mut held: HashSet<SessionId> = HashSet::new();
        let mut limit = AT_ONCE;
        loop {
            let due = self.store().outbox_due(self.now(), limit).await?;
            let whole = due.len() < limit;
            let mut done = 0;
            for row in due.into_iter().filter(|row| row.row.kind == FORK || row.row.kind == ERASE) {
                let told = serde_json::from_slice(&row.row.body).map_or(SessionId::NIL, |Told { session }| session);
                if held.contains(&told) {
                    continue;
                }
                let kind = &row.row.kind;
                match self.settle_row(&row).await {
                    Ok(()) => {}
                    // What cannot begin will not begin later; what is to be erased is never given up.
                    Err(problem) if !problem.retryable && kind == FORK => {
                        let code = problem.code.name();
                        tracing::error!(session.id = %told, code, "a session cannot begin as a copy");
                    }
                    Err(problem) => {
                        let code = problem.code.name();
                        tracing::warn!(session.id = %told, code, kind, "a session cannot be told now");
                        held.insert(told);
                        continue;
                    }
                }
                self.store().outbox_done(row.id).await?;
                done += 1;
            }
            if whole {
                return Ok(());
            }
            limit = if done == 0 { limit * 2 } else { limit };
        }
    }

    async fn settle_row(&self, row: &OutboxRow) -> Result<(), Problem> {
        let unreadable = |error: serde_json::Error| {
            tracing::error!(session.id = %row.session, %error, "what a session owes another cannot be read");
            Problem::new(Code::UpgradeInProgress)
        };
        if row.row.kind == FORK {
            self.begin_copy(serde_json::from_slice(&row.row.body).map_err(unreadable)?).await
        } else {
            self.erase_copies(row.session, serde_json::from_slice(&row.row.body).map_err(unreadable)?).await
        }
    }

    async fn erase_copies(&self, from: SessionId, row: EraseRow) -> Result<(), Problem> {
        let EraseRow { session, messages, memories } = row;
        let command = Command::CopiesErase(CopiesErase { from, messages, memories });
        let envelope = Envelope { key: clock::new_key(), stream: Stream::Main, seen: None, retry: false, command };
        match self.rule(session, envelope).await {
            // It is gone, or has no copy of it.
            Err(problem) if matches!(problem.code, Code::NotFound | Code::AlreadyRecorded) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Begins a session as a copy, unless it is there or what it is to be a copy of is gone.
    async fn begin_copy(&self, row: ForkRow) -> Result<(), Problem> {
        for _ in 0..4 {
            if self.store().head(row.session).await.map_err(unavailable)?.is_some() {
                return Ok(());
            }
            let (founding, copied) = match self.copied(&row).await {
                Err(problem) if problem.code == Code::NotFound => return Ok(()),
                other => other?,
            };
            let rights_epoch = self.store().rights_epoch(founding.project).await.map_err(unavailable)?;
            let grant = Grant::nothing(0, rights_epoch);
            let caller = Caller::User(row.owner);
            let cx = Context { now: self.now(), caller, grant: &grant, present: &[], uploads: &[] };
            let decision = Session::create_copy(&cx, row.key, &founding, &copied)?;
            let mut state = Session::empty(row.session);
            decision.events.iter().for_each(|event| state.apply(event));
            let commit = birth(&state, decision, row.key, 0, rights_epoch, state.last_at());
            match self.store().append(commit).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Full) => return Err(Problem::new(Code::StorageFull)),
                Err(AppendError::Unavailable(why)) => return Err(unavailable(StoreError::Unavailable(why))),
                // Somebody else has made it, or rights have moved, or nobody knows: look again.
                Err(_) => {}
            }
        }
        Err(Problem::new(Code::Unavailable).retry_after_ms(1_000))
    }

    /// Reads what a copy begins with.
    async fn copied(&self, row: &ForkRow) -> Result<(Founding, Copied), Problem> {
        let (from, copy) = (row.from, row.session);
        let known = move |look: &mut Look<'_>| {
            let knows = look.session.forks().iter().any(|fork| fork.session == copy);
            knows.then(|| Source::read(look.session, look.views, from))
        };
        let source = match self.ask(from.session, known).await? {
            Some(source) => source,
            // Another server has recorded the fork, and the room here has not read on since. The log says all.
            None => self.read_source(from).await?,
        };
        let (from, context) = self.context_of(&source, from).await?;
        let views = Arc::clone(&source.views);
        let read = views.messages(Stream::Main, &source.numbers, &source.spans).await.map_err(unavailable)?;
        let view = views.view(StreamSet::EMPTY.with(Stream::Main)).await.map_err(unavailable)?;
        let there: HashSet<MessageId> = read.iter().filter(|m| !m.redacted).map(|m| m.id).collect();
        let belongs = |memory: &Memory| memory.source.is_some_and(|source| there.contains(&source));
        let memories = view.memories.into_iter().filter(belongs).collect();
        let said = |message: roundtable_protocol::view::MessageView| {
            let files = message.attachments.len();
            let there = match message.copied_from.and_then(|from| from.there) {
                // A copy of a copy still tells who said it first, and when.
                Some(first) => CopiedThere { session: from.session, files: first.files + files, ..*first },
                None => source.there(from.session, message.author, message.at, files),
            };
            let from = CopiedFrom { message: message.id, author: message.author, there: Some(Box::new(there)) };
            CopiedMessage { from, text: message.text, data: message.data, decision: message.decision }
        };
        let messages = read.into_iter().filter(|m| !m.redacted && (!m.text.is_empty() || !m.attachments.is_empty()));
        let messages = messages.map(said).collect();
        let from = ForkedFrom { left_out: source.left_out, ..from };
        let copied = Copied { from, messages, context, memories };
        Ok((source.founding(row), copied))
    }

    /// Reads what a copy takes over from the log, whatever the session's room knows.
    async fn read_source(&self, from: ForkedFrom) -> Result<Source, Problem> {
        let loaded = Loaded::read(from.session, self.shared()).await.map_err(unavailable)?;
        let loaded = loaded.ok_or_else(|| Problem::new(Code::NotFound))?;
        let views = Arc::new(Views::new(from.session, Arc::clone(self.store())));
        Ok(Source::read(loaded.session(), &views, from))
    }
}

impl SessionManager {
    /// Returns the context that a copy begins with; of an older one than the rules keep the log tells, and where that is gone
    /// the copy says that it begins with the oldest there is.
    async fn context_of(&self, source: &Source, from: ForkedFrom) -> Result<(ForkedFrom, serde_json::Value), Problem> {
        if from.seq >= source.context_floor {
            return Ok((from, source.context.clone()));
        }
        match self.context_then(from.session, Some(from.branch), from.seq).await {
            Err(problem) if problem.code == Code::EventsTrimmed => {
                Ok((ForkedFrom { seq: source.context_floor, ..from }, source.context.clone()))
            }
            read => Ok((from, read?)),
        }
    }
}

/// What a copy takes over, without texts.
struct Source {
    numbers: Vec<u64>,
    spans: Vec<roundtable_core::session::PageSpan>,
    left_out: u64,
    context: serde_json::Value,
    /// The oldest seq of which the context can be told without the log.
    context_floor: roundtable_protocol::Seq,
    people: Vec<Participant>,
    info: roundtable_protocol::model::SessionInfo,
    title: Option<String>,
    views: Arc<Views>,
}

impl Source {
    fn read(session: &Session, views: &Arc<Views>, from: ForkedFrom) -> Self {
        let main = session.info().conversation_id;
        let branch: Option<BranchId> = Some(from.branch).filter(|id| *id != main);
        let mut numbers: Vec<u64> = session.path_to(from.message).collect();
        let left_out = numbers.len().saturating_sub(roundtable_core::session::MAX_COPIED);
        numbers.truncate(roundtable_core::session::MAX_COPIED);
        numbers.reverse();
        Self {
            numbers,
            spans: session.pages(Stream::Main).to_vec(),
            left_out: left_out as u64,
            context: session.context_kept_at(branch, from.seq),
            context_floor: session.context_floor(branch),
            people: session.participants().cloned().collect(),
            info: session.info(),
            title: session.given_title().map(str::to_owned),
            views: Arc::clone(views),
        }
    }

    fn there(
        &self,
        session: SessionId,
        author: roundtable_protocol::Actor,
        at: Timestamp,
        files: usize,
    ) -> CopiedThere {
        let person = author.participant().and_then(|id| self.people.iter().find(|p| p.id == id));
        CopiedThere {
            session,
            name: person.map_or_else(String::new, |p| p.display_name.clone()),
            agent: person.is_some_and(|p| p.kind == ParticipantKind::Agent),
            at,
            files,
        }
    }

    /// Roles, doors and visibility are none of it: rights are never copied.
    fn founding(&self, row: &ForkRow) -> Founding {
        let then = &self.info.settings;
        let settings = Settings {
            assistant: then.assistant.clone(),
            respond: then.respond,
            context_strategies: then.context_strategies.clone(),
            context_base_required: then.context_base_required,
            ..Settings::default()
        };
        let joined = |p: &&Participant| p.kind == ParticipantKind::Agent && p.membership == Membership::Joined;
        Founding {
            session: row.session,
            epoch: Epoch::from_random(clock::random()),
            project: self.info.project_id,
            owner: row.owner,
            owner_name: row.owner_name.clone(),
            owner_colour: Some(row.owner_colour),
            title: row.title.clone().or_else(|| self.title.clone()).unwrap_or_default(),
            kind: SessionKind::Collaborative,
            visibility: Visibility::Private,
            settings,
            description: String::new(),
            tags: Vec::new(),
            category: None,
            expires_at: None,
            start: true,
            assistant: self.people.iter().find(joined).map(|p| (p.user_id, p.display_name.clone())),
        }
    }
}
