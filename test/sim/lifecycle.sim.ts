import { describe, expect, test } from 'vitest'
import type { StateUpdateAlert } from '../../src/alert/session-alerts.ts'
import type { StateChangedAlert } from '../../src/alert/torrent-alerts.ts'
import { InfoHash } from '../../src/core/digest.ts'
import { TorrentFlags } from '../../src/core/enums.ts'
import { TorrentHandle } from '../../src/session/torrent-handle.ts'
import { TorrentStatus } from '../../src/torrent/torrent-status.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { simulate } from './lib/simulation.ts'
import { addTorrent, makeFilesTorrent, makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
const { State } = TorrentStatus
const LIFE = new Set([
  'state_changed',
  'torrent_finished',
  'torrent_checked',
  'torrent_paused',
  'torrent_resumed',
  'torrent_error',
  'torrent_removed',
  'torrent_deleted',
])

/** What happened to the torrent, states by number, from alert `since` on. */
function life(node: SwarmNode, since = 0): string[] {
  return node.alerts
    .slice(since)
    .filter(alert => LIFE.has(alert.what()))
    .map(alert => (alert.what() === 'state_changed' ? `-> ${(alert as StateChangedAlert).state}` : alert.what()))
}

describe('states', () => {
  test('of a download, in order and once each', () => {
    simulate(1, sim => {
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      swarm.complete(60_000)
      sim.run(1000)
      expect(life(seed)).toEqual([
        `-> ${State.checkingFiles}`,
        `-> ${State.finished}`,
        'torrent_finished',
        `-> ${State.seeding}`,
        'torrent_checked',
      ])
      expect(life(leech)).toEqual([
        `-> ${State.downloading}`,
        'torrent_checked',
        `-> ${State.finished}`,
        'torrent_finished',
        `-> ${State.seeding}`,
      ])
      swarm.close()
    })
  })

  test('of pause and resume: one alert each, connections closed, nothing moves in between', () => {
    simulate(2, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(5000)
      const since = leech.alerts.length
      leech.handle.pause()
      leech.handle.pause()
      sim.run(2000)
      expect(life(leech, since)).toEqual(['torrent_paused'])
      expect(leech.handle.status().numPeers).toBe(0)
      const got = leech.handle.status().totalPayloadDownload
      sim.run(10_000)
      expect(leech.handle.status().totalPayloadDownload).toBe(got)
      leech.handle.resume()
      leech.handle.resume()
      sim.run(1000)
      expect(life(leech, since)).toEqual(['torrent_paused', 'torrent_resumed'])
      swarm.close()
    })
  })

  test('a graceful pause lets requests on their way arrive, then tells of the pause once', () => {
    simulate(3, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(5000)
      const since = leech.alerts.length
      const got = leech.handle.status().totalPayloadDownload
      leech.handle.pause(TorrentHandle.gracefulPause)
      expect(leech.handle.status().numPeers).toBe(1)
      expect(leech.handle.flags() & TorrentFlags.paused).not.toBe(0)
      sim.run(20_000)
      expect(life(leech, since)).toEqual(['torrent_paused'])
      expect(leech.handle.status().numPeers).toBe(0)
      expect(leech.handle.status().totalPayloadDownload).toBeGreaterThan(got)
      expect(leech.handle.status().totalRedundantBytes).toBe(0)
      swarm.close()
    })
  })

  test('a paused session pauses its torrents, whose own flag stays as it is', () => {
    simulate(4, sim => {
      const swarm = new Swarm(sim, makeTorrent(64 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(3000)
      const since = leech.alerts.length
      leech.engine.turn.call(() => leech.engine.setPaused(true))
      sim.run(2000)
      expect(life(leech, since)).toEqual(['torrent_paused'])
      expect(leech.handle.flags() & TorrentFlags.paused).toBe(0)
      expect(leech.handle.status().numPeers).toBe(0)
      leech.handle.pause()
      leech.handle.resume()
      sim.run(1000)
      expect(life(leech, since)).toEqual(['torrent_paused'])
      leech.engine.turn.call(() => leech.engine.setPaused(false))
      sim.run(1000)
      expect(life(leech, since)).toEqual(['torrent_paused', 'torrent_resumed'])
      leech.connectTo(seed)
      swarm.complete(200_000)
      swarm.close()
    })
  })

  test('a torrent that is to stop when ready is paused before it announces', () => {
    simulate(5, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE, 1, [tracker.httpUrl]))
      const node = swarm.add('a', {
        has: [0, 1],
        params: params => {
          params.flags |= TorrentFlags.stopWhenReady | TorrentFlags.autoManaged
        },
      })
      sim.run(5000)
      expect(node.handle.status().state).toBe(State.downloading)
      expect(node.handle.flags() & TorrentFlags.paused).not.toBe(0)
      expect(node.handle.flags() & (TorrentFlags.autoManaged | TorrentFlags.stopWhenReady)).toBe(0)
      expect(tracker.announces).toEqual([])
      swarm.close()
    })
  })

  test('a torrent that is removed tells so after its files are gone, and its handle is no more', () => {
    simulate(6, sim => {
      const torrent = makeTorrent(8 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', { has: 'all' })
      sim.run(2000)
      const since = node.alerts.length
      const { handle } = node
      node.engine.turn.call(() => node.engine.removeTorrent(handle.torrent(), 1))
      expect(handle.isValid()).toBe(false)
      expect(() => handle.status()).toThrow('invalid torrent handle used')
      sim.run(2000)
      expect(life(node, since)).toEqual(['torrent_deleted', 'torrent_removed'])
      expect(node.engine.registry.numTorrents).toBe(0)
      node.close()
      expect(node.holds(torrent)).toBe(false)
    })
  })
})

