import { describe, expect, it } from 'vitest';
import { addresses, at, isLoopback, linkState, spaced, urlOf, ways } from './links';

const NOW = Date.parse('2026-11-20T10:00:00Z');
const link = { uses: 0, has_password: false };

describe('links', () => {
  it('have an address only when their secret came with them', () => {
    expect(urlOf({ url: 'https://a/join#x' }, 'http://b')).toBe('https://a/join#x');
    expect(urlOf({ token: 'x' }, 'http://b')).toBe('http://b/join#x');
    expect(urlOf({}, 'http://b')).toBeNull();
  });

  it('say when they work on this machine only', () => {
    expect(isLoopback('http://127.0.0.1:8080/join#x')).toBe(true);
    expect(isLoopback('http://[::1]:8080/join#x')).toBe(true);
    expect(isLoopback('http://localhost/join#x')).toBe(true);
    expect(isLoopback('http://192.168.1.2/join#x')).toBe(false);
  });

  it('say whether they still let people in', () => {
    expect(linkState(link, NOW)).toEqual({ works: true, words: 'not used yet' });
    expect(linkState({ ...link, uses: 1, last_used_at: '2026-11-20T08:00:00Z' }, NOW).words).toBe('used once, last 2 hr. ago');
    expect(linkState({ ...link, max_uses: 2, uses: 1 }, NOW)).toEqual({ works: true, words: 'used 1 of 2 times' });
    expect(linkState({ ...link, max_uses: 2, uses: 2 }, NOW).works).toBe(false);
    expect(linkState({ ...link, expires_at: '2026-11-20T10:00:00Z' }, NOW).words).toBe('expired');
    expect(linkState({ ...link, revoked_at: '2026-11-20T09:00:00Z' }, NOW).words).toBe('revoked');
  });

  it('can be had at each address of the server, those that others reach first', () => {
    const url = 'http://127.0.0.1:8080/join#x';
    expect(addresses(['http://127.0.0.1:8080', 'http://192.168.1.2:8080/', 'nonsense'], url)).toEqual([
      'http://192.168.1.2:8080',
      'http://127.0.0.1:8080',
    ]);
    expect(addresses(undefined, url)).toEqual(['http://127.0.0.1:8080']);
    expect(at('http://192.168.1.2:8080', url)).toBe('http://192.168.1.2:8080/join#x');
  });

  it('space a code as it is said', () => {
    expect(spaced('ABC234')).toBe('ABC 234');
  });
});

describe('the ways in', () => {
  it('are the roles that links give and the code, those that allow most first', () => {
    const links = [{ role: 'viewer' as const }, { role: 'collaborator' as const }, { role: 'viewer' as const }];
    expect(ways(links, 'K7MPQ3').map(({ key, count }) => [key, count])).toEqual([
      ['link-collaborator', 1],
      ['link-viewer', 2],
      ['code', 1],
    ]);
    expect(ways([], null)).toEqual([]);
  });
});
