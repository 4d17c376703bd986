/** The tabs of the right side. */
export type PanelName = 'people' | 'side' | 'context' | 'memories';
