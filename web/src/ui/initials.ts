/** Returns one or two letters for a name, whole as people see them (an emoji is one). */
export function initials(name: string): string {
  const words = name.trim().split(/[\s_-]+/).filter(Boolean);
  const first = glyph(words[0] ?? '?');
  const last = words.length > 1 ? glyph(words[words.length - 1]!) : '';
  return (first + last).toLocaleUpperCase();
}

function glyph(word: string): string {
  const segments = new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(word);
  for (const { segment } of segments) if (/[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(segment)) return segment;
  return word.slice(0, 1);
}
