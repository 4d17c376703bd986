/** What an icon is: a component of Lucide. */

import type { Component } from 'svelte';

export type Icon = Component<{ size?: number | string; class?: string; 'aria-hidden'?: boolean | 'true' | 'false' }>;
