import { describe, expect, it } from 'vitest';
import { isCode, routeOf, tokenOfPasted } from './routes';

const ID = '01900000-0000-7000-8000-000000000001';

describe('addresses', () => {
  it('name their screens', () => {
    expect(routeOf('/', '')).toEqual({ screen: 'start' });
    expect(routeOf('/join', '#abc_-9')).toEqual({ screen: 'join', token: 'abc_-9' });
    expect(routeOf('/join/', '')).toEqual({ screen: 'join', token: '' });
    expect(routeOf(`/s/${ID.toUpperCase()}`, '')).toEqual({ screen: 'session', id: ID });
    expect(routeOf('/s/not-an-id', '')).toEqual({ screen: 'nowhere' });
    expect(routeOf(`/s/${ID}/more`, '')).toEqual({ screen: 'nowhere' });
  });

  it('give up their token in whatever shape they were pasted', () => {
    expect(tokenOfPasted(' http://127.0.0.1:8080/join#abc_-9 ')).toBe('abc_-9');
    expect(tokenOfPasted('abc_-9')).toBe('abc_-9');
    expect(tokenOfPasted('#%41bc')).toBe('Abc');
    expect(tokenOfPasted('#%E0%A4%A')).toBe('%E0%A4%A');
    expect(tokenOfPasted('http://127.0.0.1:8080/join')).toBe('');
    expect(tokenOfPasted('')).toBe('');
  });

  it('tell a code from a link', () => {
    expect(isCode('ABC234')).toBe(true);
    expect(isCode('abc234')).toBe(true);
    expect(isCode('ABC23')).toBe(false);
    expect(isCode('r7V3aXwqk0v1Zb2mJ9cQ4g')).toBe(false);
  });
});