describe('a recheck', () => {
  test('finds the pieces again, keeps priorities, and downloads on', () => {
    simulate(7, sim => {
      const swarm = new Swarm(sim, makeTorrent(32 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      leech.handle.piecePriority(31, 0)
      leech.handle.piecePriority(30, 7)
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(8000)
      const before = leech.handle.status().numPieces
      expect(before).toBeGreaterThan(3)
      const since = leech.alerts.length
      leech.handle.forceRecheck()
      leech.handle.forceRecheck()
      sim.run(3000)
      expect(life(leech, since)).toEqual([
        `-> ${State.checkingResumeData}`,
        `-> ${State.checkingFiles}`,
        `-> ${State.downloading}`,
        'torrent_checked',
      ])
      expect(leech.handle.status().numPieces).toBeGreaterThanOrEqual(before)
      expect(leech.handle.piecePriority(31)).toBe(0)
      expect(leech.handle.piecePriority(30)).toBe(7)
      leech.handle.piecePriority(31, 4)
      leech.connectTo(seed)
      swarm.complete(120_000)
      swarm.close()
    })
  })

  test('of a seed whose files have lost a part makes it download that part', () => {
    simulate(8, sim => {
      const torrent = makeTorrent(16 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const good = swarm.add('good', { has: 'all' })
      const bad = swarm.add('bad', {
        has: [0, 1, 2, 3, 9],
        params: params => {
          params.flags |= TorrentFlags.seedMode
        },
      })
      sim.run(1000)
      expect(bad.handle.status().isSeeding).toBe(true)
      bad.handle.forceRecheck()
      sim.run(3000)
      expect(bad.handle.status().numPieces).toBe(5)
      expect(bad.handle.flags() & TorrentFlags.seedMode).toBe(0)
      bad.connectTo(good)
      swarm.complete(60_000)
      swarm.close()
      expect(bad.holds(torrent)).toBe(true)
    })
  })
})

describe('priorities', () => {
  test('a torrent is finished without unwanted files, and not any more when they are wanted', () => {
    simulate(9, sim => {
      const torrent = makeFilesTorrent([4 * PIECE, 3 * PIECE + 100, 5 * PIECE], PIECE)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all' })
      const leech = swarm.add('leech', {
        params: params => {
          params.filePriorities = [4, 0, 4]
        },
      })
      sim.run(1000)
      leech.connectTo(seed)
      sim.runUntilSo(() => leech.handle.status().isFinished, 60_000)
      sim.run(1000)
      let status = leech.handle.status()
      expect(status.state).toBe(State.finished)
      expect(status.isSeeding).toBe(false)
      expect(status.totalWantedDone).toBe(status.totalWanted)
      expect(status.totalWanted).toBeLessThan(status.total)
      expect(status.queuePosition).toBe(-1)
      expect(leech.handle.havePiece(5)).toBe(false)
      expect(leech.handle.fileProgress()[0]).toBe(4 * PIECE)
      expect(leech.handle.fileProgress()[2]).toBe(5 * PIECE)
      const since = leech.alerts.length
      leech.handle.filePriority(1, 7)
      sim.run(100)
      status = leech.handle.status()
      expect(status.state).toBe(State.downloading)
      expect(status.queuePosition).toBe(0)
      expect(status.completedTime).toBe(0)
      leech.connectTo(seed)
      swarm.complete(200_000)
      expect(life(leech, since)).toEqual([
        `-> ${State.downloading}`,
        `-> ${State.finished}`,
        'torrent_finished',
        `-> ${State.seeding}`,
      ])
      expect(leech.whats().filter(what => what === 'file_prio')).toHaveLength(1)
      swarm.close()
      expect(leech.holds(torrent)).toBe(true)
    })
  })

  test('of files that are set before the metadata is known are kept, one by one or all', () => {
    simulate(10, sim => {
      const torrent = makeTorrent(8 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a', {
        params: params => {
          params.infoHashes = params.ti!.infoHashes()
          params.ti = null
        },
      })
      node.handle.prioritizeFiles([1, 9, 3])
      node.handle.filePriority(4, 0)
      expect(node.handle.getFilePriorities()).toEqual([1, 7, 3, 4, 0])
      expect(node.handle.needSaveResumeData(TorrentHandle.ifConfigChanged)).toBe(true)
      expect(node.handle.getResumeData().filePriorities).toEqual([1, 7, 3, 4, 0])
      swarm.close()
    })
  })

  test('pieces in sequence come in order', () => {
    simulate(11, sim => {
      const swarm = new Swarm(sim, makeTorrent(32 * PIECE, PIECE))
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 200_000 } } })
      const leech = swarm.add('leech', {
        params: params => {
          params.flags |= TorrentFlags.sequentialDownload
        },
      })
      sim.run(1000)
      leech.connectTo(seed)
      swarm.complete(60_000)
      const order = leech.alerts
        .filter(a => a.what() === 'piece_finished')
        .map(a => (a as { pieceIndex?: number }).pieceIndex!)
      expect(order).toHaveLength(32)
      // but for one that the seed lets us have before it unchokes us
      const inOrder = order.filter((piece, i) => i > 0 || piece === 0)
      expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b))
      swarm.close()
    })
  })
})

