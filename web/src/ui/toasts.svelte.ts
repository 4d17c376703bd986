/** Short notices that come and go. Owns: which are there, and for how long. */

export interface Toast {
  id: number;
  text: string;
  tone: 'plain' | 'good' | 'bad';
  action?: { label: string; run: () => void };
}

/** How long one stays; with something to press, longer. Unit: milliseconds. */
const STAY = 5_000;
const STAY_ACTION = 10_000;
/** More at once would hide the page. */
const MOST = 3;

let list = $state.raw<readonly Toast[]>([]);
let next = 0;

export const toasts = {
  get list(): readonly Toast[] {
    return list;
  },
};

export function dismiss(id: number): void {
  list = list.filter((toast) => toast.id !== id);
}

/** Shows a notice. Returns how to take it away. */
export function toast(text: string, options: Partial<Pick<Toast, 'tone' | 'action'>> = {}): () => void {
  const id = next++;
  list = [...list, { id, text, tone: options.tone ?? 'plain', ...(options.action ? { action: options.action } : {}) }].slice(-MOST);
  setTimeout(() => dismiss(id), options.action ? STAY_ACTION : STAY);
  return () => dismiss(id);
}
