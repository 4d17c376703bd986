/** Mathematics as MathML, typeset by the browser; the translator is loaded when the first formula is shown. */

interface Translator {
  renderToString(tex: string, options: object): string;
}

/** Longest formula that is typeset. Unit: UTF-16 code units. */
const LONGEST = 4_000;
/** Bounds of a formula that expands itself. Unit: expansions; em. */
const BOUNDS = { maxExpand: 500, maxSize: [40, 20] };

let translator: Translator | null = null;
let loading: Promise<void> | null = null;

export function load(): Promise<void> {
  loading ??= import('temml').then(
    (module) => {
      translator = module.default as unknown as Translator;
    },
    (error: unknown) => {
      loading = null;
      throw error;
    },
  );
  return loading;
}

/** Returns MathML text, still to be sanitised; null: not loaded, or not a formula that can be read. */
export function mathml(tex: string, isDisplay: boolean): string | null {
  if (!translator || tex.length > LONGEST) return null;
  try {
    const text = translator.renderToString(tex, { displayMode: isDisplay, throwOnError: true, trust: false, strict: false, ...BOUNDS });
    // The page's policy forbids styles in elements, and browsers report them even where they are only read.
    return text.replace(/ style="[^"]*"/g, '');
  } catch {
    return null;
  }
}

export const isLoaded = (): boolean => translator !== null;
