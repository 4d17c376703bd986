//! Branches: named lines of the conversation in `main`, their heads, and how they meet again.
//!
//! Owns: which branches there are, where each head is, what it is called. Must not know: text, who shows what to whom.
//! Invariant: a head is a message of `main` or none; nothing is ever cut off: a head that moves leaves what it pointed
//! at in the tree. The sequence of events never forks; a path is the parents of a head.

use roundtable_protocol::branching::{Branch, BranchHead, HeadMoved, MergeHow};
use roundtable_protocol::command::{
    BranchArchive, BranchCreate, BranchFocus, BranchMerge, BranchMove, BranchRename, MessagePost, Said,
};
use roundtable_protocol::event::{
    BranchArchived, BranchCreated, BranchFocused, BranchMerged, BranchMoved, BranchRenamed, Event, MessagePosted,
    SessionCreated,
};
use roundtable_protocol::grant::Permission;
use roundtable_protocol::ids::{BranchId, EventId, MessageId, Seq, Stream};
use roundtable_protocol::problem::Code;
use serde::{Deserialize, Serialize};

use super::draft::{By, Draft, FORK_ID};
use super::{Session, document, text, turns};
use crate::context::{Decision, Rejection};

/// How many branches that are not archived a session may have, the main one among them.
pub const MAX_BRANCHES: usize = 200;
/// How many messages are picked at once.
pub const MAX_PICKED: usize = 100;
/// Longest name. Unit: characters.
const MAX_NAME: usize = 80;

/// All branches, the main one first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Branches {
    all: Vec<Branch>,
    focus: Option<BranchId>,
}

/// Two branches beside each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The newest message that both have.
    pub ancestor: Option<MessageId>,
    /// What only the first one has, oldest first.
    pub only_a: Vec<MessageId>,
    /// What only the second one has, oldest first.
    pub only_b: Vec<MessageId>,
}

impl Branches {
    pub fn all(&self) -> &[Branch] {
        &self.all
    }

    pub fn focus(&self) -> Option<BranchId> {
        self.focus
    }

    pub fn get(&self, id: BranchId) -> Option<&Branch> {
        self.all.iter().find(|b| b.id == id)
    }

    pub fn main(&self) -> BranchId {
        self.all.first().map_or(BranchId::NIL, |b| b.id)
    }

    /// Returns how events on a branch name it: the main one is not named.
    pub fn header(&self, id: BranchId) -> Option<BranchId> {
        (id != self.main()).then_some(id)
    }

    pub fn apply_began(&mut self, event: &Event, data: &SessionCreated) {
        self.focus = None;
        self.all = vec![Branch::main(event, data)];
    }

    /// A message is the newest one of its branch. One that begins a branch stands before `branch.created`, which says
    /// where the head is.
    pub fn apply_said(&mut self, event: &Event, message: MessageId) {
        let branch = match event.header.branch {
            Some(id) => self.all.iter_mut().find(|b| b.id == id),
            None => self.all.first_mut(),
        };
        if let Some(branch) = branch.filter(|_| event.stream == Stream::Main) {
            branch.head = Some(message);
        }
    }

    /// Returns whether there was no such branch before.
    pub fn apply_created(&mut self, event: &Event, data: &BranchCreated) -> bool {
        if self.get(data.branch).is_some() {
            return false;
        }
        self.all.push(Branch::begun(event, data));
        true
    }

    pub fn apply_moved(&mut self, data: &BranchMoved) {
        self.with(data.branch, |b| b.head = data.head);
    }

    pub fn apply_renamed(&mut self, data: &BranchRenamed) {
        self.with(data.branch, |b| b.name.clone_from(&data.name));
    }

    pub fn apply_archived(&mut self, data: &BranchArchived) {
        self.with(data.branch, |b| b.archived = data.archived);
    }

    pub fn apply_focused(&mut self, data: &BranchFocused) {
        self.focus = Some(data.branch);
    }

    pub fn apply_merged(&mut self, data: &BranchMerged) {
        if data.head.is_some() {
            self.with(data.into, |b| b.head = data.head);
        }
    }

    fn with(&mut self, id: BranchId, change: impl FnOnce(&mut Branch)) {
        if let Some(branch) = self.all.iter_mut().find(|b| b.id == id) {
            change(branch);
        }
    }
}

