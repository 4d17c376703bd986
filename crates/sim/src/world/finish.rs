//! The end of a run: wait for quiet, then compare everything with everything.

use std::collections::BTreeSet;

use roundtable_client::Status;
use roundtable_core::{Caller, Context, Copied, CopiedMessage, Session};
use roundtable_protocol::branching::{CopiedFrom, Fork, ForkedFrom};
use roundtable_protocol::ids::{Epoch, Stream, StreamSet};
use roundtable_protocol::view::View;

use super::{World, founding};
use crate::grants;
use crate::person::Person;

/// How long after chaos everybody must be up to date: the longest backoff, the watchdog, a lease and the head's
/// check, one after another, and then some. Unit: milliseconds.
pub(super) const PATIENCE_MS: u64 = 240_000;

impl World {
    /// Returns whether nothing more will happen by itself.
    pub(super) fn is_quiet(&self) -> bool {
        let Some(server) = &self.server else { return false };
        server.is_idle()
            && server.session().running_turn().is_none()
            && self.people.iter().all(|person| self.why_not_quiet(person).is_none())
    }

    /// Returns what a client still waits for.
    fn why_not_quiet(&self, person: &Person) -> Option<String> {
        let server = self.server.as_ref()?;
        let streams = grants::grant(server.session(), person.user).streams;
        let sync = person.machine.session(self.session);
        if person.machine.status() != Status::Ready {
            return Some(format!("is {:?}", person.machine.status()));
        }
        let unanswered = sync.map_or(0, |s| s.unanswered());
        if unanswered > 0 {
            return Some(format!("has {unanswered} commands without an answer"));
        }
        if person.refused && !streams.is_empty() {
            return Some("was refused and is let in again".to_owned());
        }
        Stream::ALL.into_iter().find_map(|stream| {
            let held = sync.and_then(|s| s.position(stream));
            let wanted = streams.contains(stream).then(|| server.view().head(stream));
            (held != wanted).then(|| format!("holds {stream} up to {held:?}, the server {wanted:?}"))
        })
    }

    /// Compares the log, the server, a checkpoint and every client.
    pub(super) fn finish(&mut self) {
        if self.checks.violation.is_some() {
            return;
        }
        self.checks.finish(self.disk.log());
        if !self.is_quiet() {
            let why = self.people.iter().find_map(|p| Some(format!("client {} {}", p.index, self.why_not_quiet(p)?)));
            let at = self.now;
            self.checks.fail(|| format!("I8: no quiet at {at} ms: {}", why.unwrap_or_else(|| "the server".to_owned())));
            return;
        }
        let Some(server) = &self.server else { return };
        let view = self.disk.view();
        let session = self.disk.session(self.session);
        if *server.session() != session {
            self.checks.fail(|| "I12: the server's state is not the fold of the log".to_owned());
        }
        if *server.view() != view {
            let difference = difference(server.view(), &view);
            self.checks.fail(|| format!("I12: the server's view is not the fold of the log: {difference}"));
        }
        if let Some((folded, checkpoint)) = self.checkpoint.take() {
            self.compare_checkpoint(folded, checkpoint, &session);
        }
        self.compare_branches(&session, &view);
        if let Some(fork) = session.forks().last() {
            self.begin_copy(&session, &view, fork);
        }
        for index in 0..self.people.len() {
            let streams = grants::grant(&session, self.people[index].user).streams;
            self.compare_client(index, &view, streams);
        }
    }

    /// Replay from any point gives the same state.
    fn compare_checkpoint(&mut self, folded: usize, mut checkpoint: Session, session: &Session) {
        self.disk.log()[folded..].iter().for_each(|event| checkpoint.apply(event));
        if checkpoint != *session {
            self.checks.fail(|| format!("I12: the state from event {folded} on is not the state from the first on"));
        }
    }

    /// Those who decide and those who look see the same branches, and every head can be walked to its beginning.
    fn compare_branches(&mut self, session: &Session, view: &View) {
        if session.branches() != view.branching.branches || session.focus() != view.branching.focus {
            let (a, b) = (session.branches(), &view.branching.branches);
            self.checks.fail(|| format!("branches: {a:?} is not {b:?}"));
        }
        for branch in session.branches() {
            let mut path = session.path(branch.id).peekable();
            if path.peek().copied() != branch.head.and_then(|head| session.message(head)).map(|m| m.n) {
                self.checks.fail(|| format!("branches: {branch:?} does not begin at its head"));
            }
            if !path.is_sorted_by(|later, earlier| earlier < later) {
                self.checks.fail(|| format!("branches: on {branch:?} a message follows a later one"));
            }
        }
    }

