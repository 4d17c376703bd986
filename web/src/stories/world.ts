/**
 * A server that is not there: what stories need of it, answered at once and always the same.
 *
 * Owns: fetch and WebSocket while stories are shown. Must not know: components.
 */

import type { Assistants, Link, Me, SessionListItem } from '../api/client';
import type { CheckpointInfo, JoinRequest, Participant, Permission, Role, ServerFrame, SessionEvent, Turn, View } from '../session/protocol';

export const SESSION = '01900000-0000-7000-8000-000000000001';
export const ANA = '01900000-0000-7000-8000-0000000000a1';
export const BEN = '01900000-0000-7000-8000-0000000000b1';
export const CHIOMA = '01900000-0000-7000-8000-0000000000c1';
export const DMITRI = '01900000-0000-7000-8000-0000000000d1';
export const GUIDE = '01900000-0000-7000-8000-0000000000e1';
/** Stories are told on one morning. */
const DAY = new Date();
export const at = (hour: number, minute: number, second = 0) =>
  new Date(DAY.getFullYear(), DAY.getMonth(), DAY.getDate(), hour, minute, second).toISOString();
const id = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;

export const ALL: Permission[] = [
  'session_view',
  'session_change',
  'session_end',
  'session_delete',
  'participant_be',
  'participant_remove',
  'participant_change_role',
  'message_post',
  'message_redact_any',
  'side_post',
  'turn_prompt',
  'turn_manage',
  'turn_stop',
  'decision_record',
  'participant_admit',
  'link_manage',
  'branch_write',
  'branch_manage',
  'session_pause',
  'context_write',
  'context_override',
  'memory_write',
  'memory_manage',
];

export const me: Me = {
  user: { id: ANA, display_name: 'Ana Lima', guest: false, colour: 0 },
  can_host: true,
  only_this_device: false,
  reachable_urls: ['http://192.168.1.20:8080'],
};

export function participant(who: string, name: string, role: Role, colour: number, kind: 'user' | 'agent' = 'user'): Participant {
  return { id: who, user_id: who, kind, role, display_name: name, colour, guest: false, membership: 'joined', joined_at: at(9, 58) };
}

export const people: Participant[] = [
  participant(ANA, 'Ana Lima', 'owner', 0),
  participant(BEN, 'Ben Okafor', 'collaborator', 1),
  participant(CHIOMA, 'Chioma', 'moderator', 2),
  participant(DMITRI, 'Dmitri Ivanovich Sokolov-Mikhailov', 'viewer', 3),
  participant(GUIDE, 'Guide', 'collaborator', 4, 'agent'),
];

type SessionPart = Partial<NonNullable<View['session']>>;

export function view(change: SessionPart = {}, who: Participant[] = people, turns: Turn[] = []): View {
  return {
    session: {
      title: 'A table for six',
      kind: 'collaborative',
      visibility: 'private',
      state: 'active',
      end_reason: null,
      settings: { max_participants: null, allow_join: true, require_approval: false, recording: true, respond: null, assistant: 'guide', side_for_viewers: true, context_strategies: {}, context_base_required: false, memories_to_assistants: false, time_limit_s: null, idle_limit_s: null },
      owner: ANA,
      project: ANA,
      main_branch: ANA,
      epoch: 'abcdefghijkm',
      description: '',
      tags: [],
      category: null,
      expires_at: null,
      created_at: at(9, 58),
      started_at: at(9, 58),
      ended_at: null,
      ...change,
    },
    participants: who,
    turns,
    branching: { branches: [], focus: null, checkpoints: [] },
    streams: { main: { head: 1, count: 0, messages: [] }, side: { head: 0, count: 0, messages: [] } },
  } as View;
}

/** Something said or done, in order; each gets the next seq of its stream. */
export type Happening = Pick<SessionEvent, 'kind' | 'data'> & { stream?: 'main' | 'side'; actor?: string; time?: string; id?: string; branch?: string };

let numbers = { main: 1, side: 0 };

function eventsOf(happenings: readonly Happening[]): ServerFrame[] {
  numbers = { main: 1, side: 0 };
  return happenings.map((happening): ServerFrame => {
    const stream = happening.stream ?? 'main';
    const seq = ++numbers[stream];
    const event = {
      stream,
      seq,
      id: happening.id ?? id(seq + (stream === 'side' ? 5000 : 1000)),
      kind: happening.kind,
      actor: happening.actor ?? ANA,
      at: happening.time ?? at(10, 2, seq),
      ...(happening.branch ? { branch: happening.branch } : {}),
      data: happening.data,
    } as SessionEvent;
    return { type: 'events', session_id: SESSION, stream, items: [event] };
  });
}

