/** A session as components see it: the same state, noticed by Svelte. */

import * as api from '../../api/client';
import { assistantName } from '../../app/assistant';
import { t } from '../../app/i18n';
import type { Id, MessageView, Participant } from '../../session/protocol';
import { Session, type SessionOptions, type SessionState } from '../../session/session';
import { socketUrl } from '../../session/socket';

export class Live {
  readonly session: Session;
  /** The time of what is shown, where that is not now: a recording. Unit: milliseconds since 1970. */
  readonly now: (() => number) | undefined;
  #state: SessionState = $state.raw()!;
  /** Everybody who is or was in it, by id. */
  readonly people: ReadonlyMap<Id, Participant> = $derived(new Map(this.#participants.map((p) => [p.id, p])));

  readonly #labelOf: (assistant: string) => string;

  /** `labelOf` gives the label of an assistant by its name in the settings; `instead` replaces where everything comes from. */
  constructor(
    session: Id,
    user: Id,
    labelOf: (assistant: string) => string = (name) => (name === 'guide' ? 'Guide' : name),
    { now, ...instead }: Partial<SessionOptions> & { now?: () => number } = {},
  ) {
    this.now = now;
    this.#labelOf = labelOf;
    this.session = new Session({ session, user, url: socketUrl(location), reader: api, ...instead });
    this.#state = this.session.state;
    this.session.listen((state) => (this.#state = state));
  }

  get state(): SessionState {
    return this.#state;
  }

  get #participants(): Participant[] {
    return this.#state.view.participants;
  }

  /** The label of what answers here now. */
  get assistantLabel(): string {
    return this.labelOf(this.#state.view.session?.settings.assistant ?? 'guide');
  }

  /** Returns the label of an assistant by its name in the settings. */
  labelOf(assistant: string): string {
    return this.#labelOf(assistant);
  }

  /** Returns how somebody is called here; an assistant by what answers now. */
  nameOf(id: Id): string {
    if (id === 'system') return 'Roundtable';
    const somebody = this.people.get(id);
    return somebody?.kind === 'agent' ? assistantName(this.assistantLabel) : (somebody?.display_name ?? t('common.somebody'));
  }

  /** Returns who said this, by the name of then: an answer stays the answer of what gave it. */
  authorOf({ author, answer, copied_from: copied }: Pick<MessageView, 'author' | 'answer' | 'copied_from'>): string {
    if (copied) return copied.there?.name ?? this.nameOf(copied.author);
    return answer ? assistantName(answer.label) : this.nameOf(author);
  }
}
