/**
 * A Markdown source as a list of blocks, kept up to date while it grows.
 *
 * Owns: where blocks begin, and how an unfinished end is shown. Must not know: elements. Invariant: while the source grows, a
 * block that is not the last one stays as it is.
 */

import { cut } from './marks';
import { mended } from './mend';

/** A definition of where `[name]` leads; it counts for the whole text. */
const DEFINITION = /^ {0,3}\[[^\]]+\]:[ \t]*\S+/;

export class Blocks {
  #source = '';
  /** Blocks with the blank lines after them: they add up to the source. */
  #raws: string[] = [];

  /** Reads `source` and returns what to render, block by block. What was read before is not read again when it only grew. */
  read(source: string, isStreaming: boolean): string[] {
    const text = source.replace(/\r\n?/g, '\n');
    const kept = isStreaming && text.startsWith(this.#source) ? this.#raws.slice(0, -1) : [];
    const from = kept.reduce((sum, raw) => sum + raw.length, 0);
    this.#raws = [...kept, ...cut(text.slice(from))];
    this.#source = text;
    const definitions = this.#raws.filter((raw) => DEFINITION.test(raw)).join('');
    const last = this.#raws.length - 1;
    return this.#raws.map((raw, i) => {
      const block = raw.trimEnd();
      const shown = isStreaming && i === last ? mended(block) : block;
      return definitions !== '' && shown.includes('[') ? `${shown}\n\n${definitions}` : shown;
    });
  }
}
