import { describe, expect, test } from 'vitest'
import { BLOCK_SIZE } from '../../src/core/brands.ts'
import { type Sha1Hash, Sha256Hash } from '../../src/core/digest.ts'
import { MoveFlags, ProtocolVersion, TorrentFlags } from '../../src/core/enums.ts'
import { sha256 } from '../../src/core/hash.ts'
import { CreateFileEntry } from '../../src/metainfo/create-file-entry.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { CreateTorrent } from '../../src/metainfo/create-torrent.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { merkleRoot } from '../../src/metainfo/merkle.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import {
  AllHashes,
  answerHashes,
  asMagnet,
  HASH_REQUEST,
  HASHES,
  rejectHashes,
  torrentOf,
  withoutLayers,
} from './lib/v2.ts'

const PIECE = 4 * BLOCK_SIZE
const HYBRID = 0

function join(sim: Simulation, torrent: SimTorrent, to: SwarmNode, address: string): FakePeer {
  return FakePeer.connect(sim.host(address, { addresses: [address] }), to.endpoint, {
    infoHash: loadTorrentBuffer(torrent.file).infoHashes.get(ProtocolVersion.V2).toBytes(),
    peerId: Buffer.from(`-XX0000-${address.padEnd(12, '-')}`),
  })
}

/** The same file twice, and another one. */
function makeTwins(): SimTorrent {
  const base = makeFilesTorrent([3 * PIECE], PIECE, CreateFlags.v2Only)
  const other = makeFilesTorrent([2 * PIECE], PIECE, CreateFlags.v2Only, 2)
  const content = new Uint8Array(Buffer.concat([base.content, base.content, other.content]))
  const entries = [3, 3, 2].map((pieces, i) => new CreateFileEntry(`twins/${i}`, pieces * PIECE))
  const creator = new CreateTorrent(entries, PIECE, CreateFlags.v2Only)
  for (const [file, first, pieces] of [
    [0, 0, 3],
    [1, 3, 3],
    [2, 6, 2],
  ] as const) {
    for (let piece = 0; piece < pieces; piece++) {
      const at = (first + piece) * PIECE
      const leafs = [0, 1, 2, 3].map(b => sha256(content.subarray(at + b * BLOCK_SIZE, at + (b + 1) * BLOCK_SIZE)))
      creator.setHash2(file, piece, new Sha256Hash(merkleRoot(Buffer.concat(leafs))))
    }
  }
  const file = creator.generateBuf()
  const infoHash = loadTorrentBuffer(file).infoHashes.get(ProtocolVersion.V2) as Sha1Hash
  return { content, pieceLength: PIECE, file, infoHash }
}

