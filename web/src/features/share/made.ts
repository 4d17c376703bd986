/**
 * Links that this page has made: their addresses come once, so they are kept while the page is open.
 * Opening Share twice gives the same link, not a second one in the list.
 */

import type { Id, Role } from '../../session/protocol';

const made = new Map<string, { id: Id; url: string }>();
const of = (session: Id, role: Role) => `${session} ${role}`;

export function remembered(session: Id, role: Role): { id: Id; url: string } | null {
  return made.get(of(session, role)) ?? null;
}

export function remember(session: Id, role: Role, link: { id: Id; url: string }): void {
  made.set(of(session, role), link);
}

/** Forgets a link that has been revoked. */
export function forgetLink(id: Id): void {
  for (const [key, link] of made) if (link.id === id) made.delete(key);
}

/** For when somebody logs out. */
export function forgetLinks(): void {
  made.clear();
}
