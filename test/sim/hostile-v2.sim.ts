import { describe, expect, test } from 'vitest'
import { PeerErrorAlert } from '../../src/alert/peer-alerts.ts'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { ProtocolVersion } from '../../src/core/enums.ts'
import { LibtorrentErrors as E } from '../../src/core/error-table.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import type { HashTrees } from '../../src/torrent/hash-trees.ts'
import { FakePeer } from './lib/fake-peer.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { AllHashes, HASH_REJECT, HASH_REQUEST, HASHES, torrentOf, withoutLayers } from './lib/v2.ts'

const PIECE = 4 * BLOCK_SIZE
const HYBRID = 0
/** Of several pieces, of a power of two of them, a block, a piece, nothing, a few bytes. */
const SIZES = [9 * PIECE - 1, 8 * PIECE, BLOCK_SIZE, PIECE, 0, 7]

function u32(...values: number[]): Buffer {
  return Buffer.concat(
    values.map(value => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(value >>> 0)
      return bytes
    }),
  )
}

function named(torrent: SimTorrent, version: ProtocolVersion): Uint8Array {
  return loadTorrentBuffer(torrent.file).infoHashes.get(version).toBytes()
}

function treesOf(node: SwarmNode): HashTrees {
  return torrentOf(node).content!.proofs!.trees
}

interface Arena {
  readonly sim: Simulation
  readonly torrent: SimTorrent
  readonly hashes: AllHashes
  /** A session that does not know the piece hashes. Later it gets the torrent from an honest seed. */
  readonly victim: SwarmNode
  readonly peer: FakePeer
  readonly swarm: Swarm
  /** Root of the n-th file. */
  readonly root: (file: number) => Uint8Array
}

/** A peer connects to a session; then all must be as if it had not been there. */
function inArena(
  kind: {
    sizes?: readonly number[]
    pieceLength?: number
    flags?: number
    version?: ProtocolVersion
    victim?: (params: AddTorrentParams) => void
  },
  act: (arena: Arena) => void,
): void {
  simulate(1, sim => {
    const flags = kind.flags ?? CreateFlags.v2Only
    const torrent = makeFilesTorrent(kind.sizes ?? SIZES, kind.pieceLength ?? PIECE, flags)
    const swarm = new Swarm(sim, torrent)
    const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 400_000 } } })
    const victim = swarm.add('victim', { params: kind.victim ?? withoutLayers })
    const isV1 = (flags & CreateFlags.v1Only) !== 0
    const infoHash = named(torrent, kind.version ?? (isV1 ? ProtocolVersion.V1 : ProtocolVersion.V2))
    const connect = (address: string) => {
      const peer = FakePeer.connect(sim.host(address, { addresses: [address] }), victim.endpoint, {
        infoHash,
        peerId: Buffer.from(`-XX0000-${address.padEnd(12, '-')}`),
      })
      sim.runUntil(() => peer.handshake !== null, 5000, 'the handshake')
      return peer
    }
    const peer = connect('81.2.0.1')
    const bystander = connect('81.2.0.2')
    sim.run(100)
    const layout = loadTorrentBuffer(torrent.file).ti!.layout()
    const files = [...Array(layout.numFiles()).keys()].filter(file => !layout.padFileAt(file))
    const root = (file: number) => layout.root(files[file]!).view()
    const hashes = isV1 ? (null as unknown as AllHashes) : new AllHashes(torrent)
    act({ sim, torrent, hashes, victim, peer, swarm, root })
    expect(bystander.closed).toBeNull()
    victim.connectTo(seed)
    swarm.complete(120_000)
    const lost = victim.alerts.filter(alert => alert instanceof PeerErrorAlert).map(alert => alert.ep[0])
    expect(lost.filter(address => address !== '81.2.0.1')).toEqual([])
    expect(victim.whats()).not.toContain('hash_failed')
    swarm.close()
    expect(victim.holds(torrent)).toBe(true)
  })
}

function errorsOf(node: SwarmNode): number[] {
  return node.alerts.filter(alert => alert instanceof PeerErrorAlert).map(alert => alert.error.value())
}

