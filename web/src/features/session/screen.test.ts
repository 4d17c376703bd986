import { flushSync, mount, unmount } from 'svelte';
import { desk } from '../../app/desk.svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Permission, ServerFrame, SessionEvent, Turn, View } from '../../session/protocol';
import { HandSocket } from '../../testing/sockets';
import { loadPainter } from '../chat/markdown/loader.svelte';
import SessionScreen from './SessionScreen.svelte';

const SESSION = '01900000-0000-7000-8000-000000000001';
const ANA = '01900000-0000-7000-8000-0000000000a1';
const BEN = '01900000-0000-7000-8000-0000000000b1';
const GUIDE = '01900000-0000-7000-8000-0000000000c1';
const AT = '2026-11-20T10:00:00Z';
const id = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const CAN: Permission[] = [
  'session_view',
  'session_end',
  'message_post',
  'side_post',
  'turn_prompt',
  'participant_change_role',
  'participant_remove',
  'decision_record',
];

function participant(which: string, name: string, role: string, kind = 'user') {
  return { id: which, user_id: which, kind, role, display_name: name, colour: 0, guest: false, membership: 'joined', joined_at: AT };
}

const head: View = {
  session: {
    title: 'Plans',
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
    created_at: AT,
    started_at: AT,
    ended_at: null,
  },
  participants: [
    participant(ANA, 'Ana', 'owner'),
    participant(BEN, 'Ben', 'collaborator'),
    participant(GUIDE, 'Guide', 'collaborator', 'agent'),
  ] as View['participants'],
  turns: [],
  branching: { branches: [], focus: null, checkpoints: [] },
  streams: { main: { head: 1, count: 0, messages: [] } },
};

let screen: Record<string, unknown>;
let seq = 1;

const text = (selector: string) => document.querySelector(selector)?.textContent?.replace(/\s+/g, ' ').trim();
const texts = (selector: string) => [...document.querySelectorAll(selector)].map((e) => e.textContent?.trim());
const button = (label: string) =>
  [...document.querySelectorAll('button')].findLast((b) => (b.getAttribute('aria-label') ?? b.textContent?.trim()) === label) as
    | HTMLButtonElement
    | undefined;

/** Does what the palette offers under this name. */
function deed(label: string) {
  const found = desk.deeds.find((one) => one.label === label);
  if (!found) throw new Error(`nothing is called ${label}`);
  found.run();
  flushSync();
}

function press(label: string) {
  const found = button(label);
  if (!found) throw new Error(`no button ${label}`);
  found.click();
  flushSync();
}

function happen(kind: string, data: unknown, actor = BEN, eventId = id(seq + 1)) {
  const item = { stream: 'main', seq: ++seq, id: eventId, kind, actor, at: AT, data } as SessionEvent;
  say({ type: 'events', session_id: SESSION, stream: 'main', items: [item] });
}

function say(...frames: ServerFrame[]) {
  HandSocket.last.say(...frames);
  flushSync();
}

function enter(label: string, value: string) {
  const field = document.querySelector(`textarea[aria-label="${label}"]`) as HTMLTextAreaElement;
  field.value = value;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
  field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
  flushSync();
}

function open(can = CAN, role: 'owner' | 'viewer' = 'owner', view = head) {
  screen = mount(SessionScreen, {
    target: document.body,
    props: {
      login: { user: { id: ANA, display_name: 'Ana', guest: false }, can_host: true, only_this_device: true },
      id: SESSION,
      onloggedout: () => {},
    },
  });
  flushSync();
  HandSocket.last.open();
  say(
    {
      type: 'welcome',
      connection_id: ANA,
      now: AT,
      heartbeat_ms: 15_000,
      limits: { message_bytes: 65_536, frame_bytes: 1_048_576, commands_per_second: 50, window: 32 },
      version: '0.1.0',
    },
    {
      type: 'subscribed',
      re: 1,
      session_id: SESSION,
      you: { participant_id: ANA, role, can },
      people: [{ participant_id: BEN, status: 'active', last_active_at: AT }],
      streams: [
        { stream: 'main', epoch: 'abcdefghijkm', head: 1, mode: 'snapshot' },
        { stream: 'side', epoch: 'abcdefghijkm', head: 0, mode: 'live' },
      ],
    },
    { type: 'snapshot', session_id: SESSION, at: { main: 1 }, head: view },
  );
}

