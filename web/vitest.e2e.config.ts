import { defineConfig } from 'vitest/config';

/** What measures time runs by itself: beside others it would measure them. */
const ALONE = ['e2e/long.test.ts', 'e2e/minute.test.ts'];

const shared = { environment: 'node' as const, testTimeout: 60_000, hookTimeout: 60_000 };

// One server and one browser a file. Most of a test is waiting for words to arrive, so two cores carry three files at once.
export default defineConfig({
  test: {
    projects: [
      { test: { ...shared, name: 'alone', include: ALONE, fileParallelism: false, sequence: { groupOrder: 0 } } },
      { test: { ...shared, name: 'e2e', include: ['e2e/**/*.test.ts'], exclude: ALONE, maxWorkers: 3, sequence: { groupOrder: 1 } } },
    ],
  },
});