describe('a user', () => {
  test('adds pieces and reads them back', () => {
    simulate(12, sim => {
      const torrent = makeTorrent(3 * PIECE + 100, PIECE)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('a')
      sim.run(1000)
      for (let piece = 0; piece < 4; piece++) {
        node.handle.addPiece(piece, torrent.content.slice(piece * PIECE, (piece + 1) * PIECE))
      }
      sim.run(1000)
      expect(node.isSeeding).toBe(true)
      node.handle.readPiece(3)
      node.handle.readPiece(7)
      sim.run(1000)
      const read = node.alerts.filter(a => a.what() === 'read_piece') as unknown as {
        buffer: Uint8Array
        piece: number
        error: { failed(): boolean; message(): string }
      }[]
      expect(read).toHaveLength(2)
      const good = read.find(alert => alert.piece === 3)!
      expect(Buffer.from(good.buffer).equals(torrent.content.subarray(3 * PIECE))).toBe(true)
      expect(read.find(alert => alert.piece === 7)!.error.message()).toBe('invalid piece index in slot list')
      swarm.close()
      expect(node.holds(torrent)).toBe(true)
    })
  })

  test('adds a bad piece, which is refused', () => {
    simulate(13, sim => {
      const torrent = makeTorrent(3 * PIECE, PIECE)
      const node = new Swarm(sim, torrent).add('a')
      sim.run(1000)
      node.handle.addPiece(0, new Uint8Array(PIECE))
      node.handle.addPiece(1, new Uint8Array(5))
      sim.run(1000)
      expect(node.whats()).toContain('hash_failed')
      expect(node.handle.status().numPieces).toBe(0)
      node.close()
    })
  })

  test('replaces a piece by a bad one: peers are told that it is gone, and do not go on asking', () => {
    simulate(131, sim => {
      const torrent = makeTorrent(8 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 20_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(2000)
      for (let piece = 0; piece < 8; piece++) seed.handle.addPiece(piece, new Uint8Array(PIECE), 1)
      sim.run(120_000)
      // what the leech had by then has come back
      const { numPieces } = seed.handle.status()
      expect(numPieces).toBeLessThan(8)
      expect(seed.isSeeding).toBe(false)
      expect(seed.handle.fileProgress(1)).toEqual([numPieces * PIECE])
      // nobody has the rest: who connects now is told so
      leech.handle.pause()
      sim.run(1000)
      leech.handle.resume()
      leech.connectTo(seed)
      sim.run(120_000)
      expect(seed.whats().filter(what => what === 'invalid_request').length).toBeLessThan(100)
      for (let piece = 0; piece < 8; piece++) {
        seed.handle.addPiece(piece, torrent.content.slice(piece * PIECE, (piece + 1) * PIECE), 1)
      }
      swarm.complete(200_000)
      expect(seed.handle.fileProgress(1)).toEqual([8 * PIECE])
      swarm.close()
    })
  })

  test('is told of torrents that changed, and of those only', () => {
    simulate(14, sim => {
      const swarm = new Swarm(sim, makeTorrent(8 * PIECE, PIECE, 1))
      const node = swarm.add('a', {
        params: params => {
          params.flags |= TorrentFlags.updateSubscribe
        },
      })
      const other = addTorrent(node, makeTorrent(8 * PIECE, PIECE, 2), '/other', [], params => {
        params.flags |= TorrentFlags.updateSubscribe
      })
      sim.run(5000)
      const ask = () => {
        const since = node.alerts.length
        node.engine.turn.call(() => node.engine.postTorrentUpdates(0xffffffff))
        sim.run(100)
        const alert = node.alerts.slice(since).find(a => a.what() === 'state_update') as StateUpdateAlert | undefined
        return alert?.status.map(status => status.handle) ?? null
      }
      expect(ask()).toHaveLength(2)
      expect(ask()).toEqual([])
      other.setMaxUploads(7)
      other.setMaxUploads(8)
      expect(ask()).toEqual([other])
      other.unsetFlags(TorrentFlags.updateSubscribe)
      other.setMaxUploads(9)
      expect(ask()).toEqual([])
      swarm.close()
    })
  })

  test('moves and renames, while the torrent goes on', () => {
    simulate(15, sim => {
      const torrent = makeTorrent(16 * PIECE, PIECE)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: 100_000 } } })
      const leech = swarm.add('leech')
      sim.run(1000)
      leech.connectTo(seed)
      sim.run(3000)
      leech.handle.moveStorage('/new')
      leech.handle.renameFile(0, 'other-name')
      leech.handle.renameFile(5, 'nothing')
      sim.run(1000)
      expect(leech.handle.status().savePath).toBe('/new')
      expect(leech.whats()).toEqual(expect.arrayContaining(['storage_moved', 'file_renamed', 'file_rename_failed']))
      swarm.complete(60_000)
      swarm.close()
    })
  })
})

