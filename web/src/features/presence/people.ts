/** Who is shown, in which order, and what the reader may do with them. */

import { t } from '../../app/i18n';
import type { Id, Participant, PresenceStatus, Role, You } from '../../session/protocol';

export const ROLES: readonly Role[] = ['viewer', 'collaborator', 'moderator', 'owner'];

const rank = (role: Role | null | undefined) => (role ? ROLES.indexOf(role) : -1);

export interface Listed {
  participant: Participant;
  status: PresenceStatus;
}

/** Returns those who are in the session: people before assistants, those who are there first, then by joining. */
export function listed(participants: readonly Participant[], presence: ReadonlyMap<Id, PresenceStatus>): Listed[] {
  const away = (p: Participant) => Number(p.kind === 'agent') * 2 + Number(!presence.has(p.id));
  return participants
    .filter((p) => p.membership === 'joined')
    .map((participant) => ({ participant, status: presence.get(participant.id) ?? ('offline' as const) }))
    .sort((a, b) => away(a.participant) - away(b.participant));
}

/** Returns the people who are connected now, the reader first. */
export function peopleHere(all: readonly Listed[], me: Id | undefined): Listed[] {
  const here = all.filter(({ participant, status }) => participant.kind === 'user' && (status !== 'offline' || participant.id === me));
  return [...here.filter((p) => p.participant.id === me), ...here.filter((p) => p.participant.id !== me)];
}

/** Returns the roles that `you` may give to `other`; empty: none. Nobody touches those beside or above. */
export function givableRoles(you: You | null, other: Participant): Role[] {
  if (!you?.can.includes('participant_change_role') || !isBelow(you, other)) return [];
  return ROLES.filter((role) => role !== 'owner' && rank(role) < rank(you.role));
}

export function mayRemove(you: You | null, other: Participant): boolean {
  return (you?.can.includes('participant_remove') ?? false) && isBelow(you, other);
}

function isBelow(you: You | null, other: Participant): boolean {
  return other.kind === 'user' && other.id !== you?.participant_id && rank(other.role) < rank(you?.role);
}

export function roleWords(role: Role): string {
  return t(`common.role_${role}`);
}

export function statusWords(status: PresenceStatus): string {
  return t(status === 'away' ? 'people.status_away' : `people.${status}`);
}

/** Returns who types, as a sentence; empty: nobody. */
export function typingWords(names: readonly string[]): string {
  if (names.length === 0) return '';
  if (names.length > 3) return t('people.typing_several');
  const last = names[names.length - 1]!;
  if (names.length === 1) return t('people.typing_one', { name: last });
  return t('people.typing_many', { names: t('common.and', { list: names.slice(0, -1).join(', '), last }) });
}
