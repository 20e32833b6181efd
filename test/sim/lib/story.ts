/** What sessions have told, to be compared with what they should tell. */

import type { SwarmNode } from './swarm.ts'

/** All that a node has told since its alert number `since`, in order. Also what came before anybody listened. */
export function story(node: SwarmNode, since = 0): string[] {
  return node.alerts.slice(since).map(alert => `${alert.what()} ${alert.message()}`)
}

/** Each of these is in the story, after the one before it. */
export function expectInOrder(lines: readonly string[], parts: readonly (string | RegExp)[]): void {
  let at = 0
  for (const part of parts) {
    const found = lines.findIndex(
      (line, i) => i >= at && (typeof part === 'string' ? line.includes(part) : part.test(line)),
    )
    if (found < 0) {
      const early = lines.findIndex(line => (typeof part === 'string' ? line.includes(part) : part.test(line)))
      throw new Error(`${early < 0 ? 'missing' : 'too early'}: ${part}; after: ${lines[at - 1] ?? 'the start'}`)
    }
    at = found + 1
  }
}
