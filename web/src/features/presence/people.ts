/** Who is shown, in which order, and what the reader may do with them. */

import type { Id, Participant, PresenceStatus, Role, You } from '../../session/protocol';

export const ROLES: readonly Role[] = ['viewer', 'collaborator', 'moderator', 'owner'];

const rank = (role: Role | null | undefined) => (role ? ROLES.indexOf(role) : -1);

/** Returns those who are in the session: people before assistants, those who are there first, then by joining. */
export function listed(
  participants: readonly Participant[],
  presence: ReadonlyMap<Id, PresenceStatus>,
): { participant: Participant; status: PresenceStatus }[] {
  const away = (p: Participant) => Number(p.kind === 'agent') * 2 + Number(!presence.has(p.id));
  return participants
    .filter((p) => p.membership === 'joined')
    .map((participant) => ({ participant, status: presence.get(participant.id) ?? ('offline' as const) }))
    .sort((a, b) => away(a.participant) - away(b.participant));
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

/** Returns who types, as a sentence; empty: nobody. */
export function typingWords(names: readonly string[]): string {
  if (names.length === 0) return '';
  if (names.length > 3) return 'Several people are typing …';
  const last = names[names.length - 1]!;
  const all = names.length === 1 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
  return `${all} ${names.length === 1 ? 'is' : 'are'} typing …`;
}
