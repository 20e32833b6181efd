import { describe, expect, test } from 'vitest'
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
