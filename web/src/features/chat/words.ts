/** What the conversation says about itself, in words. */

import { assistantName } from '../../app/assistant';
import { problemWords, t } from '../../app/i18n';
import type { Notice } from '../../session/notices';
import type { AnswerView, Checkpoint, Participant, Role, Settings } from '../../session/protocol';
import { clockTime, dayOf } from '../../ui/time';

/** Returns a text with a mark before each line, under whom it is from. */
export function quoted(from: string, text: string): string {
  return [from, ...text.split('\n')].map((line) => `> ${line}`.trimEnd()).join('\n');
}

/** Returns the beginning of a message as one line without its marks, for where it is only named. */
export function oneLine(text: string): string {
  return text
    .slice(0, 600)
    .replace(/^\s*(?:```.*|~~~.*|\|?[\s|:-]+\|[\s|:-]*)$/gm, ' ')
    .replace(/!?\[([^\]\n]*)\]\([^)\s]*\)/g, '$1')
    .replace(/^\s*(?:#{1,6}|>+|[-*+]|\d{1,9}[.)])\s+/gm, '')
    .replace(/(\*\*|__|~~|`+|\$\$)/g, '')
    .replace(/(^|[\s(])[*_](\S(?:[^*_\n]*\S)?)[*_](?=$|[\s.,;:!?)])/gm, '$1$2')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
}

/** Returns how an answer ended, where that needs saying. */
export function endWords(answer: AnswerView, nameOf: (id: string) => string): string {
  switch (answer.state) {
    case 'streaming':
      return '';
    case 'stopped':
      return answer.stopped_by ? t('chat.stopped_by', { name: nameOf(answer.stopped_by) }) : t('chat.stopped');
    case 'failed': {
      const reason = failureWords(answer);
      return reason ? t('chat.failed', { reason }) : t('chat.failed_unknown');
    }
    case 'lost':
      return t('chat.lost');
    case 'completed':
      if (answer.reason === 'max_tokens') return t('chat.cut');
      return answer.reason === 'refusal' ? t('chat.refused') : '';
  }
}

/** Returns why an answer failed: English readers get what the driver said, others the words of its code. */
function failureWords({ code, detail }: AnswerView): string {
  const words = problemWords({ code: code ?? '', title: '', detail: detail ?? '' });
  return words.title || words.detail || (code ?? '');
}

/** Returns who types, as a sentence; empty: nobody. */
export function typingWords(names: readonly string[]): string {
  const [name, other] = names;
  if (name === undefined) return '';
  if (names.length > 2) return t('chat.typing_many');
  return other === undefined ? t('chat.typing_one', { name }) : t('chat.typing_two', { name, other });
}

/** Returns the heading of a day. */
export function dayWords(at: string, now: number): string {
  const day = new Date(at).toDateString();
  if (day === new Date(now).toDateString()) return t('chat.today');
  // Noon: a day before it is the day before, whatever clocks are set to.
  const noon = new Date(now);
  noon.setHours(12, 0, 0, 0);
  if (day === new Date(noon.getTime() - 86_400_000).toDateString()) return t('chat.yesterday');
  return dayOf(at);
}

const roleWords = (role: Role) => t(`common.role_${role}`);

/** How people and assistants are called. */
export interface Names {
  nameOf(id: string): string;
  /** Returns the label of an assistant by its name in the settings. */
  labelOf(assistant: string): string;
}

