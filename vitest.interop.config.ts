import { defineConfig } from 'vitest/config'

// Real clients and trackers: one file after the other, since they own ports and processes.
export default defineConfig({
  test: {
    // the built package runs as it does in Node, where it loads parts of itself when they are needed
    server: { deps: { external: [/\/(dist|build)\//] } },
    include: ['test/interop/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
    pool: 'forks',
  },
})