describe('a file that is there twice', () => {
  test.each([
    ['with hashes', false],
    ['with hashes that only one piece of one file asks for', true],
  ])('is whole twice: %s', (_what, magnet) => {
    simulate(1, sim => {
      const torrent = makeTwins()
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(1000)
      const leech = swarm.add('leech', magnet ? { params: asMagnet } : {})
      leech.connectTo(seed)
      swarm.complete(60_000)
      expect(leech.whats()).not.toContain('hash_failed')
      expect(leech.engine.disk.slots.inUse).toBe(0)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('without its hashes is found whole by the other one', () => {
    simulate(2, sim => {
      const torrent = makeTwins()
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: withoutLayers, settings: { close_redundant_connections: false } })
      // one is whole but for a piece, of the other one piece is wanted
      for (const piece of [2, 3, 4]) leech.handle.piecePriority(piece, 0)
      const peer = join(sim, torrent, leech, '81.2.0.1')
      peer.seed(torrent.content, PIECE)
      rejectHashes(peer)
      sim.run(5000)
      expect(leech.handle.status().numPieces).toBe(2)
      leech.handle.piecePriority(2, 4)
      sim.run(5000)
      expect(leech.handle.status().numPieces).toBe(6)
      swarm.close()
    })
  })

  test('has each of its blocks judged by itself, in the one that failed', () => {
    simulate(3, sim => {
      const torrent = makeTwins()
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech')
      leech.handle.piecePriority(4, 0)
      const liar = join(sim, torrent, leech, '82.2.2.2')
      liar.seed(torrent.content, PIECE, ({ piece, begin }, block) => {
        if (piece === 4 && begin === BLOCK_SIZE) block[0]! ^= 1
      })
      rejectHashes(liar)
      sim.run(5000)
      expect(leech.handle.status().numPieces).toBe(7)
      const again = join(sim, torrent, leech, '82.2.2.3')
      again.seed(torrent.content, PIECE, ({ piece, begin }, block) => {
        if (piece === 4 && begin === BLOCK_SIZE) block[0]! ^= 1
      })
      answerHashes(again, new AllHashes(torrent))
      leech.handle.piecePriority(4, 4)
      sim.run(10_000)
      const good = join(sim, torrent, leech, '81.2.0.1')
      good.seed(torrent.content, PIECE)
      answerHashes(good, new AllHashes(torrent))
      swarm.complete(60_000)
      expect(torrentOf(leech).content!.proofs!.trees.blockHashes(1)).toBeNull()
      expect(torrentOf(leech).content!.proofs!.trees.blockHashes(4)).toBeNull()
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })
})

describe('seed mode without the hashes of pieces', () => {
  const seedMode = (params: { flags: number }) => {
    params.flags |= TorrentFlags.seedMode
  }

  test.each(['all', 'all but a piece'])('ends with a check when a piece is asked for: %s', what => {
    simulate(11, sim => {
      const torrent = makeFilesTorrent([6 * PIECE, 100], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const has = what === 'all' ? 'all' : [0, 1, 2, 3, 4, 6]
      const node = swarm.add('seed', {
        has,
        params: params => {
          withoutLayers(params)
          seedMode(params)
        },
      })
      sim.run(1000)
      expect((node.handle.flags() & TorrentFlags.seedMode) !== 0).toBe(true)
      const leech = swarm.add('leech')
      leech.connectTo(node)
      sim.run(20_000)
      expect((node.handle.flags() & TorrentFlags.seedMode) !== 0).toBe(false)
      expect(node.isSeeding).toBe(what === 'all')
      if (what !== 'all') {
        const seed = swarm.add('other', { has: 'all' })
        sim.run(1000)
        node.connectTo(seed)
      } else leech.connectTo(node)
      leech.connectTo(node)
      swarm.complete(120_000)
      expect(node.engine.disk.slots.inUse).toBe(0)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })
})

describe('without hash checks', () => {
  test('pieces need no hashes', () => {
    simulate(12, sim => {
      const torrent = makeFilesTorrent([6 * PIECE, 100], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: withoutLayers, settings: { disable_hash_checks: true } })
      const peer = join(sim, torrent, leech, '81.2.0.1')
      peer.seed(torrent.content, PIECE)
      rejectHashes(peer)
      swarm.complete(20_000)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })
})

describe('while a piece is hashed for a peer', () => {
  function hashing(
    act: (node: SwarmNode, sim: Simulation) => void,
    more: (peer: FakePeer, node: SwarmNode, sim: Simulation, swarm: Swarm) => void,
  ) {
    simulate(21, sim => {
      const torrent = makeFilesTorrent([64 * PIECE], PIECE, CreateFlags.v2Only)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const peer = join(sim, torrent, node, '81.2.0.1')
      sim.run(500)
      const root = loadTorrentBuffer(torrent.file).ti!.layout().root(0).view()
      const head = Buffer.alloc(16)
      head.writeUInt32BE(4, 8)
      head.writeUInt32BE(7, 12)
      for (let i = 0; i < 20; i++) {
        head.writeUInt32BE(4 * i, 4)
        peer.send(HASH_REQUEST, root, head)
      }
      sim.run(25)
      act(node, sim)
      sim.run(5000)
      more(peer, node, sim, swarm)
      swarm.close()
    })
  }
  const answers = (peer: FakePeer) => peer.messages.filter(({ id }) => id === HASHES).length

  test('nothing may happen', () => {
    hashing(
      () => {},
      peer => expect(answers(peer)).toBe(20),
    )
  })

  test('the torrent may be paused and go on', () => {
    hashing(
      (node, sim) => {
        node.handle.pause()
        sim.run(10)
        node.handle.resume()
      },
      (peer, node) => {
        expect(peer.closed).not.toBeNull()
        expect(answers(peer)).toBeLessThan(20)
        expect(node.isSeeding).toBe(true)
      },
    )
  })

  test('the torrent may be checked', () => {
    hashing(
      node => node.handle.forceRecheck(),
      (_, node) => expect(node.isSeeding).toBe(true),
    )
  })

  test('the torrent may be moved', () => {
    hashing(
      node => node.handle.moveStorage('/elsewhere', MoveFlags.alwaysReplaceFiles),
      (peer, node) => {
        expect(answers(peer)).toBe(20)
        expect(node.isSeeding).toBe(true)
      },
    )
  })

  test('the torrent may be removed', () => {
    hashing(
      node => node.engine.turn.call(() => node.engine.removeTorrent(torrentOf(node), 0)),
      (peer, node) => {
        expect(peer.closed).not.toBeNull()
        expect(node.whats()).toContain('torrent_removed')
      },
    )
  })

  test('the disk may fail: the request is rejected', () => {
    hashing(
      node => {
        node.drive.failure = 'EIO'
      },
      (peer, node) => {
        expect(peer.closed).toBeNull()
        expect(peer.messages.filter(({ id }) => id === 23).length).toBeGreaterThan(10)
        node.drive.failure = null
      },
    )
  })
})

test('a super seed of a v2 torrent tells its hashes', () => {
  simulate(31, sim => {
    const torrent = makeFilesTorrent([8 * PIECE], PIECE, CreateFlags.v2Only)
    const swarm = new Swarm(sim, torrent)
    const seed = swarm.add('seed', {
      has: 'all',
      params: params => {
        params.flags |= TorrentFlags.superSeeding
      },
    })
    sim.run(1000)
    const leeches = ['a', 'b'].map(name => swarm.add(name, { params: asMagnet }))
    for (const leech of leeches) leech.connectTo(seed)
    leeches[0]!.connectTo(leeches[1]!)
    swarm.complete(120_000)
    swarm.close()
    for (const leech of leeches) expect(leech.holds(torrent)).toBe(true)
  })
})

test('hashes that come while files are checked settle what was found until then', () => {
  simulate(41, sim => {
    const torrent = makeFilesTorrent([64 * PIECE], PIECE, CreateFlags.v2Only)
    const swarm = new Swarm(sim, torrent)
    const seed = swarm.add('seed', { has: 'all' })
    sim.run(2000)
    // the check takes its time
    const drive = new Swarm(sim, torrent)
    const node = drive.add('half', { has: [...Array(40).keys()], params: asMagnet })
    Object.assign(node.drive.options, { readBytesPerSecond: 400_000 })
    node.connectTo(seed)
    sim.runUntilSo(() => torrentOf(node).content !== null, 10_000, 'the metadata')
    const peer = join(sim, torrent, node, '81.2.0.1')
    peer.onHandshake = () => peer.send(PeerMessage.haveAll)
    answerHashes(peer, new AllHashes(torrent))
    sim.runUntilSo(() => torrentOf(node).content!.proofs!.trees.complete, 60_000, 'the hashes')
    drive.complete(60_000)
    expect(node.whats()).not.toContain('torrent_error')
    node.close()
    seed.close()
    expect(node.holds(torrent)).toBe(true)
  })
})

test('a hybrid whose v1 hashes are not looked at waits for v2 hashes too', () => {
  simulate(51, sim => {
    const torrent = makeFilesTorrent([6 * PIECE], PIECE, HYBRID)
    const swarm = new Swarm(sim, torrent)
    const leech = swarm.add('leech', {
      settings: { close_redundant_connections: false },
      params: params => {
        withoutLayers(params)
        params.flags |= TorrentFlags.disableV1Hashes
      },
    })
    leech.handle.piecePriority(5, 0)
    const peer = join(sim, torrent, leech, '81.2.0.1')
    peer.seed(torrent.content, PIECE)
    rejectHashes(peer)
    sim.run(5000)
    expect(leech.handle.status().numPieces).toBe(0)
    const honest = join(sim, torrent, leech, '81.2.0.2')
    honest.seed(torrent.content, PIECE)
    answerHashes(honest, new AllHashes(torrent))
    sim.runUntilSo(() => leech.handle.status().numPieces === 5, 60_000, 'the hashes')
    swarm.close()
  })
})
