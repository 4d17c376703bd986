/** The files that lie in a composer: on their way, there, or refused. */

import { problemOf } from '../../api/problem';
import type { Id, Problem } from '../../session/protocol';
import { type Attachment, MOST_BYTES, MOST_FILES, type Sending, send } from './attachments';

export type UploadState = 'sending' | 'ready' | 'failed' | 'too_large';

/** How large a preview is drawn. Unit: CSS pixels. */
const PREVIEW = 96;

export class Upload {
  readonly key: number;
  readonly name: string;
  readonly size: number;
  readonly media_type: string;
  readonly file: File | null;
  state: UploadState = $state('sending');
  /** 0 to 1. */
  share = $state(0);
  problem: Problem | null = $state.raw(null);
  /** The stored file, once it is there. */
  stored: Attachment | null = $state.raw(null);
  /** A small picture of an image that was chosen here. */
  preview: string | null = $state.raw(null);
  sending: Sending | null = null;

  constructor(key: number, file: File | Attachment) {
    this.key = key;
    this.name = file.name;
    if (file instanceof File) {
      this.file = file;
      this.size = file.size;
      this.media_type = file.type;
    } else {
      this.file = null;
      this.size = file.size_bytes;
      this.media_type = file.media_type;
      this.stored = file;
      this.state = 'ready';
      this.share = 1;
    }
  }
}

export class Uploads {
  list: readonly Upload[] = $state.raw([]);
  /** Whether more were given than a message takes. */
  tooMany = $state(false);
  readonly #session: Id;
  readonly #stream: 'main' | 'side';
  readonly #onchange: (ready: readonly Attachment[]) => void;
  #next = 0;

  constructor(session: Id, stream: 'main' | 'side', stored: readonly Attachment[], onchange: (ready: readonly Attachment[]) => void) {
    this.#session = session;
    this.#stream = stream;
    this.#onchange = onchange;
    this.list = stored.map((file) => new Upload(this.#next++, file));
  }

  get ready(): Attachment[] {
    return this.list.flatMap((upload) => (upload.stored ? [upload.stored] : []));
  }

  get isBusy(): boolean {
    return this.list.some((upload) => upload.state === 'sending');
  }

  add(files: Iterable<File>): void {
    const fresh = [...files];
    const room = MOST_FILES - this.list.length;
    this.tooMany = fresh.length > room;
    const taken = fresh.slice(0, Math.max(0, room)).map((file) => new Upload(this.#next++, file));
    this.list = [...this.list, ...taken];
    for (const upload of taken) {
      this.#send(upload);
      void preview(upload.file!).then((picture) => (upload.preview = picture));
    }
  }

  again(upload: Upload): void {
    if (upload.state === 'failed') this.#send(upload);
  }

  remove(upload: Upload): void {
    upload.sending?.cancel();
    this.list = this.list.filter((u) => u !== upload);
    this.tooMany = false;
    this.#onchange(this.ready);
  }

  /** They went with a message. */
  clear(): void {
    for (const upload of this.list) upload.sending?.cancel();
    this.list = [];
    this.tooMany = false;
    this.#onchange([]);
  }

  #send(upload: Upload): void {
    const { file } = upload;
    if (!file) return;
    if (file.size > MOST_BYTES) {
      upload.state = 'too_large';
      return;
    }
    upload.state = 'sending';
    upload.share = 0;
    upload.problem = null;
    const sending = send(this.#session, this.#stream, file, (share) => (upload.share = share));
    upload.sending = sending;
    sending.done.then(
      (stored) => {
        upload.stored = stored;
        upload.share = 1;
        upload.state = 'ready';
        upload.sending = null;
        this.#onchange(this.ready);
      },
      (error: unknown) => {
        upload.sending = null;
        if (error instanceof DOMException && error.name === 'AbortError') return;
        upload.problem = problemOf(error);
        upload.state = upload.problem.code === 'attachment_too_large' ? 'too_large' : 'failed';
      },
    );
  }
}

/** Draws a small picture; the page may not show local files by their own address. */
async function preview(file: File): Promise<string | null> {
  if (!file.type.startsWith('image/') || file.type === 'image/svg+xml') return null;
  try {
    const image = await createImageBitmap(file);
    const scale = Math.min(1, (PREVIEW * devicePixelRatio) / Math.max(image.width, image.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
    image.close();
    return canvas.toDataURL('image/webp', 0.8);
  } catch {
    return null;
  }
}
