import { describe, expect, test } from 'vitest'
import { PeerBanAlert, PeerErrorAlert } from '../../src/alert/peer-alerts.ts'
import { MetadataFailedAlert, TorrentConflictAlert } from '../../src/alert/torrent-alerts.ts'
import { bencode } from '../../src/bencode/bencode.ts'
import { InfoHash } from '../../src/core/digest.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import { LibtorrentErrors } from '../../src/core/error-table.ts'
import { sha1 } from '../../src/core/hash.ts'
import type { AddTorrentParams } from '../../src/metainfo/add-torrent-params.ts'
import { loadTorrentBuffer } from '../../src/metainfo/load-torrent.ts'
import { parseMagnetUri } from '../../src/metainfo/magnet-uri.ts'
import { readResumeData } from '../../src/metainfo/resume-read.ts'
import { writeResumeDataBuf } from '../../src/metainfo/resume-write.ts'
import { TorrentHandleFlags } from '../../src/torrent/handle-flags.ts'
import { buildResumeParams } from '../../src/torrent/resume-state.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, makeTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 16 * 1024
/** An info dictionary of a dozen parts. */
const MANY_FILES = 4000

/** Adds it as a magnet link would. */
function asMagnet(params: AddTorrentParams): void {
  params.ti = null
  params.merkleTrees = []
  params.merkleTreeMask = []
  params.verifiedLeafHashes = []
}

function infoSection(torrent: SimTorrent): Uint8Array {
  return loadTorrentBuffer(torrent.file).ti!.infoSection()
}

function bigTorrent(): SimTorrent {
  return makeFilesTorrent(new Array(MANY_FILES).fill(1), PIECE)
}

interface Told {
  readonly size?: number
  /** What it sends for a part; `null`: it rejects. */
  readonly part?: (part: number) => Uint8Array | null
  readonly totalSize?: number
}

/** A peer that has the metadata, or says so, and nothing else. */
function metadataPeer(sim: Simulation, victim: SwarmNode, torrent: SimTorrent, name: string, told: Told): FakePeer {
  const section = infoSection(torrent)
  const host = sim.host(name, { addresses: [`82.1.1.${name.length}`] })
  const peer = FakePeer.connect(host, victim.endpoint, {
    infoHash: torrent.infoHash.toBytes(),
    peerId: Buffer.from(`-XX0000-${name.padEnd(12, '0').slice(0, 12)}`),
  })
  const size = told.size ?? section.length
  peer.onHandshake = () => {
    peer.send(PeerMessage.extended, Uint8Array.of(0), bencode({ m: { ut_metadata: 9 }, metadata_size: size }))
    peer.send(PeerMessage.haveNone)
  }
  peer.onMessage = ({ id, payload }) => {
    if (id !== PeerMessage.extended || payload[0] !== 9) return
    const text = payload.subarray(1).toString('latin1')
    const part = Number(/5:piecei(\d+)e/.exec(text)![1])
    if (!text.includes('8:msg_typei0e')) return
    const data = told.part === undefined ? section.subarray(part * PIECE, (part + 1) * PIECE) : told.part(part)
    if (data === null) {
      peer.send(PeerMessage.extended, Uint8Array.of(2), bencode({ msg_type: 2, piece: part }))
      return
    }
    const head = { msg_type: 1, piece: part, total_size: told.totalSize ?? size }
    peer.send(PeerMessage.extended, Uint8Array.of(2), bencode(head), data)
  }
  return peer
}

function bans(node: SwarmNode): string[] {
  return node.alerts.filter(alert => alert instanceof PeerBanAlert).map(alert => alert.ep[0])
}