export interface Stage {
  role?: Role;
  can?: Permission[];
  view?: View;
  happenings?: Happening[];
  present?: Record<string, 'active' | 'idle' | 'away'>;
  /** Who waits to be let in. */
  requests?: JoinRequest[];
  /** Frames after everything else. */
  after?: ServerFrame[];
  /** The socket never opens, is refused with a code, or breaks once everything was said. */
  socket?: 'silent' | 'breaks' | number;
  /** Instead of the subscription: a refusal. */
  denied?: boolean;
}

function framesOf(stage: Stage): ServerFrame[] {
  const welcome: ServerFrame = {
    type: 'welcome',
    connection_id: ANA,
    now: at(10, 5),
    heartbeat_ms: 15_000,
    limits: { message_bytes: 65_536, frame_bytes: 1_048_576, commands_per_second: 50, window: 32 },
    version: '0.1.0',
  };
  if (stage.denied) {
    const problem = {
      type: 'about:blank',
      title: 'There is nothing here, or not for you',
      status: 404,
      detail: 'Check the address; ask somebody who may let you in.',
      code: 'not_found',
      retryable: false,
    };
    return [welcome, { type: 'error', re: 1, session_id: SESSION, problem }];
  }
  const present = stage.present ?? { [ANA]: 'active', [BEN]: 'active', [CHIOMA]: 'idle' };
  const head = stage.view ?? view();
  return [
    welcome,
    {
      type: 'subscribed',
      re: 1,
      session_id: SESSION,
      you: { participant_id: ANA, role: stage.role ?? 'owner', can: stage.can ?? ALL, read: { main: 1, side: 0 } } as never,
      people: Object.entries(present).map(([participant_id, status]) => ({ participant_id, status, last_active_at: at(10, 1) })),
      streams: [
        { stream: 'main', epoch: 'abcdefghijkm', head: 1, mode: 'snapshot' },
        { stream: 'side', epoch: 'abcdefghijkm', head: 0, mode: 'live' },
        ...(stage.requests ? [{ stream: 'staff' as const, epoch: 'abcdefghijkm', head: 0, mode: 'snapshot' as const }] : []),
      ],
    },
    { type: 'snapshot', session_id: SESSION, at: { main: 1, side: 0 }, head },
    ...(stage.requests ? [{ type: 'snapshot' as const, session_id: SESSION, at: { staff: 0 }, head: { ...head, requests: stage.requests } }] : []),
    ...eventsOf(stage.happenings ?? []),
    ...(stage.after ?? []),
  ];
}

/** Replaces the page's WebSocket by one that says what the stage holds. */
export function playSocket(stage: Stage): void {
  class StorySocket {
    static readonly OPEN = 1;
    readyState = 0;
    binaryType = 'blob';
    onopen: (() => void) | null = null;
    onmessage: ((event: { data: string }) => void) | null = null;
    onclose: ((event: { code: number }) => void) | null = null;

    constructor() {
      if (stage.socket === 'silent') return;
      setTimeout(() => {
        if (typeof stage.socket === 'number') {
          this.onclose?.({ code: stage.socket });
          return;
        }
        this.readyState = 1;
        this.onopen?.();
        for (const frame of framesOf(stage)) this.onmessage?.({ data: JSON.stringify(frame) });
        if (stage.socket === 'breaks') {
          stage.socket = 'silent';
          setTimeout(() => this.onclose?.({ code: 1006 }));
        }
      });
    }
    send(): void {}
    close(): void {}
  }
  Object.assign(globalThis, { WebSocket: StorySocket });
}

export const sessionList: SessionListItem[] = (
  [
    ['A table for six', 'active', [['Ana Lima', 0], ['Ben Okafor', 1], ['Chioma', 2], ['D S', 3]], 0],
    ['Retro of the release', 'active', [], 12],
    ['Which database for the small shop, and why not a spreadsheet after all', 'paused', [], 190],
    ['Interview notes', 'completed', [], 3000],
    ['Names for the cat', 'completed', [], 9000],
  ] as [string, SessionListItem['state'], [string, number][], number][]
).map(
  ([title, state, online, minutes], i) =>
    ({
      id: i === 0 ? SESSION : id(700 + i),
      title,
      state,
      role: i === 1 ? 'collaborator' : 'owner',
      participant_count: 3,
      updated_at: new Date(Date.now() - minutes * 60_000).toISOString(),
      share_code: 'K7MPQ3',
      settings: { recording: true },
      online: online.map(([display_name, colour]) => ({ display_name, colour })),
      online_count: online.length,
    }) as unknown as SessionListItem,
);

