import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // the built package runs as it does in Node, where it loads parts of itself when they are needed
    server: { deps: { external: [/\/(dist|build)\//] } },
    include: ['test/**/*.{test,sim}.ts'],
    exclude: ['test/interop/**', 'node_modules/**', 'dist/**', 'build/**'],
    // against what hangs: a simulation of fifty sessions takes twenty seconds of a processor that it may have to share
    testTimeout: 240_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // simulations need a processor each, and nothing here is timed
    maxWorkers: '100%',
  },
})
