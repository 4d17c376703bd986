//! What the memory store holds, and what a commit does to it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use roundtable_protocol::event::redacted_body;
use roundtable_protocol::grant::Role;
use roundtable_protocol::model::SessionInfo;
use roundtable_protocol::{
    AttachmentId, Epoch, EventId, LinkId, ParticipantId, ProjectId, Rev, Seq, SessionId, Stream, StreamSet, Timestamp,
    UserId,
};
use uuid::Uuid;

use crate::admit::{Position, admit};
use crate::chain::{self, GENESIS, Hash, Kept, Salt, Walk};
use crate::types::{
    AppendError, Appended, Birth, BlobHash, Commit, Deletion, DirectoryEntry, DocumentUpdate, Found, Link, Login,
    NewEvent, OutboxRow, PageToken, READ_BYTES, SessionHead, ShareCode, StateSnapshot, StoreError, StoredAttachment,
    StoredEvent, TokenHash, Totals, User, Verification, ViewKey, ViewSnapshot,
};

/// Everything.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sessions: HashMap<SessionId, Session>,
    pub(super) users: HashMap<UserId, User>,
    pub(super) logins: HashMap<TokenHash, Login>,
    pub(super) links: HashMap<LinkId, Link>,
    pub(super) attachments: HashMap<AttachmentId, StoredAttachment>,
    pub(super) blobs: HashMap<BlobHash, Bytes>,
    pub(super) outbox: BTreeMap<u64, OutboxRow>,
    /// What has happened to single projects.
    projects: HashMap<ProjectId, u64>,
    /// What has happened to all of them.
    pub(super) everywhere: u64,
    last_outbox: u64,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    epoch: Epoch,
    project: ProjectId,
    rev: Rev,
    heads: [Seq; 4],
    tips: [Hash; 4],
    /// In the order of rev and position; the first [`Session::gone`] are not kept any more.
    rows: Vec<Row>,
    /// How many rows are gone. Everything that names a row counts them.
    gone: usize,
    /// The last commit that is gone.
    gone_rev: Rev,
    /// The last event of each stream that is gone, and its hash.
    floor: [(Seq, Hash); 4],
    by_stream: [Vec<usize>; 4],
    by_id: HashMap<EventId, usize>,
    wake_at: Option<Timestamp>,
    updated_at: Timestamp,
    info: Option<Box<SessionInfo>>,
    members: HashMap<UserId, Role>,
    /// The last commit that erased something; view snapshots of before may hold it.
    redacted_rev: Rev,
    pub(super) state: Option<StateSnapshot>,
    pub(super) views: HashMap<ViewKey, ViewSnapshot>,
    pub(super) read_marks: BTreeMap<(ParticipantId, Stream), Seq>,
    pub(super) documents: HashMap<Uuid, Vec<DocumentUpdate>>,
    pub(super) code: ShareCode,
}

/// One event with what proves it.
#[derive(Debug)]
struct Row {
    event: StoredEvent,
    key: Uuid,
    fingerprint: Option<u64>,
    body: Proof,
    hash: Hash,
}

#[derive(Debug)]
enum Proof {
    Salt(Salt),
    Seal(Hash),
}

impl State {
    pub(super) fn append(&mut self, commit: Commit) -> Result<Appended, AppendError> {
        let found = self.sessions.get(&commit.session);
        let position = found.map(|session| Position { rev: session.rev, heads: session.heads });
        let project = found.map(|session| session.project).or(commit.birth.as_ref().map(|birth| birth.project));
        let heads = admit(&commit, position, project.map_or(0, |project| self.rights_epoch(project)))?;
        refuse_duplicates(found, &commit.events)?;
        refuse_document_gaps(found, &commit)?;
        let salts = chain::salts(commit.events.len()).map_err(|e| AppendError::Unavailable(e.to_string()))?;

        let Commit {
            session: id,
            birth,
            events,
            redactions,
            attached,
            directory,
            members,
            wake_at,
            at,
            outbox,
            documents,
            ..
        } = commit;
        let session = match birth {
            Some(birth) => self.sessions.entry(id).or_insert_with(|| Session::born(birth, at)),
            None => self.sessions.get_mut(&id).expect("admitted above the first rev, so it is there"),
        };
        session.rev = session.rev.next();
        session.heads = heads;
        for (event, salt) in events.into_iter().zip(salts) {
            session.push(event, salt);
        }
        let erased = session.redact(&redactions);
        session.info = directory.or(session.info.take());
        if session.info.as_ref().is_some_and(|info| info.state.is_ended()) {
            session.code = ShareCode::Never;
        }
        for (user, role) in members {
            match role {
                Some(role) => session.members.insert(user, role),
                None => session.members.remove(&user),
            };
        }
        session.wake_at = wake_at;
        session.updated_at = session.updated_at.max(at);
        for update in documents {
            session.documents.entry(update.document).or_default().push(update);
        }
        let rev = session.rev;
        for (attachment, message) in attached {
            if let Some(attachment) = self.attachments.get_mut(&attachment).filter(|a| a.session == id) {
                attachment.message = Some(message);
            }
        }
        if !erased.is_empty() {
            self.drop_attachments(|a| a.session == id && a.message.is_some_and(|message| erased.contains(&message)));
        }
        for row in outbox {
            self.last_outbox += 1;
            self.outbox.insert(self.last_outbox, OutboxRow { id: self.last_outbox, session: id, row });
        }
        Ok(Appended { rev })
    }

