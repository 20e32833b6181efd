import { describe, expect, test } from 'vitest'
import {
  type AutoManageSettings,
  type CheckingTorrent,
  InactivityMeter,
  type ManagedTorrent,
  recalculateAutoManaged,
} from '../../../src/session/auto-manager.ts'

const DEFAULTS: AutoManageSettings = {
  activeDownloads: 3,
  activeSeeds: 5,
  activeChecking: 1,
  activeDhtLimit: 88,
  activeTrackerLimit: 1600,
  activeLsdLimit: 60,
  activeLimit: 500,
  autoManagePreferSeeds: false,
}

type Named<T> = T & { name: string }
const torrent = (name: string, fields: Partial<ManagedTorrent> = {}): Named<ManagedTorrent> => ({
  name,
  queuePosition: 0,
  seedRank: 0,
  isInactive: false,
  ...fields,
})
const queue = (count: number, fields: Partial<ManagedTorrent> = {}) =>
  Array.from({ length: count }, (_, i) => torrent(`d${i}`, { queuePosition: i, ...fields })).reverse()
const seeds = (count: number) => Array.from({ length: count }, (_, i) => torrent(`s${i}`, { seedRank: 100 - i }))

function run(
  downloaders: Named<ManagedTorrent>[],
  finished: Named<ManagedTorrent>[] = [],
  settings: Partial<AutoManageSettings> = {},
  checking: Named<CheckingTorrent>[] = [],
) {
  const plan = recalculateAutoManaged(checking, downloaders, finished, { ...DEFAULTS, ...settings })
  return {
    plan,
    running: plan.torrents.filter(d => d.run).map(d => d.torrent.name),
    checking: plan.checking.filter(d => d.run).map(d => d.torrent.name),
  }
}

describe('which torrents run', () => {
  test('the first of the queue and the seeds most in need, each up to its limit', () => {
    expect(run(queue(5), seeds(7)).running).toEqual(['d0', 'd1', 'd2', 's0', 's1', 's2', 's3', 's4'])
  })

  test('active_limit is for both, and downloads come first unless seeds are preferred', () => {
    expect(run(queue(5), seeds(7), { activeLimit: 4 }).running).toEqual(['d0', 'd1', 'd2', 's0'])
    expect(run(queue(5), seeds(7), { activeLimit: 6, autoManagePreferSeeds: true }).running).toEqual([
      's0',
      's1',
      's2',
      's3',
      's4',
      'd0',
    ])
  })

  test('slow torrents run beside the others, up to active_limit', () => {
    const list = [...queue(3), torrent('slow', { queuePosition: 9, isInactive: true })]
    expect(run(list, [], { activeDownloads: 2 }).running).toEqual(['d0', 'd1', 'slow'])
    expect(run(list, [], { activeDownloads: 2, activeLimit: 2 }).running).toEqual(['d0', 'd1'])
    expect(run(queue(6, { isInactive: true }), [], { activeDownloads: 0 }).running).toHaveLength(6)
  })

  test('limits below 0 are none, 0 is none to run', () => {
    expect(run(queue(50), seeds(50), { activeDownloads: -1, activeSeeds: -1, activeLimit: -1 }).running).toHaveLength(
      100,
    )
    expect(run(queue(5), seeds(5), { activeLimit: 0 }).running).toEqual([])
    expect(run(queue(5), seeds(5), { activeDownloads: 0 }).running).toHaveLength(5)
  })

  test('the first ones announce, as far as each limit goes; paused ones do not', () => {
    const { plan } = run(queue(3), seeds(2), {
      activeDownloads: 2,
      activeDhtLimit: 1,
      activeTrackerLimit: 3,
      activeLsdLimit: 0,
    })
    expect(plan.torrents.map(d => [d.torrent.name, d.announceToDht, d.announceToTrackers, d.announceToLsd])).toEqual([
      ['d0', true, true, false],
      ['d1', false, true, false],
      ['d2', false, false, false],
      ['s0', false, true, false],
      ['s1', false, false, false],
    ])
  })

  test('torrents check one after the other; one that cannot takes nobody its turn', () => {
    const checking = [
      { name: 'c', queuePosition: 2, shouldCheckFiles: true },
      { name: 'b', queuePosition: 1, shouldCheckFiles: true },
      { name: 'a', queuePosition: 0, shouldCheckFiles: false },
    ]
    expect(run([], [], {}, checking).checking).toEqual(['a', 'b'])
    expect(run([], [], { activeChecking: -1 }, checking).checking).toEqual(['a', 'b', 'c'])
  })
})

test('a torrent becomes slow, and stops being so, only after a while without a break', () => {
  const meter = new InactivityMeter()
  expect(meter.update(true, 0, 60)).toBe(false)
  expect(meter.update(true, 59_999, 60)).toBe(false)
  expect(meter.update(false, 60_000, 60)).toBe(false)
  expect(meter.update(true, 61_000, 60)).toBe(false)
  expect(meter.update(true, 121_000, 60)).toBe(true)
  expect(meter.inactive).toBe(true)
  expect(meter.update(false, 130_000, 60)).toBe(false)
  expect(meter.update(false, 190_000, 60)).toBe(true)
  expect(meter.inactive).toBe(false)
  meter.update(true, 200_000, 0)
  expect(meter.inactive).toBe(true)
  meter.reset()
  expect(meter.inactive).toBe(false)
})