export const links: Link[] = [
  { id: id(801), session_id: SESSION, role: 'collaborator', created_by: ANA, created_by_name: 'Ana Lima', created_at: at(10, 1), uses: 2, max_uses: null, has_password: false, is_live: true, expires_at: null, last_used_at: at(10, 3), revoked_at: null },
  { id: id(802), session_id: SESSION, role: 'viewer', created_by: CHIOMA, created_by_name: 'Chioma', created_at: at(9, 59), uses: 0, max_uses: 5, has_password: true, is_live: true, expires_at: null, last_used_at: null, revoked_at: null },
] as unknown as Link[];

export const assistants: Assistants = {
  assistants: [
    { name: 'guide', label: 'Guide - not an AI model', provider: 'guide', model: null, paid: false, local: true, usual: true },
    { name: 'llama', label: 'llama3.2 · Ollama on this machine', provider: 'ollama', model: 'llama3.2', paid: false, local: true, usual: false },
  ],
  found: [
    { id: 'ollama', provider: 'ollama', label: 'Ollama', source: '127.0.0.1:11434', models: ['llama3.2', 'qwen3:8b', 'mistral-small'], paid: false, connected: 'llama' },
    { id: 'anthropic', provider: 'anthropic', label: 'Anthropic', source: 'ANTHROPIC_API_KEY in the environment', models: [], paid: true, connected: null },
  ],
  can_connect: true,
};

const used = { input_uncached: 18_240, cache_read: 4_096, cache_write: 0, output: 3_911, reasoning: 0, source: 'reported' };
/** What a session came to. */
export const ended = {
  is_final: true,
  summary: {
    text: 'The group planned a table for six until Friday. They compared oak, beech and larch by hardness, price and ageing, and chose **oak, 30 mm thick**. Chioma orders it from the sawmill for Thursday; Ben asks for the oil.\n\nStill open: who lends the clamps.',
    label: 'llama3.2 · Ollama on this machine',
    by_rules: false,
    made_at: at(11, 13),
  },
  report: {
    state: 'completed',
    reason: 'ended',
    started_at: at(9, 58),
    ended_at: at(11, 12),
    duration_ms: 74 * 60_000,
    paused_ms: 12 * 60_000,
    participants: people.map((one, i) => ({ participant: one.id, kind: one.kind, role: one.role, messages: [14, 9, 4, 0, 6][i]! })),
    messages: 27,
    turns: { asked: 9, completed: 6, stopped: 1, failed: 1, lost: 0, withdrawn: 1 },
    decisions: [id(2202), id(2203)],
    usage: [
      { driver: 'guide', answers: 2, usage: { ...used, input_uncached: 0, cache_read: 0, output: 0 } },
      { driver: 'model', answers: 4, usage: used },
    ],
    events: 118,
  },
};

const DECIDED = [
  'We take **oak**, 30 mm thick.',
  'The sawmill delivers on Thursday:\n\n- one top, 90 by 200 cm\n- four legs, 72 cm',
];

export const checkpoints: CheckpointInfo[] = (
  [
    ['Before the prices', ANA, null, at(10, 4)],
    [null, 'system', 'pause', at(10, 3)],
    ['Three woods compared', BEN, null, at(10, 2)],
    [null, 'system', 'events', at(10, 1)],
  ] as const
).map(([name, by, why, time], i) => ({ id: id(860 + i), name, kind: name ? 'named' : 'automatic', why, seqs: { main: 9 - i }, by, at: time, seq: 10 - i }));

/** An answer to a call: a body, a problem with its status, or never. */
export type Answer = unknown | { status: number; problem: { code: string; title: string; detail: string } } | 'never';

