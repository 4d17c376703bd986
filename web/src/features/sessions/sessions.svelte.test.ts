import { flushSync, untrack } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SessionList } from './sessions.svelte';

const item = (id: string, title: string) => ({ id, title, state: 'active', online: [], online_count: 0 });
const answer = (...items: object[]) => Promise.resolve(new Response(JSON.stringify({ items }), { status: 200 }));

afterEach(() => vi.unstubAllGlobals());

describe('the list of sessions', () => {
  it('says of an open session what is known there, and again after each reading, without end to neither', async () => {
    vi.stubGlobal('fetch', () => answer(item('a', 'New session'), item('b', 'Other')));
    const list = new SessionList();
    let runs = 0;
    const stop = $effect.root(() => {
      $effect(() => {
        void list.loads;
        runs += 1;
        untrack(() => list.now('a', { title: 'A table for six' }));
      });
    });
    await list.load();
    flushSync();
    expect(list.items?.map((one) => one.title)).toEqual(['A table for six', 'Other']);
    await list.load();
    flushSync();
    expect(list.items?.map((one) => one.title)).toEqual(['A table for six', 'Other']);
    expect(runs).toBeLessThan(6);
    stop();
  });

  it('narrows at once to what is searched, and an answer to an older search is not taken', async () => {
    let late: (response: Response) => void = () => {};
    vi.stubGlobal('fetch', (url: string) => (url.includes('search=') ? answer(item('b', 'Other')) : new Promise((done) => (late = done))));
    const list = new SessionList();
    const first = list.load();
    list.search = 'oth';
    await list.load();
    late(new Response(JSON.stringify({ items: [item('a', 'Old')] })));
    await first;
    expect(list.items?.map((one) => one.title)).toEqual(['Other']);
    list.search = 'nothing';
    expect(list.items).toEqual([]);
    list.forget();
  });
});