describe('a peer loses its connection, and nobody else theirs, by', () => {
  const bytes = (hashes: number) => new Uint8Array(32 * hashes).fill(5)
  const range = (base: number, index: number, count: number, proofs: number) => u32(base, index, count, proofs)
  const OFFENCES: [string, number, (arena: Arena) => void][] = [
    [
      'hashes that nothing proves',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 0, 16, 3), bytes(16)),
    ],
    [
      'right hashes in another order',
      E.invalidHashes,
      ({ peer, root, hashes }) => {
        const right = hashes.answer({ root: root(0), base: 2, index: 0, count: 16, proofLayers: 3 })
        const swapped = Buffer.concat([right.subarray(32, 64), right.subarray(0, 32), right.subarray(64)])
        peer.send(HASHES, root(0), range(2, 0, 16, 3), swapped)
      },
    ],
    [
      'right hashes of part of a run',
      E.invalidHashes,
      ({ peer, root, hashes }) => {
        const right = hashes.answer({ root: root(0), base: 2, index: 0, count: 4, proofLayers: 3 })
        peer.send(HASHES, root(0), range(2, 0, 4, 3), right)
      },
    ],
    [
      'right hashes of a layer between',
      E.invalidHashes,
      ({ peer, root, hashes }) => {
        const right = hashes.answer({ root: root(0), base: 3, index: 0, count: 8, proofLayers: 2 })
        peer.send(HASHES, root(0), range(3, 0, 8, 2), right)
      },
    ],
    [
      'right hashes of another file',
      E.invalidHashes,
      ({ peer, root, hashes }) =>
        peer.send(
          HASHES,
          root(0),
          range(2, 0, 8, 2),
          hashes.answer({ root: root(1), base: 2, index: 0, count: 8, proofLayers: 2 }),
        ),
    ],
    [
      'fewer hashes than the layer has',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 0, 16, 3), bytes(15)),
    ],
    [
      'more hashes than the layer has',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 0, 16, 3), bytes(17)),
    ],
    [
      'hashes of half a node',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 0, 1, 0), bytes(1).subarray(1)),
    ],
    ['no hashes', E.invalidHashes, ({ peer, root }) => peer.send(HASHES, root(0), range(2, 0, 0, 0))],
    ['8193 hashes', E.invalidHashes, ({ peer, root }) => peer.send(HASHES, root(0), range(0, 0, 8193, 0), bytes(8194))],
    [
      'hashes of a layer above the root',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(20, 0, 2, 0), bytes(2)),
    ],
    [
      'hashes of layer 2^31',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2 ** 31, 0, 2, 0), bytes(2)),
    ],
    [
      'hashes behind the end of the layer',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 16, 2, 0), bytes(2)),
    ],
    [
      'hashes at 2^32 - 1',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 2 ** 32 - 1, 2, 0), bytes(2)),
    ],
    [
      'proofs of more layers than there are',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 0, 2, 4), bytes(6)),
    ],
    [
      '2^32 - 1 proofs',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(0), range(2, 0, 2, 2 ** 32 - 1), bytes(2)),
    ],
    [
      'hashes of an unknown file',
      E.invalidHashes,
      ({ peer }) => peer.send(HASHES, bytes(1), range(2, 0, 2, 0), bytes(2)),
    ],
    [
      'hashes of a file without any',
      E.invalidHashes,
      ({ peer }) => peer.send(HASHES, new Uint8Array(32), range(2, 0, 2, 0), bytes(2)),
    ],
    [
      'hashes of a file of one block',
      E.invalidHashes,
      ({ peer, root }) => peer.send(HASHES, root(2), range(0, 0, 1, 0), bytes(1)),
    ],
    ['a short hash request', E.invalidHashRequest, ({ peer, root }) => peer.send(HASH_REQUEST, root(0), u32(2, 0, 2))],
    [
      'a long hash request',
      E.invalidHashRequest,
      ({ peer, root }) => peer.send(HASH_REQUEST, root(0), u32(2, 0, 2, 0, 0)),
    ],
    ['a short hash reject', E.invalidHashReject, ({ peer, root }) => peer.send(HASH_REJECT, root(0), u32(2, 0, 2))],
  ]

  test.each(OFFENCES)('%s', (_what, code, act) => {
    inArena({}, arena => {
      act(arena)
      arena.sim.run(1000)
      expect(errorsOf(arena.victim)).toEqual([code])
      expect(arena.peer.closed).not.toBeNull()
      expect(treesOf(arena.victim).memoryBytes).toBeLessThan(100_000)
    })
  })

  test('hashes with a wrong proof', () => {
    inArena({ sizes: [600 * BLOCK_SIZE], pieceLength: BLOCK_SIZE }, ({ sim, peer, root, hashes, victim }) => {
      const right = hashes.answer({ root: root(0), base: 0, index: 512, count: 128, proofLayers: 9 })
      expect(right.length).toBe(131 * 32)
      right[130 * 32]! ^= 1
      peer.send(HASHES, root(0), range(0, 512, 128, 9), right)
      sim.run(1000)
      expect(errorsOf(victim)).toEqual([E.invalidHashes])
    })
  })

  const messages: [string, (arena: Arena) => void][] = [
    ['a hash request', ({ peer }) => peer.send(HASH_REQUEST, bytes(1), range(2, 0, 2, 0))],
    ['hashes', ({ peer }) => peer.send(HASHES, bytes(1), range(2, 0, 2, 0), bytes(2))],
    ['a hash reject', ({ peer }) => peer.send(HASH_REJECT, bytes(1), range(2, 0, 2, 0))],
  ]
  test.each(messages)('%s on a v1 connection of a hybrid torrent', (_what, act) => {
    inArena({ flags: HYBRID, version: ProtocolVersion.V1 }, arena => {
      act(arena)
      arena.sim.run(1000)
      expect(errorsOf(arena.victim)).toEqual([E.invalidMessage])
    })
  })

  test.each(messages)('%s in a v1 torrent', (_what, act) => {
    inArena({ flags: CreateFlags.v1Only, victim: () => {} }, arena => {
      act(arena)
      arena.sim.run(1000)
      expect(errorsOf(arena.victim)).toEqual([E.invalidMessage])
    })
  })
})

