/** Memories in every state. */

import type { Memory } from '../session/protocol';
import type { Story } from './list';
import { ANA, at, BEN, CHIOMA, GUIDE, SESSION, talk, view } from './world';

const path = `/s/${SESSION}`;
const memory = (n: number, text: string, author: string, more: Partial<Memory> = {}): Memory => ({ id: `01900000-0000-7000-8000-00000000080${n}`, text, author, at: at(9, 40 + n), ...more });
const memories = [
  memory(1, 'The door is 81 cm wide: the top must be bolted, not glued, to its legs.', BEN, { tags: ['measures'], source: ANA }),
  memory(2, 'Chioma calls the sawmill before noon.', CHIOMA, { tags: ['plans'] }),
  memory(3, 'Oak, 30 mm, two boards. Budget: 420 €.', ANA, { tags: ['wood', 'plans'], pinned: true, edited_at: at(9, 55) }),
  memory(4, 'Larch stays soft and shows every mark.', GUIDE, { source: BEN }),
];
const stage = { view: { ...view(), memories }, happenings: talk };
const open = ['header button:has([data-colour])', '[role="tab"]:nth-child(4)'];

export const memoryStories: Story[] = [
  { id: 'memories', path, stage, clicks: open },
  { id: 'memories-empty', path, stage: { happenings: talk }, clicks: open },
  { id: 'memories-add', path, stage: { happenings: talk }, clicks: [...open, '[data-memories] h3 ~ div button'] },
  { id: 'memories-edit', path, stage, clicks: [...open, '[data-memory]:first-child button:nth-child(2)'] },
  { id: 'memories-remove', path, stage, clicks: [...open, '[data-memory]:first-child button:last-child'] },
  { id: 'memories-tag', path, stage, clicks: [...open, '[data-memories] [aria-pressed]'] },
  { id: 'memories-reader', path, stage: { ...stage, role: 'viewer', can: ['session_view'] }, clicks: open },
  { id: 'memories-ended', path, stage: { view: { ...view({ state: 'completed', end_reason: 'ended' }), memories }, happenings: talk }, clicks: open },
];
