import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // the built package runs as it does in Node, where it loads parts of itself when they are needed
    server: { deps: { external: [/\/(dist|build)\//] } },
    include: ['test/**/*.{test,sim}.ts'],
    exclude: ['test/interop/**', 'node_modules/**', 'dist/**', 'build/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // simulations need a processor each, and nothing here is timed
    maxWorkers: '100%',
  },
})
