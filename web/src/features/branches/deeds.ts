/** What is done with branches from outside their dialog. */

import { newBranch } from '../../api/branches';
import { problemOf } from '../../api/problem';
import { problemWords, t } from '../../app/i18n';
import type { MessageView } from '../../session/protocol';
import { toast } from '../../ui/toasts.svelte';
import type { Live } from '../session/live.svelte';
import { branchingOf } from './branching.svelte';

/** Begins a branch at a message and shows it. */
export async function branchFrom(live: Live, message: MessageView): Promise<void> {
  try {
    const branch = await newBranch(live.session.id, { message: message.id });
    branchingOf(live).show(branch.id);
    toast(t('branches.begun', { name: branch.name }), { tone: 'good' });
  } catch (error) {
    toast(problemWords(problemOf(error)).title, { tone: 'bad' });
  }
}
