//! What follows what in `main`: the tree of messages, and the paths in it.

use roundtable_protocol::event::Event;
use roundtable_protocol::ids::{MessageId, Seq, Stream};

use super::{Entry, Messages, Place};

impl Messages {
    /// Returns what is kept of what a new message follows: nothing when that is the message before it.
    pub(super) fn kept_parent(&self, event: &Event, parent: Option<MessageId>) -> Option<u32> {
        let parent = parent.filter(|_| event.stream == Stream::Main)?;
        let count = u32::try_from(self.main_count()).ok()?;
        let kept = if parent == MessageId::NIL { 0 } else { self.number(parent)? + 1 };
        (kept != count).then_some(kept)
    }

    pub(super) fn main_count(&self) -> usize {
        let line = &self.lines[Stream::Main as usize];
        line.pages.last().map_or(0, |last| (line.pages.len() - 1) * 256 + last.len())
    }

    pub(super) fn number(&self, id: MessageId) -> Option<u32> {
        self.places.get(&id).filter(|p| p.stream == Stream::Main).map(|p| p.n)
    }

    pub(super) fn main(&self, n: u32) -> Option<&Entry> {
        self.entry(Place { stream: Stream::Main, n })
    }

    /// Returns the number of the message that message `n` of `main` follows.
    pub(super) fn before(&self, n: u32) -> Option<u32> {
        match self.main(n)?.4.as_ref().and_then(|more| more.parent) {
            Some(parent) => parent.checked_sub(1),
            None => n.checked_sub(1),
        }
    }

    /// Returns the numbers of `head` and of everything that it follows, the newest first.
    pub fn path(&self, head: Option<MessageId>) -> impl Iterator<Item = u64> {
        let first = head.and_then(|id| self.number(id));
        std::iter::successors(first, |n| self.before(*n)).map(u64::from)
    }

    /// Returns whether `id` is `head` or something that it follows.
    pub fn on_path(&self, head: Option<MessageId>, id: MessageId) -> bool {
        let Some(wanted) = self.number(id).map(u64::from) else { return false };
        self.path(head).find(|n| *n <= wanted) == Some(wanted)
    }

    pub fn id_of(&self, n: u64) -> Option<MessageId> {
        self.main(u32::try_from(n).ok()?).map(|entry| entry.0)
    }

    pub fn seq_of(&self, id: MessageId) -> Option<Seq> {
        self.main(self.number(id)?).map(|entry| entry.2)
    }

    /// Returns what a message of `main` follows.
    pub fn parent(&self, id: MessageId) -> Option<MessageId> {
        self.id_of(u64::from(self.before(self.number(id)?)?))
    }

    /// Returns the message that follows `id` (none: the first one) on the way to `head`.
    pub fn next_on(&self, head: Option<MessageId>, id: Option<MessageId>) -> Option<MessageId> {
        let stop = id.and_then(|id| self.number(id)).map(u64::from);
        let next = self.path(head).take_while(|n| Some(*n) != stop).last();
        next.and_then(|n| self.id_of(n))
    }

    /// Returns the newest message on the way to `head` that began at or before `seq`.
    pub fn newest_at(&self, head: Option<MessageId>, seq: Seq) -> Option<MessageId> {
        let entry = |n: u64| self.main(u32::try_from(n).ok()?);
        self.path(head).find_map(|n| entry(n).filter(|e| e.2 <= seq).map(|e| e.0))
    }

    /// Returns the newest message of `main` that began at or before `seq`.
    pub fn newest_before(&self, seq: Seq) -> Option<MessageId> {
        (0..self.main_count() as u64).rev().find_map(|n| self.id_of(n).filter(|id| self.seq_of(*id) <= Some(seq)))
    }

    /// Returns all messages of `main` that follow what `id` follows, oldest first.
    pub fn siblings(&self, id: MessageId) -> Vec<MessageId> {
        let Some(n) = self.number(id) else { return Vec::new() };
        let key = self.before(n).map_or(0, |parent| parent + 1);
        let plain = self.main(key).filter(|e| e.4.as_ref().is_none_or(|more| more.parent.is_none())).map(|_| key);
        let mut all: Vec<u32> = self.forks.get(&key).into_iter().flatten().copied().chain(plain).collect();
        all.sort_unstable();
        all.into_iter().filter_map(|n| self.id_of(u64::from(n))).collect()
    }

    /// Returns how an event says what a message follows that comes as the `more`th new one from now.
    pub fn recorded_parent(&self, parent: Option<MessageId>, more: u64) -> Option<MessageId> {
        if more > 0 {
            // It follows the new one before it.
            return None;
        }
        let last = (self.main_count() as u64).checked_sub(1).and_then(|n| self.id_of(n));
        if parent == last { None } else { Some(parent.unwrap_or(MessageId::NIL)) }
    }
}
