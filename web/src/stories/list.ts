/** Every screen in every state that this release has. */

import type { DialogName } from '../app/desk.svelte';
import type { LifeView, View } from '../session/protocol';
import { type Answer, ANA, asides, at, BEN, DMITRI, ended, endings, GUIDE, kinds, me, participant, people, sessionList, type Stage, streaming, talk, view, SESSION } from './world';
import { branchStories } from './branches';
import { contextStories } from './context';
import { memoryStories } from './memories';
import { replayStories } from './replay';

export interface Story {
  id: string;
  /** Where the page is. */
  path: string;
  stage?: Stage;
  answers?: [RegExp, Answer][];
  dialog?: DialogName;
  /** What is done once the screen stands, one after the other; selectors of what is clicked. */
  clicks?: string[];
  /** Of phones, or of wide screens, only. */
  only?: 'phone' | 'wide';
  /** Somebody without a login. */
  stranger?: boolean;
}

const session = `/s/${SESSION}`;
const stranger: [RegExp, Answer][] = [[/GET \/me$/, { status: 401, problem: { code: 'not_logged_in', title: 'You are not logged in', detail: '' } }]];
const problem = (status: number, code: string, title: string, detail: string) => ({ status, problem: { code, title, detail } });
const crowd = [
  ...people.slice(0, 3),
  ...['Elif', 'Farid', 'Giulia', 'Hana', 'Ivo', 'Jun', 'Kemi', 'Leo'].map((name, i) =>
    participant(`01900000-0000-7000-8000-0000000001${String(i).padStart(2, '0')}`, name, 'viewer', 4 + i),
  ),
  people[4]!,
];
const alone = view({ title: 'New session' }, [people[0]!, people[4]!]);
const soon = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString();
/** A session that has more to say of its life than its state. */
const lived = (change: Parameters<typeof view>[0], life: Partial<LifeView>): View => ({
  ...view(change),
  life: { paused: null, ending: null, cause: null, warnings: [], detached: null, report: null, ...life },
});
const limited = view({ expires_at: at(23, 30), settings: { ...view().session!.settings, time_limit_s: 7200, idle_limit_s: 5400, max_participants: 8, respond: 'mention' } });
/** Who waits to be let in. */
const asking = ['Elif', 'Farid Abdul-Rahman ibn Yusuf al-Qurashi', 'Giulia'].map((display_name, i) => ({
  id: `01900000-0000-7000-8000-00000000020${i}`,
  user_id: `01900000-0000-7000-8000-00000000021${i}`,
  display_name,
  colour: 5 + i,
  role: i === 1 ? ('viewer' as const) : ('collaborator' as const),
  requested_at: at(10, 4, i),
  expires_at: at(10, 14, i),
}));
const reader = { role: 'viewer' as const, can: ['session_view' as const] };

