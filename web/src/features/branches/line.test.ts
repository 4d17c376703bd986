import { describe, expect, it } from 'vitest';
import type { Branch, MessageView } from '../../session/protocol';
import { type Held, nested, Tree } from './line';

const NOTHING = '00000000-0000-0000-0000-000000000000';
const message = (n: number, parent?: string): MessageView =>
  ({ id: `m${n}`, n, seq: n + 2, author: 'ana', at: '', text: '', reply_to: null, mentions: [], ask: false, edited: false, redacted: false, decision: false, answer: null, ...(parent ? { parent } : {}) }) as MessageView;
const held = (messages: MessageView[], from = 0, count = messages.length): Held => ({ stream: { head: 0, count, messages: messages.slice(from) }, pages: new Map() });
const shown = (tree: Tree, head: string | null, count: number) => {
  const line = tree.line(head);
  return Array.from({ length: count }, (_, n) => n).filter((n) => !line?.hides(n));
};

// 0 1 2 3, and from 1 another way: 4 6; 5 follows 3; 7 says 0 in other words.
const all = [message(0), message(1), message(2), message(3), message(4, 'm1'), message(5, 'm3'), message(6, 'm4'), message(7, NOTHING)];

describe('the line of a head', () => {
  it('is everything where nothing was ever said beside something', () => {
    expect(new Tree(held(all.slice(0, 4))).line('m3')).toBeNull();
  });

  it('is the head and what it follows, and nothing of other ways', () => {
    const tree = new Tree(held(all));
    expect(shown(tree, 'm5', 8)).toEqual([0, 1, 2, 3, 5]);
    expect(shown(tree, 'm6', 8)).toEqual([0, 1, 4, 6]);
    expect(shown(tree, 'm7', 8)).toEqual([7]);
    expect(shown(tree, null, 8)).toEqual([]);
    const line = tree.line('m6')!;
    expect([line.count, line.place(0), line.place(4), line.last?.id, line.has('m4'), line.has('m2')]).toEqual([4, 0, 2, 'm6', true, false]);
  });

  it('hides what lies behind a head that was moved back', () => {
    expect(shown(new Tree(held(all.slice(0, 4))), 'm1', 4)).toEqual([0, 1]);
  });

  it('keeps what is not loaded as rows until it is', () => {
    const tree = new Tree(held(all, 3));
    expect(shown(tree, 'm5', 8)).toEqual([0, 1, 2, 3, 5]);
    // What 4 follows is not held: it lies somewhere below.
    expect(shown(tree, 'm6', 8)).toEqual([0, 1, 2, 4, 6]);
    expect(shown(tree, 'm1', 8)).toEqual([0, 1, 2]);
  });

  it('knows what stands beside a message, and whether a head leads through it', () => {
    const tree = new Tree(held(all));
    expect(tree.siblings('m4')).toEqual(['m2', 'm4']);
    expect(tree.siblings('m2')).toEqual(['m2', 'm4']);
    expect(tree.siblings('m0')).toEqual(['m0', 'm7']);
    expect(tree.siblings('m3')).toEqual(['m3']);
    expect([tree.leads('m6', 'm4'), tree.leads('m6', 'm1'), tree.leads('m5', 'm4'), tree.leads(null, 'm1')]).toEqual([true, true, false, false]);
    expect(tree.end('m4')).toBe('m6');
    expect(tree.end('m2')).toBe('m5');
  });
});

describe('branches in a list', () => {
  it('stand under the one that they left', () => {
    const branch = (id: string, from_branch: string | null) => ({ id, from_branch }) as Branch;
    const list = [branch('main', null), branch('b', 'main'), branch('c', 'main'), branch('d', 'b'), branch('lost', 'gone')];
    expect(nested(list).map(({ branch, depth }) => [branch.id, depth])).toEqual([['main', 0], ['b', 1], ['d', 2], ['c', 1], ['lost', 0]]);
  });
});