describe('the session screen', () => {
  beforeEach(async () => {
    await loadPainter();
    localStorage.clear();
    HandSocket.all.length = 0;
    seq = 1;
    vi.stubGlobal('WebSocket', Object.assign(HandSocket, { OPEN: 1 }));
    const bodies: [RegExp, unknown][] = [
      [/\/assistants$/, { assistants: [], found: [], can_connect: false }],
      [/\/sessions\?/, { items: [] }],
    ];
    vi.stubGlobal('fetch', (url: string) => {
      const body = bodies.find(([path]) => path.test(url))?.[1];
      return Promise.resolve(new Response(JSON.stringify(body ?? {}), { status: body ? 200 : 404 }));
    });
  });
  afterEach(async () => {
    await unmount(screen);
    vi.unstubAllGlobals();
  });

  it('shows the session, the people and the connection', () => {
    open();
    expect(text('h1')).toBe('Plans');
    expect(text('.connection')).toBe('live');
    expect(texts('.people .name')).toEqual(['Ben', 'Ana (you)', 'Guide']);
    expect(document.querySelector('.people [data-participant$="b1"]')?.getAttribute('data-status')).toBe('active');
    HandSocket.last.die();
    flushSync();
    expect(text('.connection')).toBe('reconnecting');
  });

  it('sends with Enter to the assistant, shows it as pending, keeps drafts', () => {
    open();
    enter('Message', 'What now?');
    const [command] = HandSocket.last.sentOf('command');
    expect(command).toMatchObject({ name: 'message.post', data: { text: 'What now?', ask: true } });
    expect(text('[data-state="unsent"] .text')).toBe('What now?');
    happen('message.posted', { text: 'What now?', ask: true }, ANA, command!.key);
    expect(texts('[data-stream="main"] .text')).toEqual(['What now?']);
    expect(localStorage.getItem(`roundtable/draft/${SESSION}/main`)).toBeNull();
    enter('Message to side chat', 'psst');
    expect(HandSocket.last.sentOf('command')[1]).toMatchObject({ stream: 'side', data: { text: 'psst' } });
  });

  it('streams an answer, labelled, with Stop, and says it aloud once it is whole', () => {
    open([...CAN, 'turn_stop']);
    happen('message.posted', { text: 'Ask', ask: true });
    const question = id(2);
    happen('turn.queued', { turn: id(50), message: question, requester: BEN, assistant: GUIDE });
    happen('turn.queued', { turn: id(51), message: question, requester: ANA, assistant: GUIDE });
    happen('turn.started', {
      turn: id(50),
      message: question,
      assistant: GUIDE,
      answer: id(60),
      attempt: 1,
      lease: { id: id(61), until: AT },
      driver: 'guide',
      label: 'Guide - not an AI model',
    });
    expect(text('[data-answer="streaming"] .note')).toMatch(/^Guide is thinking · \d+ (?:s|min|h)/);
    say({ type: 'delta', session_id: SESSION, turn: id(50), message: id(60), offset: 0, text: 'So far' });
    expect(text('[data-answer="streaming"] .text')).toBe('So far');
    expect(text('[data-answer="streaming"] .by')).toMatch(/Guide\s*not an AI model/);
    expect(text('.queue [data-state="running"]')).toContain('Guide answers Ben');
    expect(text('.queue [data-state="queued"]')).toMatch(/Ana is next Ask/);
    expect(text('[data-announcer]')).not.toContain('So far');
    press('Stop');
    press('Withdraw');
    expect(HandSocket.last.sentOf('command').map((c) => [c.name, c.data])).toEqual([
      ['turn.stop', { turn: id(50) }],
      ['turn.withdraw', { turn: id(51) }],
    ]);
    happen('turn.stopped', { turn: id(50), message: id(60), length: 6 }, ANA);
    expect(text('[data-answer="stopped"] .note')).toContain('Stopped by Ana.');
    expect(text('[data-announcer]')).toContain('Guide (stopped): So far');
  });

  it('edits a question that waits', () => {
    const turn: Turn = { id: id(50), message: id(9), requester: ANA, assistant: GUIDE, state: 'queued', since: AT, answer: null };
    open(CAN, 'owner', { ...head, turns: [turn] });
    press('Edit');
    enter('New question', 'Better');
    expect(HandSocket.last.sentOf('command')[0]).toMatchObject({ name: 'turn.edit', data: { turn: id(50), text: 'Better' } });
  });

  it('changes roles, removes, deletes and decides after asking', async () => {
    open();
    happen('message.posted', { text: 'mine' }, ANA);
    const select = document.querySelector('select[aria-label="Role of Ben"]') as HTMLSelectElement;
    select.value = 'viewer';
    select.dispatchEvent(new Event('change', { bubbles: true }));
    press('Remove Ben');
    expect(text('[role="dialog"]')).toContain('sees nothing of this session any more');
    expect(HandSocket.last.sentOf('command')).toHaveLength(1);
    press('Remove Ben');
    document.querySelector('[data-message]')!.dispatchEvent(new PointerEvent('pointerover', { bubbles: true, pointerType: 'mouse' }));
    flushSync();
    press('Mark as decision');
    press('Delete');
    press('Yes, delete for everybody');
    deed('End session');
    await vi.waitUntil(() => document.querySelector('[data-name="end"]'));
    expect(text('[role="dialog"]')).toContain('Nobody can write in it any more');
    press('End it');
    expect(HandSocket.last.sentOf('command').map((c) => [c.name, c.data])).toEqual([
      ['participant.change_role', { participant: BEN, role: 'viewer' }],
      ['participant.remove', { participant: BEN }],
      ['decision.record', { message: id(2) }],
      ['message.redact', { message: id(2) }],
      ['session.end', { pending: 'cancel' }],
    ]);
  });

  it('shows a refusal with its text and lets it be sent again', () => {
    open();
    enter('Message', 'precious');
    const [command] = HandSocket.last.sentOf('command');
    const problem = { type: 'x', title: 'The queue is full', status: 409, detail: 'Wait for answers.', code: 'queue_full', retryable: false };
    say({ type: 'error', re: command!.id, session_id: SESSION, problem });
    expect(text('.refused')).toContain('The queue is full');
    expect(text('.refused .text')).toBe('precious');
    press('Send it again');
    expect(document.querySelector('.refused')).toBeNull();
    expect(HandSocket.last.sentOf('command')[1]).toMatchObject({ data: { text: 'precious' }, retry: false });
  });

  it('tells a viewer why there is nothing to write in', () => {
    open(['session_view'], 'viewer');
    expect(document.querySelector('textarea')).toBeNull();
    expect(texts('.closed')[0]).toContain('You may read here.');
    expect(desk.deeds.map((one) => one.label)).not.toContain('End session');
  });

  it('says that the session has ended, and that one was removed', () => {
    open();
    happen('session.ended', { state: 'completed', reason: 'ended' });
    expect(text('.banner')).toMatch(/^This session ended at/);
    expect(texts('.closed')[0]).toBe('Nothing can be written here now.');
    say({ type: 'access', session_id: SESSION, you: { can: [] }, streams: [], reason: 'removed' });
    expect(text('[role="alert"]')).toContain('You were removed from this session.');
    expect(document.querySelector('.message')).toBeNull();
  });
});
