#!/usr/bin/env node
/** Entry of the command `libtorrent-ts`. */

import { watchSignals } from './interrupts.ts'
import { run } from './program.ts'

/** What a terminal is left with when bars are broken off: no cursor, and lines that are cut. */
const RESTORE_TERMINAL = '\u001b[?25h\u001b[?7h\n'

function endNow(): never {
  if (process.stdout.isTTY) process.stdout.write(RESTORE_TERMINAL)
  process.exit(1)
}

let interrupt: AbortSignal | null = null

let outputFailed = false
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (outputFailed) return
  outputFailed = true
  // who reads our output may stop reading: that is no error of ours, but with nobody there, it is time to go
  if (error.code !== 'EPIPE') {
    process.exitCode = 1
    process.stderr.write(`error: output: ${error.message}\n`)
  }
  if (interrupt === null) process.exit()
  if (!interrupt.aborted) process.emit('SIGTERM')
})

const code = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  get interrupt() {
    interrupt ??= watchSignals(endNow)
    return interrupt
  },
  env: process.env,
})
process.exitCode ||= code