/** Replaces the page's fetch; paths are tried in order, those of the story first. */
export function playServer(answers: readonly [RegExp, Answer][] = []): void {
  const usual: [RegExp, Answer][] = [
    [/GET \/me$/, me],
    [/PATCH \/me$/, me],
    [/GET \/assistants$/, assistants],
    [/POST \/assistants\/scan$/, assistants],
    [/GET \/sessions\?/, { items: sessionList }],
    [/GET \/sessions\/[^/]+\/report$/, ended],
    [/GET .*\/health$/, { state: 'active', broken: null, connections: 4, online: 3, events_per_s: 2.4, queue: { commands: 0, turns: 2 }, turn: { id: id(1), age_ms: 14_000, lease_ms: 20_000 }, resources: { drivers: 1 }, memory_bytes: 1_480_000, last_at: at(10, 5), next_deadline: at(23, 25) }],
    [/GET .*\/acknowledged_by/, { acknowledged_by: people.slice(0, 3).map((one) => ({ participant_id: one.id, display_name: one.display_name })), not_by: [{ participant_id: DMITRI, display_name: people[3]!.display_name }] }],
    [/GET .*\/events\?.*kind=participant.joined%2Cparticipant.profile/, { epoch: 'abcdefghijkm', head: 118, events: people.map((one, i) => ({ kind: 'participant.joined', seq: i + 2, data: { participant: one } })) }],
    [/GET .*\/events\?/, { epoch: 'abcdefghijkm', head: talk.length + 1, events: talk.filter(({ kind }) => kind !== 'turn.queued' && kind !== 'turn.progressed').map((one, i) => ({ seq: i + 2, id: id(1002 + i), stream: 'main', actor: ANA, at: at(10, 2), ...one, ...('time' in one ? { at: one.time } : {}) })), next: null }],
    ...DECIDED.map((text, i): [RegExp, Answer] => [new RegExp(`GET .*/messages/${id(2202 + i)}$`), { stream: 'main', message: { id: id(2202 + i), author: i === 0 ? CHIOMA : ANA, at: at(10, 30 + i), text, redacted: false, answer: null } }]),
    [/GET .*\/requests\/mine$/, { status: 'waiting' }],
    [/GET \/sessions\/[^/]+\/checkpoints/, { items: checkpoints }],
    [/GET \/sessions\/[^/]+$/, sessionList[0]],
    [/GET \/sessions\/[^/]+\/links$/, { items: links }],
    [/POST \/sessions\/[^/]+\/links$/, { ...links[0], url: 'http://127.0.0.1:8080/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE' }],
  ];
  globalThis.fetch = (input, init) => {
    const path = `${init?.method ?? 'GET'} ${String(input).replace(/^.*\/api\/v1/, '')}`;
    const answer = [...answers, ...usual].find(([pattern]) => pattern.test(path))?.[1];
    if (answer === 'never') return new Promise(() => {});
    const failed = answer as { status?: number; problem?: object } | undefined;
    if (failed?.problem) {
      const body = { type: 'about:blank', status: failed.status, retryable: false, request_id: '0190b2c4', ...failed.problem };
      return Promise.resolve(new Response(JSON.stringify(body), { status: failed.status ?? 500 }));
    }
    return Promise.resolve(new Response(JSON.stringify(answer ?? {}), { status: answer === undefined ? 404 : 200 }));
  };
}

// What happens in the stories.

const say = (actor: string, text: string, time: string, extra: object = {}, key?: string): Happening =>
  ({ kind: 'message.posted', actor, time, data: { text, ...extra }, ...(key ? { id: key } : {}) }) as Happening;
const whisper = (actor: string, text: string, time: string): Happening => ({ ...say(actor, text, time), stream: 'side' });

const QUESTION = id(2001);
const ANSWER = id(2002);
const TURN = id(2003);

const started: Happening[] = [
  say(BEN, 'Which wood should we take? Please compare three, with prices.', at(10, 3, 5), { ask: true }, QUESTION),
  { kind: 'turn.queued', actor: BEN, time: at(10, 3, 5), data: { turn: TURN, message: QUESTION, requester: BEN, assistant: GUIDE } } as Happening,
  {
    kind: 'turn.started',
    actor: GUIDE,
    time: at(10, 3, 6),
    data: { turn: TURN, message: QUESTION, assistant: GUIDE, answer: ANSWER, attempt: 1, lease: { id: id(2004), until: at(23, 0) }, driver: 'model', label: 'llama3.2' },
  } as Happening,
];

const TABLE = `Three woods that carry a table for six:

| wood | hardness | price per m² | after ten years |
|---|---|---|---|
| Oak | hard | 180 € | darker, warmer |
| Beech | hard | 95 € | reddish |
| Larch | soft | 70 € | grey, with marks |

Take **oak** if spilled glasses are likely. The board should be 30 mm thick:

\`\`\`python
def load(boards: int, thickness_mm: float) -> float:
    """Returns what the top carries, in kilograms."""
    return boards * thickness_mm ** 2 * 0.09
\`\`\`
`;

const progressed = (text: string): Happening =>
  ({ kind: 'turn.progressed', actor: GUIDE, time: at(10, 3, 8), data: { turn: TURN, message: ANSWER, offset: 0, text, lease_until: at(23, 0) } }) as Happening;

