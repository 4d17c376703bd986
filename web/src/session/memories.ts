/**
 * Memories and types of actions as people see them: the part of the view's fold that is about them.
 *
 * Must not know: limits. Invariant: it says the same as `crates/protocol/src/view/memories.rs`; an empty list is absent.
 */

import type { Id, Memory, SessionEvent, View } from './protocol';

export function memoryAdded(view: View, event: SessionEvent<'memory.added'>): View {
  const { text, tags = [], source, pinned = false } = event.data;
  const memory: Memory = { id: event.id, text, author: event.actor, at: event.at };
  if (tags.length > 0) memory.tags = tags;
  if (source) memory.source = source;
  if (pinned) memory.pinned = true;
  return { ...view, memories: [...(view.memories ?? []), memory] };
}

export function memoryEdited(view: View, event: SessionEvent<'memory.edited'>): View {
  const { memory, text, tags, redacted } = event.data;
  if (redacted) return view;
  return withMemory(view, memory, (old) => {
    const { tags: before = [], ...rest } = old;
    const now = tags ?? before;
    const edited: Memory = { ...rest, text: text ?? old.text, edited_at: event.at };
    return now.length > 0 ? { ...edited, tags: now } : edited;
  });
}

export function memoryRemoved(view: View, id: Id): View {
  return withList(view, 'memories', (view.memories ?? []).filter((memory) => memory.id !== id));
}

export function memoryPinned(view: View, id: Id, pinned: boolean): View {
  return withMemory(view, id, ({ pinned: _, ...memory }) => (pinned ? { ...memory, pinned } : memory));
}

export function actionTypeDefined(view: View, type: string, schema: unknown): View {
  const others = (view.action_types ?? []).filter((known) => known.type !== type);
  return withList(view, 'action_types', schema === undefined || schema === null ? others : [...others, { type, schema }]);
}

function withMemory(view: View, id: Id, change: (memory: Memory) => Memory): View {
  const { memories } = view;
  return memories ? { ...view, memories: memories.map((memory) => (memory.id === id ? change(memory) : memory)) } : view;
}

function withList<K extends 'memories' | 'action_types'>(view: View, name: K, list: NonNullable<View[K]>): View {
  if (list.length > 0) return { ...view, [name]: list };
  const { [name]: _, ...rest } = view;
  return rest as View;
}
