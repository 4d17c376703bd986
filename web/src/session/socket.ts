/**
 * The machine on a browser's WebSocket.
 *
 * Owns: the socket, the timer, inflating binary frames in order. Must not know: what frames mean. Invariant: a socket
 * that was dropped is heard no more, and frames reach the machine in the order in which they came.
 */

import type { Machine, Output } from './machine';
import { DEFLATE_MARK, type ServerFrame, SUBPROTOCOL } from './protocol';

/** Returns what this browser can do, for `hello`. */
export function features(): string[] {
  try {
    new DecompressionStream('deflate-raw');
    return ['deflate'];
  } catch {
    return [];
  }
}

/** Returns the address of the socket of the server that this page came from. */
export function socketUrl(page: { protocol: string; host: string }): string {
  return `${page.protocol === 'https:' ? 'wss' : 'ws'}://${page.host}/api/v1/ws`;
}

export interface DriverOptions {
  url: string;
  machine: Machine;
  /** Gets everything the machine says that is not about the socket itself. */
  onOutput: (output: Output) => void;
  makeSocket?: (url: string, protocol: string) => WebSocket;
  now?: () => number;
}

export class Driver {
  readonly #options: DriverOptions;
  readonly #now: () => number;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The end of what is being inflated; null when frames may be handled at once. */
  #inflating: Promise<void> | null = null;
  #draining = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => Math.floor(performance.now()));
  }

  /** Gives the machine an input at the present time and does what it asks for. */
  drive(input: (machine: Machine) => void): void {
    const { machine } = this.#options;
    machine.tick(this.#now());
    input(machine);
    this.#drain();
  }

  #drain(): void {
    // An output's listener may give the next input; the loop that runs already takes its outputs too.
    if (this.#draining) return;
    this.#draining = true;
    const { machine, onOutput } = this.#options;
    try {
      for (let output = machine.poll(); output; output = machine.poll()) {
        if (output.out === 'connect') this.#open();
        else if (output.out === 'close') this.#drop();
        else if (output.out === 'send') this.#socket?.send(JSON.stringify(output.frame));
        else onOutput(output);
      }
    } finally {
      this.#draining = false;
    }
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const deadline = this.#options.machine.deadline();
    if (deadline === null) return;
    // One millisecond more: a timer may fire a fraction early.
    this.#timer = setTimeout(() => this.drive(() => {}), Math.max(0, deadline - this.#now()) + 1);
  }

  #open(): void {
    this.#drop();
    const make = this.#options.makeSocket ?? ((url, protocol) => new WebSocket(url, protocol));
    let socket: WebSocket;
    try {
      socket = make(this.#options.url, SUBPROTOCOL);
    } catch {
      queueMicrotask(() => this.drive((m) => m.disconnected(null)));
      return;
    }
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const mine = (act: (machine: Machine) => void) => {
      if (this.#socket === socket) this.drive(act);
    };
    socket.onopen = () => mine((m) => m.connected());
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#read(socket, data as string | ArrayBuffer);
    };
    socket.onclose = ({ code }) => {
      // What came before the end is handled before the end.
      const closed = () => {
        if (this.#socket !== socket) return;
        this.#socket = null;
        this.drive((m) => m.disconnected(code));
      };
      if (this.#inflating) void this.#inflating.then(closed);
      else closed();
    };
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#inflating = null;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close();
  }

  #read(socket: WebSocket, data: string | ArrayBuffer): void {
    if (typeof data === 'string' && !this.#inflating) {
      this.#frame(socket, data);
      return;
    }
    const text = typeof data === 'string' ? Promise.resolve(data) : inflate(data);
    const before = this.#inflating ?? Promise.resolve();
    const done: Promise<void> = before
      .then(() => text)
      .then((t) => this.#frame(socket, t))
      .catch(() => this.#unreadable(socket))
      .then(() => {
        if (this.#inflating === done) this.#inflating = null;
      });
    text.catch(() => {});
    this.#inflating = done;
  }

  #frame(socket: WebSocket, text: string): void {
    if (this.#socket !== socket) return;
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text) as ServerFrame;
    } catch {
      this.#unreadable(socket);
      return;
    }
    this.drive((m) => m.frame(frame));
  }

  /** A frame that cannot be read would be a hole: connect again and resume. */
  #unreadable(socket: WebSocket): void {
    if (this.#socket !== socket) return;
    this.#drop();
    this.drive((m) => m.disconnected(null));
  }
}

/** Inflates a binary frame: the mark, then raw deflate of the JSON text. */
export async function inflate(data: ArrayBuffer): Promise<string> {
  const bytes = new Uint8Array(data);
  if (bytes[0] !== DEFLATE_MARK) throw new Error('unknown encoding of a binary frame');
  const stream = new Blob([bytes.subarray(1)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Response(stream).text();
}
