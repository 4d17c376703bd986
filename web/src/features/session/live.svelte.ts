/** A session as components see it: the same state, noticed by Svelte. */

import * as api from '../../api/client';
import type { Id, Participant } from '../../session/protocol';
import { Session, type SessionState } from '../../session/session';
import { socketUrl } from '../../session/socket';

export class Live {
  readonly session: Session;
  #state: SessionState = $state.raw()!;
  /** Everybody who is or was in it, by id. */
  readonly people: ReadonlyMap<Id, Participant> = $derived(new Map(this.#participants.map((p) => [p.id, p])));

  constructor(session: Id, user: Id) {
    this.session = new Session({ session, user, url: socketUrl(location), reader: api });
    this.#state = this.session.state;
    this.session.listen((state) => (this.#state = state));
  }

  get state(): SessionState {
    return this.#state;
  }

  get #participants(): Participant[] {
    return this.#state.view.participants;
  }

  /** Returns how somebody is called here. */
  nameOf(id: Id): string {
    return id === 'system' ? 'Roundtable' : (this.people.get(id)?.display_name ?? 'Somebody');
  }
}
