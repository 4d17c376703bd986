/** Which dialogs are about the session's life. */

export type LifeDialog = 'pause' | 'end' | 'detach' | 'session' | 'checkpoints';

const ALL: ReadonlySet<string> = new Set<LifeDialog>(['pause', 'end', 'detach', 'session', 'checkpoints']);

export function isLifeDialog(name: string | null): name is LifeDialog {
  return name !== null && ALL.has(name);
}
