import { describe, expect, test } from 'vitest'
import { type SeedSnapshot, seedRank } from '../../../src/torrent/seed-need.ts'

describe('the rank of a seed', () => {
  const limits = { seedTimeLimit: 86_400, seedTimeRatioLimit: 700, shareRatioLimit: 200 }
  const rank = (fields: Partial<SeedSnapshot> = {}) =>
    seedRank(
      {
        isFinished: true,
        isSeed: true,
        isPaused: false,
        activeTime: 100_000,
        finishedTime: 90_000,
        totalDownloaded: 1000,
        totalUploaded: 5000,
        totalSize: 1000,
        scrapeComplete: -1,
        scrapeIncomplete: -1,
        knownSeeds: 10,
        knownPeers: 30,
        ...fields,
      },
      limits,
    )

  test('is by downloaders per seed', () => {
    expect(rank()).toBe(2100)
    expect(rank({ isSeed: false })).toBe(1050)
    expect(rank({ isFinished: false })).toBe(0)
  })

  test('a scrape counts us among the seeds', () => {
    expect(rank({ scrapeComplete: 5, scrapeIncomplete: 7 })).toBe(2000)
    expect(rank({ scrapeComplete: 5, scrapeIncomplete: 7, isPaused: true })).toBe(1600)
  })

  test('torrents nobody else seeds go before those somebody does', () => {
    expect(rank({ knownSeeds: 0, knownPeers: 2 })).toBe(0x20000000 + 2)
    expect(rank({ scrapeComplete: 1, scrapeIncomplete: 0 })).toBe(0x20000000)
  })

  test('those that still owe upload go before all, those just started before others like them', () => {
    const owing = { finishedTime: 1000, totalUploaded: 100 }
    expect(rank(owing)).toBe(0x40000000 + 2100)
    expect(rank({ ...owing, totalUploaded: 2000 })).toBe(2100)
    expect(rank({ ...owing, finishedTime: 87_000 })).toBe(2100)
    expect(rank({ ...owing, activeTime: 1001 })).toBe(0x10000000 + 2100)
    expect(rank({ ...owing, activeTime: 1100 })).toBe(0x10000000 + 2100)
    expect(rank({ ...owing, activeTime: 1700 })).toBe(0x50000000 + 2100)
    expect(rank({ ...owing, activeTime: 1700, isPaused: true })).toBe(0x40000000 + 2100)
  })
})
