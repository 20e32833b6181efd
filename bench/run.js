/**
 * All benchmarks, one after the other, with settings that take a few minutes in all.
 *
 *   npm run bench -- [--full] [--json] [NAME...]
 *
 * `--full` leaves each its own settings, whose numbers are the ones to quote; `--json` prints one line for each. NAME runs
 * only those. A benchmark that fails does not stop the others; the exit code tells. See docs/benchmarks.md.
 */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** Settings of a short run. */
const SHORT = {
  'piece-hash': ['--runs', '3', '--seconds', '0.3'],
  'slot-copy': [],
  framing: ['--runs', '3'],
  picker: ['--runs', '3'],
  bdecode: ['--runs', '3'],
  'merkle-memory': ['--runs', '1'],
  krpc: ['--runs', '3'],
  dht: ['--queries', '30000', '--runs', '3'],
  'dht-table': [],
  'dht-lookups': ['--nodes', '100', '--lookups', '20', '--settle', '5'],
  'dht-sim': ['--nodes', '300', '--lookups', '500', '--runs', '3'],
  load: ['--runs', '3'],
  import: ['--runs', '5'],
  create: ['--size', '256', '--runs', '3'],
  tcp: ['--mib', '512', '--runs', '3'],
  commit: ['--size', '256', '--runs', '3'],
  recheck: ['--size', '256', '--runs', '3'],
  loopback: ['--size', '256', '--runs', '2', '--idle', '1', '--seeds', '4'],
  rates: ['--peers', '1,50', '--windows', '1'],
  scale: ['--count', '2000', '--runs', '1', '--settle', '2', '--measure', '3'],
}

const { values, positionals } = parseArgs({
  options: { full: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const unknown = positionals.find(name => !(name in SHORT))
if (unknown !== undefined) {
  console.error(`no benchmark is called ${unknown}; there are ${Object.keys(SHORT).join(', ')}`)
  process.exit(2)
}
for (const [name, short] of Object.entries(SHORT)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  if (!values.json) console.log(`\n# ${name}`)
  const args = [fileURLToPath(new URL(`${name}.js`, import.meta.url)), ...(values.full ? [] : short)]
  if (values.json) args.push('--json')
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) {
    console.error(`${name} failed`)
    process.exitCode = 1
  }
}
