import { describe, expect, it } from 'vitest';
import type { Participant, Permission, Role, You } from '../../session/protocol';
import { givableRoles, listed, mayRemove, typingWords } from './people';

function person(id: string, role: Role, change: Partial<Participant> = {}): Participant {
  return { id, role, kind: 'user', membership: 'joined', display_name: id, ...change } as Participant;
}

const keeper: Permission[] = ['participant_change_role', 'participant_remove'];
const you = (role: Role, can: Permission[] = keeper): You => ({ participant_id: 'me', role, can });

describe('people', () => {
  it('are listed while they are in it, those who are there first, assistants last', () => {
    const all = [
      person('guide', 'collaborator', { kind: 'agent' }),
      person('away', 'viewer'),
      person('gone', 'viewer', { membership: 'left' }),
      person('here', 'owner'),
    ];
    const order = listed(all, new Map([['here', 'active' as const]]));
    expect(order.map((p) => [p.participant.id, p.status])).toEqual([
      ['here', 'active'],
      ['away', 'offline'],
      ['guide', 'offline'],
    ]);
  });

  it('can be managed only from above', () => {
    expect(givableRoles(you('owner'), person('ben', 'moderator'))).toEqual(['viewer', 'collaborator', 'moderator']);
    expect(givableRoles(you('moderator'), person('ben', 'viewer'))).toEqual(['viewer', 'collaborator']);
    expect(givableRoles(you('moderator'), person('ben', 'moderator'))).toEqual([]);
    expect(givableRoles(you('collaborator', []), person('ben', 'viewer'))).toEqual([]);
    expect(givableRoles(null, person('ben', 'viewer'))).toEqual([]);
    expect(givableRoles(you('owner'), person('me', 'owner'))).toEqual([]);
    expect(mayRemove(you('owner'), person('ben', 'moderator'))).toBe(true);
    expect(mayRemove(you('moderator'), person('ana', 'owner'))).toBe(false);
    expect(mayRemove(you('owner', []), person('ben', 'viewer'))).toBe(false);
  });

  it('type in a sentence', () => {
    expect(typingWords([])).toBe('');
    expect(typingWords(['Ana'])).toBe('Ana is typing …');
    expect(typingWords(['Ana', 'Ben', 'Cem'])).toBe('Ana, Ben and Cem are typing …');
    expect(typingWords(['a', 'b', 'c', 'd'])).toBe('Several people are typing …');
  });
});
