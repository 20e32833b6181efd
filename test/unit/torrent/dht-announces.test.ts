import { expect, test } from 'vitest'
import { InfoHash, Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { type Endpoint, endpointToString } from '../../../src/core/endpoint.ts'
import { PexFlags } from '../../../src/core/enums.ts'
import { DhtAnnounces } from '../../../src/torrent/dht-announces.ts'
import { PeerSource } from '../../../src/torrent/peer-entry.ts'
import type { Torrent } from '../../../src/torrent/torrent.ts'

const V1 = new Sha1Hash(new Uint8Array(20).fill(1))
const V2 = new Sha256Hash(new Uint8Array(32).fill(2))

/** A torrent that may be announced, and a DHT that has a peer for each hash: its first byte is its address. */
class World {
  readonly announced: string[] = []
  readonly found: string[] = []
  #answer: (() => void)[] = []
  readonly torrent
  readonly announces: DhtAnnounces

  constructor(infoHashes: InfoHash) {
    this.torrent = {
      infoHashes,
      otherFlags: 0,
      aborted: false,
      isPaused: false,
      announcing: { toDht: true },
      isSeed: false,
      content: null,
      announcer: { anyVerified: () => false },
      swarm: {
        addPeer: (endpoint: Endpoint, source: number, flags: number) =>
          void this.found.push(`${endpointToString(endpoint)} ${source} ${flags}`),
        connectBoost() {},
      },
      env: {
        settings: { useDhtAsFallback: false, announcePort: 0, enableIncomingUtp: false },
        alerts: { wants: () => false },
        turn: { now: 0 },
        dht: {
          isRunning: true,
          canAnnounce: true,
          announce: (infoHash: Sha1Hash, _port: number, _flags: number, found: (peers: Endpoint[]) => void) => {
            this.announced.push(infoHash.toString().slice(0, 2))
            this.#answer.push(() => found([[`81.0.0.${infoHash.view()[0]}`, 7]]))
          },
        },
      },
    }
    this.announces = new DhtAnnounces(this.torrent as unknown as Torrent)
  }

  answer(): void {
    for (const each of this.#answer.splice(0)) each()
  }
}

test.each([
  ['v1-only', new InfoHash(V1), ['01'], [`81.0.0.1:7 ${PeerSource.dht} 0`]],
  ['v2-only', new InfoHash(V2), ['02'], [`81.0.0.2:7 ${PeerSource.dht} ${PexFlags.pexLtV2}`]],
  [
    'hybrid',
    new InfoHash(V1, V2),
    ['01', '02'],
    [`81.0.0.1:7 ${PeerSource.dht} 0`, `81.0.0.2:7 ${PeerSource.dht} ${PexFlags.pexLtV2}`],
  ],
])(
  'a %s torrent is announced by each hash, and its peers have the one they were found by',
  (_kind, hashes, told, found) => {
    const world = new World(hashes)
    world.announces.announce()
    world.answer()
    expect(world.announced).toEqual(told)
    expect(world.found).toEqual(found)
  },
)

test('peers that come after the torrent has gone are nobody', () => {
  const world = new World(new InfoHash(V1, V2))
  world.announces.announce()
  world.torrent.aborted = true
  world.answer()
  expect(world.found).toEqual([])
})
