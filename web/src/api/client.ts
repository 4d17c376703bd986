/**
 * Calls to the server's REST interface, one function each.
 *
 * Owns: addresses, the idempotency key of each POST, problems out of answers. Must not know: the page.
 * The login is a cookie that scripts cannot read; it goes along by itself.
 */

import type { Branch, CheckpointInfo, EventKind, Id, MessageView, Page, Report, RestoreHow, Role, SessionEvent, Settings, Stream, View } from '../session/protocol';
import { uuidv7 } from '../session/uuid';
import { ApiError, isProblem, localProblem } from './problem';
import type { components } from './schema';

const BASE = '/api/v1';

type Schemas = components['schemas'];

/** Who is logged in here, and what that allows. */
export type Me = Pick<Schemas['Me'], 'can_host' | 'only_this_device'> & {
  user: Pick<Schemas['UserBody'], 'id' | 'display_name' | 'guest' | 'colour'>;
  /** Addresses at which others may reach the server. */
  reachable_urls?: string[];
};

export type SessionBody = Schemas['SessionBody'];
/** A session in a list, with who is there now. */
export type SessionListItem = Schemas['SessionItem'];
export interface SessionPage {
  items: SessionListItem[];
  next?: string | null;
}
export type Link = Schemas['LinkBody'] & { created_by_name?: string | null };

export type Provider = Schemas['AssistantProvider'];
/** Something that can answer turns; its name is what a session's settings hold. */
export type Assistant = Schemas['AssistantBody'];
/** Something on this machine that could be connected. */
export type Found = Schemas['FoundBody'];
export type Assistants = Schemas['AssistantsBody'];
/** What to connect: something found, or an endpoint of one's own. */
export type NewAssistant =
  | { found_id: string; model: string; confirm_paid: boolean }
  | { provider: Provider; url?: string; key?: string; model: string; confirm_paid: boolean };
/** A link that was just made: its address comes once. */
export type NewLink = Schemas['NewLinkBody'];
export type Joined = Schemas['JoinedBody'];
/** Where one's own request to be let in stands. */
export type Asked = Schemas['Asked'];

/** The state of a session at a place of its history. */
export interface StateBody {
  epoch: string;
  at: { [S in Stream]?: number };
  time?: string | null;
  hash: string;
  view: View;
}

export interface Marker {
  seq: number;
  at: string;
  kind: string;
  name?: string | null;
  message?: Id | null;
  turn?: Id | null;
}

/** A session's history at a glance. */
export interface Timeline {
  head: number;
  first_at?: string | null;
  last_at?: string | null;
  points: { seq: number; at: string }[];
  markers: Marker[];
  markers_left_out: number;
}

export interface EventsPage {
  epoch: string;
  head: number;
  events: SessionEvent[];
  /** The `after` of the next call; null at the end. A filtered call may find nothing and still have one. */
  next?: number | null;
}

interface Options {
  body?: unknown;
  /** The same key again is the same deed; a POST has one in any case. */
  key?: string;
  signal?: AbortSignal;
  /** What the body is; JSON when absent. */
  type?: string;
}

/** Calls the server. Throws `ApiError`. */
export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json' };
  if (options.body !== undefined) headers['content-type'] = options.type ?? 'application/json';
  if (method === 'POST' || options.key !== undefined) headers['idempotency-key'] = options.key ?? uuidv7();
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      credentials: 'same-origin',
      signal: options.signal ?? null,
    });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new ApiError(
      localProblem('offline', 'The server cannot be reached', 'Check your connection, then try again.', true),
    );
  }
  const answer = await readJson(response);
  if (response.ok) return answer as T;
  throw new ApiError(isProblem(answer) ? answer : strangeAnswer(response.status));
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text().catch(() => '');
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** For answers that are not the server's own, such as a proxy's page. */
function strangeAnswer(status: number) {
  const detail = `Something between this page and the server answered with status ${status}. Try again later.`;
  return { ...localProblem('strange_answer', 'The answer cannot be read', detail, status >= 500), status };
}