impl Session {
    /// Returns the branches, the main one first.
    pub fn branches(&self) -> &[Branch] {
        self.branches.all()
    }

    /// Returns the branch with that id.
    pub fn branch(&self, id: BranchId) -> Option<&Branch> {
        self.branches.get(id)
    }

    /// Returns where every open branch is.
    pub(super) fn branch_heads(&self) -> Vec<BranchHead> {
        let open = self.branches.all().iter().filter(|b| !b.archived);
        open.map(|b| BranchHead { branch: b.id, head: b.head, context: self.context_point(b.id) }).collect()
    }

    /// Returns the branch that whoever presents shows.
    pub fn focus(&self) -> Option<BranchId> {
        self.branches.focus()
    }

    /// Returns the numbers in `main` of a branch's messages, the newest first.
    pub fn path(&self, branch: BranchId) -> impl Iterator<Item = u64> {
        self.messages.path(self.branches.get(branch).and_then(|b| b.head))
    }

    /// Returns the message with that number in `main`.
    pub fn message_at(&self, n: u64) -> Option<MessageId> {
        self.messages.id_of(n)
    }

    /// Returns what a message of `main` follows.
    pub fn parent(&self, message: MessageId) -> Option<MessageId> {
        self.messages.parent(message)
    }

    /// Returns the messages that follow the same one as `message` does, itself among them, oldest first: its other
    /// wordings, or other answers.
    pub fn siblings(&self, message: MessageId) -> Vec<MessageId> {
        self.messages.siblings(message)
    }

    /// Returns what each of two branches has that the other has not.
    pub fn compare(&self, a: BranchId, b: BranchId) -> Option<Compared> {
        let (a, b) = (self.branches.get(a)?.head, self.branches.get(b)?.head);
        let (mut only_a, mut only_b) = (Vec::new(), Vec::new());
        let (mut left, mut right) = (self.messages.path(a).peekable(), self.messages.path(b).peekable());
        // Parents come before their children, so whichever is newer cannot be on the other path.
        let ancestor = loop {
            match (left.peek().copied(), right.peek().copied()) {
                (None, None) => break None,
                (Some(l), Some(r)) if l == r => break self.messages.id_of(l),
                (Some(l), r) if r.is_none_or(|r| l > r) => {
                    only_a.extend(self.messages.id_of(l));
                    left.next();
                }
                (_, Some(r)) => {
                    only_b.extend(self.messages.id_of(r));
                    right.next();
                }
                (Some(_), None) => break None,
            }
        };
        only_a.reverse();
        only_b.reverse();
        Some(Compared { ancestor, only_a, only_b })
    }

    /// Returns on which branch a turn about `message` runs: the main one if it is there, else the newest open one.
    fn home(&self, message: MessageId) -> Option<&Branch> {
        let open = |b: &&Branch| !b.archived && self.messages.on_path(b.head, message);
        let all = self.branches.all();
        all.first().filter(open).or_else(|| all.iter().rev().find(open))
    }

    /// Returns up to which seq a branch that leaves `from` at `message` shares its context: up to the event before the
    /// next message there.
    fn fork_seq(&self, from: &Branch, message: Option<MessageId>) -> Seq {
        let next = self.messages.next_on(from.head, message);
        next.and_then(|id| self.messages.seq_of(id)).map_or(self.heads[Stream::Main as usize], |seq| Seq(seq.0 - 1))
    }
}

/// Where a new message goes.
pub(super) struct Place {
    pub branch: BranchId,
    pub parent: Option<MessageId>,
    /// The branch that it begins.
    pub created: Option<BranchCreated>,
}