/** Returns a notice as a sentence; empty: nothing that people need to be told. */
export function noticeWords(notice: Notice, live: Names): string {
  const nameOf = (id: string) => live.nameOf(id);
  const name = nameOf(notice.actor);
  const byRule = notice.actor === 'system';
  const { data } = notice;
  const about = typeof data['participant'] === 'string' ? data['participant'] : '';
  switch (notice.kind) {
    case 'participant.joined': {
      const who = data['participant'] as Participant | undefined;
      return who?.kind === 'user' && who.role !== 'owner' ? t('chat.notice_joined', { name: who.display_name }) : '';
    }
    case 'participant.left':
      return t('chat.notice_left', { name: nameOf(about) });
    case 'participant.removed':
      return byRule ? t('chat.notice_removed_by_rule', { other: nameOf(about) }) : t('chat.notice_removed', { name, other: nameOf(about) });
    case 'participant.role_changed': {
      const role = roleWords(data['role'] as Role);
      return byRule ? t('chat.notice_role_by_rule', { other: nameOf(about), role }) : t('chat.notice_role', { name, other: nameOf(about), role });
    }
    case 'participant.profile_changed': {
      const { before, display_name: now } = data;
      // A colour is seen; only a name must be said.
      if (typeof before !== 'string' || typeof now !== 'string' || before === now) return '';
      return t('chat.notice_profile', { name: before, other: now });
    }
    case 'checkpoint.created': {
      const { name: title } = data['checkpoint'] as Checkpoint;
      // What a rule makes, people need not be told.
      return title ? t('chat.notice_checkpoint', { name, title }) : '';
    }
    case 'context.conflicted':
      return t('chat.notice_context_conflict', { name });
    case 'context.resolved':
      return t('chat.notice_context_resolved', { name });
    case 'memory.added':
      return data['redacted'] ? '' : t('chat.notice_memory', { name, text: String(data['text'] ?? '') });
    case 'checkpoint.restored':
      // As a branch: told by `branch.created` beside it.
      return data['how'] === 'in_place' ? t('chat.notice_restored', { name }) : '';
    case 'branch.created':
      return t('chat.notice_branch', { name, title: String(data['name'] ?? '') });
    case 'branch.merged':
      return t('chat.notice_merged', { name });
    case 'session.forked':
      return t('chat.notice_forked', { name });
    case 'error':
      if (data['redacted']) return '';
      return byRule ? t('chat.notice_error_by_rule', { detail: String(data['detail']) }) : t('chat.notice_error', { name, detail: String(data['detail']) });
    case 'session.renamed':
      // The first title is made of the first message, which stands beside it.
      return byRule || data['made_from'] || data['redacted'] ? '' : t('chat.notice_renamed', { name, title: String(data['title'] ?? '') });
    case 'session.settings_changed': {
      return settingsWords(live, name, (data['before'] ?? {}) as Partial<Settings>, (data['settings'] ?? {}) as Partial<Settings>);
    }
    case 'session.paused':
      return t('chat.notice_paused', { name });
    case 'session.resumed':
      return t('chat.notice_resumed', { name });
    case 'session.ending':
      return t('chat.notice_ending', { name });
    case 'session.expiry_changed': {
      const at = data['expires_at'];
      return typeof at === 'string' ? t('chat.notice_expiry', { name, time: clockTime(at) }) : t('chat.notice_no_expiry', { name });
    }
    case 'session.warned':
      return warningWords(String(data['limit']), clockTime(String(data['strikes_at'])));
    case 'session.detached':
      return byRule || data['why'] === 'nobody_left' ? t('chat.notice_left_alone') : t('chat.notice_detached', { name });
    case 'session.attached':
      return t('chat.notice_attached', { name: nameOf(about) });
    case 'session.work_done':
      return t('chat.notice_work_done', { n: Number(data['turns']) });
    case 'session.owner_changed':
      return t('chat.notice_owner', { name: nameOf(String(data['to'])) });
    case 'session.ended':
      if (data['state'] === 'failed') return t('chat.notice_failed');
      return byRule ? t('chat.notice_ended_by_rule') : t('chat.notice_ended', { name });
  }
}

/** Returns what will end the session, and when. */
export function warningWords(limit: string, time: string): string {
  return limit === 'idle' ? t('chat.notice_idle', { time }) : t('chat.notice_soon', { time });
}

function settingsWords(live: Names, name: string, before: Partial<Settings>, now: Partial<Settings>): string {
  const assistant = now.assistant ?? 'guide';
  if ((before.assistant ?? 'guide') !== assistant) return t('chat.notice_assistant', { name, assistant: assistantName(live.labelOf(assistant)) });
  const recording = now.recording ?? true;
  if ((before.recording ?? true) !== recording) return t(recording ? 'chat.notice_recording' : 'chat.notice_no_recording', { name });
  const memories = now.memories_to_assistants ?? false;
  if ((before.memories_to_assistants ?? false) !== memories) return t(memories ? 'chat.notice_memories' : 'chat.notice_no_memories', { name });
  return t('chat.notice_settings', { name });
}
