/** What a JavaScript program may get wrong is said at the call, and leaves the session as it was. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LibtorrentError } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { loadTorrentBuffer } from '../../../src/metainfo/load-torrent.ts'
import { SessionBase } from '../../../src/session/session-api.ts'
import type { TorrentHandle } from '../../../src/session/torrent-handle.ts'
import { Simulation } from '../../sim/lib/simulation.ts'
import { makeTorrent, SwarmNode } from '../../sim/lib/swarm.ts'

const torrent = makeTorrent(4 * 16384, 16384)
let sim: Simulation
let node: SwarmNode
let session: SessionBase
let handle: TorrentHandle

beforeEach(() => {
  sim = new Simulation(1)
  node = new SwarmNode(sim, 'a', torrent, {})
  session = new SessionBase(node.engine)
  handle = node.handle
  sim.run(1000)
})

afterEach(() => node.close())

function codeOf(fn: () => unknown): number | string {
  try {
    fn()
  } catch (error) {
    return error instanceof LibtorrentError ? error.code.value() : String(error)
  }
  return 'nothing was thrown'
}

describe('wrong arguments', () => {
  test('a torrent is removed once', () => {
    session.removeTorrent(handle)
    expect(codeOf(() => session.removeTorrent(handle))).toBe(LibtorrentErrors.invalidTorrentHandle)
  })

  test('paths are strings, with no null character', () => {
    for (const path of [undefined, null, 5, 'a\0b'] as string[]) {
      expect(() => handle.renameFile(0, path)).toThrow(TypeError)
      expect(() => handle.moveStorage(path)).toThrow(TypeError)
    }
    expect(() => handle.renameFile(0, '')).toThrow(TypeError)
    expect(handle.status().savePath).toBe('/save')
  })

  test('a torrent without a place is not added', () => {
    const { ti } = loadTorrentBuffer(makeTorrent(4 * 16384, 16384, 2).file)
    for (const savePath of [undefined, null, 5, ''] as string[]) {
      expect(codeOf(() => session.addTorrent({ ti, savePath }))).toBe(LibtorrentErrors.invalidSavePath)
    }
    expect(session.getTorrents()).toEqual([handle])
  })

  test('limits that are no numbers are none', () => {
    handle.setMaxConnections(Number.NaN)
    handle.setMaxUploads(Number.NaN)
    expect([handle.maxConnections(), handle.maxUploads()]).toEqual([-1, -1])
  })
})

test('a listener for one alert can be taken back', () => {
  const heard: string[] = []
  const listener = () => heard.push('once')
  session.once('session_stats', listener)
  session.off('session_stats', listener)
  session.on('session_stats', () => heard.push('always'))
  session.postSessionStats()
  sim.run(100)
  expect(heard).toEqual(['always'])
})
