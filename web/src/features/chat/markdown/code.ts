/** Colours for code, loaded when the first code is shown. Languages are what people paste and models write most. */

import type { HLJSApi } from 'highlight.js';

/** Longest code that is coloured; more would hold up the page. Unit: UTF-16 code units. */
export const LONGEST = 40_000;

const ALIASES: Readonly<Record<string, string>> = {
  js: 'javascript',
  jsx: 'javascript',
  mjs: 'javascript',
  ts: 'typescript',
  tsx: 'typescript',
  py: 'python',
  rs: 'rust',
  rb: 'ruby',
  sh: 'bash',
  zsh: 'bash',
  shell: 'bash',
  console: 'bash',
  yml: 'yaml',
  html: 'xml',
  svelte: 'xml',
  vue: 'xml',
  svg: 'xml',
  'c++': 'cpp',
  cc: 'cpp',
  h: 'cpp',
  hpp: 'cpp',
  cs: 'csharp',
  'c#': 'csharp',
  kt: 'kotlin',
  md: 'markdown',
  toml: 'ini',
  golang: 'go',
  docker: 'dockerfile',
  patch: 'diff',
  jsonc: 'json',
  json5: 'json',
};

const NAMES: Readonly<Record<string, string>> = {
  javascript: 'JavaScript',
  typescript: 'TypeScript',
  csharp: 'C#',
  cpp: 'C++',
  css: 'CSS',
  sql: 'SQL',
  json: 'JSON',
  yaml: 'YAML',
  php: 'PHP',
  html: 'HTML',
  toml: 'TOML',
  jsx: 'JSX',
  tsx: 'TSX',
  svg: 'SVG',
  h: 'C header',
};

/** Returns how a language is called above its code; empty where none was named. */
export function labelOf(language: string): string {
  const name = language.toLowerCase();
  const known = NAMES[name] ?? NAMES[ALIASES[name] ?? ''];
  if (known) return known;
  const word = ALIASES[name] ?? name;
  return word.charAt(0).toUpperCase() + word.slice(1);
}

let colours: HLJSApi | null = null;
let loading: Promise<void> | null = null;

/** Loads the colours. Rejects when they cannot be reached; code is then shown without. */
export function load(): Promise<void> {
  loading ??= import('./languages').then(
    (module) => {
      colours = module.default;
    },
    (error: unknown) => {
      loading = null;
      throw error;
    },
  );
  return loading;
}

/** Returns whether code of this language would be coloured once the colours are there. */
export const isColourable = (language: string, code: string): boolean => language !== '' && code.length <= LONGEST;

/** Returns HTML text with class names, still to be sanitised; null: not loaded, not known, or too long. */
export function highlighted(code: string, language: string): string | null {
  const name = language.toLowerCase();
  const known = ALIASES[name] ?? name;
  if (!colours || !isColourable(language, code) || !colours.getLanguage(known)) return null;
  return colours.highlight(code, { language: known, ignoreIllegals: true }).value;
}

export const isLoaded = (): boolean => colours !== null;
