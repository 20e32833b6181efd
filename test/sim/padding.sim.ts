import { describe, expect, test } from 'vitest'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import type { Sha1Hash } from '../../src/core/digest.ts'
import { ProtocolVersion, StatusFlags } from '../../src/core/enums.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { type BlockRequest, FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 4 * BLOCK_SIZE
/** Data ends within a block, with a block, after the first byte of a piece; the padding after each is in the middle. */
const SIZES = [PIECE + BLOCK_SIZE + 100, 2 * BLOCK_SIZE, 2 * PIECE + 1, 3 * PIECE, 5]
/** Bytes of data in each piece. */
const DATA = [PIECE, BLOCK_SIZE + 100, 2 * BLOCK_SIZE, PIECE, PIECE, 1, PIECE, PIECE, PIECE, 5]
const TOTAL = DATA.reduce((a, b) => a + b)
const LAST = DATA.length - 1

const KINDS = { hybrid: 0, 'v2-only': CreateFlags.v2Only } as const
type Kind = keyof typeof KINDS

function world(kind: Kind, body: (sim: Simulation, torrent: SimTorrent, swarm: Swarm) => void): void {
  simulate(1, sim => {
    const torrent = makeFilesTorrent(SIZES, PIECE, KINDS[kind])
    body(sim, torrent, new Swarm(sim, torrent))
  })
}

/** A peer that has everything, and notes what it is asked for. */
function fakeSeed(sim: Simulation, torrent: SimTorrent, to: SwarmNode, pieces?: readonly number[]): BlockRequest[] {
  const asked: BlockRequest[] = []
  const runtime = sim.host('fake seed', { addresses: ['81.2.3.4'] })
  const peer = FakePeer.connect(runtime, to.endpoint, { infoHash: torrent.infoHash.toBytes() })
  peer.seed(torrent.content, PIECE, request => void asked.push(request))
  if (pieces !== undefined) {
    peer.onHandshake = () => peer.sendBitfield(DATA.map((_, piece) => pieces.includes(piece)))
  }
  return asked
}

/** What is asked for of a piece: a hybrid torrent's blocks are whole, as v1 has them. */
function blocksOf(kind: Kind, piece: number): string[] {
  const data = DATA[piece]!
  const size = kind === 'hybrid' ? PIECE : data
  const blocks: string[] = []
  for (let at = 0; at < data; at += BLOCK_SIZE) blocks.push(`${piece} ${at} ${Math.min(BLOCK_SIZE, size - at)}`)
  return blocks
}

function status(node: SwarmNode) {
  return node.handle.status(StatusFlags.queryAccurateDownloadCounters)
}

describe.each(['hybrid', 'v2-only'] as const)('padding in the middle of a %s torrent', kind => {
  test('is not asked for: no block of nothing else, and each other block once', () => {
    world(kind, (sim, torrent, swarm) => {
      const leech = swarm.add('leech')
      const asked = fakeSeed(sim, torrent, leech)
      swarm.complete(60_000)
      const lines = asked.map(({ piece, begin, length }) => `${piece} ${begin} ${length}`).sort()
      expect(lines).toEqual(DATA.flatMap((_, piece) => blocksOf(kind, piece)).sort())
      expect(status(leech).totalDone).toBe(TOTAL)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('does not count as done', () => {
    world(kind, (sim, torrent, swarm) => {
      const leech = swarm.add('leech', { host: { down: { bytesPerSecond: 50_000 } } })
      fakeSeed(sim, torrent, leech)
      expect(status(leech).total).toBe(TOTAL)
      let before = 0
      for (let i = 0; i < 400 && !leech.isSeeding; i++) {
        sim.run(50)
        const { totalDone, totalWanted, totalWantedDone } = status(leech)
        expect(totalDone).toBeGreaterThanOrEqual(before)
        expect(totalDone).toBeLessThanOrEqual(TOTAL)
        expect([totalWanted, totalWantedDone]).toEqual([TOTAL, totalDone])
        before = totalDone
      }
      expect(leech.isSeeding).toBe(true)
      swarm.close()
    })
  })

  test('of a piece under way does not count either', () => {
    world(kind, (sim, torrent, swarm) => {
      const leech = swarm.add('leech')
      const runtime = sim.host('fake seed', { addresses: ['81.2.3.4'] })
      const peer = FakePeer.connect(runtime, leech.endpoint, { infoHash: torrent.infoHash.toBytes() })
      // of the piece with one block of data, and a bit in the next: the first block only
      peer.onHandshake = () => peer.sendBitfield(DATA.map((_, piece) => piece === 1))
      peer.onMessage = ({ id }) => {
        if (id === PeerMessage.interested) peer.send(PeerMessage.unchoke)
        for (const { piece, begin, length } of peer.requests.splice(0)) {
          const at = piece * PIECE + begin
          if (begin === 0) peer.sendBlock(piece, begin, torrent.content.subarray(at, at + length))
        }
      }
      sim.run(5000)
      expect(status(leech).totalDone).toBe(BLOCK_SIZE)
      swarm.close()
    })
  })

  test('is given to peers that ask: where v1 has it, and where clients made with libtorrent 2.0 think so', () => {
    world(kind, (sim, torrent, swarm) => {
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const runtime = sim.host('fake leech', { addresses: ['81.2.3.4'] })
      const { infoHashes } = loadTorrentBuffer(torrent.file)
      const infoHash = (infoHashes.get(ProtocolVersion.V2) as Sha1Hash).toBytes()
      const peer = FakePeer.connect(runtime, seed.endpoint, { infoHash })
      sim.runUntil(() => peer.handshake !== null, 5000, 'the handshake')
      peer.send(PeerMessage.interested)
      sim.runUntil(() => peer.messages.some(({ id }) => id === PeerMessage.unchoke), 60_000, 'the unchoke')
      // all padding; data and padding; data; the end of the last file, and beyond
      const ranges: [piece: number, begin: number, length: number][] = [
        [1, 3 * BLOCK_SIZE, BLOCK_SIZE],
        [1, BLOCK_SIZE, BLOCK_SIZE],
        [1, BLOCK_SIZE, 100],
        [LAST, 0, 5],
        [LAST, 0, 6],
      ]
      const got = ranges.map(([piece, begin, length]) => {
        peer.messages.length = 0
        peer.sendRequest(piece, begin, length)
        sim.run(500)
        const { id, payload } = peer.messages.at(-1)!
        if (id !== PeerMessage.piece) return id
        const at = piece * PIECE + begin
        return payload.subarray(8).equals(torrent.content.subarray(at, at + length)) ? id : 'other bytes'
      })
      expect(got).toEqual(ranges.map(() => PeerMessage.piece))
      swarm.close()
    })
  })

  test('has no file', () => {
    world(kind, (_sim, torrent, swarm) => {
      const { ti } = loadTorrentBuffer(torrent.file)
      const files = ti!.layout()
      const pads = [...Array(files.numFiles()).keys()].filter(file => files.padFileAt(file))
      expect(pads.length).toBeGreaterThanOrEqual(3)
      const leech = swarm.add('leech')
      expect(pads.map(file => leech.handle.filePriority(file))).toEqual(pads.map(() => 0))
      expect(status(leech).totalWanted).toBe(TOTAL)
      swarm.close()
    })
  })
})