/// Decides where a new message in `main` goes.
pub(super) fn place(by: &By<'_>, data: &MessagePost) -> Result<Place, Rejection> {
    let session = by.session;
    if let Some(sibling) = data.sibling_of {
        if data.branch.is_some() || data.parent.is_some() {
            let detail = "a sibling stands where the other message does; leave branch and parent out";
            return Err(Rejection::field("/sibling_of", Code::InvalidField, detail));
        }
        in_main(by, "/sibling_of", sibling)?;
        let from = session.home(sibling).map_or(session.branches.main(), |b| b.id);
        return forked(by, from, session.messages.parent(sibling));
    }
    let parent = data.parent.map(|id| in_main(by, "/parent", id).map(|()| id)).transpose()?;
    let branch = match (data.branch, parent) {
        (Some(id), _) => existing(by, "/branch", id)?,
        (None, Some(parent)) => session.home(parent).ok_or_else(|| off_path("/parent"))?,
        (None, None) => existing(by, "/branch", session.branches.main())?,
    };
    if branch.archived {
        return Err(Code::BranchIsArchived.into());
    }
    let seen = parent.filter(|p| Some(*p) != branch.head);
    match (seen, data.if_head_moved) {
        (Some(_), HeadMoved::Reject) => Err(head_moved("/parent")),
        (Some(seen), HeadMoved::Fork) => forked(by, branch.id, Some(seen)),
        (Some(seen), HeadMoved::Append) if !session.messages.on_path(branch.head, seen) => Err(off_path("/parent")),
        _ => Ok(Place { branch: branch.id, parent: branch.head, created: None }),
    }
}

/// Returns the place of a message that begins a branch behind `parent`.
fn forked(by: &By<'_>, from: BranchId, parent: Option<MessageId>) -> Result<Place, Rejection> {
    if !by.cx.grant.allows(Permission::BranchWrite) {
        return Err(Code::Forbidden.into());
    }
    let head = Some(MessageId(by.envelope.key));
    let created = begin(by, BranchId::derive(by.envelope.key, FORK_ID), None, from, (parent, None), head)?;
    Ok(Place { branch: created.branch, parent, created: Some(created) })
}

/// Makes a branch behind `fork_message`, which must not be erased.
fn begin(
    by: &By<'_>,
    branch: BranchId,
    name: Option<&String>,
    from: BranchId,
    (fork_message, fork_seq): (Option<MessageId>, Option<Seq>),
    head: Option<MessageId>,
) -> Result<BranchCreated, Rejection> {
    let session = by.session;
    let all = session.branches.all();
    check_room(session)?;
    if fork_message.and_then(|id| session.messages.get(id)).is_some_and(|m| m.redacted) {
        return Err(Code::MessageIsRedacted.into());
    }
    let from = existing(by, "/from_branch", from)?;
    let name = match name {
        Some(name) => text::filled_line("/name", name, MAX_NAME)?,
        None => format!("branch {}", all.len() + 1),
    };
    let fork_seq = fork_seq.unwrap_or_else(|| session.fork_seq(from, fork_message));
    let fork_seq = session.context_kept(from.id, fork_seq);
    Ok(BranchCreated { branch, name, from_branch: from.id, fork_message, fork_seq, head })
}

/// Checks that one more branch fits.
pub(super) fn check_room(session: &Session) -> Result<(), Rejection> {
    let open = session.branches.all().iter().filter(|b| !b.archived).count();
    if open < MAX_BRANCHES { Ok(()) } else { Err(Code::TooManyBranches.into()) }
}

/// Makes a branch for another answer to `question`. Its head is the question, whatever its text has become.
pub(super) fn beside(by: &By<'_>, question: MessageId) -> Result<BranchCreated, Rejection> {
    if !by.cx.grant.allows(Permission::BranchWrite) {
        return Err(Code::Forbidden.into());
    }
    let from = by.session.home(question).map_or(by.session.branches.main(), |b| b.id);
    begin(by, BranchId::derive(by.envelope.key, FORK_ID), None, from, (Some(question), None), Some(question))
}

/// Returns the branch on which a question is answered where it stands.
pub(super) fn of_question(by: &By<'_>, question: MessageId) -> Result<BranchId, Rejection> {
    let home = by.session.home(question).map(|b| b.id);
    home.ok_or_else(|| {
        Rejection::field("/message", Code::InvalidField, "no open branch holds it; ask with sibling: true")
    })
}

pub(super) fn decide_create(by: &By<'_>, data: &BranchCreate) -> Result<Decision, Rejection> {
    let (from, at, seq) = point(by, "/from_branch", data.from_branch, data.message, data.seq)?;
    let mut draft = by.draft();
    let created = begin(by, BranchId(draft.key()), data.name.as_ref(), from, (at, Some(seq)), at)?;
    draft.on(Some(created.branch));
    draft.push(Stream::Main, causes(by.session, at), created.clone());
    document::begin_at(by.session, &mut draft, &created, seq, &data.then)?;
    Ok(draft.finish())
}

