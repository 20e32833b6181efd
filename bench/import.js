/**
 * Importing the package: time and resident memory over bare Node.
 *
 *   node bench/import.js [--runs N] [--json]
 *
 * Each run is a process of its own; beside the package as many empty modules as it loads, in one list, which is what
 * Node itself takes for that number of files, and what the first `new Session` loads. Environment: DIST, where the built
 * package is.
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { alternate, median } from './sample-torrents.js'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '11' }, json: { type: 'boolean', default: false } },
})
const dist = resolve(process.env.DIST ?? fileURLToPath(new URL('../dist', import.meta.url)))
const entry = join(dist, 'index.js')

/** Modules of the package that importing `file` loads. */
function modules(file, seen = new Set()) {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const [, target] of readFileSync(file, 'utf8').matchAll(
    /^(?:import|export)\s[^'"`]*?from ['"](\.[^'"]+)['"]/gm,
  )) {
    modules(resolve(dirname(file), target), seen)
  }
  return seen
}

const MEASURE = `
const { rss } = process.memoryUsage, before = rss(), started = performance.now()
const library = process.argv[1] === '-' ? null : await import(process.argv[1])
const milliseconds = performance.now() - started, bytes = rss() - before
let sessionMilliseconds = null
if (process.argv[2] === 'session') {
  const again = performance.now()
  const session = new library.Session({ listen_interfaces: '', enable_dht: false })
  sessionMilliseconds = performance.now() - again
  await session.close()
}
console.log(JSON.stringify({ milliseconds, bytes, sessionMilliseconds, total: performance.now() }))
`

function measure(...args) {
  return JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '-e', MEASURE, ...args], { encoding: 'utf8' }),
  )
}

const empty = mkdtempSync(join(tmpdir(), 'bench-import-'))
try {
  const files = modules(entry).size
  const names = Array.from({ length: files - 1 }, (_, i) => `m${i}.mjs`)
  for (const name of names) writeFileSync(join(empty, name), 'export {}\n')
  writeFileSync(join(empty, 'index.mjs'), names.map(name => `import './${name}'\n`).join(''))
  const found = { bare: [], empty: [], ours: [], session: [] }
  await alternate(
    {
      bare: () => void found.bare.push(measure('-')),
      empty: () => void found.empty.push(measure(pathToFileURL(join(empty, 'index.mjs')).href)),
      ours: () => void found.ours.push(measure(pathToFileURL(entry).href)),
      session: () => void found.session.push(measure(pathToFileURL(entry).href, 'session')),
    },
    Number(values.runs),
  )
  const of = (runs, name) => median(runs.map(run => run[name]))
  const bare = of(found.bare, 'total')
  const result = {
    bench: 'import',
    runs: Number(values.runs),
    files,
    ms: of(found.ours, 'total') - bare,
    importMs: of(found.ours, 'milliseconds'),
    mib: (of(found.ours, 'bytes') - of(found.bare, 'bytes')) / 2 ** 20,
    emptyFilesMs: of(found.empty, 'total') - bare,
    emptyFilesMib: (of(found.empty, 'bytes') - of(found.bare, 'bytes')) / 2 ** 20,
    firstSessionMs: of(found.session, 'sessionMilliseconds'),
  }
  if (values.json) console.log(JSON.stringify(result))
  else {
    const row = (name, ms, mib) =>
      console.log(`${name.padEnd(34)} ${ms.toFixed(1).padStart(7)} ms ${mib.toFixed(1).padStart(7)} MiB`)
    console.log(`over bare Node ${process.version}, median of ${values.runs}`)
    row(`import of ${files} files`, result.ms, result.mib)
    row(`as many empty modules`, result.emptyFilesMs, result.emptyFilesMib)
    console.log(`${'first new Session (loads the engine)'.padEnd(34)} ${result.firstSessionMs.toFixed(1)} ms`)
  }
} finally {
  rmSync(empty, { recursive: true, force: true })
}
