/** Which screen an address means. */

export type Route =
  | { screen: 'start' }
  | { screen: 'join'; token: string }
  | { screen: 'session'; id: string }
  | { screen: 'replay'; id: string; from: number }
  | { screen: 'report'; id: string }
  | { screen: 'nowhere' };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function routeOf(pathname: string, hash: string, search = ''): Route {
  const path = pathname.replace(/\/+$/, '');
  if (path === '') return { screen: 'start' };
  if (path === '/join') return { screen: 'join', token: tokenOf(hash) };
  const replay = /^\/s\/([^/]+)\/replay$/.exec(path)?.[1]?.toLowerCase();
  if (replay && UUID.test(replay)) return { screen: 'replay', id: replay, from: seqOf(new URLSearchParams(search).get('t')) };
  const report = /^\/s\/([^/]+)\/report$/.exec(path)?.[1]?.toLowerCase();
  if (report && UUID.test(report)) return { screen: 'report', id: report };
  const id = /^\/s\/([^/]+)$/.exec(path)?.[1]?.toLowerCase();
  return id && UUID.test(id) ? { screen: 'session', id } : { screen: 'nowhere' };
}

/** Returns the seq that a link to a moment names; the start when it names none. */
function seqOf(text: string | null): number {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

/** Returns the token of a link's fragment; a fragment never reaches a server or its log. */
export function tokenOf(hash: string): string {
  const raw = hash.replace(/^#/, '').trim();
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}

/** Returns the token of whatever somebody pasted: a whole link, or the token alone. Empty: nothing usable. */
export function tokenOfPasted(text: string): string {
  const trimmed = text.trim();
  const mark = trimmed.indexOf('#');
  if (mark >= 0) return tokenOf(trimmed.slice(mark));
  return /^[\w-]+$/.test(trimmed) ? trimmed : '';
}

/** Returns whether a token is a share code: six characters, where a link's secret has many more. */
export function isCode(token: string): boolean {
  return /^[A-Za-z0-9]{6}$/.test(token);
}

/** Goes to another screen of this page. */
export function go(path: string, replace = false): void {
  if (replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  dispatchEvent(new PopStateEvent('popstate'));
}