describe('a magnet link', () => {
  test('becomes a torrent by its peers, and is downloaded', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, bigTorrent())
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const leech = swarm.add('leech', { params: asMagnet })
      expect(leech.handle.status().hasMetadata).toBe(false)
      expect(leech.handle.torrentFile()).toBeNull()
      leech.connectTo(seed)
      swarm.complete(120_000)
      expect(leech.whats()).toContain('metadata_received')
      expect(leech.handle.torrentFile()!.infoSection()).toEqual(infoSection(swarm.torrent))
      expect(leech.handle.status().name).toBe('many-1')
      swarm.close()
      expect(leech.holds(swarm.torrent)).toBe(true)
    })
  })

  test('a leech passes the metadata on at once, before it has any piece', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, bigTorrent())
      const first = swarm.add('first')
      const second = swarm.add('second', { params: asMagnet })
      const third = swarm.add('third', { params: asMagnet })
      second.connectTo(first)
      sim.runUntilSo(() => second.handle.status().hasMetadata, 60_000, 'the metadata of the second')
      third.connectTo(second)
      sim.runUntilSo(() => third.handle.status().hasMetadata, 60_000, 'the metadata of the third')
      expect(third.handle.status().progress).toBe(0)
      swarm.close()
    })
  })

  test('its parts come from several peers at once', () => {
    simulate(3, sim => {
      const torrent = bigTorrent()
      const swarm = new Swarm(sim, torrent)
      const victim = swarm.add('leech', { params: asMagnet })
      sim.run(1000)
      const asked = [0, 0, 0]
      const section = infoSection(torrent)
      asked.forEach((_, n) => {
        const part = (index: number) => {
          asked[n]!++
          return section.subarray(index * PIECE, (index + 1) * PIECE)
        }
        metadataPeer(sim, victim, torrent, 'x'.repeat(n + 1), { part })
      })
      sim.runUntilSo(() => victim.handle.status().hasMetadata, 60_000, 'the metadata')
      expect(asked.every(count => count > 0)).toBe(true)
      expect(asked.reduce((a, b) => a + b)).toBe(Math.ceil(section.length / PIECE))
      swarm.close()
    })
  })

  test('a swarm in which one has the file completes', () => {
    simulate(4, sim => {
      const swarm = new Swarm(sim, makeTorrent(1_000_000, 64 * 1024))
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      let before = seed
      for (let i = 0; i < 10; i++) {
        const node = swarm.add(`leech ${i}`, { params: asMagnet })
        node.connectTo(before)
        before = node
      }
      swarm.complete(60_000)
      swarm.close()
    })
  })

  test('priorities of the link hold (BEP 53)', () => {
    simulate(5, sim => {
      const torrent = makeFilesTorrent([100_000, 100_000, 100_000], PIECE)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const leech = swarm.add('leech', {
        params: params => {
          asMagnet(params)
          const link = parseMagnetUri(`magnet:?xt=urn:btih:${torrent.infoHash}&so=1`)
          params.filePriorities = link.filePriorities
          params.flags |= link.flags & TorrentFlags.defaultDontDownload
        },
      })
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.handle.status().isFinished, 60_000, 'the file')
      expect(leech.handle.getFilePriorities()).toEqual([0, 4, 0])
      expect(leech.handle.status().isSeeding).toBe(false)
      swarm.close()
    })
  })

  test('priorities of the link hold also if it is resumed before there is metadata', () => {
    simulate(5, sim => {
      const torrent = makeFilesTorrent([100_000, 100_000, 100_000], PIECE)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      const first = swarm.add('leech', {
        params: params => {
          asMagnet(params)
          const link = parseMagnetUri(`magnet:?xt=urn:btih:${torrent.infoHash}&so=1`)
          params.filePriorities = link.filePriorities
          params.flags |= link.flags & TorrentFlags.defaultDontDownload
        },
      })
      sim.run(2000)
      const data = writeResumeDataBuf(first.engine.turn.call(() => buildResumeParams(first.handle.torrent(), true)))
      first.close()
      const leech = swarm.restart(first, { params: params => Object.assign(params, readResumeData(data)) })
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.handle.status().isFinished, 60_000, 'the file')
      expect(leech.handle.getFilePriorities()).toEqual([0, 4, 0])
      // with metadata all files have a priority
      expect(leech.engine.turn.call(() => buildResumeParams(leech.handle.torrent(), true)).flags).toBe(
        leech.handle.flags(),
      )
      swarm.close()
    })
  })

  test('resume data keeps the metadata: the next run does not fetch it', () => {
    simulate(6, sim => {
      const torrent = bigTorrent()
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const leech = swarm.add('leech', { params: asMagnet })
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.handle.status().hasMetadata, 60_000, 'the metadata')
      const own = leech.handle.torrent()
      expect(own.needSave.bits & TorrentHandleFlags.ifMetadataChanged, 'the metadata is worth saving').not.toBe(0)
      const data = writeResumeDataBuf(leech.engine.turn.call(() => buildResumeParams(own, true)))
      leech.close()
      const again = swarm.restart(leech, {
        params: params => {
          const resumed = readResumeData(data)
          expect(resumed.ti!.infoSection()).toEqual(infoSection(torrent))
          Object.assign(params, { ti: resumed.ti, haveBits: resumed.haveBits })
        },
      })
      expect(again.handle.status().hasMetadata).toBe(true)
      swarm.close()
    })
  })

  test('a hybrid torrent is known by both names, whichever the link has', () => {
    for (const which of ['v1', 'v2'] as const) {
      simulate(7, sim => {
        const torrent = makeFilesTorrent([100_000, 50_000], PIECE, 0)
        const both = loadTorrentBuffer(torrent.file).ti!.infoHashes()
        const swarm = new Swarm(sim, torrent)
        const seed = swarm.add('seed', { has: 'all' })
        sim.run(2000)
        sim.run(2000)
        const leech = swarm.add('leech', {
          params: params => {
            asMagnet(params)
            params.infoHashes = which === 'v1' ? new InfoHash(both.v1) : new InfoHash(both.v2)
          },
        })
        leech.connectTo(seed)
        swarm.complete(60_000)
        expect(leech.handle.infoHashes().equals(both)).toBe(true)
        expect(leech.engine.registry.byHash(both.v1)?.handle).toBe(leech.handle)
        expect(leech.engine.registry.byHash(both.getBest())?.handle).toBe(leech.handle)
        swarm.close()
      })
    }
  })

  test('two links to one hybrid torrent are in conflict', () => {
    simulate(8, sim => {
      const torrent = makeFilesTorrent([100_000, 50_000], PIECE, 0)
      const both = loadTorrentBuffer(torrent.file).ti!.infoHashes()
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const leech = swarm.add('leech', {
        params: params => {
          asMagnet(params)
          params.infoHashes = new InfoHash(both.v1)
        },
      })
      const params = parseMagnetUri(`magnet:?xt=urn:btmh:1220${both.v2}`)
      params.savePath = '/other'
      params.flags &= ~(TorrentFlags.paused | TorrentFlags.autoManaged)
      const other = leech.engine.turn.call(() => leech.engine.addTorrent(params))
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.whats().includes('torrent_conflict'), 60_000, 'the conflict')
      const alert = leech.alerts.find(a => a instanceof TorrentConflictAlert) as TorrentConflictAlert
      expect(alert.handle).toBe(leech.handle)
      expect(alert.conflictingTorrent).toBe(other)
      expect(alert.metadata.infoHashes().equals(both)).toBe(true)
      for (const handle of [leech.handle, other]) {
        const status = handle.status()
        expect(status.errc.value()).toBe(LibtorrentErrors.duplicateTorrent)
        expect(status.flags & TorrentFlags.paused).not.toBe(0)
      }
      swarm.close()
    })
  })

  test('metadata may also be given by the user', () => {
    simulate(9, sim => {
      const torrent = bigTorrent()
      const swarm = new Swarm(sim, torrent)
      const leech = swarm.add('leech', { params: asMagnet })
      sim.run(1000)
      expect(leech.handle.setMetadata(new Uint8Array(100))).toBe(false)
      expect(leech.handle.setMetadata(infoSection(torrent))).toBe(true)
      expect(leech.handle.setMetadata(infoSection(torrent))).toBe(false)
      sim.run(1000)
      expect(leech.handle.status().hasMetadata).toBe(true)
      swarm.close()
    })
  })

  test('peers of a private torrent get no metadata', () => {
    simulate(10, sim => {
      const torrent = makeTorrent(100_000, PIECE)
      const file = Buffer.from(torrent.file).toString('latin1')
      // `private` sorts behind `pieces`, which ends the dictionary
      const secret = Buffer.from(file.replace(/ee$/, '7:privatei1eee'), 'latin1')
      const ti = loadTorrentBuffer(secret).ti!
      expect(ti.priv()).toBe(true)
      const swarm = new Swarm(sim, { ...torrent, file: secret, infoHash: ti.infoHashes().v1 })
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      const leech = swarm.add('leech', { params: asMagnet })
      leech.connectTo(seed)
      sim.run(30_000)
      expect(leech.handle.status().numPeers).toBe(1)
      expect(leech.handle.status().hasMetadata).toBe(false)
      swarm.close()
    })
  })
})

