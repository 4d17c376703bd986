/**
 * What a session came to: gathered, and as a text that can be kept.
 *
 * Owns: which calls it takes, and the Markdown. Must not know: how it looks in the page. What the server counted is not
 * counted again.
 */

import * as api from '../../api/client';
import { t } from '../../app/i18n';
import type { Id, Participant, Report, Usage } from '../../session/protocol';
import { count, exactTime } from '../../ui/time';
import { span } from './duration';

/** How many decisions are read out; the figures count them all. */
const MOST_DECISIONS = 40;

export interface Decision {
  id: Id;
  by: string;
  at: string;
  text: string;
  redacted: boolean;
}

export interface Told {
  session: { id: Id; title: string; recording: boolean; assistant: string };
  isFinal: boolean;
  report: Report;
  /** Everybody who was ever in it, by id. */
  people: ReadonlyMap<Id, Pick<Participant, 'display_name' | 'colour' | 'kind'>>;
  decisions: Decision[];
  /** The same in words, once somebody has asked for them. */
  summary: api.Summary | null;
  /** The answer of the server as it came, for those who compute with it. */
  raw: unknown;
}

/** Reads everything that the report of a session says. Throws what the calls throw. */
export async function gather(id: Id): Promise<Told> {
  const [session, answer, people] = await Promise.all([api.session(id), api.report(id), namesOf(id)]);
  const nameOf = (who: Id) => people.get(who)?.display_name ?? t('common.somebody');
  const decisions = await Promise.all(
    answer.report.decisions.slice(0, MOST_DECISIONS).map(async (which): Promise<Decision | null> => {
      try {
        const { message } = await api.message(id, which);
        const { author, answer: from, at, text, redacted } = message;
        return { id: which, by: from ? from.label : nameOf(author), at, text, redacted };
      } catch {
        return null;
      }
    }),
  );
  return {
    session: { id, title: session.title || t('shell.new_session_title'), recording: session.settings.recording ?? true, assistant: session.settings.assistant ?? 'guide' },
    isFinal: answer.is_final,
    report: answer.report,
    people,
    decisions: decisions.filter((one) => one !== null),
    summary: answer.summary ?? null,
    raw: answer,
  };
}

/** Returns the same with what answers called as it is called everywhere else. */
export function withAssistant(told: Told, name: string): Told {
  const people = [...told.people].map(([id, one]) => [id, one.kind === 'agent' ? { ...one, display_name: name } : one] as const);
  return { ...told, people: new Map(people) };
}

/** Those who have left are in no list any more, but in the log. */
async function namesOf(id: Id): Promise<Told['people']> {
  const people = new Map<Id, Pick<Participant, 'display_name' | 'colour' | 'kind'>>();
  for (let after = 0; ; ) {
    const { events, next } = await api.eventsOf(id, { kinds: ['participant.joined', 'participant.profile_changed'], after });
    for (const event of events) {
      if (event.kind === 'participant.joined') people.set(event.data.participant.id, event.data.participant);
      else if (event.kind === 'participant.profile_changed') {
        const { participant, display_name, colour } = event.data;
        people.set(participant, { kind: people.get(participant)?.kind ?? 'user', display_name, colour });
      }
    }
    if (!next || next <= after) return people;
    after = next;
  }
}

/** Returns how it ended, or that it goes on. */
export function endWords({ isFinal, report }: Pick<Told, 'isFinal' | 'report'>, timeWords: (at: string) => string): string {
  if (!isFinal) return t(report.state === 'failed' ? 'life.report_failed' : 'life.report_so_far');
  const time = timeWords(report.ended_at);
  if (report.state === 'terminated') return t('life.report_by_force', { time });
  if (report.reason === 'idle_limit') return t('life.report_idle', { time });
  return t(report.reason === 'expired' || report.reason === 'time_limit' ? 'life.report_expired' : 'life.report_ended', { time });
}

/** Returns what became of the questions, in the order of how good that is; only what there was. */
export function questions({ turns }: Report): { words: string; n: number }[] {
  return [
    { words: t('life.report_answered'), n: turns.completed },
    { words: t('life.report_stopped'), n: turns.stopped },
    { words: t('life.report_failures'), n: turns.failed },
    { words: t('life.report_lost'), n: turns.lost },
    { words: t('life.report_withdrawn'), n: turns.withdrawn },
  ].filter(({ n }) => n > 0);
}

