/** Ctrl-C, and what else asks a process to end. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Turns the first signal into an abort, so that a command can save what it has. A second one ends the process
 * at once.
 *
 * @param endNow called at the second signal
 */
export function watchSignals(endNow: () => void): AbortSignal {
  const controller = new AbortController()
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        // Node waits for its threads: a third one ends the process even while one hangs in a file system
        for (const each of SIGNALS) process.removeAllListeners(each)
        endNow()
      }
      controller.abort()
    })
  }
  return controller.signal
}
