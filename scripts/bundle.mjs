/**
 * Joins what `tsc` has written to build/ into few files in dist/: a program that imports the package loads two instead of
 * over a hundred, which halves the time and the memory it takes (bench/import.js). What is loaded later, or in a thread,
 * has a file of its own, all of them in one folder: they find each other by `import.meta.url`.
 */

import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const built = path => fileURLToPath(new URL(`../build/${path}`, import.meta.url))

const bundle = await rolldown({
  input: {
    index: built('index.js'),
    'make-engine': built('node/make-engine.js'),
    'worker-main': built('storage/node/worker-main.js'),
    'hash-worker': built('node/hash-worker.js'),
    'cli/main': built('cli/main.js'),
  },
  platform: 'node',
  external: id => !/^[./]/.test(id),
})
await bundle.write({
  dir: fileURLToPath(new URL('../dist', import.meta.url)),
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'part-[name].js',
})
await bundle.close()
