/** The shared context in every state. */

import type { Story } from './list';
import { type Answer, ANA, at, BEN, CHIOMA, GUIDE, SESSION, talk, view } from './world';

const path = `/s/${SESSION}`;
const event = (n: number) => `01900000-0000-7000-8000-0000000009${String(n).padStart(2, '0')}`;
const REASON =
  'Oak carries a table for six at 30 mm. Beech is half the price, but reddens; larch stays soft and shows every mark. The top has to be free to move with the seasons, so it is bolted through slots and not glued. Oil it twice before it goes near a stove, and once a year from then on.';
const value = {
  goal: 'A table for six, until Friday',
  wood: { chosen: 'oak', price_eur: 180, why: REASON },
  steps: [
    { id: 'order', title: 'Order the boards', who: 'Chioma', done: true },
    { id: 'plane', title: 'Plane and glue the top', who: 'Ben', done: false },
    { id: 'oil', title: 'Oil it twice', who: null, done: false },
  ],
  open_questions: ['Which oil?', 'Does it fit through the door?'],
  budget: 420,
};
const write = (version: number, by: string, minute: number, paths: string[], reverts: string[] = []) => ({ version, event: event(version), by, at: at(9, minute), base: version - 1, reverts, paths });
const items = [
  write(9, BEN, 58, ['/steps/@order/done']),
  write(8, ANA, 54, ['/budget'], [event(6)]),
  write(7, GUIDE, 50, ['/wood/price_eur', '/wood/why']),
  write(6, BEN, 44, ['/budget']),
  write(5, CHIOMA, 41, ['/steps/@order', '/steps/@plane', '/steps/@oil', '/open_questions']),
  write(4, ANA, 40, ['/goal', '/wood', '/budget']),
];
const conflict = { path: '/wood/chosen', op_index: 0, base_version: 4, yours: 'beech', current: 'oak', current_version: 5, by: BEN, at: at(9, 58), event: event(9), reason: 'written' };
const waiting = [{ id: event(30), author: CHIOMA, since: at(9, 59), wanted: { op: 'replace', path: '/wood/chosen', value: 'larch, it is the cheapest' }, conflict }];
const answers: [RegExp, Answer][] = [
  [/GET .*\/context\?version=/, { version: 5, value: { ...value, wood: { chosen: 'beech' }, budget: 400, goal: 'A table for eight' } }],
  [/GET .*\/context$/, { version: 9, value }],
  [/GET .*\/context\/history/, { items }],
  [/GET .*\/context\/conflicts/, { items: waiting }],
  [/GET .*\/events\?/, { epoch: '', head: 9, events: [{ kind: 'context.patched', stream: 'main', seq: 9, id: event(9), actor: BEN, at: at(9, 58), data: { ops: [{ op: 'replace', path: '/steps/0/done', value: true, was: false }] } }] }],
  [
    /PATCH .*\/context/,
    {
      status: 409,
      problem: {
        code: 'context_conflict',
        title: 'Somebody else has written there since',
        detail: '',
        version: 9,
        conflicts: [{ ...conflict, path: '/goal', current: 'A table for eight, until Friday' }],
        suggestion: [],
      } as never,
    },
  ],
];
const empty: [RegExp, Answer][] = [
  [/GET .*\/context$/, { version: 0, value: {} }],
  [/GET .*\/context\/history/, { items: [] }],
];
const stage = { view: { ...view(), context: { version: 9, conflicts: [] } }, happenings: talk };
const open = ['header button:has([data-colour])', '[role="tab"]:nth-child(3)'];
const row = (address: string) => `[data-address="${address}"] > div`;
const reader = { role: 'viewer' as const, can: ['session_view' as const] };

export const contextStories: Story[] = [
  { id: 'context', path, stage, answers, clicks: [...open, row('/wood/why')] },
  { id: 'context-empty', path, stage: { happenings: talk }, answers: empty, clicks: open },
  { id: 'context-add', path, stage: { happenings: talk }, answers: empty, clicks: [...open, '[data-context] h3 ~ div button'] },
  { id: 'context-edit', path, stage, answers, clicks: [...open, row('/wood'), '[data-detail] button:first-child'] },
  { id: 'context-clash', path, stage, answers, clicks: [...open, row('/goal'), '[data-detail] button:first-of-type', '[data-value-form] button[type="submit"]', '[data-clash]'] },
  { id: 'context-conflicts', path, stage: { ...stage, view: { ...view(), context: { version: 9, conflicts: [event(30)] } } }, answers, clicks: open },
  { id: 'context-history', path, stage, answers, clicks: [...open, '[data-context] button:last-of-type'] },
  { id: 'context-take-back', path, stage, answers, clicks: [...open, '[data-context] button:last-of-type', '[data-write="9"] button', '[data-preview]'] },
  { id: 'context-back-to', path, stage, answers, clicks: [...open, '[data-context] button:last-of-type', '[data-write="5"] button:last-of-type', '[data-preview] li:last-child label'] },
  { id: 'context-reader', path, stage: { ...stage, ...reader }, answers, clicks: [...open, row('/steps/@plane')] },
  { id: 'context-loading', path, stage, answers: [[/GET .*\/context/, 'never']], clicks: open },
  { id: 'context-problem', path, stage, answers: [[/GET .*\/context/, { status: 503, problem: { code: 'unavailable', title: 'The store cannot write now', detail: '' } }]], clicks: open },
  { id: 'context-reconnecting', path, stage: { ...stage, socket: 'breaks' }, answers, clicks: open },
];
