/**
 * Files that go with messages.
 *
 * Owns: sending one with its progress, limits, sizes in words. Must not know: the page. What is sent lies on the server until
 * a message names it.
 */

import { ApiError, isProblem, localProblem } from '../../api/problem';
import type { Id } from '../../session/protocol';
import { uuidv7 } from '../../session/uuid';

/** Largest file. Unit: bytes. */
export const MOST_BYTES = 25 * 1024 * 1024;
/** Most files of one message. */
export const MOST_FILES = 10;

export interface Attachment {
  id: Id;
  name: string;
  media_type: string;
  size_bytes: number;
  /** Of an image; null where it is none. */
  width: number | null;
  height: number | null;
}

/** Returns the files of a message; a server that knows none says nothing about them. */
export function attachmentsOf(message: { attachments?: readonly Partial<Attachment>[] | null }): Attachment[] {
  return (message.attachments ?? []).map((a) => ({
    id: a.id ?? '',
    name: a.name ?? '',
    media_type: a.media_type ?? 'application/octet-stream',
    size_bytes: a.size_bytes ?? 0,
    width: a.width ?? null,
    height: a.height ?? null,
  }));
}

/** Images that the server shows in the page; anything else is downloaded. */
const SHOWN = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);

export const isImage = (file: { media_type: string }): boolean => SHOWN.has(file.media_type);

const part = encodeURIComponent;

/** Returns where the bytes of an attachment are. */
export const addressOf = (session: Id, attachment: Id): string => `/api/v1/sessions/${part(session)}/attachments/${part(attachment)}`;

export interface Sending {
  done: Promise<Attachment>;
  cancel: () => void;
}

/** Sends a file; `onprogress` gets the part that is gone, 0 to 1. `fetch` cannot say that. */
export function send(session: Id, stream: 'main' | 'side', file: File, onprogress: (share: number) => void): Sending {
  const request = new XMLHttpRequest();
  const done = new Promise<Attachment>((resolve, reject) => {
    request.open('POST', `/api/v1/sessions/${part(session)}/attachments?name=${part(file.name)}&stream=${stream}`);
    request.setRequestHeader('accept', 'application/json, application/problem+json');
    request.setRequestHeader('content-type', file.type || 'application/octet-stream');
    request.setRequestHeader('idempotency-key', uuidv7());
    request.upload.onprogress = (event) => event.lengthComputable && onprogress(event.loaded / event.total);
    request.onload = () => {
      const answer = parsed(request.responseText);
      if (request.status >= 200 && request.status < 300 && answer) resolve(attachmentsOf({ attachments: [answer as Attachment] })[0]!);
      else reject(new ApiError(isProblem(answer) ? answer : strange(request.status)));
    };
    request.onerror = () =>
      reject(new ApiError(localProblem('offline', 'The server cannot be reached', 'Check your connection, then try again.', true)));
    request.onabort = () => reject(new DOMException('cancelled', 'AbortError'));
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const strange = (status: number) =>
  localProblem('strange_answer', 'The file was not taken', `The server answered with status ${status}.`, status >= 500);

/** Returns a size as people say it, in the language of `tag`. */
export function sizeWords(bytes: number, tag: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return new Intl.NumberFormat(tag, { style: 'unit', unit: units[unit]!, unitDisplay: unit === 0 ? 'long' : 'short', maximumFractionDigits: digits }).format(value);
}

/** Returns width and height for an image so that it fits; nothing moves when it comes. Unit: CSS pixels. */
export function fitted(width: number | null, height: number | null, most = { width: 360, height: 280 }): { width: number; height: number } {
  if (!width || !height) return { width: 240, height: 160 };
  const scale = Math.min(1, most.width / width, most.height / height);
  return { width: Math.max(24, Math.round(width * scale)), height: Math.max(24, Math.round(height * scale)) };
}
