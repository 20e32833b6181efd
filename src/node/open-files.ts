/** How many files this process may have open. */

import { readFileSync } from 'node:fs'

/** What is assumed where the system does not tell. */
const USUAL_LIMIT = 1024

export function maxOpenFiles(): number {
  try {
    const match = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    if (match === null) return USUAL_LIMIT
    return match[1] === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(match[1])
  } catch {
    // not Linux: Node raises its soft limit to the hard one at start, which is seldom below this
    return USUAL_LIMIT * 8
  }
}