    pub(super) fn head(&self, session: SessionId) -> Option<SessionHead> {
        let session = self.sessions.get(&session)?;
        Some(SessionHead {
            rev: session.rev,
            epoch: session.epoch.clone(),
            project: session.project,
            rights_epoch: self.rights_epoch(session.project),
            heads: session.heads,
        })
    }

    pub(super) fn read(
        &self,
        session: SessionId,
        stream: Stream,
        after: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let Some(session) = self.sessions.get(&session) else { return Ok(Vec::new()) };
        let rows = &session.by_stream[stream as usize];
        let floor = session.floor[stream as usize].0;
        if after < floor {
            return Err(StoreError::Trimmed { oldest: floor.next() });
        }
        let start = usize::try_from(after.0 - floor.0).unwrap_or(usize::MAX).min(rows.len());
        let mut size = 0;
        let mut events = Vec::new();
        for row in rows[start..].iter().take(limit) {
            let event = &session.rows[*row - session.gone].event;
            size += event.header.len() + event.body.len();
            if !events.is_empty() && size > max_bytes {
                break;
            }
            events.push(event.clone());
        }
        Ok(events)
    }

    pub(super) fn read_commits(
        &self,
        session: SessionId,
        after: Rev,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let Some(session) = self.sessions.get(&session) else { return Ok(Vec::new()) };
        if after < session.gone_rev {
            return Err(StoreError::Trimmed { oldest: session.floor[Stream::Main as usize].0.next() });
        }
        let start = session.rows.partition_point(|row| row.event.rev <= after);
        let mut events: Vec<StoredEvent> = Vec::new();
        let mut size = 0;
        for row in &session.rows[start..] {
            let is_enough = events.len() >= limit.max(1) || size >= READ_BYTES;
            if is_enough && events.last().is_some_and(|last| last.rev != row.event.rev) {
                break;
            }
            size += row.event.header.len() + row.event.body.len();
            events.push(row.event.clone());
        }
        Ok(events)
    }

    pub(super) fn find(&self, session: SessionId, id: EventId) -> Option<Found> {
        let session = self.sessions.get(&session)?;
        let row = &session.rows[*session.by_id.get(&id)? - session.gone];
        Some(Found { event: row.event.clone(), key: row.key, fingerprint: row.fingerprint })
    }

    pub(super) fn verify(&self, session: SessionId) -> Verification {
        let mut verification = Verification::default();
        let Some(session) = self.sessions.get(&session) else { return verification };
        for stream in Stream::ALL {
            let (last, hash) = session.floor[stream as usize];
            let mut walk = Walk::behind(stream, last, hash);
            for row in session.by_stream[stream as usize].iter().map(|row| &session.rows[*row - session.gone]) {
                let kept = match &row.body {
                    Proof::Salt(salt) => Kept::Body { salt, body: &row.event.body },
                    Proof::Seal(seal) => Kept::Seal(seal),
                };
                walk.step(row.event.seq, &row.event.header, kept, &row.hash);
            }
            walk.finish(session.heads[stream as usize], &session.tips[stream as usize], &mut verification);
        }
        verification
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<SessionId> {
        let wakes = self.sessions.iter().filter_map(|(id, session)| Some((session.wake_at?, *id)));
        let mut due: Vec<_> = wakes.filter(|(at, _)| *at <= now).collect();
        due.sort();
        due.into_iter().take(limit).map(|(_, id)| id).collect()
    }

    pub(super) fn sessions_of(
        &self,
        user: UserId,
        search: Option<&str>,
        page: Option<PageToken>,
        limit: usize,
    ) -> Vec<DirectoryEntry> {
        let mine = self.sessions.values().filter_map(|session| session.entry(Some(*session.members.get(&user)?)));
        let place = |info: &SessionInfo| (info.updated_at, info.id);
        let wanted =
            |entry: &DirectoryEntry| search.is_none_or(|search| crate::title_matches(&entry.info.title, search));
        let mine = mine.filter(wanted);
        let mut entries: Vec<_> =
            mine.filter(|entry| page.is_none_or(|page| place(&entry.info) < (page.updated_at, page.id))).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(place(&entry.info)));
        entries.truncate(limit);
        entries
    }

