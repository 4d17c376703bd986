/** A WebSocket that a test holds in its hand; only for tests. */

import type { ClientFrame, ServerFrame } from '../session/protocol';

export class HandSocket {
  static readonly all: HandSocket[] = [];
  binaryType = 'blob';
  readyState = 0;
  readonly sent: ClientFrame[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly url: string;
  readonly protocol: string;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
    HandSocket.all.push(this);
  }

  /** The newest socket that the page has opened. */
  static get last(): HandSocket {
    return HandSocket.all[HandSocket.all.length - 1]!;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientFrame);
  }

  close(): void {
    this.readyState = 3;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  say(...frames: (ServerFrame | ArrayBuffer | string)[]): void {
    for (const frame of frames) {
      const data = typeof frame === 'string' || frame instanceof ArrayBuffer ? frame : JSON.stringify(frame);
      this.onmessage?.({ data });
    }
  }

  die(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** Returns the frames of a type that the page has sent on this socket. */
  sentOf<T extends ClientFrame['type']>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.sent.filter((f): f is Extract<ClientFrame, { type: T }> => f.type === type);
  }
}
