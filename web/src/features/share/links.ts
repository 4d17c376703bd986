/** What a link's fields mean for people. */

import type { Link, NewLink } from '../../api/client';
import { exactTime } from '../../ui/time';

/** Returns the address of a link that was just made; null when its secret was shown before. */
export function urlOf(link: Pick<NewLink, 'url' | 'token'>, origin: string): string | null {
  if (link.url) return link.url;
  return link.token ? `${origin}/join#${encodeURIComponent(link.token)}` : null;
}

export function isLoopback(url: string): boolean {
  const host = new URL(url).hostname;
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}

type Stand = Pick<Link, 'revoked_at' | 'expires_at' | 'max_uses' | 'uses' | 'has_password'>;

/** Returns whether a link still lets people in, and how it stands. */
export function linkState(link: Stand, now: number): { works: boolean; words: string } {
  if (link.revoked_at) return { works: false, words: 'revoked' };
  if (link.expires_at && Date.parse(link.expires_at) <= now) return { works: false, words: 'expired' };
  const max = link.max_uses ?? null;
  if (max !== null && link.uses >= max) return { works: false, words: 'used up' };
  const parts = [
    `used ${link.uses}${max === null ? '' : ` of ${max}`} times`,
    link.has_password ? 'with password' : '',
    link.expires_at ? `until ${exactTime(link.expires_at)}` : '',
  ];
  return { works: true, words: parts.filter(Boolean).join(', ') };
}
