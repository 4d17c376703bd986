//! What the view keeps of memories and action types.
//!
//! Owns: both lists. Must not know: limits. Invariant: performed actions are not kept; they are read from the log.

use super::View;
use crate::event::{ActionTypeDefined, Event, MemoryAdded, MemoryEdited, MemoryPinned, MemoryRemoved};
use crate::ids::MemoryId;
use crate::memory::{ActionType, Memory};

impl View {
    pub(super) fn memory_added(&mut self, event: &Event, data: &MemoryAdded) {
        self.memories.push(Memory {
            id: MemoryId(event.header.id.0),
            text: data.text.clone(),
            tags: data.tags.clone(),
            author: event.header.actor,
            at: event.header.at,
            edited_at: None,
            source: data.source,
            pinned: data.pinned,
        });
    }

    pub(super) fn memory_edited(&mut self, event: &Event, data: &MemoryEdited) {
        self.with_memory(data.memory, |memory| {
            if data.redacted {
                return;
            }
            if let Some(text) = &data.text {
                memory.text.clone_from(text);
            }
            if let Some(tags) = &data.tags {
                memory.tags.clone_from(tags);
            }
            memory.edited_at = Some(event.header.at);
        });
    }

    pub(super) fn memory_removed(&mut self, data: &MemoryRemoved) {
        self.memories.retain(|memory| memory.id != data.memory);
    }

    pub(super) fn memory_pinned(&mut self, data: &MemoryPinned) {
        self.with_memory(data.memory, |memory| memory.pinned = data.pinned);
    }

    pub(super) fn action_type_defined(&mut self, data: &ActionTypeDefined) {
        self.action_types.retain(|known| known.name != data.name);
        if let Some(schema) = &data.schema {
            self.action_types.push(ActionType { name: data.name.clone(), schema: schema.clone() });
        }
    }

    fn with_memory(&mut self, id: MemoryId, change: impl FnOnce(&mut Memory)) {
        if let Some(memory) = self.memories.iter_mut().find(|memory| memory.id == id) {
            change(memory);
        }
    }
}
