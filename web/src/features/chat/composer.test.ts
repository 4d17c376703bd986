import { beforeEach, describe, expect, it } from 'vitest';
import { addressees, calls, Draft, fitting, obstacle, sends } from './composer';

const key = (change: Partial<KeyboardEvent>) => ({
  key: 'Enter',
  shiftKey: false,
  ctrlKey: false,
  altKey: false,
  isComposing: false,
  ...change,
});

describe('the composer', () => {
  beforeEach(() => localStorage.clear());

  it('sends with Enter alone', () => {
    expect(sends(key({}))).toBe(true);
    expect(sends(key({ shiftKey: true }))).toBe(false);
    expect(sends(key({ key: 'a' }))).toBe(false);
    expect(sends(key({ isComposing: true }))).toBe(false);
  });

  it('knows what cannot be sent', () => {
    expect(obstacle('')).toBe('empty');
    expect(obstacle(' \n\t')).toBe('empty');
    expect(obstacle('a'.repeat(65_536))).toBe('');
    expect(obstacle('a'.repeat(65_537))).toBe('too_long');
    expect(obstacle('ü'.repeat(32_769))).toBe('too_long');
    expect(obstacle('😀'.repeat(16_384))).toBe('');
    expect(obstacle('😀'.repeat(16_385))).toBe('too_long');
  });

  it('offers only what the role allows', () => {
    expect(addressees('main', ['message_post', 'turn_prompt'])).toEqual(['assistant', 'everyone']);
    expect(addressees('main', ['message_post'])).toEqual(['everyone']);
    expect(addressees('main', ['side_post', 'turn_prompt'])).toEqual([]);
    expect(addressees('side', ['side_post', 'turn_prompt'])).toEqual(['everyone']);
    expect(addressees('side', ['message_post'])).toEqual([]);
  });

  it('keeps a draft apart for each session and stream', () => {
    new Draft('s1', 'main').save('half a th');
    expect(new Draft('s1', 'main').load()).toBe('half a th');
    expect(new Draft('s1', 'side').load()).toBe('');
    expect(new Draft('s2', 'main').load()).toBe('');
    new Draft('s1', 'main').save('');
    expect(localStorage).toHaveLength(0);
    const none = new Draft('s1', 'main', null);
    none.save('x');
    expect(none.load()).toBe('');
  });
});

describe('a name in a text', () => {
  const guide = { name: 'Guide', alias: 'Assistant' };

  it('is found whole, in any case, by either name', () => {
    for (const text of ['@Guide help', 'so @guide?', '(@ASSISTANT)', 'hi @Guide']) expect(calls(text, guide), text).toBe(true);
    for (const text of ['@Guided tour', 'me@guide', 'Guide', '@Ana']) expect(calls(text, guide), text).toBe(false);
  });

  it('is proposed by either name', () => {
    const people = [{ id: 'a', colour: 0, isAgent: true, ...guide }, { id: 'b', colour: 1, isAgent: false, name: 'Gus', alias: 'Gus' }];
    expect(fitting(people, 'gu').map((one) => one.id)).toEqual(['a', 'b']);
    expect(fitting(people, 'assi').map((one) => one.id)).toEqual(['a']);
  });
});