    pub(super) fn delete_session(&mut self, session: SessionId) -> Deletion {
        if self.outbox.values().any(|row| row.session == session) {
            return Deletion::Owes;
        }
        if self.sessions.remove(&session).is_none() {
            return Deletion::NoSuch;
        }
        self.links.retain(|_, link| link.session != session);
        self.drop_attachments(|attachment| attachment.session == session);
        Deletion::Done
    }

    pub(super) fn totals(&self) -> Totals {
        let is_open = |session: &&Session| session.is_open();
        Totals {
            sessions: self.sessions.len() as u64,
            active_sessions: self.sessions.values().filter(is_open).count() as u64,
            events: self.sessions.values().map(Session::event_count).sum(),
        }
    }

    pub(super) fn put_link(&mut self, link: Link) -> bool {
        let taken = self.links.values().any(|other| other.id == link.id || other.token_hash == link.token_hash);
        let fits = !taken && self.sessions.contains_key(&link.session);
        if fits {
            self.links.insert(link.id, link);
        }
        fits
    }

    pub(super) fn revoke_link(&mut self, session: SessionId, link: LinkId, at: Timestamp) -> Option<Link> {
        let project = self.sessions.get(&session)?.project;
        let link = self.links.get_mut(&link).filter(|link| link.session == session)?;
        let is_first = link.revoked_at.is_none();
        link.revoked_at.get_or_insert(at);
        let link = link.clone();
        if is_first {
            self.raise_rights_epoch(project);
        }
        Some(link)
    }

    pub(super) fn put_attachment(&mut self, new: StoredAttachment, content: Bytes) -> Option<StoredAttachment> {
        if let Some(known) = self.attachments.get(&new.attachment.id) {
            return Some(known.clone()).filter(|known| known.session == new.session);
        }
        if !self.sessions.contains_key(&new.session) {
            return None;
        }
        self.blobs.entry(new.hash).or_insert(content);
        self.attachments.insert(new.attachment.id, new.clone());
        Some(new)
    }

    /// Throws files away, and content that no other file has.
    pub(super) fn drop_attachments(&mut self, goes: impl Fn(&StoredAttachment) -> bool) -> u64 {
        let before = self.attachments.len();
        self.attachments.retain(|_, attachment| !goes(attachment));
        let Self { attachments, blobs, .. } = self;
        blobs.retain(|hash, _| attachments.values().any(|attachment| attachment.hash == *hash));
        (before - self.attachments.len()) as u64
    }

    pub(super) fn put_share_code(&mut self, session: SessionId, code: String, replace: bool) -> bool {
        let new = ShareCode::On(code);
        let taken = self.sessions.values().any(|other| other.code == new);
        let Some(session) = self.sessions.get_mut(&session) else { return false };
        if taken || !session.is_open() || !replace && session.code != ShareCode::Never {
            return false;
        }
        session.code = new;
        let project = session.project;
        if replace {
            self.raise_rights_epoch(project);
        }
        true
    }

    pub(super) fn end_share_code(&mut self, session: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&session) else { return false };
        if !matches!(session.code, ShareCode::On(_)) {
            return false;
        }
        session.code = ShareCode::Off;
        let project = session.project;
        self.raise_rights_epoch(project);
        true
    }

    pub(super) fn session_by_code(&self, code: String) -> Option<SessionId> {
        let code = ShareCode::On(code);
        let mut open = self.sessions.iter().filter(|(_, session)| session.is_open());
        open.find(|(_, session)| session.code == code).map(|(id, _)| *id)
    }

    pub(super) fn rights_epoch(&self, project: ProjectId) -> u64 {
        self.everywhere + self.projects.get(&project).copied().unwrap_or(0)
    }

    pub(super) fn raise_rights_epoch(&mut self, project: ProjectId) -> u64 {
        *self.projects.entry(project).or_insert(0) += 1;
        self.rights_epoch(project)
    }
}

impl Session {
    fn born(birth: Birth, at: Timestamp) -> Self {
        Self {
            epoch: birth.epoch,
            project: birth.project,
            rev: Rev::ZERO,
            heads: [Seq::ZERO; 4],
            tips: [GENESIS; 4],
            rows: Vec::new(),
            gone: 0,
            gone_rev: Rev::ZERO,
            floor: [(Seq::ZERO, GENESIS); 4],
            by_stream: Default::default(),
            by_id: HashMap::new(),
            wake_at: None,
            updated_at: at,
            info: None,
            members: HashMap::new(),
            redacted_rev: Rev::ZERO,
            state: None,
            views: HashMap::new(),
            read_marks: BTreeMap::new(),
            documents: HashMap::new(),
            code: ShareCode::Never,
        }
    }

