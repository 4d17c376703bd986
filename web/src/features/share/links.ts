/** What a link's fields mean for people. */

import type { Link, NewLink } from '../../api/client';
import { t } from '../../app/i18n';
import type { Role } from '../../session/protocol';
import { ago, exactTime } from '../../ui/time';

/** Returns the address of a link that was just made; null when its secret was shown before. */
export function urlOf(link: Pick<NewLink, 'url' | 'token'>, origin: string): string | null {
  if (link.url) return link.url;
  return link.token ? `${origin}/join#${encodeURIComponent(link.token)}` : null;
}

export function isLoopback(url: string): boolean {
  const host = new URL(url).hostname;
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}

/** Returns the same link at another address of the server. */
export function at(origin: string, url: string): string {
  const link = new URL(url);
  return `${new URL(origin).origin}${link.pathname}${link.search}${link.hash}`;
}

/** Returns the addresses worth offering, the one that most others can reach first. */
export function addresses(reachable: readonly string[] | undefined, url: string): string[] {
  const origins = [...new Set([new URL(url).origin, ...(reachable ?? []).filter((one) => URL.canParse(one)).map((one) => new URL(one).origin)])];
  return origins.sort((a, b) => Number(isLoopback(a)) - Number(isLoopback(b)));
}

/** Returns a code as it is said aloud. */
export function spaced(code: string): string {
  return `${code.slice(0, 3)} ${code.slice(3)}`;
}

type Stand = Pick<Link, 'revoked_at' | 'expires_at' | 'max_uses' | 'uses' | 'has_password'> & Partial<Pick<Link, 'last_used_at'>>;

/** Returns whether a link still lets people in, and how it stands. */
export function linkState(link: Stand, now: number): { works: boolean; words: string } {
  if (link.revoked_at) return { works: false, words: t('share.revoked') };
  if (link.expires_at && Date.parse(link.expires_at) <= now) return { works: false, words: t('share.expired') };
  const max = link.max_uses ?? null;
  if (max !== null && link.uses >= max) return { works: false, words: t('share.used_up') };
  const uses = max === null ? t('share.used', { n: link.uses }) : t('share.used_of', { n: link.uses, max });
  const parts = [
    link.uses === 0 && max === null ? t('share.used_never') : uses,
    link.last_used_at ? t('share.last_used', { time: ago(link.last_used_at, now) }) : '',
    link.has_password ? t('share.with_password') : '',
    link.expires_at ? t('share.until', { time: exactTime(link.expires_at) }) : '',
  ];
  return { works: true, words: parts.filter(Boolean).join(', ') };
}

/** One way in for somebody new. */
export interface Way {
  key: string;
  by: 'link' | 'code';
  role: Role;
  /** How many links there are of it. */
  count: number;
}

/** Returns the ways in that are open, those that allow most first. */
export function ways(links: readonly Pick<Link, 'role'>[], code: string | null | undefined): Way[] {
  const byRole = (['moderator', 'collaborator', 'viewer'] as const).map((role): Way => {
    return { key: `link-${role}`, by: 'link', role, count: links.filter((link) => link.role === role).length };
  });
  return [...byRole.filter((way) => way.count > 0), ...(code ? [{ key: 'code', by: 'code', role: 'viewer', count: 1 } as const] : [])];
}
