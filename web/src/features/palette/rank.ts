/** How well what somebody typed fits a name; 0: not at all. */
export function fit(query: string, name: string): number {
  const wanted = fold(query.trim());
  const text = fold(name);
  if (wanted === '') return 1;
  if (text.startsWith(wanted)) return 4;
  if (text.split(/[\s:“„«]+/).some((word) => word.startsWith(wanted))) return 3;
  if (text.includes(wanted)) return 2;
  return isScattered(wanted, text) ? 1 : 0;
}

/** Letters without their marks, so that "uber" finds "Über". */
function fold(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}

function isScattered(wanted: string, text: string): boolean {
  let from = 0;
  for (const letter of wanted.replace(/\s/g, '')) {
    const at = text.indexOf(letter, from);
    if (at < 0) return false;
    from = at + 1;
  }
  return wanted.length > 2;
}