/// Returns a point of the conversation: the branch, its newest message there, and up to which seq its context belongs to it.
pub(super) fn point(
    by: &By<'_>,
    pointer: &'static str,
    branch: Option<BranchId>,
    message: Option<MessageId>,
    seq: Option<Seq>,
) -> Result<(BranchId, Option<MessageId>, Seq), Rejection> {
    let session = by.session;
    if message.is_some() && seq.is_some() {
        return Err(Rejection::field("/seq", Code::InvalidField, "a message or a seq, not both"));
    }
    if let Some(message) = message {
        in_main(by, "/message", message)?;
    }
    let main = existing(by, pointer, session.branches.main())?;
    let from = match (branch, message) {
        (Some(id), _) => existing(by, pointer, id)?,
        (None, Some(message)) => session.home(message).unwrap_or(main),
        (None, None) => main,
    };
    let at = match (message, seq) {
        (Some(message), _) => Some(message),
        (None, Some(seq)) if seq > session.heads[Stream::Main as usize] => {
            return Err(Rejection::field("/seq", Code::InvalidField, "main has no such event yet"));
        }
        (None, Some(seq)) => session.messages.newest_at(from.head, seq),
        (None, None) => from.head,
    };
    if branch.is_some() && at.is_some_and(|m| !session.messages.on_path(from.head, m)) {
        return Err(off_path("/message"));
    }
    let seq = seq.unwrap_or_else(|| session.fork_seq(from, at));
    Ok((from.id, at, seq))
}

/// Returns which context a new branch begins with: whose, and up to which seq. None when that cannot be made.
pub(super) fn wanted(session: &Session, data: &BranchCreate) -> Option<(BranchId, Seq)> {
    let main = session.branches.get(session.branches.main())?;
    let from = match (data.from_branch, data.message) {
        (Some(id), _) => session.branches.get(id)?,
        (None, Some(message)) => session.home(message).unwrap_or(main),
        (None, None) => main,
    };
    let seq = data.seq.or_else(|| data.message.map(|message| session.fork_seq(from, Some(message))));
    seq.map(|seq| (from.id, seq))
}

pub(super) fn decide_move(by: &By<'_>, data: &BranchMove) -> Result<Decision, Rejection> {
    let branch = changeable(by, "/branch", data.branch)?;
    check_head(branch, data.if_head)?;
    in_main(by, "/head", data.head)?;
    if branch.head == Some(data.head) {
        return Err(Code::AlreadyRecorded.into());
    }
    let mut draft = by.draft();
    move_head(by.session, &mut draft, branch, Some(data.head));
    Ok(draft.finish())
}

/// Moves a head, and takes back every question that it leaves behind.
pub(super) fn move_head(session: &Session, draft: &mut Draft, branch: &Branch, head: Option<MessageId>) {
    draft.on(session.branches.header(branch.id));
    draft.push(Stream::Main, causes(session, head), BranchMoved { branch: branch.id, head, from: branch.head });
    turns::cut_branch(session, draft, branch.id, |question| session.messages.on_path(head, question));
    draft.on(None);
}

pub(super) fn decide_rename(by: &By<'_>, data: &BranchRename) -> Result<Decision, Rejection> {
    let branch = changeable(by, "/branch", data.branch)?;
    let name = text::filled_line("/name", &data.name, MAX_NAME)?;
    if branch.name == name {
        return Err(Code::AlreadyRecorded.into());
    }
    one(by, branch.id, BranchRenamed { branch: branch.id, name })
}

pub(super) fn decide_archive(by: &By<'_>, data: &BranchArchive) -> Result<Decision, Rejection> {
    let branch = existing(by, "/branch", data.branch)?;
    if branch.id == by.session.branches.main() {
        return Err(Code::MainBranchStays.into());
    }
    let own = by.person.is_none_or(|p| text::is(branch.by, p.id));
    if !own && !by.cx.grant.allows(Permission::BranchManage) {
        return Err(Code::NotYourBranch.into());
    }
    if branch.archived == data.archived {
        return Err(Code::AlreadyRecorded.into());
    }
    if !data.archived {
        check_room(by.session)?;
    }
    let mut draft = by.draft();
    draft.on(Some(branch.id));
    draft.push(Stream::Main, vec![], BranchArchived { branch: branch.id, archived: data.archived });
    if data.archived {
        turns::cut_branch(by.session, &mut draft, branch.id, |_| false);
    }
    Ok(draft.finish())
}