export const talk: Happening[] = [
  say(ANA, 'Good morning. We need a table for six, and we have until Friday.', at(10, 2, 1)),
  say(ANA, 'Ben, you know about wood?', at(10, 2, 20)),
  say(BEN, 'A little. Let us ask.', at(10, 2, 55)),
  ...started,
  progressed(TABLE),
  { kind: 'turn.completed', actor: GUIDE, time: at(10, 3, 20), data: { turn: TURN, message: ANSWER, length: TABLE.length, hash: '', reason: 'end_turn' } } as Happening,
  say(CHIOMA, 'Oak it is. I call the sawmill.', at(10, 4, 2)),
];

export const streaming: Happening[] = [
  ...talk.slice(0, 3),
  ...started,
  progressed(TABLE.slice(0, 190)),
  say(ANA, 'And how long will it take to build?', at(10, 3, 9), { ask: true }, id(2101)),
  { kind: 'turn.queued', actor: ANA, time: at(10, 3, 9), data: { turn: id(2102), message: id(2101), requester: ANA, assistant: GUIDE } } as Happening,
];

export const asides: Happening[] = [
  whisper(BEN, 'Do we have the money for oak?', at(10, 3, 30)),
  whisper(CHIOMA, 'For one table, yes.', at(10, 3, 48)),
];

const RICH = `Three ways to **join a top to its legs**, from [the handbook](https://example.org/joints):

1. *Mortise and tenon*, glued
2. Bolts with a plate of steel
   - can be taken apart
   - holds a load of $F = \\frac{m \\cdot g}{4}$ a leg

- [x] oak ordered
- [ ] oil chosen

> Measure twice, cut once.

\`\`\`python
def board_feet(width: float, length: float, thickness: float) -> float:
    """Returns the volume of a board."""
    return width * length * thickness / 144  # inches
\`\`\`

$$\\sum_{i=1}^{n} w_i \\le 4 \\cdot w_{\\max}$$`;

/** One message of every kind that a conversation knows. */
export const kinds: Happening[] = [
  say(BEN, RICH, at(10, 2, 1), {}, id(2201)),
  { kind: 'participant.role_changed', actor: ANA, time: at(10, 2, 30), data: { participant: DMITRI, role: 'viewer' } } as Happening,
  say(CHIOMA, '@Ana Lima the second one, so that it fits through the door.', at(10, 3, 0), { reply_to: id(2201), mentions: [ANA] }, id(2202)),
  { kind: 'decision.recorded', actor: ANA, time: at(10, 3, 5), data: { message: id(2202) } } as Happening,
  say(ANA, 'Agred.', at(10, 3, 10), {}, id(2203)),
  { kind: 'message.edited', actor: ANA, time: at(10, 3, 12), data: { message: id(2203), text: 'Agreed.' } } as Happening,
  say(DMITRI, 'oops', at(10, 3, 20), {}, id(2204)),
  { kind: 'message.redacted', actor: DMITRI, time: at(10, 3, 22), data: { message: id(2204) } } as Happening,
];

/** Answers that did not come to their end. */
export const endings: Happening[] = (['turn.stopped', 'turn.failed', 'turn.lost'] as const).flatMap((kind, i): Happening[] => {
  const [question, turn, answer] = [id(2301 + i * 10), id(2302 + i * 10), id(2303 + i * 10)];
  const text = 'Oak moves with the seasons, so the top must be free to';
  return [
    say(BEN, ['How does oak move?', 'And in winter?', 'And near a stove?'][i]!, at(10, 4, i * 10), { ask: true }, question),
    { kind: 'turn.queued', actor: BEN, time: at(10, 4, i * 10), data: { turn, message: question, requester: BEN, assistant: GUIDE } } as Happening,
    {
      kind: 'turn.started',
      actor: 'system',
      time: at(10, 4, i * 10 + 1),
      data: { turn, message: question, assistant: GUIDE, answer, attempt: 1, lease: { id: turn, until: at(10, 5) }, driver: 'guide', label: 'Guide - not an AI model' },
    } as Happening,
    { kind: 'turn.progressed', actor: GUIDE, time: at(10, 4, i * 10 + 2), data: { turn, message: answer, offset: 0, text, lease_until: at(10, 5) } } as Happening,
    {
      kind,
      actor: kind === 'turn.stopped' ? ANA : 'system',
      time: at(10, 4, i * 10 + 3),
      data: { turn, message: answer, length: text.length, ...(kind === 'turn.failed' ? { code: 'model_timed_out', detail: 'The model did not answer in time.' } : {}) },
    } as Happening,
  ];
});
