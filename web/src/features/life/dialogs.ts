/** Which dialogs are about the session's life. */

export type LifeDialog = 'pause' | 'end' | 'detach' | 'session' | 'checkpoints' | 'history';

const ALL: ReadonlySet<string> = new Set<LifeDialog>(['pause', 'end', 'detach', 'session', 'checkpoints', 'history']);

export function isLifeDialog(name: string | null): name is LifeDialog {
  return name !== null && ALL.has(name);
}
