/**
 * Markdown as elements under one element, block by block.
 *
 * Owns: which elements are kept, the frame around code, the places of formulas. Must not know: what is allowed (`sanitize`).
 * Invariant: a block whose text has not changed keeps its elements, so a selection in it stays.
 */

import { Blocks } from './blocks';
import * as code from './code';
import { htmlOf } from './marks';
import * as maths from './maths';
import { sanitize } from './sanitize';

export interface Words {
  /** On the button above code. */
  copy: string;
  copied: string;
  /** Says what a region of code is where it scrolls. */
  code: string;
  table: string;
  formula: string;
}

export interface PaintOptions {
  isStreaming?: boolean;
  /** Names after an `@` that are shown as names. */
  names?: readonly string[];
}

export class Painter {
  readonly #root: HTMLElement;
  readonly #words: Words;
  readonly #copy: (text: string) => Promise<boolean>;
  #blocks = new Blocks();
  #shown: string[] = [];
  #source = '';
  #options: PaintOptions = {};
  #isGone = false;

  /** `copy` puts text on the clipboard and says whether that went well. */
  constructor(root: HTMLElement, words: Words, copy: (text: string) => Promise<boolean>) {
    this.#root = root;
    this.#words = words;
    this.#copy = copy;
  }

  paint(source: string, options: PaintOptions = {}): void {
    if (options.names?.join('\n') !== this.#options.names?.join('\n')) this.#shown = [];
    this.#source = source;
    this.#options = options;
    const shown = this.#blocks.read(source, options.isStreaming ?? false);
    shown.forEach((text, i) => {
      if (this.#shown[i] === text) return;
      const fresh = this.#render(text);
      const old = this.#root.children[i];
      if (old) morph(old, fresh);
      else this.#root.append(fresh);
    });
    while (this.#root.children.length > shown.length) this.#root.lastElementChild!.remove();
    this.#shown = shown;
  }

  /** Nothing is painted after this, whatever is still being loaded. */
  stop(): void {
    this.#isGone = true;
  }

  #render(text: string): HTMLElement {
    const block = document.createElement('div');
    block.className = 'md-block';
    block.append(sanitize(htmlOf(text)));
    for (const pre of block.querySelectorAll('pre')) this.#frameCode(pre);
    for (const place of block.querySelectorAll('[data-tex]')) this.#typeset(place);
    for (const table of block.querySelectorAll('table')) this.#frameTable(table);
    const { names } = this.#options;
    if (names && names.length > 0 && text.includes('@')) markNames(block, names);
    return block;
  }

  #frameCode(pre: HTMLPreElement): void {
    const language = pre.getAttribute('data-lang') ?? '';
    const inner = pre.querySelector('code');
    const text = (inner?.textContent ?? '').replace(/\n$/, '');
    if (inner) {
      inner.textContent = text;
      const coloured = code.highlighted(text, language);
      if (coloured !== null) inner.replaceChildren(sanitize(coloured));
      else if (!code.isLoaded() && code.isColourable(language, text)) this.#again(code.load());
    }
    const name = code.labelOf(language);
    const head = document.createElement('div');
    head.className = 'md-code-head';
    const label = document.createElement('span');
    label.textContent = name;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = this.#words.copy;
    head.append(label, button);
    const frame = document.createElement('div');
    frame.className = 'md-code';
    pre.replaceWith(frame);
    pre.tabIndex = 0;
    pre.setAttribute('role', 'region');
    pre.setAttribute('aria-label', name === '' ? this.#words.code : `${this.#words.code}: ${name}`);
    frame.append(head, pre);
  }

  #frameTable(table: HTMLTableElement): void {
    const frame = document.createElement('div');
    frame.className = 'md-table';
    frame.tabIndex = 0;
    frame.setAttribute('role', 'region');
    frame.setAttribute('aria-label', this.#words.table);
    table.replaceWith(frame);
    frame.append(table);
  }

  #typeset(place: Element): void {
    const tex = place.getAttribute('data-tex') ?? '';
    if (!maths.isLoaded()) {
      this.#again(maths.load());
      return;
    }
    const isDisplay = place.getAttribute('data-display') === 'true';
    const mathml = maths.mathml(tex, isDisplay);
    if (mathml !== null) place.replaceChildren(sanitize(mathml));
    if (!isDisplay) return;
    // It may be wider than the screen, and is scrolled by keyboard too.
    (place as HTMLElement).tabIndex = 0;
    place.setAttribute('role', 'region');
    place.setAttribute('aria-label', this.#words.formula);
  }

  /** Paints everything again when `loaded`; where that fails, what is shown stays. */
  #again(loaded: Promise<void>): void {
    loaded.then(
      () => {
        if (this.#isGone) return;
        this.#shown = [];
        this.paint(this.#source, this.#options);
      },
      () => {},
    );
  }

  /** To be called with each click under the root. */
  clicked(event: Event): void {
    const button = (event.target as Element).closest('.md-code-head > button');
    const text = button?.closest('.md-code')?.querySelector('pre')?.textContent;
    if (!button || text === undefined || text === null) return;
    void this.#copy(text).then((done) => {
      if (!done) return;
      button.textContent = this.#words.copied;
      setTimeout(() => (button.textContent = this.#words.copy), 2_000);
    });
  }
}

/** Makes `old` say what `fresh` says and keeps every element that already does. */
export function morph(old: Element, fresh: Element): void {
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, i) => {
    const held = old.childNodes[i];
    if (!held) old.append(node);
    else if (held.isEqualNode(node)) return;
    else if (held instanceof Text && node instanceof Text) held.data = node.data;
    else if (held instanceof Element && node instanceof Element && isSameButForContent(held, node)) morph(held, node);
    else held.replaceWith(node);
  });
  while (old.childNodes.length > wanted.length) old.lastChild!.remove();
}

function isSameButForContent(a: Element, b: Element): boolean {
  return a.cloneNode(false).isEqualNode(b.cloneNode(false));
}

/** Puts a mark around each `@name`, except in code, links and formulas. */
function markNames(root: Element, names: readonly string[]): void {
  const alternatives = [...names].sort((a, b) => b.length - a.length).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const found = new RegExp(`(?<![\\p{L}\\p{N}_])@(?:${alternatives.join('|')})(?![\\p{L}\\p{N}_])`, 'giu');
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const texts: Text[] = [];
  while (walker.nextNode()) texts.push(walker.currentNode as Text);
  for (const text of texts) {
    if (text.parentElement?.closest('code, a, math, .md-code-head')) continue;
    const parts: (string | Node)[] = [];
    let from = 0;
    for (const match of text.data.matchAll(found)) {
      const mark = document.createElement('span');
      mark.className = 'md-name';
      mark.textContent = match[0];
      parts.push(text.data.slice(from, match.index), mark);
      from = match.index + match[0].length;
    }
    if (parts.length > 0) text.replaceWith(...parts, text.data.slice(from));
  }
}
