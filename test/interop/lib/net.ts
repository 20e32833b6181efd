/** Ports and addresses for tests. */

import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'

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
const SPARE = '198.18.77.'

/**
 * Addresses outside of 127/8, given to the loopback interface until `release`.
 *
 * @returns `null` where that is not allowed: one has to be root
 */
export function spareAddresses(count: number): { addresses: string[]; release: () => void } | null {
  const addresses: string[] = []
  const release = () => {
    for (const address of addresses.splice(0)) spawnSync('ip', ['addr', 'del', `${address}/32`, 'dev', 'lo'])
  }
  for (let i = 1; i <= count; i++) {
    const { status } = spawnSync('ip', ['addr', 'add', `${SPARE}${i}/32`, 'dev', 'lo'])
    if (status !== 0) {
      release()
      return null
    }
    addresses.push(`${SPARE}${i}`)
  }
  return { addresses, release }
}
