/** A session played again, in every state. */

import type { View } from '../session/protocol';
import { branchStage } from './branches';
import type { Story } from './list';
import { type Answer, ANA, at, SESSION, talk, view } from './world';

const path = `/s/${SESSION}/replay`;
const { branches, happenings } = branchStage;
const first = view();
const forked = { ...first, branching: { branches: branches.slice(0, 1), focus: null, checkpoints: [] } } as View;
const eventsOf = (all: typeof talk) => all.map((one, i) => ({ seq: i + 2, id: `01900000-0000-7000-8000-0000000040${10 + i}`, stream: 'main', actor: ANA, at: at(10, 2, i * 3), ...one, ...(one.time ? { at: one.time } : {}) }));
const marks = (all: typeof talk) => [
  { seq: 1, at: at(9, 58), kind: 'session.started' },
  ...eventsOf(all).flatMap(({ seq, at: time, kind, data }) =>
    kind === 'turn.started' || kind === 'branch.created' ? [{ seq, at: time, kind, name: 'name' in data ? data.name : null }] : [],
  ),
  { seq: all.length, at: at(10, 4), kind: 'checkpoint.created', name: 'Before the prices' },
];
const played = (all: typeof talk, start: View): [RegExp, Answer][] => [
  [/GET .*\/timeline/, { head: all.length + 1, first_at: at(9, 58), last_at: at(10, 10), points: eventsOf(all).map(({ seq, at: time }) => ({ seq, at: time })), markers: marks(all), markers_left_out: 0 }],
  [/GET .*\/state\?/, { epoch: 'abcdefghijkm', at: { main: 1, side: 0 }, time: at(9, 58), hash: '', view: start }],
  [/GET .*\/events\?.*stream=side/, { epoch: 'abcdefghijkm', head: 0, events: [] }],
  [/GET .*\/events\?.*after=1\b/, { epoch: 'abcdefghijkm', head: all.length + 1, events: eventsOf(all) }],
];
const plain = played(talk, first);
const several: [RegExp, Answer][] = [...played(happenings, forked), [/GET .*\/branches$/, { items: branches, focus: null }]];
const step = 'footer button:nth-of-type(3):not(:disabled)';
const steps = (n: number) => Array.from({ length: n }, () => step);
const problem = (status: number, code: string, title: string, detail: string) => ({ status, problem: { code, title, detail } });

export const replayStories: Story[] = [
  { id: 'replay', path, answers: plain, clicks: steps(7) },
  { id: 'replay-start', path, answers: plain },
  { id: 'replay-marks', path, answers: plain, clicks: [...steps(3), 'footer summary'] },
  { id: 'replay-branch', path: `${path}?branch=${branches[1]!.id}`, answers: several, clicks: steps(7) },
  { id: 'replay-branch-later', path: `${path}?branch=${branches[1]!.id}`, answers: several, clicks: steps(2) },
  { id: 'replay-loading', path, answers: [[/timeline/, 'never']] },
  { id: 'replay-not-recorded', path, answers: [[/timeline/, problem(409, 'not_recorded', 'The session is not recorded', '')]] },
];
