import { describe, expect, test } from 'vitest'
import { InfoHash, Sha1Hash } from '../../../src/core/digest.ts'
import { TorrentRegistry } from '../../../src/session/torrent-registry.ts'
import type { Torrent } from '../../../src/torrent/torrent.ts'

function make(count: number) {
  const moved: string[] = []
  let triggered = 0
  const registry = new TorrentRegistry({
    triggerAutoManage: () => {
      triggered++
    },
    peersWanted: () => {},
    torrentClosed: () => {},
  })
  const torrents = Array.from(
    { length: count },
    (_, i) => ({ name: `t${i}`, stateUpdated: () => moved.push(`t${i}`) }) as unknown as Torrent,
  )
  for (const torrent of torrents) registry.setQueued(torrent, true)
  return {
    registry,
    torrents,
    moved,
    triggered: () => triggered,
    positions: () => torrents.map(t => registry.queuePosition(t)),
  }
}

describe('the download queue', () => {
  test('torrents stand in the order they were added', () => {
    expect(make(4).positions()).toEqual([0, 1, 2, 3])
  })

  test('who leaves lets the others move up, and comes back as the last', () => {
    const { registry, torrents, positions } = make(4)
    registry.setQueued(torrents[1]!, false)
    expect(positions()).toEqual([0, -1, 1, 2])
    registry.setQueued(torrents[3]!, false)
    expect(positions()).toEqual([0, -1, 1, -1])
    registry.setQueued(torrents[1]!, true)
    expect(positions()).toEqual([0, 2, 1, -1])
  })

  test('moving tells those whose place has changed', () => {
    const { registry, torrents, positions, moved, triggered } = make(5)
    registry.moveInQueue(torrents[3]!, 1)
    expect(positions()).toEqual([0, 2, 3, 1, 4])
    expect(moved).toEqual(['t3', 't1', 't2'])
    expect(triggered()).toBe(1)
  })

  test('a place beyond the ends is the end', () => {
    const { registry, torrents, positions } = make(3)
    registry.moveInQueue(torrents[0]!, Number.MAX_SAFE_INTEGER)
    expect(positions()).toEqual([2, 0, 1])
    registry.moveInQueue(torrents[0]!, -1)
    expect(positions()).toEqual([0, 1, 2])
  })

  test('thousands that leave one by one, first in first out, take no time', () => {
    const { registry, torrents } = make(20_000)
    const started = performance.now()
    for (const torrent of torrents) registry.setQueued(torrent, false)
    // a place looked up again for each would take minutes
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

test('updated torrents are told once, in order, and not at all when they were removed', () => {
  const { registry, torrents } = make(3)
  registry.stateUpdated(torrents[2]!)
  registry.stateUpdated(torrents[0]!)
  expect(registry.takeUpdated()).toEqual([torrents[2], torrents[0]])
  expect(registry.takeUpdated()).toEqual([])
})

describe('torrents that share files', () => {
  function host() {
    return new TorrentRegistry({ triggerAutoManage: () => {}, peersWanted: () => {}, torrentClosed: () => {} })
  }

  /** A torrent whose only file is of this root and whose info-hash begins with its number. */
  function torrent(
    registry: TorrentRegistry,
    more: { similar?: readonly Sha1Hash[]; collections?: readonly string[]; root?: number } = {},
  ): Torrent {
    const id = registry.nextId()
    const files = {
      numFiles: () => 1,
      fileSize: () => 1 << 20,
      padFileAt: () => false,
      rootView: () => rootOf(more.root ?? id),
    }
    const info = {
      similarTorrents: () => more.similar ?? [],
      collections: () => more.collections ?? [],
      v2: () => true,
      layout: () => files,
    }
    const made = { id, info, infoHashes: new InfoHash(hashOf(id)), closed: true } as unknown as Torrent
    registry.insert(made)
    registry.filesKnown(made)
    return made
  }

  const hashOf = (n: number) => new Sha1Hash(new Uint8Array(20).fill(n))
  const rootOf = (n: number) => {
    const out = new Uint8Array(32)
    new DataView(out.buffer).setUint32(0, Math.imul(n, 0x9e3779b1) >>> 0)
    return out
  }

  test('name each other, either way, or are in one collection; each is found once', () => {
    const registry = host()
    const one = torrent(registry, { collections: ['x'] })
    const two = torrent(registry, { similar: [hashOf(1), hashOf(2), hashOf(99)], collections: ['y', 'x'] })
    const three = torrent(registry, { collections: ['y'] })
    const four = torrent(registry)
    expect(registry.similar(one)).toEqual([two])
    expect(registry.similar(two)).toEqual([one, three])
    expect(registry.similar(three)).toEqual([two])
    expect(registry.similar(four)).toEqual([])
    registry.remove(two)
    expect(registry.similar(one)).toEqual([])
    expect(registry.similar(three)).toEqual([])
  })

  test('may be named before they come', () => {
    const registry = host()
    const first = torrent(registry, { similar: [hashOf(2)] })
    expect(registry.similar(torrent(registry))).toEqual([first])
  })

  test('have files of one root', () => {
    const registry = host()
    const [one, two] = [torrent(registry, { root: 5 }), torrent(registry, { root: 5 })]
    torrent(registry)
    expect(registry.filesWithRoot(rootOf(5)).map(found => found.torrent)).toEqual([one, two])
    registry.remove(one)
    expect(registry.filesWithRoot(rootOf(5)).map(found => found.torrent)).toEqual([two])
  })

  test('are found in no time among 20,000 in one collection of ten each', () => {
    const registry = host()
    const began = performance.now()
    for (let i = 0; i < 20_000; i++) {
      const made = torrent(registry, { collections: [`c${Math.floor(i / 10)}`] })
      expect(registry.similar(made).length).toBe(i % 10)
      expect(registry.filesWithRoot(rootOf(made.id)).length).toBe(1)
    }
    expect(performance.now() - began).toBeLessThan(5000)
  })
})