const part = encodeURIComponent;

/** Returns who is logged in here, or null. */
export async function me(): Promise<Me | null> {
  try {
    return await call<Me>('GET', '/me');
  } catch (error) {
    if (error instanceof ApiError && error.problem.status === 401) return null;
    throw error;
  }
}

/** Logs in under a name. Each attempt has its own key: the answer to a repeated one would hold no login. */
export const newGuest = (displayName: string) => call<void>('POST', '/guests', { body: { display_name: displayName } });

export const logOut = () => call<void>('DELETE', '/me');

export const newSession = (title: string, key: string) =>
  call<SessionBody>('POST', '/sessions', { body: title ? { title } : {}, key });

/** Returns own sessions, those with the newest activity first; `alone`: only those that work on with nobody leading them. */
export const sessions = (search = '', page: string | null = null, limit = 30, alone = false) => {
  const query = new URLSearchParams({ limit: String(limit) });
  if (search) query.set('search', search);
  if (page) query.set('page', page);
  if (alone) query.set('detached', 'true');
  return call<SessionPage>('GET', `/sessions?${query}`);
};

export const session = (id: Id) => call<SessionBody>('GET', `/sessions/${part(id)}`);

/** What of a session is to change; what is absent stays. */
export interface SessionChange {
  expires_at?: string | null;
  settings?: Partial<Settings>;
}

export const changeSession = (id: Id, change: SessionChange) => call<SessionBody>('PATCH', `/sessions/${part(id)}`, { body: change });

/** Leaves a session to itself: it works on, and is attached again by its owner's next connection. */
export const detachSession = (id: Id) => call<SessionBody>('POST', `/sessions/${part(id)}/detach`, { body: {} });

export const endSession = (id: Id) => call<SessionBody>('POST', `/sessions/${part(id)}/end`, { body: {} });

export const deleteSession = (id: Id) => call<void>('DELETE', `/sessions/${part(id)}`);

/** Changes one's name and colour for sessions to come. */
export const changeMe = (change: { display_name?: string; colour?: number }) => call<Me>('PATCH', '/me', { body: change });

/** Joins by a link or a code; without a login this makes one. Joining twice is joining once, so a repeated attempt needs no key. */
/** Returns what became of one's own request to be let in. */
export const asked = (session: Id, signal?: AbortSignal) =>
  call<Asked>('GET', `/sessions/${part(session)}/requests/mine`, signal ? { signal } : {});

/** Stops waiting to be let in. */
export const withdrawRequest = (session: Id) => call<undefined>('DELETE', `/sessions/${part(session)}/requests/mine`);

export const join = (body: { link?: string; code?: string; display_name?: string; password?: string }) =>
  call<Joined>('POST', '/join', { body });

export const links = async (session: Id) => (await call<{ items: Link[] }>('GET', `/sessions/${part(session)}/links`)).items;

export const newLink = (session: Id, role: Role) => call<NewLink>('POST', `/sessions/${part(session)}/links`, { body: { role } });

export const revokeLink = (session: Id, link: Id) => call<void>('DELETE', `/sessions/${part(session)}/links/${part(link)}`);

export const page = (session: Id, n: number, stream: Stream) =>
  call<Page>('GET', `/sessions/${part(session)}/pages/${n}?stream=${stream}`);

export const events = (session: Id, stream: Stream, after: number, limit: number) =>
  call<EventsPage>('GET', `/sessions/${part(session)}/events?stream=${stream}&after=${after}&limit=${limit}`);

/** Returns events of some kinds only, or of one participant only. */
export const eventsOf = (session: Id, { kinds, by, stream = 'main', after = 0, limit = 1000 }: { kinds?: readonly EventKind[]; by?: Id; stream?: Stream; after?: number; limit?: number }) => {
  const query = new URLSearchParams({ stream, after: String(after), limit: String(limit) });
  if (kinds) query.set('kind', kinds.join(','));
  if (by) query.set('by', by);
  return call<EventsPage>('GET', `/sessions/${part(session)}/events?${query}`);
};

