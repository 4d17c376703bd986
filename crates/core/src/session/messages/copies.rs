//! Copies of messages: which was copied from which, here and from other sessions.

use roundtable_protocol::branching::CopiedFrom;
use roundtable_protocol::event::MessagePosted;
use roundtable_protocol::ids::{MessageId, SessionId, Stream};

use super::{Entry, Messages};

impl Messages {
    /// Notes with the original that `id` is a copy of it, `new` or seen before.
    pub(super) fn note_copy(&mut self, stream: Stream, data: &MessagePosted, id: MessageId, new: bool) {
        match &data.copied_from {
            // The message that it was copied from may be one of here, which came from elsewhere itself.
            Some(copied) if self.places.contains_key(&copied.message) => {
                // An erased original stays what it is, and so does the list of what must go with it.
                let note = |entry: &mut Entry| entry.4.get_or_insert_default().copies.push(id);
                self.change_quietly(stream, copied.message, note);
            }
            Some(copied) if new => self.from_elsewhere.entry(copied.message).or_default().push(id),
            _ => {}
        }
    }

    pub fn copied_from(&self, id: MessageId) -> Option<&CopiedFrom> {
        self.main(self.number(id)?)?.4.as_ref()?.copied_from.as_ref()
    }

    /// Returns the copies here of a message of another session.
    pub fn copies_from(&self, session: SessionId, id: MessageId) -> Vec<MessageId> {
        let mut copies = self.from_elsewhere.get(&id).cloned().unwrap_or_default();
        copies.retain(|copy| self.copied_from(*copy).and_then(CopiedFrom::session) == Some(session));
        copies
    }

    /// Returns every message whose text was copied from `id`, copies of copies too.
    pub(super) fn copies(&self, id: MessageId) -> Vec<MessageId> {
        let of = |id| self.number(id).and_then(|n| self.main(n)).and_then(|e| e.4.as_ref()).map(|m| m.copies.clone());
        let mut all = of(id).unwrap_or_default();
        let mut i = 0;
        while i < all.len() {
            for id in of(all[i]).unwrap_or_default() {
                if !all.contains(&id) {
                    all.push(id);
                }
            }
            i += 1;
        }
        all
    }
}
