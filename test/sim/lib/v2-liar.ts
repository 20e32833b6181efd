/** A seed of a v2 torrent that cannot be trusted: some blocks are spoilt, and so may be what it says about hashes. */

import type { Endpoint } from '../../../src/core/endpoint.ts'
import type { Rng } from '../../../src/core/rng.ts'
import { FakePeer } from './fake-peer.ts'
import type { Simulation } from './simulation.ts'
import type { SimTorrent } from './swarm.ts'
import { AllHashes, type ArrivedRequest, HASH_REJECT, HASHES, onHashRequest } from './v2.ts'

/** @param hashes the right answer, the caller's to change */
type Answer = (peer: FakePeer, request: ArrivedRequest, hashes: Uint8Array, rng: Rng) => void

const right: Answer = (peer, { head }, hashes) => peer.send(HASHES, head, hashes)

const ANSWERS: Readonly<Record<string, Answer>> = {
  right,
  none: () => {},
  reject: (peer, { head }) => peer.send(HASH_REJECT, head),
  wrong: (peer, request, hashes, rng) => {
    hashes[rng.below(hashes.length)]! ^= 1
    right(peer, request, hashes, rng)
  },
  short: (peer, request, hashes, rng) => {
    right(peer, request, rng.below(3) === 0 ? hashes.subarray(0, hashes.length - 32) : hashes, rng)
  },
  twice: (peer, request, hashes, rng) => {
    right(peer, request, hashes, rng)
    if (rng.below(2) === 0) right(peer, request, hashes, rng)
  },
}

/**
 * Lets one wait for peers.
 *
 * @param infoHash 20 bytes; the one it knows the torrent by
 * @returns how it lies
 */
export function startLiar(
  sim: Simulation,
  torrent: SimTorrent,
  endpoint: Endpoint,
  infoHash: Uint8Array,
  rng: Rng,
): string {
  const runtime = sim.host('liar', { addresses: [endpoint[0]], up: { bytesPerSecond: 60_000 } })
  const all = new AllHashes(torrent)
  const oneIn = [2, 5, 20][rng.below(3)]!
  const ways = Object.keys(ANSWERS)
  const chosen = rng.below(ways.length + 1)
  FakePeer.listen(runtime, ['0.0.0.0', endpoint[1]], { infoHash }, peer => {
    peer.seed(torrent.content, torrent.pieceLength, (_request, block) => {
      if (block.length > 0 && rng.below(oneIn) === 0) block[rng.below(block.length)]! ^= 0x10
    })
    onHashRequest(peer, request => {
      const way = ways[chosen] ?? ways[rng.below(ways.length)]!
      ANSWERS[way]!(peer, request, all.answer(request), rng)
    })
  })
  return `one block in ${oneIn} spoilt, hashes ${ways[chosen] ?? 'in any way'}`
}