/** Returns what was written to the shared context; nothing when nobody has. */
export function contextFigures({ context }: Report): { words: string; n: string }[] {
  if (!context || context.writes === 0) return [];
  return [
    { words: t('life.report_writes'), n: count(context.writes) },
    ...(context.conflicts > 0 ? [{ words: t('life.report_conflicts'), n: t('life.report_conflicts_of', { open: count(context.conflicts - context.resolved), all: count(context.conflicts) }) }] : []),
    { words: t('life.report_values'), n: count(context.values) },
    { words: t('life.report_size'), n: count(context.size_bytes) },
  ];
}

export const driverWords = (driver: string) => (driver === 'guide' ? `Guide - ${t('common.not_a_model')}` : driver === 'model' ? t('life.report_model') : driver);
export const inputOf = (usage: Usage) => usage.input_uncached + usage.cache_read + usage.cache_write;

/** Returns how far the tokens can be trusted: as far as the least certain ones. */
export function sourceWords({ usage }: Report): string {
  const sources = new Set(usage.map((one) => one.usage.source));
  return t(sources.has('unknown') ? 'life.report_unknown' : sources.has('estimated') ? 'life.report_estimated' : 'life.report_reported');
}

/** Returns who put the summary so, and how far it can be trusted. */
export const summaryNote = ({ by_rules, label }: api.Summary) => t(by_rules ? 'life.summary_by_rules' : 'life.summary_by_model', { name: label });

/** Nothing that people wrote may turn into a heading, a row or a link of the report. */
const plain = (text: string) => text.replace(/[\\`*_{}[\]<>#|~]/g, '\\$&').replace(/\s+/g, ' ').trim();
const quote = (text: string) =>
  text
    .split('\n')
    .map((line) => `> ${line}`.trimEnd())
    .join('\n');
const table = (head: string[], rows: string[][]) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** Returns the whole report as Markdown, in the language of the page. */
export function markdownOf(told: Told): string {
  const { report, people, decisions, session } = told;
  const nameOf = (id: Id) => plain(people.get(id)?.display_name ?? t('common.somebody'));
  const lasted = `${t('life.report_lasted')}: ${span(report.duration_ms)}${report.paused_ms > 0 ? ` (${t('life.report_paused')} ${span(report.paused_ms)})` : ''}`;
  const asked = questions(report);
  const written = contextFigures(report);
  const left = report.decisions.length - decisions.length;
  const parts = [
    `# ${t('life.report_title')}: ${plain(session.title)}`,
    endWords(told, exactTime),
    `- ${lasted}\n- ${t('life.report_messages')}: ${count(report.messages)}`,
    ...(told.summary ? [`## ${t('life.summary')}`, quote(told.summary.text), `*${plain(summaryNote(told.summary))}*`] : []),
    `## ${t('life.report_decisions')}`,
    ...(report.decisions.length === 0 ? [t('life.report_no_decisions')] : []),
    ...decisions.map((one) => `${one.redacted ? `> *${t('life.report_erased')}*` : quote(one.text)}\n>\n> - ${plain(one.by)}, ${exactTime(one.at)}`),
    ...(left > 0 ? [t('life.report_more_decisions', { n: left })] : []),
    `## ${t('life.report_people')}`,
    table(
      [t('life.report_who'), t('life.report_role'), t('life.report_wrote')],
      report.participants.map((one) => [nameOf(one.participant), t(`common.role_${one.role}`), count(one.messages)]),
    ),
    `## ${t('life.report_questions')}`,
    asked.length === 0 ? t('life.report_no_questions') : asked.map(({ words, n }) => `- ${words}: ${count(n)}`).join('\n'),
    ...(written.length === 0 ? [] : [`## ${t('life.report_context')}`, written.map(({ words, n }) => `- ${words}: ${n}`).join('\n')]),
    ...(report.usage.length === 0
      ? []
      : [
          `## ${t('life.report_usage')}`,
          table(
            [t('life.report_by'), t('life.report_answers'), t('life.report_input'), t('life.report_output')],
            report.usage.map(({ driver, answers, usage }) => [plain(driverWords(driver)), count(answers), count(inputOf(usage)), count(usage.output)]),
          ),
          t('life.report_tokens', { source: sourceWords(report) }),
        ]),
    t('life.report_countable', { n: report.events }),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** Hands a text to the browser as a file. */
export function save(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement('a'), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Returns a name that every file system takes. */
export function fileName(title: string, ending: string): string {
  const word = title.normalize('NFKD').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60);
  return `${t('life.report_file')}${word ? `-${word}` : ''}.${ending}`;
}
