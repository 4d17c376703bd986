import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as api from './client';
import { ApiError, problemOf } from './problem';

const answers = (status: number, body: unknown, type = 'application/json') =>
  vi.fn<typeof fetch>(() =>
    Promise.resolve(
      new Response(body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body), {
        status,
        headers: { 'content-type': type },
      }),
    ),
  );

describe('calls', () => {
  beforeEach(() => vi.unstubAllGlobals());

  it('send a key with each POST, the same for the same deed', async () => {
    const fetch = answers(201, { id: 's1' });
    vi.stubGlobal('fetch', fetch);
    await api.newSession('Plans', 'key-1');
    const [url, request] = fetch.mock.calls[0]!;
    expect(url).toBe('/api/v1/sessions');
    expect(request).toMatchObject({ method: 'POST', body: '{"title":"Plans"}' });
    expect(request!.headers).toMatchObject({ 'idempotency-key': 'key-1', 'content-type': 'application/json' });
    await api.newLink('s1', 'viewer');
    await api.newLink('s1', 'viewer');
    const keys = fetch.mock.calls.slice(1).map(([, r]) => (r!.headers as Record<string, string>)['idempotency-key']);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys[0]).not.toBe(keys[1]);
  });

  it('throw the problem that the server tells', async () => {
    const problem = { type: '/api/problems#link_ended', title: 'Ended', status: 410, detail: 'Gone', code: 'link_ended', retryable: false };
    vi.stubGlobal('fetch', answers(410, problem, 'application/problem+json'));
    const error = await api.join({ link: 'x' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(problemOf(error)).toEqual(problem);
  });

  it('tell a server that is away from one that answers strangely', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('network')));
    expect(problemOf(await api.sessions().catch((e: unknown) => e))).toMatchObject({ code: 'offline', retryable: true });
    vi.stubGlobal('fetch', answers(502, '<html>bad gateway</html>', 'text/html'));
    expect(problemOf(await api.sessions().catch((e: unknown) => e))).toMatchObject({ code: 'strange_answer', status: 502 });
  });

  it('know nobody as null, and any other refusal as a problem', async () => {
    const problem = { type: 'x', title: 'x', status: 401, detail: 'x', code: 'not_logged_in', retryable: false };
    vi.stubGlobal('fetch', answers(401, problem));
    expect(await api.me()).toBeNull();
    vi.stubGlobal('fetch', answers(503, { ...problem, status: 503, code: 'unavailable' }));
    await expect(api.me()).rejects.toBeInstanceOf(ApiError);
    vi.stubGlobal('fetch', answers(200, { user: { id: 'u', display_name: 'Ana', guest: false } }));
    expect(await api.me()).toMatchObject({ user: { display_name: 'Ana' } });
  });

  it('make no answer of an empty one', async () => {
    vi.stubGlobal('fetch', answers(204, undefined));
    expect(await api.logOut()).toBeUndefined();
  });
});
