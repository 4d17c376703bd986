import { describe, expect, it } from 'vitest';
import type { LifeView, SessionView } from '../../session/protocol';
import { shortTime } from '../../ui/time';
import { fromField, joined, span, split, toField } from './duration';
import { closedWords, firstWarning, standing, stateWords } from './words';

const AT = '2026-11-20T10:00:00Z';
const session = (change: Partial<SessionView>) => ({ state: 'active', end_reason: null, ended_at: null, ...change }) as SessionView;
const quiet: LifeView = { paused: null, ending: null, cause: null, warnings: [], detached: null, report: null };
const name = () => 'Ana';

describe('how a session stands', () => {
  it('is said with who, since when and why', () => {
    const paused = { ...quiet, paused: { by: 'a', at: AT, reason: 'lunch' } };
    expect(stateWords(session({ state: 'paused' }), paused, name).slice(0, 2)).toEqual([`Ana paused this session at ${shortTime(AT)}.`, 'Why: lunch.']);
    expect(standing(session({ state: 'paused' }), paused)).toEqual({ words: 'paused', since: AT, tone: 'warn' });
    const failed = session({ state: 'failed', ended_at: AT });
    expect(stateWords(failed, { ...quiet, cause: 'The disk is full.' }, name)[0]).toContain('by a fault at');
    expect(stateWords(failed, { ...quiet, cause: 'The disk is full.' }, name)[0]).toContain('The disk is full. It can');
    expect(closedWords(failed)).toContain('stopped by a fault');
  });

  it('says of an end whether a limit made it', () => {
    const words = (end_reason: string) => stateWords(session({ state: 'completed', ended_at: AT, end_reason }), undefined, name)[0];
    expect(words('ended')).toMatch(/^This session ended at/);
    expect(words('expired')).toMatch(/^The time of this session was over/);
    expect(words('time_limit')).toMatch(/^The time of this session was over/);
    expect(words('idle_limit')).toContain('nothing happened');
  });

  it('is nothing while it is simply live, also after somebody has come back', () => {
    const detached = { since: AT, why: 'asked' as const, until: null, by: null, done: null };
    expect(standing(session({}), quiet)).toBeNull();
    expect(standing(session({}), { ...quiet, detached })?.words).toBe('works on alone');
    expect(standing(session({}), { ...quiet, detached: { ...detached, until: AT } })).toBeNull();
    expect(stateWords(session({}), quiet, name)).toEqual([]);
  });

  it('warns of what strikes first', () => {
    const warnings = [
      { limit: 'expiry' as const, strikes_at: '2026-11-20T12:00:00Z' },
      { limit: 'idle' as const, strikes_at: '2026-11-20T11:00:00Z' },
    ];
    expect(firstWarning({ ...quiet, warnings })?.limit).toBe('idle');
    expect(firstWarning(undefined)).toBeNull();
  });
});

describe('a limit', () => {
  it('is written in the largest unit in which it is whole, and read back as it was', () => {
    for (const seconds of [1, 59, 60, 90, 3600, 5400, 86_400, 31_536_000, null]) {
      const { amount, unit } = split(seconds);
      expect(joined(amount, unit)).toBe(seconds);
    }
    expect(split(5400)).toEqual({ amount: '90', unit: 'min' });
    expect(split(7200)).toEqual({ amount: '2', unit: 'h' });
    expect(joined('1,5', 'h')).toBe(5400);
  });

  it('is refused outside of its range, and where it is no number', () => {
    for (const [amount, unit] of [['0', 's'], ['-3', 'min'], ['366', 'd'], ['soon', 'h'], ['1e9', 'd']] as const) expect(joined(amount, unit), amount).toBeUndefined();
  });

  it('is said in its two largest units', () => {
    expect(span(0)).toBe('0 sec');
    expect(span(59_400)).toBe('59 sec');
    expect(span(3_600_000)).toBe('1 hr');
    expect(span(7_500_000)).toBe('2 hr 5 min');
    expect(span(90_061_000)).toBe('1 day 1 hr');
  });

  it('keeps a moment through its field, to the minute', () => {
    expect(fromField(toField(AT))).toBe('2026-11-20T10:00:00.000Z');
    expect(toField(null)).toBe('');
    expect(fromField('')).toBeNull();
  });
});
