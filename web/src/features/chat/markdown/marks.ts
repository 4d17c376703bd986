/**
 * Markdown to HTML text, which still has to be sanitised.
 *
 * Owns: the dialect: GitHub's, with mathematics, without HTML. Must not know: elements, what is safe.
 * HTML in a message is shown as it was written; only a few marks without attributes are taken, as models write them in tables.
 */

import { Lexer, Marked, type TokenizerAndRendererExtension, type Tokens } from 'marked';
import { destination, isAttachment } from './sanitize';

const PLAIN_MARK = /^<\/?(?:br|sub|sup|kbd|mark|u|b|i|s)\s*\/?>/i;

export const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c]!);

interface Maths extends Tokens.Generic {
  tex: string;
  isDisplay: boolean;
}

/** The source stands there until it is typeset. */
const mathsAsText = (token: Tokens.Generic): string => {
  const { tex, isDisplay } = token as Maths;
  const tag = isDisplay ? 'div' : 'span';
  return `<${tag} class="math" data-tex="${escaped(tex)}" data-display="${isDisplay}"><code>${escaped(tex)}</code></${tag}>`;
};

const inlineMaths: TokenizerAndRendererExtension = {
  name: 'inlineMaths',
  level: 'inline',
  start: (source) => {
    const at = source.search(/\$|\\\(|\\\[/);
    return at < 0 ? undefined : at;
  },
  tokenizer(source) {
    const match =
      /^\$\$([^$]+?)\$\$/.exec(source) ??
      // As pandoc has it: no space inside the marks, no digit behind, so that prices stay prices.
      /^\$(?!\s)((?:\\.|[^$\\\n])+?)(?<![\s\\])\$(?!\d)/.exec(source) ??
      /^\\\((.+?)\\\)/s.exec(source) ??
      /^\\\[(.+?)\\\]/s.exec(source);
    if (!match) return undefined;
    return { type: 'inlineMaths', raw: match[0], tex: match[1]!.trim(), isDisplay: false };
  },
  renderer: mathsAsText,
};

const blockMaths: TokenizerAndRendererExtension = {
  name: 'blockMaths',
  level: 'block',
  start: (source) => {
    const at = source.search(/(?:^|\n) {0,3}(?:\$\$|\\\[)/);
    return at < 0 ? undefined : at;
  },
  tokenizer(source) {
    const match =
      /^ {0,3}\$\$([\s\S]+?)\$\$[ \t]*(?:\n+|$)/.exec(source) ?? /^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n+|$)/.exec(source);
    if (!match) return undefined;
    return { type: 'blockMaths', raw: match[0], tex: match[1]!.trim(), isDisplay: true };
  },
  renderer: mathsAsText,
};

const marked = new Marked({ gfm: true, breaks: true });
marked.use({
  extensions: [blockMaths, inlineMaths],
  tokenizer: {
    // HTML is text here: a block of it would swallow the Markdown behind it.
    html: () => undefined,
    tag(source) {
      const raw = PLAIN_MARK.exec(source)?.[0];
      return raw ? { type: 'html', raw, text: raw, block: false, pre: false, inLink: false, inRawBlock: false } : undefined;
    },
  },
  renderer: {
    html: ({ raw }) => (PLAIN_MARK.exec(raw)?.[0] === raw ? raw : escaped(raw)),
    code: ({ text, lang }) => {
      const name = (lang ?? '').trim().split(/[\s,{:]/)[0] ?? '';
      return `<pre data-lang="${escaped(name)}"><code>${escaped(text)}</code></pre>\n`;
    },
    checkbox: ({ checked }) => `<span class="task">${checked ? '☑' : '☐'}</span> `,
    link({ href, title, tokens, text }) {
      const inner = this.parser.parseInline(tokens);
      if (destination(href) === null) return `${inner}${text === href ? '' : ` (${escaped(href)})`}`;
      return `<a href="${escaped(href)}"${title ? ` title="${escaped(title)}"` : ''}>${inner}</a>`;
    },
    image: ({ href, text }) => {
      if (isAttachment(href)) return `<img src="${escaped(href)}" alt="${escaped(text)}">`;
      const url = destination(href);
      const name = text.trim() || 'image';
      return url ? `<a href="${escaped(href)}">${escaped(name)} (${escaped(url.host || url.href)})</a>` : escaped(name);
    },
  },
});

const options = marked.defaults;

/** Cuts a text into its top-level blocks; the parts add up to the whole. */
export function cut(source: string): string[] {
  const raws: string[] = [];
  for (const { type, raw } of new Lexer(options).blockTokens(source)) {
    // Blank lines belong to what stands before them.
    if (type === 'space' && raws.length > 0) raws[raws.length - 1] += raw;
    else raws.push(raw);
  }
  return raws.join('') === source ? raws : [source];
}

/** Returns the HTML of one block. */
export const htmlOf = (text: string): string => marked.parse(text, { async: false }).trim();
