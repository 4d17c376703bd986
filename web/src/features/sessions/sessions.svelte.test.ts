import { flushSync, untrack } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { toasts } from '../../ui/toasts.svelte';
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

  it('tells once, to whoever looks, that a session that works on alone is done', async () => {
    const alone = { ...item('a', 'A table'), is_active: true, detached_at: '2026-11-20T10:00:00Z' };
    let isDone = false;
    vi.stubGlobal('fetch', () => answer(isDone ? { ...alone, work_done: true } : alone));
    const list = new SessionList();
    await list.load();
    expect(list.aloneCount).toBe(1);
    expect(toasts.list).toEqual([]);
    isDone = true;
    await list.load();
    await list.load();
    expect(toasts.list.map((one) => one.text)).toEqual(['“A table” has done what was asked of it']);
  });

  it('asks for those alone when only they are wanted', async () => {
    const asked: string[] = [];
    vi.stubGlobal('fetch', (url: string) => (asked.push(url), answer()));
    const list = new SessionList();
    list.alone = true;
    await vi.waitUntil(() => list.items !== null);
    list.forget();
    expect(asked[0]).toContain('detached=true');
    expect(list.alone).toBe(false);
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
