/** What is done with branches from outside their dialog. */

import { forkSession, newBranch } from '../../api/branches';
import { problemOf } from '../../api/problem';
import { problemWords, t } from '../../app/i18n';
import { go } from '../../app/routes';
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

/** Begins a session of the reader's own, a copy up to a message, and goes there. */
export async function sessionFrom(live: Live, message: MessageView): Promise<void> {
  try {
    const made = await forkSession(live.session.id, message.id);
    go(`/s/${made.id}`);
    toast(t('branches.copied'), { tone: 'good' });
  } catch (error) {
    toast(problemWords(problemOf(error)).title, { tone: 'bad' });
  }
}
