#!/usr/bin/env node
/** Entry of the command `libtorrent-ts`. */

import { watchSignals } from './interrupts.ts'
import { run } from './program.ts'

// who reads our output may stop reading: that is no error of ours
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
  throw error
})

const interrupt = watchSignals(() => process.exit(1))
process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  interrupt,
  env: process.env,
})