describe('a peer may', () => {
  const range = (base: number, index: number, count: number, proofs: number) => u32(base, index, count, proofs)

  test.each([
    ['above the root', range(20, 0, 2, 0)],
    ['of layer 2^31', range(2 ** 31, 0, 2, 0)],
    ['at 2^31', range(2, 2 ** 31, 2, 0)],
    ['at 2^32 - 1', range(2, 2 ** 32 - 1, 2, 0)],
    ['behind the end', range(2, 15, 2, 0)],
    ['of nothing', range(2, 0, 0, 0)],
    ['of 8193 hashes', range(0, 0, 8193, 0)],
    ['of 2^32 - 1 hashes', range(0, 0, 2 ** 32 - 1, 0)],
    ['with too many proofs', range(2, 0, 2, 4)],
    ['with 2^32 - 1 proofs', range(2, 0, 2, 2 ** 32 - 1)],
    ['of hashes that are not known', range(2, 0, 16, 3)],
  ])('ask for a range %s: it is rejected, word for word', (_what, head) => {
    inArena({}, ({ sim, peer, root }) => {
      peer.send(HASH_REQUEST, root(0), head)
      sim.run(100)
      const rejects = peer.messages.filter(({ id }) => id === HASH_REJECT)
      expect(rejects.map(({ payload }) => payload)).toEqual([Buffer.concat([root(0), head])])
      expect(peer.closed).toBeNull()
    })
  })

  test('reject what it was not asked', () => {
    inArena({}, ({ sim, peer, root }) => {
      for (let i = 0; i < 1000; i++) peer.send(HASH_REJECT, root(0), range(2, i, 2, 0))
      sim.run(1000)
      expect(peer.closed).toBeNull()
    })
  })

  test('tell hashes that nobody asked for: those of pieces are welcome, those of blocks are not kept', () => {
    inArena({}, ({ sim, peer, root, hashes, victim }) => {
      const requests = [
        { root: root(0), base: 2, index: 0, count: 16, proofLayers: 3 },
        { root: root(1), base: 2, index: 0, count: 8, proofLayers: 2 },
      ]
      const send = (request: (typeof requests)[0]) => {
        const { base, index, count, proofLayers } = request
        peer.send(HASHES, request.root, range(base, index, count, proofLayers), hashes.answer(request))
      }
      for (const request of requests) send(request)
      sim.run(100)
      expect(treesOf(victim).complete).toBe(true)
      const { memoryBytes } = treesOf(victim)
      for (let i = 0; i < 100; i++) {
        for (const request of requests) send(request)
        for (let piece = 0; piece < 9; piece++)
          send({ root: root(0), base: 0, index: 4 * piece, count: 4, proofLayers: 5 })
        peer.send(HASHES, root(0), range(0, 0, 4, 5), new Uint8Array(32 * 8))
      }
      sim.run(1000)
      expect(treesOf(victim).memoryBytes).toBe(memoryBytes)
      expect(peer.closed).toBeNull()
    })
  })
})