export type Summary = Schemas['Summary'];

/** What a session came to; while it goes on, so far. */
export const report = (session: Id) =>
  call<{ is_final: boolean; report: Report; summary?: Summary | null }>('GET', `/sessions/${part(session)}/report`);

/** Lets the session's assistant put an ended session in words; it is asked once. */
export const summarise = (session: Id) =>
  call<{ summary?: Summary | null; failed?: { code: string; detail: string } | null }>('POST', `/sessions/${part(session)}/report/summary`, { body: {} });

export type Health = Schemas['HealthBody'];

export const health = (session: Id) => call<Health>('GET', `/sessions/${part(session)}/health`);

interface Somebody {
  participant_id: Id;
  display_name: string;
}

/** Returns who has read as far as an event, and who has not. */
export const acknowledgedBy = (session: Id, seq: number, stream: Stream) =>
  call<{ acknowledged_by: Somebody[]; not_by: Somebody[] }>('GET', `/sessions/${part(session)}/events/${seq}/acknowledged_by?stream=${stream}`);

/** Returns checkpoints, the newest first. */
export const checkpoints = (session: Id, page: string | null = null) =>
  call<{ items: CheckpointInfo[]; next?: string | null }>('GET', `/sessions/${part(session)}/checkpoints?limit=100${page ? `&page=${part(page)}` : ''}`);

const checkpointPath = (session: Id, id: Id) => `/sessions/${part(session)}/checkpoints/${part(id)}`;

export const newCheckpoint = (session: Id, name: string, key: string) => call<CheckpointInfo>('POST', `/sessions/${part(session)}/checkpoints`, { body: { name }, key });

export const renameCheckpoint = (session: Id, id: Id, name: string) => call<CheckpointInfo>('PATCH', checkpointPath(session, id), { body: { name } });

export const deleteCheckpoint = (session: Id, id: Id) => call<void>('DELETE', checkpointPath(session, id));

/** Goes back to a checkpoint: beside what is there now, or with every branch's head moved back. */
export const restoreCheckpoint = (session: Id, id: Id, how: RestoreHow, name?: string) =>
  call<{ checkpoint: Id; branch?: Branch | null }>('POST', `${checkpointPath(session, id)}/restore`, { body: { how, ...(name ? { name } : {}) } });

export const stateAt = (session: Id, seq: number, streams: readonly Stream[]) =>
  call<StateBody>('GET', `/sessions/${part(session)}/state?streams=${streams.join(',')}&at=${seq}`);

export const timeline = (session: Id) => call<Timeline>('GET', `/sessions/${part(session)}/timeline`);

/** Returns a new share code; the one before stops working. */
export const newCode = (session: Id) => call<{ share_code: string }>('POST', `/sessions/${part(session)}/code`);

export const dropCode = (session: Id) => call<void>('DELETE', `/sessions/${part(session)}/code`);

export const assistants = () => call<Assistants>('GET', '/assistants');

/** Looks again for what is on this machine; something that costs money is asked for its models only with a person's word. */
export const scanAssistants = (paid?: { found_id: string; confirm_paid: true }) =>
  call<Assistants>('POST', '/assistants/scan', paid ? { body: paid } : {});

export const connectAssistant = (body: NewAssistant, key: string) => call<Assistant>('POST', '/assistants', { body, key });

export const disconnectAssistant = (name: string) => call<void>('DELETE', `/assistants/${part(name)}`);

/** Returns one message and the stream it is in. */
export const message = (session: Id, id: Id) =>
  call<{ stream: Stream; message: MessageView }>('GET', `/sessions/${part(session)}/messages/${part(id)}`);
