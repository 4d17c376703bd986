/** What everything else is made of: ids, times, streams, roles. */

/** A UUID as text. */
export type Id = string;
/** RFC 3339, UTC. */
export type Timestamp = string;
export type Stream = 'main' | 'side' | 'staff' | 'stage';
export type Role = 'viewer' | 'collaborator' | 'moderator' | 'owner';
/** `"system"` or a participant's id. */
export type Actor = 'system' | Id;