pub(super) fn decide_focus(by: &By<'_>, data: &BranchFocus) -> Result<Decision, Rejection> {
    let branch = existing(by, "/branch", data.branch)?;
    if by.session.focus() == Some(branch.id) {
        return Err(Code::AlreadyRecorded.into());
    }
    one(by, branch.id, BranchFocused { branch: branch.id })
}

pub(super) fn decide_merge(by: &By<'_>, data: &BranchMerge) -> Result<Decision, Rejection> {
    let session = by.session;
    let (into, from) = (existing(by, "/into", data.into)?, existing(by, "/from", data.from)?);
    if into.archived {
        return Err(Code::BranchIsArchived.into());
    }
    check_head(into, data.if_head)?;
    let has_all = from.head.is_none_or(|head| session.messages.on_path(into.head, head));
    let adopts_context = || data.how == MergeHow::Adopt && !session.same_context(into.id, from.id);
    if into.id == from.id || has_all && !adopts_context() {
        return Err(Code::NothingToMerge.into());
    }
    match data.how {
        MergeHow::Adopt => adopt(by, into, from, has_all),
        MergeHow::Pick => pick(by, data, into, from),
        MergeHow::Summary => summary(by, data, into, from),
    }
}

/// Moves the head to the other one, unless `into` has all of its messages, and takes its context.
fn adopt(by: &By<'_>, into: &Branch, from: &Branch, has_all: bool) -> Result<Decision, Rejection> {
    changeable(by, "/into", into.id)?;
    let mut draft = by.draft();
    draft.on(by.session.branches.header(into.id));
    let (head, previous) = (from.head.filter(|_| !has_all), into.head);
    let merged = BranchMerged { into: into.id, from: from.id, how: MergeHow::Adopt, head, previous, messages: vec![] };
    let cause = draft.push(Stream::Main, causes(by.session, head), merged);
    if !has_all {
        turns::cut_branch(by.session, &mut draft, into.id, |question| by.session.messages.on_path(head, question));
    }
    document::adopt(by, &mut draft, into.id, from.id, cause)?;
    Ok(draft.finish())
}

fn pick(by: &By<'_>, data: &BranchMerge, into: &Branch, from: &Branch) -> Result<Decision, Rejection> {
    let session = by.session;
    if data.messages.is_empty() || data.messages.len() > MAX_PICKED {
        let detail = format!("1 to {MAX_PICKED} messages");
        return Err(Rejection::field("/messages", Code::InvalidField, detail));
    }
    let mut picked = Vec::with_capacity(data.messages.len());
    for id in &data.messages {
        let message = by.message("/messages", *id)?;
        let there = message.stream == Stream::Main && session.messages.on_path(from.head, *id);
        if !there || session.messages.on_path(into.head, *id) {
            let detail = format!("{id} is not on that branch alone");
            return Err(Rejection::field("/messages", Code::InvalidField, detail));
        }
        if message.redacted {
            return Err(Code::MessageIsRedacted.into());
        }
        picked.push((message.n, *id, message.author));
    }
    picked.sort_unstable_by_key(|(n, ..)| *n);
    picked.dedup();
    let messages = picked.iter().map(|(_, id, _)| *id).collect();
    let mut draft = by.draft();
    draft.on(session.branches.header(into.id));
    let merged =
        BranchMerged { into: into.id, from: from.id, how: MergeHow::Pick, head: None, previous: into.head, messages };
    draft.push(Stream::Main, vec![], merged);
    let mut parent = into.head;
    for (i, (_, id, author)) in picked.into_iter().enumerate() {
        // Unanswered questions have said something; an answer that has not begun has not.
        let said = data.said.iter().find(|s| s.message == id && !(s.text.is_empty() && s.attachments.is_empty()));
        let Some(Said { text, attachments, data, .. }) = said else {
            return Err(Rejection::field("/messages", Code::TextEmpty, format!("{id} says nothing yet")));
        };
        let copied = session.messages.copied_from(id).cloned();
        let copied = copied.unwrap_or(super::CopiedFrom { message: id, author, there: None });
        // What has come from another session is erased by the copy that came.
        let copied = if copied.there.is_some() { super::CopiedFrom { message: id, ..copied } } else { copied };
        let posted = MessagePosted {
            text: text.clone(),
            attachments: attachments.clone(),
            parent: session.messages.recorded_parent(parent, i as u64),
            copied_from: Some(copied),
            data: data.clone(),
            ..MessagePosted::empty()
        };
        let event = draft.push(Stream::Main, causes(session, Some(id)), posted);
        parent = Some(MessageId(event.0));
    }
    Ok(draft.finish())
}

