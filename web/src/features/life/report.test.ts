import { afterEach, describe, expect, it, vi } from 'vitest';
import { speak } from '../../app/i18n';
import type { Report } from '../../session/protocol';
import { fileName, gather, markdownOf, withAssistant, type Told } from './report';

const AT = '2026-11-20T10:00:00Z';
const report: Report = {
  state: 'completed',
  reason: 'ended',
  started_at: AT,
  ended_at: AT,
  duration_ms: 7_500_000,
  paused_ms: 60_000,
  participants: [
    { participant: 'a', kind: 'user', role: 'owner', messages: 3 },
    { participant: 'gone', kind: 'user', role: 'viewer', messages: 0 },
  ],
  messages: 3,
  turns: { asked: 2, completed: 1, stopped: 0, failed: 0, lost: 0, withdrawn: 1 },
  decisions: ['m1', 'm2'],
  usage: [{ driver: 'model', answers: 1, usage: { input_uncached: 1000, cache_read: 200, cache_write: 34, output: 50, reasoning: 0, source: 'estimated' } }],
  context: { writes: 7, conflicts: 3, resolved: 2, values: 21, size_bytes: 2048 },
  events: 12,
};
const told: Told = {
  session: { id: 's', title: 'A | table\n# for six', recording: true, assistant: 'guide' },
  isFinal: true,
  report,
  people: new Map([['a', { display_name: 'Ana <b>|', colour: 0, kind: 'user' }]]),
  decisions: [{ id: 'm1', by: 'Ana', at: AT, text: 'Oak.\n\n# 30 mm', redacted: false }],
  summary: { text: 'They chose oak.\n# Not a heading', label: 'llama3.2', by_rules: false, made_at: AT },
  raw: {},
};

afterEach(async () => {
  vi.unstubAllGlobals();
  await speak('en');
});

describe('the report', () => {
  it('calls what answers as it is called elsewhere', () => {
    const people = new Map([...told.people, ['b', { display_name: 'Assistant', colour: 0, kind: 'agent' as const }]]);
    const names = [...withAssistant({ ...told, people }, 'Guide').people.values()].map((one) => one.display_name);
    expect(names).toEqual(['Ana <b>|', 'Guide']);
  });
});

describe('the report as a text', () => {
  it('holds every figure, and quotes what people wrote so that it cannot break out', () => {
    const text = markdownOf(told);
    expect(text).toContain('# Report: A \\| table \\# for six\n');
    expect(text).toContain('- Lasted: 2 hr 5 min (of it paused 1 min)');
    expect(text).toContain('> Oak.\n>\n> # 30 mm\n>\n> - Ana,');
    expect(text).toContain('## Summary\n\n> They chose oak.\n> # Not a heading\n\n*By llama3.2, an AI model.');
    expect(text).toContain('and 1 more');
    expect(text).toContain('| Ana \\<b\\>\\| | Owner | 3 |');
    expect(text).toContain('| Somebody | Viewer | 0 |');
    expect(text).toContain('- Answered: 1\n- Taken back: 1');
    expect(text).toContain('## Shared context\n\n- Writes: 7\n- Open conflicts: 1 of 3\n- Values: 21\n- Size in bytes: 2,048\n');
    expect(text).toContain('| Model | 1 | 1,234 | 50 |');
    expect(text).toContain('Unit: tokens. Estimated.');
    expect(text).toContain('the 12 events of the log');
  });

  it('says nothing of a context that nobody has written, nor of one that was not counted', () => {
    for (const context of [undefined, { writes: 0, conflicts: 0, resolved: 0, values: 0, size_bytes: 2 }])
      expect(markdownOf({ ...told, report: { ...report, context } })).not.toContain('Shared context');
  });

  it('is in the language of the page', async () => {
    await speak('de');
    expect(markdownOf(told)).toContain('## Beschlüsse');
  });

  it('is saved under a name that every system takes', () => {
    expect(fileName('Größe: 3/4 “Tisch”', 'md')).toMatch(/^report-[\p{L}\p{M}\p{N}-]+\.md$/u);
    expect(fileName('', 'json')).toBe('report.json');
  });
});

describe('what the report needs', () => {
  it('names also those who have left, by their last name, and does without a decision that cannot be read', async () => {
    const joined = { kind: 'participant.joined', seq: 2, data: { participant: { id: 'a', display_name: 'Anna', colour: 1, kind: 'user' } } };
    const renamed = { kind: 'participant.profile_changed', seq: 5, data: { participant: 'a', display_name: 'Ana', colour: 2 } };
    const bodies: [RegExp, unknown][] = [
      [/\/report$/, { is_final: true, report }],
      [/\/events\?.*kind=participant/, { epoch: 'e', head: 9, events: [joined, renamed] }],
      [/\/messages\/m1$/, { stream: 'main', message: { author: 'a', answer: null, at: AT, text: 'Oak.', redacted: false } }],
      [/\/sessions\/s$/, { id: 's', title: '', settings: { recording: false } }],
    ];
    vi.stubGlobal('fetch', (url: string) => {
      const body = bodies.find(([path]) => path.test(url))?.[1];
      return Promise.resolve(new Response(JSON.stringify(body ?? {}), { status: body ? 200 : 404 }));
    });
    const all = await gather('s');
    expect(all.people.get('a')).toMatchObject({ display_name: 'Ana', colour: 2 });
    expect(all.decisions.map((one) => [one.id, one.by])).toEqual([['m1', 'Ana']]);
    expect(all.session).toEqual({ id: 's', title: 'New session', recording: false, assistant: 'guide' });
  });
});
