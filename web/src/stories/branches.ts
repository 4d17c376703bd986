/** Branches in every state. */

import type { Branch } from '../session/protocol';
import type { Story } from './list';
import { type Answer, ANA, at, BEN, CHIOMA, type Happening, SESSION, talk, view } from './world';

const path = `/s/${SESSION}`;
const id = (n: number) => `01900000-0000-7000-8000-0000000030${String(n).padStart(2, '0')}`;
const [BEECH, LARCH, OLD] = [id(90), id(91), id(92)] as const;
const say = (n: number, actor: string, text: string, minute: number, data: object = {}, branch?: string): Happening =>
  ({ kind: 'message.posted', actor, time: at(10, minute), id: id(n), data: { text, ...data }, ...(branch ? { branch } : {}) }) as Happening;
const begun = (branch: string, name: string, actor: string, minute: number, fork: number, head: number, from = ANA): Happening =>
  ({ kind: 'branch.created', actor, time: at(10, minute), data: { branch, name, from_branch: from, fork_message: id(fork), fork_seq: fork, head: id(head) } }) as Happening;
const main: Branch = { id: ANA, name: 'main', head: null, from_branch: null, fork_message: null, fork_seq: 0, by: ANA, at: at(9, 58), archived: false };
const happenings: Happening[] = [
  say(1, ANA, 'We need a table for six, and we have until Friday.', 2),
  say(2, BEN, 'Then let us take oak: it carries anything.', 3),
  say(3, ANA, 'Oak it is. Who calls the sawmill?', 4),
  say(4, CHIOMA, 'Beech would cost half of that, and nobody sees the difference once it is oiled.', 6, { parent: id(1) }, BEECH),
  begun(BEECH, 'Beech instead', CHIOMA, 6, 1, 4),
  say(5, BEN, 'It reddens. But for half the money I would live with that; let us ask for a price.', 7, { parent: id(4) }, BEECH),
  say(6, ANA, 'Or larch, which we have already.', 8, { parent: id(1) }, LARCH),
  begun(LARCH, 'Larch from the shed, oiled twice and left in the sun', ANA, 8, 1, 6),
  begun(OLD, 'Steel', BEN, 9, 4, 5, BEECH),
  { kind: 'branch.archived', actor: BEN, time: at(10, 9), data: { branch: OLD, archived: true } } as Happening,
  { kind: 'branch.focused', actor: CHIOMA, time: at(10, 10), data: { branch: BEECH } } as Happening,
];
const named = (branch: string, name: string, by: string, minute: number, fork: number, head: number): Branch =>
  ({ ...main, id: branch, name, by, at: at(10, minute), from_branch: ANA, fork_message: id(fork), fork_seq: fork, head: id(head) });
/** What others tell of branches too. */
export const branchStage = { branches: [main, named(BEECH, 'Beech instead', CHIOMA, 6, 1, 5), named(LARCH, 'Larch from the shed, oiled twice and left in the sun', ANA, 8, 1, 6)], happenings };
const stage = { view: { ...view(), branching: { branches: [main], focus: null, checkpoints: [] } }, happenings };
const shown = (n: number, actor: string, text: string, minute: number) =>
  ({ id: id(n), n, seq: n + 1, author: actor, at: at(10, minute), text, reply_to: null, mentions: [], ask: false, edited: false, redacted: false, decision: false, answer: null });
const answers: [RegExp, Answer][] = [
  [
    /GET .*\/branches\/compare/,
    {
      ancestor: id(1),
      only_a: [shown(4, CHIOMA, 'Beech would cost half of that, and nobody sees the difference once it is oiled.', 6), shown(5, BEN, 'It reddens. But for half the money I would live with that; let us ask for a price.', 7)],
      only_b: [shown(2, BEN, 'Then let us take oak: it carries anything.', 3), shown(3, ANA, 'Oak it is. Who calls the sawmill?', 4)],
      count_a: 2,
      count_b: 2,
      context: { version_a: 9, version_b: 7, count: 2, differences: [{ path: '/wood/chosen', op: 'replace', a: 'beech', b: 'oak' }, { path: '/budget', op: 'remove', a: 210 }] },
    },
  ],
  [/POST .*\/merge/, { status: 409, problem: { code: 'head_moved', title: 'The branch has moved on', detail: '' } }],
];
const pick = '[data-branch] [aria-haspopup="menu"]';
const tab = (n: number) => `[data-branches] [role="tab"]:nth-child(${n})`;
const row = (branch: string) => `[data-branch-row="${branch}"] > div`;
const dialog = { path, stage, answers, dialog: 'branches' as const };

export const branchStories: Story[] = [
  { id: 'branch', path: `${path}?branch=${BEECH}`, stage },
  { id: 'branch-picker', path, stage, clicks: [pick] },
  { id: 'branch-main', path, stage, clicks: [pick, '[role="menu"] > :first-child > [role="menuitem"]:first-child'] },
  { id: 'branches', ...dialog, clicks: [row(LARCH)] },
  { id: 'branches-rename', ...dialog, clicks: [row(LARCH), '[data-branch-row] button:nth-child(5)'] },
  { id: 'branches-one', path, stage: { view: stage.view, happenings: talk }, dialog: 'branches' },
  { id: 'branches-archived', ...dialog, clicks: ['[data-branches] [role="switch"]'] },
  { id: 'branches-compare', ...dialog, clicks: [tab(2)] },
  { id: 'branches-compare-loading', ...dialog, answers: [[/compare/, 'never']], clicks: [tab(2)] },
  { id: 'branches-merge', ...dialog, clicks: [tab(3), '[data-merge] [type="checkbox"]'] },
  { id: 'branches-summary', ...dialog, clicks: [tab(3), '[data-merge] [value="summary"]', '[data-merge] [value="assistant"]'] },
  { id: 'branches-merge-problem', ...dialog, clicks: [tab(3), '[data-merge] [type="checkbox"]', '[data-merge] [type="submit"]'] },
  { id: 'branches-reader', ...dialog, stage: { ...stage, role: 'viewer', can: ['session_view'] } },
  { id: 'branches-ended', ...dialog, stage: { ...stage, happenings: [...happenings, { kind: 'session.ended', data: { state: 'completed', reason: 'ended' } } as Happening] } },
];