describe('adding a torrent', () => {
  test('twice gives the same handle, or an error if that was asked for', () => {
    simulate(16, sim => {
      const torrent = makeTorrent(8 * PIECE, PIECE)
      const node = new Swarm(sim, torrent).add('a')
      sim.run(100)
      expect(addTorrent(node, torrent, '/save')).toBe(node.handle)
      expect(() =>
        addTorrent(node, torrent, '/save', [], params => {
          params.flags |= TorrentFlags.duplicateIsError
        }),
      ).toThrow('torrent already exists in session')
      node.close()
    })
  })

  test('with parameters that do not fit is refused', () => {
    simulate(17, sim => {
      const node = new Swarm(sim, makeTorrent(8 * PIECE, PIECE)).add('a')
      const other = makeTorrent(8 * PIECE, PIECE, 2)
      const attempt = (change: Parameters<typeof addTorrent>[4]) => () => addTorrent(node, other, '/x', [], change)
      expect(
        attempt(params => {
          params.infoHashes = node.handle.infoHashes()
        }),
      ).toThrow('mismatching info-hash')
      expect(
        attempt(params => {
          params.savePath = ''
        }),
      ).toThrow()
      expect(
        attempt(params => {
          params.ti = null
          params.infoHashes = new InfoHash()
        }),
      ).toThrow('missing info-hash from URI')
      sim.run(100)
      expect(node.whats().filter(what => what === 'add_torrent').length).toBe(4)
      node.close()
    })
  })
})
