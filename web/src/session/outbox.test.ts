import { beforeEach, describe, expect, it } from 'vitest';
import { forgetAll, Outbox, type Unsent } from './outbox';
import { uuidv7 } from './uuid';

const entry = (key: string): Unsent => ({ key, stream: 'main', name: 'message.post', data: { text: key }, at: 1 });

describe('the outbox', () => {
  beforeEach(() => localStorage.clear());

  it('gives back what was stored, in order, to the same user and session only', () => {
    const keys = [uuidv7(), uuidv7(), uuidv7()];
    const outbox = new Outbox('ana', 's1');
    for (const key of [...keys].reverse()) expect(outbox.put(entry(key))).toBe(true);
    expect(new Outbox('ana', 's1').load().map((e) => e.key)).toEqual(keys);
    expect(new Outbox('ben', 's1').load()).toEqual([]);
    expect(new Outbox('ana', 's2').load()).toEqual([]);
    outbox.remove(keys[1]!);
    expect(outbox.load().map((e) => e.key)).toEqual([keys[0], keys[2]]);
  });

  it('works without storage, and passes over what it cannot read', () => {
    const none = new Outbox('ana', 's1', null);
    expect(none.put(entry('a'))).toBe(false);
    expect(none.load()).toEqual([]);
    localStorage.setItem('roundtable/unsent/ana/s1/x', 'no json');
    localStorage.setItem('roundtable/unsent/ana/s1/y', 'null');
    expect(new Outbox('ana', 's1').load()).toEqual([]);
  });
});

it('forgets all that is Roundtable\'s, and nothing else', () => {
  new Outbox('ana', 's1').put(entry('a'));
  localStorage.setItem('roundtable/draft/s1/main', 'half');
  localStorage.setItem('another', 'stays');
  forgetAll();
  expect(Object.keys(localStorage)).toEqual(['another']);
  localStorage.clear();
});

describe('keys', () => {
  it('are UUIDv7 and sort as they were made, also when the clock stands still or goes back', () => {
    const keys = Array.from({ length: 5000 }, (_, i) => uuidv7(1_800_000_000_000 - (i % 3)));
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect([...keys].sort()).toEqual(keys);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
