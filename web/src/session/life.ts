/**
 * Where a session is in its life, beyond its state.
 *
 * Owns: how events change it. Must not know: clocks. Invariant: it says the same as `crates/protocol/src/view/life.rs`.
 */

import type { DetachedView, LifeView, SessionEvent, View, WarningView } from './protocol';

export const QUIET: LifeView = { paused: null, ending: null, cause: null, warnings: [], detached: null, report: null };

/** Takes from an event what it says about the session's life. A view with nothing to say has no `life`. */
export function withLife(view: View, event: SessionEvent): View {
  const before = view.life ?? QUIET;
  const life = after(before, event);
  if (life === before) return view;
  if (!isQuiet(life)) return { ...view, life };
  const { life: _, ...quiet } = view;
  return quiet;
}

const isQuiet = (life: LifeView) => life.warnings.length === 0 && !life.paused && life.ending === null && life.cause === null && !life.detached && !life.report;

function after(life: LifeView, event: SessionEvent): LifeView {
  const { at } = event;
  switch (event.kind) {
    case 'session.paused':
      return { ...life, paused: { by: event.actor, at, reason: event.data.reason ?? null } };
    case 'session.resumed':
      return { ...life, paused: null, cause: null };
    case 'session.ending':
      return { ...life, ending: event.data.reason };
    case 'session.ended':
      return { ...life, paused: null, ending: null, cause: event.data.detail ?? null, warnings: [] };
    case 'session.reported':
      return { ...life, report: event.data.report };
    case 'session.warned': {
      const { limit, strikes_at } = event.data;
      return { ...life, warnings: [...life.warnings.filter((w) => w.limit !== limit), { limit, strikes_at }] };
    }
    case 'session.expiry_changed':
      return without(life, (w) => w.limit === 'expiry');
    case 'session.settings_changed':
      return without(life, (w) => w.limit !== 'expiry');
    case 'message.posted':
      // Only what every reader has: the view of one with more streams must not differ.
      return event.stream === 'main' ? without(life, (w) => w.limit === 'idle') : life;
    case 'session.detached':
      return { ...life, detached: { since: at, why: event.data.why, until: null, by: null, done: null } };
    case 'session.attached':
      return detached(life, { until: at, by: event.data.participant });
    case 'session.owner_changed':
      return life.detached ? detached(life, { until: life.detached.until ?? at, by: life.detached.by ?? event.data.to }) : life;
    case 'session.work_done': {
      const { turns, unfinished } = event.data;
      return detached(life, { done: { at, turns, unfinished } });
    }
    default:
      return life;
  }
}

function without(life: LifeView, which: (warning: WarningView) => boolean): LifeView {
  return life.warnings.some(which) ? { ...life, warnings: life.warnings.filter((w) => !which(w)) } : life;
}

function detached(life: LifeView, change: Partial<DetachedView>): LifeView {
  return life.detached ? { ...life, detached: { ...life.detached, ...change } } : life;
}
