import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const css = readFileSync(resolve(import.meta.dirname, 'tokens.css'), 'utf8');
type Rgb = [number, number, number];
type Mode = 'light' | 'dark';
const NUMBER = '([\\d.]+)';
const COLOUR = `oklch\\(${NUMBER} ${NUMBER} ${NUMBER}(?: / [\\d.]+)?\\)`;
const PAIR = new RegExp(`--([\\w-]+): light-dark\\(${COLOUR}|oklch`, 'g');

/** Reads the tokens of one rule: name to linear sRGB, for light and dark. */
function tokensOf(selector: string): Record<Mode, Map<string, Rgb>> {
  const from = css.indexOf(`${selector} {`);
  const rule = css.slice(from, css.indexOf('\n}', from));
  const found: Record<Mode, Map<string, Rgb>> = { light: new Map(), dark: new Map() };
  const line = new RegExp(`--([\\w-]+): light-dark\\(${COLOUR}, ${COLOUR}\\)`, 'g');
  for (const [, name, l1, c1, h1, l2, c2, h2] of rule.matchAll(line)) {
    found.light.set(name!, linear(Number(l1), Number(c1), Number(h1)));
    found.dark.set(name!, linear(Number(l2), Number(c2), Number(h2)));
  }
  return found;
}

/** OKLCH to linear sRGB, cut to what screens show (CSS Color 4, section 10). */
function linear(l: number, c: number, h: number): Rgb {
  const a = c * Math.cos((h * Math.PI) / 180);
  const b = c * Math.sin((h * Math.PI) / 180);
  const [x, y, z] = [l + 0.3963377774 * a + 0.2158037573 * b, l - 0.1055613458 * a - 0.0638541728 * b, l - 0.0894841775 * a - 1.291485548 * b].map(
    (v) => v ** 3,
  ) as Rgb;
  const rgb = [
    4.0767416621 * x - 3.3077115913 * y + 0.2309699292 * z,
    -1.2684380046 * x + 2.6097574011 * y - 0.3413193965 * z,
    -0.0041960863 * x - 0.7034186147 * y + 1.707614701 * z,
  ];
  return rgb.map((v) => Math.min(1, Math.max(0, v))) as Rgb;
}

const luminance = ([r, g, b]: Rgb) => 0.2126 * r + 0.7152 * g + 0.0722 * b;

/** The contrast of WCAG 2. */
function contrast(one: Rgb, other: Rgb): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const usual = tokensOf(':root');
const strong = tokensOf(":root[data-theme='contrast']");
const themes = (['light', 'dark'] as const).flatMap((mode) => [
  { name: mode, tokens: usual[mode] },
  { name: `high contrast, ${mode}`, tokens: new Map([...usual[mode], ...strong[mode]]) },
]);
const PEOPLE = Array.from({ length: 12 }, (_, i) => `person-${i}`);

/** How somebody sees who lacks one kind of cones (Machado, Oliveira, Fernandes 2009, severity 1). */
const BLIND: Record<string, readonly Rgb[]> = {
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
};
const seen = (kind: string, [r, g, b]: Rgb) => BLIND[kind]!.map((row) => row[0] * r + row[1] * g + row[2] * b) as Rgb;

/** Distance in OKLab. */
function distance(one: Rgb, other: Rgb): number {
  const lab = ([r, g, b]: Rgb) => {
    const [x, y, z] = [
      0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b,
      0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b,
      0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b,
    ].map(Math.cbrt) as Rgb;
    return [0.2104542553 * x + 0.793617785 * y - 0.0040720468 * z, 1.9779984951 * x - 2.428592205 * y + 0.4505937099 * z, 0.0259040371 * x + 0.7827717662 * y - 0.808675766 * z];
  };
  const [a, b] = [lab(one), lab(other)];
  return Math.hypot(...a.map((v, i) => v - b[i]!));
}

describe('the tokens', () => {
  it('are all read by this test', () => {
    expect(usual.light.size).toBe([...css.slice(0, css.indexOf('\n}')).matchAll(PAIR)].filter(([text]) => text.startsWith('--')).length);
    expect(strong.dark.size).toBeGreaterThan(10);
  });

  for (const { name, tokens } of themes) {
    const of = (token: string) => tokens.get(token)!;
    it(`let text be read (${name})`, () => {
      for (const ground of ['bg', 'surface', 'raised', 'hover']) {
        for (const text of ['text', 'muted', 'accent', 'good', 'warn', 'bad']) {
          const least = ground === 'hover' && text !== 'text' && text !== 'muted' ? 4 : 4.5;
          expect(contrast(of(text), of(ground)), `${text} on ${ground}`).toBeGreaterThanOrEqual(least);
        }
      }
      const pairs: [string, string][] = [
        ['accent-text', 'accent'],
        ['accent-text', 'accent-strong'],
        ['bad-text', 'bad'],
        ['accent-strong', 'accent-soft'],
        ['good', 'good-soft'],
        ['warn', 'warn-soft'],
        ['bad', 'bad-soft'],
        ['text', 'bad-soft'],
        ['text', 'warn-soft'],
      ];
      for (const [text, ground] of pairs) expect(contrast(of(text), of(ground)), `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
    });

    it(`let controls be seen (${name})`, () => {
      for (const ground of ['bg', 'surface', 'raised']) expect(contrast(of('edge'), of(ground)), ground).toBeGreaterThanOrEqual(3);
    });

    it(`give people colours on which their initials are read, and which are read as names (${name})`, () => {
      for (const person of PEOPLE) {
        expect(contrast(of(person), of('person-text')), person).toBeGreaterThanOrEqual(4.5);
        for (const ground of ['bg', 'surface', 'raised']) expect(contrast(of(person), of(ground)), `${person} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
    });
  }

  it('keep people apart, the first five also for those who do not tell red from green; initials tell the others', () => {
    for (const mode of ['light', 'dark'] as const) {
      const colours = PEOPLE.map((person) => usual[mode].get(person)!);
      for (const [i, one] of colours.entries()) {
        for (const other of colours.slice(0, i)) expect(distance(one, other)).toBeGreaterThan(0.03);
      }
      for (const kind of Object.keys(BLIND)) {
        const first = colours.slice(0, 5).map((one) => seen(kind, one));
        for (const [i, one] of first.entries()) {
          for (const [j, other] of first.slice(0, i).entries()) {
            expect(distance(one, other), `${kind}, ${mode}: ${i} and ${j}`).toBeGreaterThan(0.04);
          }
        }
      }
    }
  });
});
