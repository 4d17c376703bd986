/**
 * One stream of a session as people use it: what is being answered, edited, looked for.
 *
 * Owns: what conversation and composer share and no server knows. Must not know: how it looks.
 */

import { message as messageById } from '../../api/client';
import { t } from '../../app/i18n';
import { messageAt } from '../../session/history';
import { type Id, type MessageView, PAGE_MESSAGES } from '../../session/protocol';
import { toast } from '../../ui/toasts.svelte';
import { branchingOf } from '../branches/branching.svelte';
import type { Live } from '../session/live.svelte';
import { quoted } from './words';

export class Talk {
  readonly live: Live;
  readonly stream: 'main' | 'side';
  /** The message that the next one answers. */
  replyTo: MessageView | null = $state.raw(null);
  /** The message whose text is being changed, or said in other words beside it, and the new text so far. */
  editing: { id: Id; text: string; isSibling?: boolean } | null = $state(null);
  /** The message of which somebody wants to know who has read it. */
  readers: MessageView | null = $state.raw(null);
  /** The message that stands out because somebody went to it. */
  found: Id | null = $state(null);
  /** The message whose further actions are open. */
  menu: Id | null = $state(null);
  /** Where the conversation is asked to go: a message's number; null once it has gone there. */
  wanted: { n: number; id: Id } | null = $state.raw(null);

  constructor(live: Live, stream: 'main' | 'side') {
    this.live = live;
    this.stream = stream;
  }

  get session() {
    return this.live.session;
  }

  get isOpen(): boolean {
    const state = this.live.state.view.session?.state;
    return state === 'active' || state === 'paused';
  }

  get canPost(): boolean {
    return this.isOpen && this.session.may(this.stream === 'main' ? 'message_post' : 'side_post');
  }

  isMine(message: MessageView): boolean {
    return message.author === this.live.state.you?.participant_id;
  }

  may(message: MessageView) {
    const { live, stream } = this;
    const can = live.state.you?.can ?? [];
    const canPost = this.canPost;
    const isWhole = !message.redacted && message.answer?.state !== 'streaming';
    return {
      reply: canPost && isWhole,
      edit: canPost && isWhole && this.isMine(message),
      redact: this.isOpen && isWhole && ((canPost && this.isMine(message)) || can.includes('message_redact_any')),
      decide: this.isOpen && isWhole && stream === 'main' && can.includes('decision_record'),
      // Of a recording nobody is a reader now.
      readers: !live.now && message.seq > 0 && Boolean(live.state.you?.participant_id),
      copy: isWhole && message.text !== '',
      keep:
        this.isOpen && isWhole && stream === 'main' && message.text !== '' && can.includes('memory_write') && !live.state.view.memories?.some((memory) => memory.source === message.id),
      branch: this.isOpen && isWhole && stream === 'main' && can.includes('branch_write'),
      toAssistant:
        this.isOpen && isWhole && stream === 'side' && message.text !== '' && can.includes('message_post') && can.includes('turn_prompt'),
    };
  }

  /** Returns a message of this stream that is held here. */
  held(id: Id): MessageView | undefined {
    const { view, pages } = this.live.state;
    const newest = view.streams[this.stream]?.messages.findLast((m) => m.id === id);
    if (newest) return newest;
    for (const page of pages[this.stream].values()) {
      const found = page.messages.find((m) => m.id === id);
      if (found) return found;
    }
    return undefined;
  }

  /** Goes to a message, wherever in the stream it is. */
  async jump(id: Id): Promise<void> {
    await goTo(this.live, id);
  }

  /** Shows message `n`, and makes it stand out. */
  show(id: Id, n: number): void {
    this.wanted = { n, id };
    this.found = id;
  }

  /** Begins to change the last own message. Returns whether there is one. */
  editLast(): boolean {
    const { view, pages } = this.live.state;
    const stream = view.streams[this.stream];
    for (let n = (stream?.count ?? 0) - 1; n >= 0; n--) {
      const message = messageAt(stream, pages[this.stream], n);
      if (!message) return false;
      if (this.stream === 'main' && branchingOf(this.live).line?.hides(n)) continue;
      if (!this.isMine(message) || message.redacted) continue;
      if (!this.may(message).edit) return false;
      this.edit(message);
      this.wanted = { n, id: message.id };
      return true;
    }
    return false;
  }

  edit(message: MessageView): void {
    this.editing = { id: message.id, text: message.text };
  }

  /** Says in `main`, to the assistant, what somebody said in side chat. */
  sendToAssistant(message: MessageView): void {
    this.session.post(quoted(t('chat.quoted', { name: this.live.nameOf(message.author) }), message.text), { stream: 'main', ask: true });
  }

  /** Returns the address of a message; who may read it there is the server's to say. */
  linkTo(message: MessageView): string {
    return `${location.origin}${location.pathname}${this.stream === 'main' ? branchingOf(this.live).search : ''}#m=${message.id}`;
  }
}

const LINK = /^#m=([0-9a-f-]{36})$/i;

/** Returns the message that an address asks for. */
export function messageOfHash(hash: string): Id | null {
  return LINK.exec(hash)?.[1]?.toLowerCase() ?? null;
}

/** Goes to a message of any stream. Returns which stream it is in; null: there is none, or the reader may not see it. */
export async function goTo(live: Live, id: Id): Promise<'main' | 'side' | null> {
  for (const name of ['main', 'side'] as const) {
    const held = talkOf(live, name).held(id);
    if (!held) continue;
    if (name === 'main') branchingOf(live).showMessage(held);
    talkOf(live, name).show(id, held.n);
    return name;
  }
  try {
    const { stream, message } = await messageById(live.session.id, id);
    if (stream !== 'main' && stream !== 'side') throw new Error('such a stream is not shown here');
    // Which lines lead through it is known once what lies around it is held.
    await live.session.loadPage(stream, Math.floor(message.n / PAGE_MESSAGES)).catch(() => {});
    if (stream === 'main') branchingOf(live).showMessage(message);
    talkOf(live, stream).show(id, message.n);
    return stream;
  } catch {
    toast(t('chat.not_found'), { tone: 'bad' });
    return null;
  }
}

const talks = new WeakMap<Live, { main?: Talk; side?: Talk }>();

/** Returns the talk of a stream; its parts on the page share one. */
export function talkOf(live: Live, stream: 'main' | 'side'): Talk {
  const known = talks.get(live) ?? {};
  talks.set(live, known);
  return (known[stream] ??= new Talk(live, stream));
}
