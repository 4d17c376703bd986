/**
 * What can answer, and what could be connected; one list for the whole page.
 *
 * Owns: asking the server and keeping its answer. Must not know: sessions.
 */

import * as api from '../../api/client';
import { problemOf } from '../../api/problem';
import type { Problem } from '../../session/protocol';
import { uuidv7 } from '../../session/uuid';

export class AssistantList {
  #data = $state.raw<api.Assistants | null>(null);
  #problem = $state.raw<Problem | null>(null);
  #busy = $state(false);
  #asked: Promise<void> | null = null;

  get data(): api.Assistants | null {
    return this.#data;
  }
  get problem(): Problem | null {
    return this.#problem;
  }
  get busy(): boolean {
    return this.#busy;
  }
  /** Whether this server has no such list. */
  get isAway(): boolean {
    return this.#problem?.status === 404 || this.#problem?.status === 405;
  }

  /** Asks once; later calls wait for the same answer. */
  load(): Promise<void> {
    this.#asked ??= this.#ask(api.assistants);
    return this.#asked;
  }

  /** Asks again, without searching the machine again. */
  refresh(): Promise<void> {
    this.#asked = this.#ask(api.assistants);
    return this.#asked;
  }

  scan(): Promise<void> {
    this.#asked = this.#ask(() => api.scanAssistants());
    return this.#asked;
  }

  /** Asks something that costs money for its models; a person has allowed it. Throws what the server refuses. */
  async askModels(found: string): Promise<void> {
    this.#data = await api.scanAssistants({ found_id: found, confirm_paid: true });
  }

  /** Connects one. Throws what the server refuses. */
  async connect(what: api.NewAssistant): Promise<api.Assistant> {
    const made = await api.connectAssistant(what, uuidv7());
    await this.refresh();
    return made;
  }

  async disconnect(name: string): Promise<void> {
    await api.disconnectAssistant(name);
    await this.refresh();
  }

  /** Returns what an assistant of a session's settings is called. */
  labelOf(name: string): string {
    return this.#data?.assistants.find((a) => a.name === name)?.label ?? (name === 'guide' ? 'Guide' : name);
  }

  forget(): void {
    this.#data = null;
    this.#problem = null;
    this.#asked = null;
  }

  async #ask(how: () => Promise<api.Assistants>): Promise<void> {
    this.#busy = true;
    this.#problem = null;
    try {
      this.#data = await how();
    } catch (error) {
      this.#problem = problemOf(error);
      this.#asked = null;
    } finally {
      this.#busy = false;
    }
  }
}

export const assistants = new AssistantList();