    fn is_open(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.state.is_open())
    }

    fn push(&mut self, event: NewEvent, salt: Salt) {
        let NewEvent { stream, seq, id, key, fingerprint, header, body, .. } = event;
        let tip = &mut self.tips[stream as usize];
        *tip = chain::link(tip, &header, &chain::seal(&salt, &body));
        let hash = *tip;
        let place = self.gone + self.rows.len();
        self.by_stream[stream as usize].push(place);
        self.by_id.insert(id, place);
        let event = StoredEvent { stream, seq, rev: self.rev, id, header, body };
        self.rows.push(Row { event, key, fingerprint, body: Proof::Salt(salt), hash });
    }

    /// Erases texts; returns the events that bore them.
    fn redact(&mut self, redactions: &[(Stream, Seq)]) -> Vec<EventId> {
        if redactions.is_empty() {
            return Vec::new();
        }
        self.redacted_rev = self.rev;
        if self.gone == 0 {
            self.views.clear();
            self.state = None;
        } else {
            // They stand for events that are gone; what follows them takes the text out of what they say.
            self.views.retain(|key, _| *key == ViewKey::Head(Self::every_stream()));
        }
        let mut erased = Vec::with_capacity(redactions.len());
        for &(stream, seq) in redactions {
            let floor = self.floor[stream as usize].0;
            if seq <= floor {
                continue;
            }
            let place = usize::try_from(seq.0 - floor.0 - 1).expect("admitted: within the stream's rows");
            let row = &mut self.rows[self.by_stream[stream as usize][place] - self.gone];
            erased.push(row.event.id);
            if let Proof::Salt(salt) = &row.body {
                row.body = Proof::Seal(chain::seal(salt, &row.event.body));
                row.event.body = Bytes::from(redacted_body(&row.event.body));
            }
        }
        erased
    }

    /// Returns whether a snapshot of that rev is of use: not from before an erasing, nor older than what is gone.
    pub(super) fn takes(&self, rev: Rev) -> bool {
        rev >= self.redacted_rev && rev >= self.gone_rev
    }

    /// Lets the oldest events go when there are more than `most`, until half as many are left: whole commits, and only
    /// those that both the state and the view of all streams stand for.
    pub(super) fn trim(&mut self, most: usize) {
        if self.rows.len() <= most {
            return;
        }
        let view = self.views.get(&ViewKey::Head(Self::every_stream())).map(|view| view.rev);
        let Some(covered) = self.state.as_ref().map(|state| state.rev).min(view) else { return };
        let last = self.rows[self.rows.len() - most.div_ceil(2) - 1].event.rev.min(covered);
        let count = self.rows.partition_point(|row| row.event.rev <= last);
        for row in self.rows.drain(..count) {
            self.floor[row.event.stream as usize] = (row.event.seq, row.hash);
            self.by_id.remove(&row.event.id);
        }
        self.gone += count;
        self.gone_rev = self.gone_rev.max(last);
        let gone = self.gone;
        self.by_stream.iter_mut().for_each(|rows| rows.retain(|row| *row >= gone));
        self.views.retain(|key, _| matches!(key, ViewKey::Head(_) | ViewKey::Summary));
    }

    fn event_count(&self) -> u64 {
        (self.gone + self.rows.len()) as u64
    }

    fn every_stream() -> StreamSet {
        Stream::ALL.into_iter().collect()
    }

    pub(super) fn entry(&self, role: Option<Role>) -> Option<DirectoryEntry> {
        let info = SessionInfo {
            updated_at: self.updated_at,
            event_count: self.event_count(),
            ..self.info.as_deref()?.clone()
        };
        Some(DirectoryEntry { info, role })
    }
}

fn refuse_duplicates(session: Option<&Session>, events: &[NewEvent]) -> Result<(), AppendError> {
    let mut here: HashMap<EventId, (Stream, Seq)> = HashMap::with_capacity(events.len());
    for event in events {
        let id = event.id;
        let stored = session.and_then(|session| {
            let row = &session.rows[*session.by_id.get(&id)? - session.gone].event;
            Some((row.stream, row.seq))
        });
        if let Some((stream, seq)) = stored.or_else(|| here.insert(id, (event.stream, event.seq))) {
            return Err(AppendError::Duplicate { id, stream, seq });
        }
    }
    Ok(())
}

fn refuse_document_gaps(session: Option<&Session>, commit: &Commit) -> Result<(), AppendError> {
    let mut heads: HashMap<Uuid, u64> = HashMap::new();
    for update in &commit.documents {
        let stored = || session.and_then(|session| session.documents.get(&update.document)).map_or(0, Vec::len) as u64;
        let head = heads.entry(update.document).or_insert_with(stored);
        *head += 1;
        if update.n != *head {
            return Err(AppendError::Conflict { actual: commit.expected_rev });
        }
    }
    Ok(())
}
