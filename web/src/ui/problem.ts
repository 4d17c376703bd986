/** How problems are said; the page's shell knows the words of other languages. */

import type { Problem } from '../session/protocol';

type Said = Pick<Problem, 'title' | 'detail'>;

let translate: (problem: Problem) => Said = (problem) => problem;

/** Gives the words for problems from now on. */
export function sayProblemsWith(words: (problem: Problem) => Said): void {
  translate = words;
}

export function said(problem: Problem): Said {
  return translate(problem);
}
