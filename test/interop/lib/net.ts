/** Ports and addresses for tests. */

import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'

/** A port that nothing listens on just now. */
export function freePort(address = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, address, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

/** For benchmarking in RFC 2544: routed nowhere, so safe to give to the loopback interface. */
const SPARE = '198.18.77.1'

/**
 * An address of this machine outside of 127/8, which some clients refuse to connect to; packets to it never leave
 * the machine.
 *
 * Where there is none, one is added to the loopback interface, for which one has to be root.
 */
export function hostAddress(): { address: string; release: () => void } {
  for (const list of Object.values(networkInterfaces())) {
    for (const each of list ?? []) {
      if (each.family === 'IPv4' && !each.internal) return { address: each.address, release: () => {} }
    }
  }
  const run = spawnSync('ip', ['addr', 'add', `${SPARE}/32`, 'dev', 'lo'], { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`no address outside of 127/8, and none can be added: ${run.stderr}`)
  return { address: SPARE, release: () => void spawnSync('ip', ['addr', 'del', `${SPARE}/32`, 'dev', 'lo']) }
}
