/** Ids and endpoints for tests of the DHT. */

import { Sha1Hash } from '../../../src/core/digest.ts'
import { addressFromBytes, type Endpoint, isLocal } from '../../../src/core/endpoint.ts'
import { randomBytes, SeededRng } from '../../../src/core/rng.ts'
import { NodeEntry } from '../../../src/dht/node-entry.ts'

export function hash(hex: string): Sha1Hash {
  return new Sha1Hash(hex)
}

/** Endpoints in networks of their own, never a local one. */
export class SampleEndpoints {
  readonly #rng = new SeededRng(7)
  #next = 0x10203040

  v4 = (): Endpoint => {
    for (;;) {
      this.#next = (this.#next + 0x3080ca) >>> 0
      const n = this.#next
      const address = `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`
      if (!isLocal(address) && n >>> 24 !== 0) return [address, 1 + this.#rng.below(65535)]
    }
  }

  v6 = (): Endpoint => {
    const bytes = randomBytes(this.#rng, 16)
    bytes[0] = 0x20
    bytes[1] = 0x01
    return [addressFromBytes(bytes, 0, 16), 1 + this.#rng.below(65535)]
  }
}

const samples = new SampleEndpoints()

/** What a node entry that was not read off a network would look like. */
export function fakeNode(verified: boolean, rtt = 0, id = new Sha1Hash(), timeoutCount = 0xff): NodeEntry {
  const node = new NodeEntry(id, samples.v4(), 0, rtt)
  node.timeoutCount = timeoutCount
  Object.assign(node, { verified })
  return node
}