    /// What the session says of a copy is enough to begin it, whatever has happened to the original since: it holds the
    /// line up to the point, and nothing of what was erased.
    fn begin_copy(&mut self, session: &Session, view: &View, fork: &Fork) {
        let Fork { branch, message, seq, .. } = *fork;
        let from = ForkedFrom { session: session.id(), branch, message, seq, left_out: 0 };
        let path: BTreeSet<_> = session.path_to(message).filter_map(|n| session.message_at(n)).collect();
        let said = view.streams.get(&Stream::Main).map_or(&[][..], |main| &main.messages);
        let copied: Vec<_> = said
            .iter()
            .filter(|m| path.contains(&m.id) && !m.redacted && !m.text.is_empty())
            .map(|m| CopiedMessage {
                from: CopiedFrom { message: m.id, author: m.author, there: None },
                text: m.text.clone(),
                data: m.data.clone(),
                decision: m.decision,
            })
            .collect();
        let branch = Some(branch).filter(|id| *id != session.info().conversation_id);
        let context = session.context_kept_at(branch, seq);
        let texts: Vec<_> = copied.iter().map(|m| m.text.clone()).collect();
        let copied = Copied { from, messages: copied, context, memories: vec![] };
        let founding = founding(fork.session, Epoch(fork.session.to_string()));
        let grant = grants::system(session);
        let cx = Context { now: session.last_at(), caller: Caller::System, grant: &grant, present: &[], uploads: &[] };
        let decision = match Session::create_copy(&cx, fork.session.0, &founding, &copied) {
            Ok(decision) => decision,
            Err(refused) => return self.checks.fail(|| format!("fork: {fork:?} cannot begin: {refused:?}")),
        };
        let (mut copy, mut shown) = (Session::empty(fork.session), View::default());
        decision.events.iter().for_each(|event| {
            copy.apply(event);
            shown.apply(event);
        });
        let line: Vec<_> = copy.path(copy.info().conversation_id).collect();
        let shown: Vec<_> = shown.streams.remove(&Stream::Main).unwrap_or_default().messages;
        if copy.forked_from() != Some(from) || line.len() != texts.len() || shown.iter().map(|m| &m.text).ne(&texts) {
            self.checks.fail(|| format!("fork: {fork:?} began as {shown:?}"));
        }
    }

    /// What a client shows is the fold of the streams that it may read.
    fn compare_client(&mut self, index: usize, whole: &View, streams: StreamSet) {
        let held = self.people[index].machine.session(self.session).map(|s| s.view().clone()).unwrap_or_default();
        let expected = if streams.is_empty() { View::default() } else { only(whole, streams) };
        let (held, expected) = same_length(held, expected);
        if held != expected {
            let difference = difference(&held, &expected);
            self.checks.fail(|| format!("I8: client {index} shows something else than the log: {difference}"));
        }
    }
}

fn only(whole: &View, streams: StreamSet) -> View {
    let mut view = whole.clone();
    view.streams.retain(|stream, _| streams.contains(*stream));
    view
}

/// A snapshot brings the last messages only: compares as many as both have.
fn same_length(mut held: View, mut expected: View) -> (View, View) {
    held.streams.retain(|_, s| s.head.0 > 0);
    expected.streams.retain(|_, s| s.head.0 > 0);
    for (stream, theirs) in &mut expected.streams {
        let Some(ours) = held.streams.get_mut(stream) else { continue };
        let len = ours.messages.len().min(theirs.messages.len());
        ours.messages.drain(..ours.messages.len() - len);
        theirs.messages.drain(..theirs.messages.len() - len);
    }
    (held, expected)
}

/// Says where two views part, in one line.
fn difference(one: &View, other: &View) -> String {
    for (stream, a) in &one.streams {
        let Some(b) = other.streams.get(stream) else { return format!("{stream} should not be there") };
        if let Some((a, b)) = a.messages.iter().zip(&b.messages).find(|(a, b)| a != b) {
            return format!("{stream}: {a:?} is not {b:?}");
        }
        if (a.head, a.count, a.messages.len()) != (b.head, b.count, b.messages.len()) {
            return format!("{stream}: head {} count {} is not head {} count {}", a.head, a.count, b.head, b.count);
        }
    }
    if one.turns != other.turns {
        return format!("turns: {:?} is not {:?}", one.turns, other.turns);
    }
    if one.participants != other.participants {
        return format!("participants: {:?} is not {:?}", one.participants, other.participants);
    }
    if (&one.memories, &one.action_types) != (&other.memories, &other.action_types) {
        return format!("memories: {:?} is not {:?}", one.memories, other.memories);
    }
    if one.branching != other.branching {
        return format!("branching: {:?} is not {:?}", one.branching, other.branching);
    }
    if one.life != other.life {
        return format!("life: {:?} is not {:?}", one.life, other.life);
    }
    format!("session {:?} is not {:?}, or a stream is missing", one.session, other.session)
}