describe('a session with a magnet link whose metadata never came', () => {
  test('closes, announcing "stopped", whatever else it has', () => {
    simulate(11, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const torrent = makeTorrent(100_000, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('alone', { has: 'all' })
      const link = makeTorrent(100_000, PIECE, 2)
      const params = parseMagnetUri(`magnet:?xt=urn:btih:${link.infoHash}&tr=${tracker.httpUrl}`)
      params.savePath = '/other'
      params.flags &= ~(TorrentFlags.paused | TorrentFlags.autoManaged)
      node.engine.turn.call(() => node.engine.addTorrent(params))
      sim.run(5000)
      expect(tracker.members(link.infoHash.toString())).toBeGreaterThan(0)
      node.close()
      expect(tracker.members(link.infoHash.toString())).toBe(0)
    })
  })
})

describe('hostile peers of a magnet link', () => {
  function attacked(
    seed: number,
    attack: (sim: Simulation, victim: SwarmNode, torrent: SimTorrent) => void,
  ): SwarmNode {
    let node: SwarmNode | null = null
    simulate(seed, sim => {
      const torrent = bigTorrent()
      const swarm = new Swarm(sim, torrent)
      const victim = swarm.add('leech', { params: asMagnet })
      sim.run(1000)
      attack(sim, victim, torrent)
      const honest = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      honest.connectTo(victim)
      sim.runUntilSo(() => victim.handle.status().hasMetadata, 300_000, 'the metadata')
      sim.run(1000)
      node = victim
      expect(bans(victim)).not.toContain(honest.endpoint[0])
      swarm.close()
    })
    return node!
  }

  test('one who sends wrong metadata alone is banned', () => {
    const victim = attacked(20, (sim, node, torrent) => {
      const section = infoSection(torrent)
      const part = (index: number) => {
        const bytes = Buffer.from(section.subarray(index * PIECE, (index + 1) * PIECE))
        if (index === 1) bytes[5]! ^= 1
        return bytes
      }
      metadataPeer(sim, node, torrent, 'liar', { part })
      sim.runUntilSo(() => bans(node).length > 0, 60_000, 'the ban')
      expect(node.alerts.some(alert => alert instanceof MetadataFailedAlert)).toBe(true)
    })
    expect(bans(victim)).toEqual(['82.1.1.4'])
  })

  test('one who spoils what others send is found, and only that one is banned', () => {
    const victim = attacked(21, (sim, node, torrent) => {
      metadataPeer(sim, node, torrent, 'good', {})
      metadataPeer(sim, node, torrent, 'better', {})
      metadataPeer(sim, node, torrent, 'worst', { part: () => Buffer.alloc(PIECE) })
    })
    expect(bans(victim)).toEqual(['82.1.1.5'])
  })

  test.each([1, 100, 5_000_000, 2 ** 31, 2 ** 40, -1])('a wrong size, %d, keeps nobody from the true one', size => {
    attacked(22, (sim, node, torrent) => {
      for (const name of ['a', 'ab', 'abc']) {
        metadataPeer(sim, node, torrent, name, { size, part: () => null })
      }
    })
  })

  test('those who agree on a wrong size and send it slowly do not block the rest', () => {
    attacked(23, (sim, node, torrent) => {
      for (let n = 1; n <= 8; n++) {
        const size = 20_000 + n * PIECE
        metadataPeer(sim, node, torrent, 'x'.repeat(n), {
          size,
          part: part => (part === 0 ? Buffer.alloc(PIECE) : null),
        })
      }
    })
  })

  test('parts that are too short, too long or nobody asked for are ignored', () => {
    attacked(24, (sim, node, torrent) => {
      metadataPeer(sim, node, torrent, 'short', { part: () => Buffer.alloc(10) })
      metadataPeer(sim, node, torrent, 'longer', { part: () => Buffer.alloc(PIECE + 1) })
      const peer = metadataPeer(sim, node, torrent, 'unasked', { part: () => null })
      sim.run(3000)
      const head = bencode({ msg_type: 1, piece: 3, total_size: infoSection(torrent).length })
      for (let i = 0; i < 100; i++) peer.send(PeerMessage.extended, Uint8Array.of(2), head, Buffer.alloc(PIECE))
      sim.run(3000)
      expect(node.handle.status().totalRedundantBytes).toBe(100 * PIECE + 2 * 10 + 2 * (PIECE + 1))
    })
  })

  test.each([
    ['no dictionary', Buffer.from('i5e')],
    ['garbage', Buffer.from('xyz')],
    ['no type', Buffer.from('d5:piecei0ee')],
    ['no part', Buffer.from('d8:msg_typei0ee')],
    ['a type that is text', Buffer.from('d8:msg_type1:05:piecei0ee')],
    ['more than 17 KiB', Buffer.concat([Buffer.from('d8:msg_typei1e5:piecei0ee'), Buffer.alloc(17 * 1024)])],
  ])('%s ends the connection', (_name, bytes) => {
    const victim = attacked(25, (sim, node, torrent) => {
      const peer = metadataPeer(sim, node, torrent, 'odd', { part: () => null })
      sim.run(3000)
      peer.send(PeerMessage.extended, Uint8Array.of(2), bytes)
      sim.run(3000)
      expect(peer.closed).not.toBeNull()
    })
    const errors = victim.alerts.filter(alert => alert instanceof PeerErrorAlert)
    expect(errors.map(alert => [alert.error.value(), alert.error.message()])).toEqual([
      [LibtorrentErrors.invalidMetadataMessage, 'invalid metadata message'],
    ])
  })

  test('requests out of range are rejected, floods of them served at 160 KiB a second and then rejected', () => {
    simulate(26, sim => {
      const torrent = bigTorrent()
      const parts = Math.ceil(infoSection(torrent).length / PIECE)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      sim.run(2000)
      sim.run(1000)
      const host = sim.host('asker', { addresses: ['82.1.2.3'], down: { bytesPerSecond: 50_000 } })
      const peer = FakePeer.connect(host, seed.endpoint, { infoHash: torrent.infoHash.toBytes() })
      const answers: string[] = []
      peer.onHandshake = () => peer.send(PeerMessage.extended, Uint8Array.of(0), bencode({ m: { ut_metadata: 9 } }))
      peer.onMessage = ({ id, payload }) => {
        if (id === PeerMessage.extended && payload[0] === 9) answers.push(payload.subarray(1, 90).toString('latin1'))
      }
      sim.run(2000)
      const size = infoSection(torrent).length
      const ask = (part: number) =>
        peer.send(PeerMessage.extended, Uint8Array.of(2), bencode({ msg_type: 0, piece: part }))
      for (const part of [-1, parts, 1000, 2 ** 40]) ask(part)
      sim.run(2000)
      expect(answers).toEqual(
        [-1, parts, 1000, 2 ** 40].map(part => `d8:msg_typei2e5:piecei${part}e10:total_sizei${size}ee`),
      )
      answers.length = 0
      for (let i = 0; i < 2000; i++) ask(0)
      sim.run(5000)
      const rejected = answers.filter(text => text.startsWith('d8:msg_typei2e')).length
      expect(seed.engine.connections.size).toBe(1)
      for (const { link } of seed.engine.connections) expect(link.unsentBytes).toBeLessThan(1_000_000)
      expect(rejected + answers.length).toBeGreaterThan(0)
      peer.close()
      swarm.close()
    })
  })

  test('metadata that is no torrent though it has the hash stops the torrent', () => {
    simulate(27, sim => {
      const good = makeTorrent(100_000, PIECE)
      const swarm = new Swarm(sim, good)
      const leech = swarm.add('leech')
      const broken = Buffer.from('d4:name1:x12:piece lengthi16384ee')
      const params = parseMagnetUri(`magnet:?xt=urn:btih:${loadHash(broken)}`)
      params.savePath = '/broken'
      params.flags &= ~(TorrentFlags.paused | TorrentFlags.autoManaged)
      const handle = leech.engine.turn.call(() => leech.engine.addTorrent(params))
      expect(handle.setMetadata(broken)).toBe(false)
      sim.run(1000)
      const failed = leech.alerts.find(alert => alert instanceof MetadataFailedAlert) as MetadataFailedAlert
      expect(failed.error.failed()).toBe(true)
      const status = handle.status()
      expect(status.errc.value()).toBe(LibtorrentErrors.invalidSwarmMetadata)
      expect(status.flags & TorrentFlags.paused).not.toBe(0)
      swarm.close()
    })
  })
})

function loadHash(section: Uint8Array): string {
  return Buffer.from(sha1(section)).toString('hex')
}
