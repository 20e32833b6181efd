#!/usr/bin/env node
/** Entry of the command `libtorrent-ts`. */

import { watchSignals } from './interrupts.ts'
import { run } from './program.ts'

// who reads our output may stop reading: that is no error of ours
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
  throw error
})

/** What a terminal is left with when bars are broken off: no cursor, and lines that are cut. */
const RESTORE_TERMINAL = '\u001b[?25h\u001b[?7h\n'

function endNow(): never {
  if (process.stdout.isTTY) process.stdout.write(RESTORE_TERMINAL)
  process.exit(1)
}

let interrupt: AbortSignal | null = null
process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  get interrupt() {
    interrupt ??= watchSignals(endNow)
    return interrupt
  },
  env: process.env,
})