export const stories: Story[] = [
  { id: 'components', path: '/stories/components' },
  { id: 'start', path: '/', answers: stranger },
  { id: 'start-known', path: '/' },
  { id: 'start-empty', path: '/', answers: [[/GET \/sessions\?/, { items: [] }]] },
  { id: 'start-no-hosting', path: '/', answers: [[/GET \/me$/, { ...me, can_host: false }]] },
  { id: 'start-problem', path: '/', answers: [[/GET \/me$/, problem(503, 'unavailable', 'The store cannot write now', 'The store cannot write now')]] },
  { id: 'join', path: '/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE', answers: stranger },
  { id: 'join-code', path: '/join#K7MPQ3', answers: stranger },
  { id: 'join-known', path: '/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE' },
  {
    id: 'join-full',
    path: '/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE',
    answers: [[/POST \/join$/, problem(409, 'session_full', 'The session is full', 'The session is full')]],
    clicks: ['button[type="submit"]'],
  },
  {
    id: 'join-ended',
    path: '/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE',
    answers: [[/POST \/join$/, problem(410, 'link_ended', 'That link has been revoked or has expired', 'That link has been revoked or has expired')]],
    clicks: ['button[type="submit"]'],
  },
  {
    id: 'join-waiting',
    path: '/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE',
    answers: [[/POST \/join$/, { status: 'waiting', session_id: SESSION }]],
    clicks: ['button[type="submit"]'],
  },
  {
    id: 'join-unreached',
    path: '/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE',
    answers: [[/POST \/join$/, { status: 'waiting', session_id: SESSION }], [/requests\/mine$/, problem(503, 'unavailable', 'The store cannot write now', '')]],
    clicks: ['button[type="submit"]'],
  },
  {
    id: 'join-turned-away',
    path: '/join#r7V3aXwqk0v1Zb2mJ9cQ4gT5uY8nL1sE',
    answers: [[/POST \/join$/, { status: 'waiting', session_id: SESSION }], [/requests\/mine$/, { status: 'denied', request: null, reason: 'We are nearly done.' }]],
    clicks: ['button[type="submit"]'],
  },
  { id: 'join-no-link', path: '/join' },
  { id: 'nowhere', path: '/nowhere' },
  { id: 'logged-out', path: session, answers: stranger },
  { id: 'session-new', path: session, stage: { view: alone, present: { [ANA]: 'active' } } },
  { id: 'session-new-model', path: session, stage: { view: view({ title: 'New session', settings: { ...alone.session!.settings, assistant: 'llama' } }, alone.participants), present: { [ANA]: 'active' } } },
  { id: 'session-talk', path: session, stage: { happenings: [...talk, ...asides] } },
  { id: 'session-streaming', path: session, stage: { happenings: streaming, after: [{ type: 'ephemeral', session_id: SESSION, stream: 'main', lane: 'typing', items: [{ participant_id: BEN, data: { n: 1 } }] }] } },
  { id: 'chat-kinds', path: session, stage: { happenings: kinds } },
  { id: 'chat-endings', path: session, stage: { happenings: endings } },
  { id: 'session-loading', path: session, stage: { socket: 'silent' } },
  { id: 'session-reader', path: session, stage: { ...reader, happenings: talk } },
  { id: 'session-crowd', path: session, stage: { view: view({}, crowd), happenings: talk, present: Object.fromEntries(crowd.map((p) => [p.id, 'active'])) } },
  { id: 'session-reconnecting', path: session, stage: { happenings: talk, socket: 'breaks' } },
  { id: 'session-refused', path: session, stage: { socket: 4401 } },
  { id: 'session-old-page', path: session, stage: { socket: 4400 } },
  { id: 'session-denied', path: session, stage: { denied: true } },
  { id: 'session-paused', path: session, stage: { view: lived({ state: 'paused' }, { paused: { by: BEN, at: at(10, 1), reason: 'lunch until one' } }), happenings: talk } },
  { id: 'session-paused-reader', path: session, stage: { ...reader, view: lived({ state: 'paused' }, { paused: { by: BEN, at: at(10, 1), reason: null } }), happenings: talk } },
  { id: 'session-ending', path: session, stage: { view: lived({}, { ending: 'ended' }), happenings: streaming } },
  { id: 'session-expires', path: session, stage: { view: lived({ expires_at: soon(4) }, { warnings: [{ limit: 'expiry', strikes_at: soon(4) }] }), happenings: talk } },
  { id: 'session-idle', path: session, stage: { ...reader, can: ['session_view', 'message_post', 'turn_prompt'], happenings: [...talk, { kind: 'session.warned', actor: 'system', data: { limit: 'idle', strikes_at: soon(3) } }] } },
  { id: 'session-away', path: session, stage: { view: lived({}, { detached: { since: at(8, 0), why: 'asked', until: null, by: null, done: { at: at(9, 0), turns: 3, unfinished: 1 } } }), happenings: talk } },
  { id: 'session-not-recorded', path: session, stage: { view: view({ settings: { ...view().session!.settings, recording: false } }), happenings: talk } },
  { id: 'session-ended', path: session, stage: { happenings: [...talk, { kind: 'session.ended', data: { state: 'completed', reason: 'ended' } }] } },
  { id: 'session-failed', path: session, stage: { view: lived({ state: 'failed', end_reason: 'room_panicked', ended_at: at(10, 5) }, { cause: 'The session stopped three times within ten minutes. Choose another assistant, then resume it.' }), happenings: talk } },
  { id: 'session-created', path: session, stage: { view: view({ state: 'created', started_at: null }) } },
  { id: 'session-removed', path: session, stage: { after: [{ type: 'access', session_id: SESSION, you: { can: [] }, streams: [], reason: 'removed' }] } },
  { id: 'lobby-one', path: session, stage: { requests: asking.slice(0, 1), happenings: talk } },
  { id: 'lobby', path: session, stage: { requests: asking, happenings: talk }, clicks: ['header button:has([data-colour])'] },
  { id: 'session-ended-menu', path: session, stage: { happenings: [...talk, { kind: 'session.ended', data: { state: 'completed', reason: 'ended' } }] }, clicks: ['header h1 button'] },
  { id: 'session-title-menu', path: session, stage: { happenings: talk }, clicks: ['header h1 button'] },
  { id: 'session-assistant-menu', path: session, stage: { happenings: talk }, clicks: ['[data-assistant]'], only: 'wide' },
  { id: 'session-assistant-menu-phone', path: session, stage: { happenings: talk }, clicks: ['header h1 button', '[role="menuitem"]:has(.lucide-sparkle)'], only: 'phone' },
  { id: 'people', path: session, stage: { happenings: talk, present: { [ANA]: 'active', [BEN]: 'idle', [DMITRI]: 'away', [GUIDE]: 'active' } }, clicks: ['header button:has([data-colour])'] },
  { id: 'people-remove', path: session, stage: { happenings: talk }, clicks: ['header button:has([data-colour])', '[data-participant] [aria-label*="Ben Okafor"]'] },
  { id: 'side', path: session, stage: { happenings: [...talk, ...asides] }, clicks: ['header button:has([data-colour])', '[role="tab"]:nth-child(2)'] },
  ...branchStories,
  ...contextStories,
  ...memoryStories,
  ...replayStories,
  { id: 'sessions-empty', path: session, stage: { view: alone, present: { [ANA]: 'active' } }, answers: [[/GET \/sessions\?/, { items: [] }]], only: 'wide' },
  { id: 'sessions-loading', path: session, stage: { view: alone, present: { [ANA]: 'active' } }, answers: [[/GET \/sessions\?/, 'never']], only: 'wide' },
  { id: 'share', path: session, stage: { happenings: talk }, dialog: 'share' },
  { id: 'share-this-machine', path: session, stage: { happenings: talk }, dialog: 'share', answers: [[/GET \/me$/, { ...me, only_this_device: true, reachable_urls: [] }]] },
  { id: 'share-shut', path: session, stage: { view: view({ settings: { ...view().session!.settings, allow_join: false, max_participants: 8 } }), happenings: talk }, dialog: 'share' },
  { id: 'share-no-code', path: session, stage: { happenings: talk }, dialog: 'share', answers: [[/GET \/sessions\/[^/]+$/, { share_code: null }], [/GET .*\/links$/, { items: [] }]] },
  { id: 'share-reader', path: session, stage: { ...reader, happenings: talk }, dialog: 'share' },
  { id: 'share-problem', path: session, stage: { happenings: talk }, dialog: 'share', answers: [[/links$/, problem(503, 'unavailable', 'The store cannot write now', 'The store cannot write now')]] },
  { id: 'share-ended', path: session, stage: { view: view({ state: 'completed', end_reason: 'ended' }), happenings: talk }, dialog: 'share' },
  { id: 'connect', path: session, stage: { happenings: talk }, dialog: 'connect' },
  { id: 'connect-paid', path: session, stage: { happenings: talk }, dialog: 'connect', clicks: ['[data-found="anthropic"] button'] },
  { id: 'connect-none', path: session, stage: { happenings: talk }, dialog: 'connect', answers: [[/assistants/, { assistants: [], found: [], can_connect: true }]] },
  { id: 'connect-away', path: session, stage: { happenings: talk }, dialog: 'connect', answers: [[/assistants/, problem(404, 'not_found', 'There is nothing here', '')]] },
  { id: 'settings', path: session, stage: { happenings: talk }, dialog: 'settings' },
  { id: 'keys', path: session, stage: { happenings: talk }, dialog: 'keys' },
  { id: 'palette', path: session, stage: { happenings: talk }, dialog: 'palette' },
  { id: 'end', path: session, stage: { happenings: talk }, dialog: 'end' },
  { id: 'end-pending', path: session, stage: { happenings: streaming }, dialog: 'end' },
  { id: 'end-failed', path: session, stage: { view: lived({ state: 'failed' }, { cause: 'The disk is full.' }) }, dialog: 'end' },
  { id: 'pause', path: session, stage: { happenings: streaming }, dialog: 'pause' },
  { id: 'pause-offline', path: session, stage: { happenings: talk, socket: 'breaks' }, dialog: 'pause' },
  { id: 'detach', path: session, stage: { happenings: streaming }, dialog: 'detach' },
  { id: 'detach-problem', path: session, stage: { happenings: talk }, dialog: 'detach', answers: [[/POST .*\/detach$/, problem(503, 'unavailable', 'The store cannot write now', 'The store cannot write now')]], clicks: ['[type="submit"][form="life-move"]'] },
  { id: 'report', path: `${session}/report` },
  { id: 'report-so-far', path: `${session}/report`, answers: [[/GET .*\/report$/, { ...ended, is_final: false, report: { ...ended.report, state: 'active', decisions: [], usage: [] } }]] },
  { id: 'report-loading', path: `${session}/report`, answers: [[/GET .*\/report$/, 'never']] },
  { id: 'report-denied', path: `${session}/report`, answers: [[/GET .*\/report$/, problem(404, 'not_found', 'There is nothing here, or not for you', '')]] },
  { id: 'report-no-summary', path: `${session}/report`, answers: [[/GET \/sessions\/[^/]+$/, { id: SESSION, title: 'A table for six', settings: { recording: true, assistant: 'llama' } }], [/GET .*\/report$/, { ...ended, summary: null }], [/POST .*\/summary$/, { summary: null, failed: { code: 'model_unreachable', detail: 'The model cannot be reached.' } }]], clicks: ['[data-name="summary"] button'] },
  { id: 'history', path: session, stage: { happenings: talk }, dialog: 'history' },
  { id: 'history-none', path: session, stage: { happenings: talk }, dialog: 'history', answers: [[/GET .*\/events\?/, { epoch: 'abcdefghijkm', head: 9, events: [], next: null }]] },
  { id: 'history-loading', path: session, stage: { happenings: talk }, dialog: 'history', answers: [[/GET .*\/events\?/, 'never']] },
  { id: 'read-by', path: session, stage: { happenings: talk }, clicks: ['[data-message]', '[role="toolbar"] [aria-haspopup="menu"]', '[role="menuitem"]'], only: 'phone' },
  { id: 'sessions-alone', path: '/', answers: [[/GET \/sessions\?/, { items: sessionList.map((one, i) => (i === 1 || i === 2 ? { ...one, is_active: true, state: 'active', detached_at: at(8, 0), work_done: i === 2 } : one)) }]] },
  { id: 'sessions-alone-none', path: '/', answers: [[/GET \/sessions\?.*detached/, { items: [] }], [/GET \/sessions\?/, { items: sessionList.map((one) => ({ ...one, is_active: true, detached_at: at(8, 0) })) }]], clicks: ['[data-alone]'] },
  { id: 'checkpoints', path: session, stage: { happenings: talk }, dialog: 'checkpoints', clicks: ['[role="dialog"] [role="switch"]'] },
  { id: 'checkpoints-none', path: session, stage: { happenings: talk }, dialog: 'checkpoints', answers: [[/GET .*\/checkpoints/, { items: [] }]] },
  { id: 'checkpoints-reader', path: session, stage: { ...reader, happenings: talk }, dialog: 'checkpoints' },
  { id: 'checkpoints-loading', path: session, stage: { happenings: talk }, dialog: 'checkpoints', answers: [[/GET .*\/checkpoints/, 'never']] },
  { id: 'checkpoints-problem', path: session, stage: { happenings: talk }, dialog: 'checkpoints', answers: [[/GET .*\/checkpoints/, problem(503, 'unavailable', 'The store cannot write now', 'The store cannot write now')]] },
  { id: 'checkpoint-delete', path: session, stage: { happenings: talk }, dialog: 'checkpoints', clicks: ['[data-checkpoint] [aria-haspopup="menu"]', '[role="menuitem"]'] },
  { id: 'checkpoint-restore', path: session, stage: { happenings: talk }, dialog: 'checkpoints', clicks: ['[data-checkpoint] [aria-haspopup="menu"]', '[role="menuitem"]:nth-child(2)'] },
  { id: 'session-settings', path: session, stage: { view: limited, happenings: talk }, dialog: 'session' },
  { id: 'session-settings-reader', path: session, stage: { ...reader, view: limited, happenings: talk }, dialog: 'session' },
  {
    id: 'session-settings-rules',
    path: session,
    stage: { view: view({ settings: { ...view().session!.settings, memories_to_assistants: true, context_base_required: true, context_strategies: { '': 'merge', '/budget': 'role_priority', '/plan/steps': 'manual' } } }), happenings: talk },
    dialog: 'session',
    clicks: ['[data-context-rules] > div button'],
  },
  { id: 'session-settings-wrong', path: session, stage: { view: view({ settings: { ...view().session!.settings, time_limit_s: 400 * 86_400, max_participants: 0, recording: false } }), happenings: talk }, dialog: 'session', clicks: ['[data-name="session-settings"] + * [type="submit"], footer [type="submit"]'] },
];
