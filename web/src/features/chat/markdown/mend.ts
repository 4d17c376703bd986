/**
 * How the unfinished last block of a text that is still coming is shown.
 *
 * Owns: guesses that keep the shape still while letters come in. Must not know: elements.
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})/;

/** Returns `text` so that it reads as what it is about to be: tables are tables from their first row, marks are closed. */
export function mended(text: string): string {
  if (FENCE.test(text) || /^(?: {4}|\t)/.test(text)) return text;
  if (/^ {0,3}\$\$/.test(text)) return text;
  const table = asTable(text);
  if (table !== null) return table;
  return closed(withoutMark(text));
}

/** A table's first lines read as a paragraph until the line of dashes is whole. */
function asTable(text: string): string | null {
  const lines = text.split('\n');
  const head = lines[0]!;
  if (!head.trimStart().startsWith('|') || lines.length > 2) return null;
  const dashes = lines[1];
  if (dashes !== undefined && !/^[\s|:-]*$/.test(dashes)) return null;
  const cells = head.trim().replace(/^\|/, '').replace(/\|$/, '').split(/(?<!\\)\|/);
  if (cells.every((cell) => cell.trim() === '')) return '';
  return `| ${cells.map((cell) => closed(cell)).join(' | ')} |\n|${' --- |'.repeat(cells.length)}`;
}

/** A last line of nothing but marks makes a heading of the paragraph, or an empty point, for a moment. */
function withoutMark(text: string): string {
  return text.replace(/\n {0,3}(?:[-=]+|[*+]|\d{1,9}[.)]?|#{1,6}|`{1,2}|~{1,2}|>)[ \t]*$/, '');
}

/** Closes what is open at the end of the last line's text: code, strong, emphasis, strike, a link. */
function closed(text: string): string {
  const lineStart = text.lastIndexOf('\n\n') + 1;
  const tail = text.slice(lineStart);
  const ticks = tail.match(/(?<!\\)`+/g) ?? [];
  if (ticks.length % 2 === 1) {
    const open = ticks[ticks.length - 1]!;
    return tail.endsWith(open) ? text.slice(0, -open.length) : text + open;
  }
  // A link whose address is still coming shows its text alone.
  const link = /!?\[([^\][]*)(?:\](?:\([^)\s]*)?)?$/.exec(tail);
  let rest = link ? text.slice(0, text.length - link[0].length) + link[1]! : text;
  for (const mark of ['~~', '**', '__']) rest = closedMark(rest, lineStart, mark);
  return closedSingle(rest, lineStart);
}

function closedMark(text: string, from: number, mark: string): string {
  const plain = text.slice(from).replace(/`[^`]*`/g, '');
  if ((plain.split(mark).length - 1) % 2 === 0) return text;
  if (text.endsWith(mark)) return text.slice(0, -mark.length);
  const isHalf = text.endsWith(mark[0]!);
  return isHalf ? text + mark[0]! : text.trimEnd() + mark;
}

function closedSingle(text: string, from: number): string {
  const plain = text
    .slice(from)
    .replace(/`[^`]*`/g, '')
    .replace(/\*\*/g, '')
    .replace(/^\s*\* /gm, '');
  const stars = plain.match(/(?<!\\)\*(?=\S|$)|(?<=\S)\*/g)?.length ?? 0;
  if (stars % 2 === 0) return text;
  return /(?<!\*)\*$/.test(text) ? text.slice(0, -1) : `${text.trimEnd()}*`;
}