fn summary(by: &By<'_>, data: &BranchMerge, into: &Branch, from: &Branch) -> Result<Decision, Rejection> {
    let session = by.session;
    let me = by.person()?;
    let asks = data.text.is_none();
    let question = || {
        let name = &from.name;
        format!("Sum up what was said on the branch “{name}” since it left this one, for those who read here.")
    };
    let said = data.text.clone().or_else(|| data.question.clone()).unwrap_or_else(question);
    text::message(if asks { "/question" } else { "/text" }, &said, false)?;
    let assistant = if asks {
        if !by.cx.grant.allows(Permission::TurnPrompt) {
            return Err(Code::Forbidden.into());
        }
        Some(turns::summarizer(by)?)
    } else {
        None
    };
    let mut draft = by.draft();
    draft.on(session.branches.header(into.id));
    let merged = BranchMerged {
        into: into.id,
        from: from.id,
        how: MergeHow::Summary,
        head: None,
        previous: into.head,
        messages: vec![],
    };
    let cause = draft.push(Stream::Main, causes(session, from.head), merged);
    let parent = session.messages.recorded_parent(into.head, 0);
    let posted = MessagePosted { text: said, ask: asks, parent, ..MessagePosted::empty() };
    let event = draft.push(Stream::Main, vec![cause], posted);
    if let Some(assistant) = assistant {
        let place = turns::On { branch: into.id, reads: Some(from.id) };
        turns::queue(session, &mut draft, event, MessageId(event.0), me.id, assistant, place);
    }
    Ok(draft.finish())
}

fn one(by: &By<'_>, branch: BranchId, body: impl Into<roundtable_protocol::EventBody>) -> Result<Decision, Rejection> {
    let mut draft = by.draft();
    draft.on(by.session.branches.header(branch));
    draft.push(Stream::Main, vec![], body);
    Ok(draft.finish())
}

pub(super) fn causes(session: &Session, message: Option<MessageId>) -> Vec<EventId> {
    message.and_then(|id| session.message(id)).map(|m| m.event).into_iter().collect()
}

fn check_head(branch: &Branch, known: Option<MessageId>) -> Result<(), Rejection> {
    if known.is_none() || known == branch.head { Ok(()) } else { Err(head_moved("/if_head")) }
}

fn head_moved(pointer: &'static str) -> Rejection {
    Rejection::field(pointer, Code::HeadMoved, "that is not the newest message of the branch any more")
}

fn off_path(pointer: &'static str) -> Rejection {
    Rejection::field(pointer, Code::InvalidField, "that message is not on the branch")
}

/// Checks that there is such a message in `main`.
fn in_main(by: &By<'_>, pointer: &'static str, id: MessageId) -> Result<(), Rejection> {
    let elsewhere = || Rejection::field(pointer, Code::NoSuchMessage, "there is no such message in main");
    by.message(pointer, id).ok().filter(|m| m.stream == Stream::Main).map(drop).ok_or_else(elsewhere)
}

/// Returns the branch with that id.
pub(super) fn existing<'a>(by: &By<'a>, pointer: &'static str, id: BranchId) -> Result<&'a Branch, Rejection> {
    let none = || Rejection::field(pointer, Code::NoSuchBranch, "there is no such branch here");
    by.session.branches.get(id).ok_or_else(none)
}

/// Returns an open branch whose head and name the caller may change: an own one, or with the permission any.
fn changeable<'a>(by: &By<'a>, pointer: &'static str, id: BranchId) -> Result<&'a Branch, Rejection> {
    let branch = existing(by, pointer, id)?;
    if branch.archived {
        return Err(Code::BranchIsArchived.into());
    }
    // Everybody writes on the main branch, so it is nobody's own.
    let own = by.person.is_none_or(|p| text::is(branch.by, p.id)) && id != by.session.branches.main();
    if own || by.person.is_none() || by.cx.grant.allows(Permission::BranchManage) {
        Ok(branch)
    } else {
        Err(Code::NotYourBranch.into())
    }
}

#[cfg(test)]
mod tests;
