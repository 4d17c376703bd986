/** How a session stands, in words: in the header, above the conversation, where people write. */

import { t } from '../../app/i18n';
import type { Id, LifeView, SessionView, WarningView } from '../../session/protocol';
import { shortTime } from '../../ui/time';

export interface Standing {
  words: string;
  since: string | null;
  tone: 'plain' | 'warn' | 'bad';
}

/** Returns how a session stands, for the header; null: it is simply live. */
export function standing({ state, ended_at }: SessionView, life?: LifeView): Standing | null {
  switch (state) {
    case 'created':
      return { words: t('shell.session_created'), since: null, tone: 'plain' };
    case 'paused':
      return { words: t('shell.session_paused'), since: life?.paused?.at ?? null, tone: 'warn' };
    case 'failed':
      return { words: t('shell.session_failed'), since: ended_at, tone: 'bad' };
    case 'completed':
    case 'terminated':
      return { words: t('shell.session_ended'), since: ended_at, tone: 'plain' };
    case 'active': {
      const { ending = null, detached = null } = life ?? {};
      if (ending !== null) return { words: t('life.short_ending'), since: null, tone: 'warn' };
      return detached && !detached.until ? { words: t('life.short_alone'), since: detached.since, tone: 'plain' } : null;
    }
  }
}

/** Returns what a reader must know about a session that is not simply open for work, a sentence each; none: nothing. */
export function stateWords(session: SessionView, life: LifeView | undefined, nameOf: (id: Id) => string): string[] {
  const time = session.ended_at ? shortTime(session.ended_at) : '';
  switch (session.state) {
    case 'created':
      return [t('shell.state_created')];
    case 'paused': {
      const { paused } = life ?? {};
      if (!paused) return [t('life.paused_means')];
      const since = shortTime(paused.at);
      const who = paused.by === 'system' ? t('life.paused_since', { time: since }) : t('life.paused_by', { name: nameOf(paused.by), time: since });
      return [who, ...(paused.reason ? [t('life.paused_why', { reason: ended(paused.reason) })] : []), t('life.paused_means')];
    }
    case 'completed':
    case 'terminated': {
      const why = session.end_reason;
      return [t(why === 'idle_limit' ? 'life.idle_at' : why === 'expired' || why === 'time_limit' ? 'life.expired_at' : 'life.ended_at', { time })];
    }
    case 'failed':
      return [t('life.failed_at', { time, reason: ended(life?.cause ?? session.end_reason ?? t('shell.session_failed')) })];
    case 'active':
      return life?.ending ? [t('shell.ending')] : [];
  }
}

/** What is put into a sentence of its own ends as one. */
const ended = (text: string) => (/[.!?…]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`);

/** Returns the warning that strikes first; null: nothing will. */
export function firstWarning(life: LifeView | undefined): WarningView | null {
  return life?.warnings.toSorted((a, b) => Date.parse(a.strikes_at) - Date.parse(b.strikes_at))[0] ?? null;
}

/** Returns why nothing can be written here now. */
export function closedWords(session: SessionView | null): string {
  if (session?.state === 'failed') return t('life.composer_failed');
  return t(session?.state === 'created' ? 'life.composer_created' : 'chat.closed');
}
