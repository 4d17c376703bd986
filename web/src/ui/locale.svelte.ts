/** The language in which times and numbers are written; the page's shell sets it. */

let tag = $state('en');

export const locale = {
  get tag(): string {
    return tag;
  },
  set tag(value: string) {
    tag = value;
  },
};
