import { describe, expect, test } from 'vitest'
import { ChokingAlgorithm, SeedChokingAlgorithm } from '../../../src/core/enums.ts'
import { SeededRng, shuffle } from '../../../src/core/rng.ts'
import {
  antiLeechScore,
  type ChokeActions,
  type ChokeSettings,
  optimisticShare,
  recalculateOptimisticUnchokes,
  recalculateUnchokeSlots,
  type UnchokePeer,
  unchokeSort,
} from '../../../src/session/choke-sort.ts'

const NOW = 1_000_000

const DEFAULTS: ChokeSettings = {
  chokingAlgorithm: ChokingAlgorithm.fixedSlotsChoker,
  seedChokingAlgorithm: SeedChokingAlgorithm.roundRobin,
  unchokeSlotsLimit: 8,
  rateChokerInitialThreshold: 1024,
  seedingPieceQuota: 20,
  numOptimisticUnchokeSlots: 0,
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

interface Peer extends Mutable<UnchokePeer> {
  name: string
  rounds: number
}

function peer(name: string, fields: Partial<Peer> = {}): Peer {
  return {
    name,
    rounds: 0,
    uploadPriority: 1,
    downloadedInLastRound: 0,
    uploadedInLastRound: 0,
    uploadedSinceUnchoked: 0,
    timeOfLastUnchoke: 0,
    isChoked: true,
    totalPayloadUpload: 0,
    numHavePieces: 0,
    pieceLength: 1000,
    totalSize: 100_000,
    ignoresSlots: false,
    isWebSeed: false,
    isTorrentPaused: false,
    hasMetadata: true,
    isInterested: true,
    isConnecting: false,
    isDisconnecting: false,
    isOptimisticallyUnchoked: false,
    hasFreeUploadSlot: true,
    lastOptimisticallyUnchoked: 0,
    ...fields,
  }
}

const names = (peers: readonly Peer[]) => peers.map(p => p.name).join('')

/** The order does not depend on the order peers are given in. */
function sorted(peers: Peer[], settings: Partial<ChokeSettings> = {}, intervalMs = 1000): string {
  const results = new Set<string>()
  const rng = new SeededRng(5)
  for (let i = 0; i < 10; i++) {
    shuffle(peers, rng)
    unchokeSort(peers, intervalMs, { ...DEFAULTS, ...settings }, NOW)
    results.add(names(peers))
  }
  expect(results.size).toBe(1)
  return [...results][0]!
}

class Actions implements ChokeActions<Peer> {
  log: string[] = []
  refuse = new Set<Peer>()
  unchoke(p: Peer): boolean {
    if (this.refuse.has(p)) return false
    this.log.push(`+${p.name}`)
    p.isChoked = false
    return true
  }
  choke(p: Peer): void {
    this.log.push(`-${p.name}`)
    p.isChoked = true
  }
  endOptimistic(p: Peer): void {
    this.log.push(`!${p.name}`)
    p.isOptimisticallyUnchoked = false
  }
  resetRound(p: Peer): void {
    p.rounds++
  }
}

describe('the order', () => {
  test('is by priority, then by what a peer gives us', () => {
    const peers = [
      peer('b', { downloadedInLastRound: 900 }),
      peer('c', { downloadedInLastRound: 500 }),
      peer('a', { uploadPriority: 2 }),
      peer('d', {}),
    ]
    expect(sorted(peers)).toBe('abcd')
  })

  test('round robin: who has had its quota and its minute goes last', () => {
    const done = { isChoked: false, uploadedSinceUnchoked: 20_001, uploadedInLastRound: 99 }
    const peers = [
      peer('d', { ...done, timeOfLastUnchoke: NOW - 60_001 }),
      peer('a', { ...done, timeOfLastUnchoke: NOW - 60_000 }),
      peer('b', { ...done, uploadedSinceUnchoked: 20_000, timeOfLastUnchoke: 5, uploadedInLastRound: 50 }),
      peer('c', { timeOfLastUnchoke: 1, uploadedInLastRound: 500 }),
    ]
    // What was on its way to choked `c` does not count for it.
    expect(sorted(peers)).toBe('abcd')
  })

  test('round robin: of those that wait the one choked longest goes first', () => {
    const peers = [
      peer('b', { timeOfLastUnchoke: 20 }),
      peer('a', { timeOfLastUnchoke: 10 }),
      peer('c', { timeOfLastUnchoke: 30 }),
    ]
    expect(sorted(peers)).toBe('abc')
  })

  test('fastest upload: who takes most goes first, choked or not', () => {
    const peers = [
      peer('b', { uploadedInLastRound: 50, isChoked: false }),
      peer('a', { uploadedInLastRound: 100 }),
      peer('d', { timeOfLastUnchoke: 9 }),
      peer('c', { timeOfLastUnchoke: 8 }),
    ]
    expect(sorted(peers, { seedChokingAlgorithm: SeedChokingAlgorithm.fastestUpload })).toBe('abcd')
  })

  test('anti-leech: beginners and those about to finish go before the middle', () => {
    const peers = [
      peer('a', { numHavePieces: 0 }),
      peer('b', { numHavePieces: 98 }),
      peer('d', { numHavePieces: 49 }),
      peer('c', { numHavePieces: 20 }),
    ]
    expect(sorted(peers, { seedChokingAlgorithm: SeedChokingAlgorithm.antiLeech })).toBe('abcd')
    expect(antiLeechScore(peer('x', { numHavePieces: 0 }))).toBe(1000)
    expect(antiLeechScore(peer('x', { numHavePieces: 50 }))).toBe(0)
    expect(antiLeechScore(peer('x', { totalSize: 0 }))).toBe(0)
    // Claiming to have nothing after being given half of it does not help.
    expect(antiLeechScore(peer('x', { totalPayloadUpload: 80_000 }))).toBe(0)
  })
})

describe('the number of slots', () => {
  test('is the setting, or no limit', () => {
    expect(unchokeSort([], 1000, DEFAULTS, NOW)).toBe(8)
    expect(unchokeSort([], 1000, { ...DEFAULTS, unchokeSlotsLimit: -1 }, NOW)).toBe(Number.POSITIVE_INFINITY)
    expect(unchokeSort([], 1000, { ...DEFAULTS, unchokeSlotsLimit: 0 }, NOW)).toBe(0)
  })

  test('rate based: one for each peer that is 2 KiB/s faster than the one before asks for, and one more', () => {
    const settings = { ...DEFAULTS, chokingAlgorithm: ChokingAlgorithm.rateBasedChoker }
    const rates = (...kib: number[]) =>
      unchokeSort(
        kib.map(k => peer('x', { uploadedInLastRound: k * 1024 * 2 })),
        2000,
        settings,
        NOW,
      )
    expect(rates()).toBe(1)
    expect(rates(0)).toBe(1)
    expect(rates(1)).toBe(2)
    expect(rates(9, 9, 9, 9, 9, 9)).toBe(6)
    expect(rates(1, 4, 2)).toBe(2)
  })
})

describe('the unchoke round', () => {
  function round(peers: Peer[], settings: Partial<ChokeSettings> = {}, optimistic = 0, actions = new Actions()) {
    const result = recalculateUnchokeSlots(peers, 1000, { ...DEFAULTS, ...settings }, NOW, optimistic, actions)
    return { ...result, log: actions.log }
  }

  test('unchokes the best, less the share of the optimistic ones, and chokes the rest', () => {
    const peers = Array.from({ length: 7 }, (_, i) =>
      peer(String(i), { downloadedInLastRound: 100 - i, isChoked: i % 2 === 0 }),
    )
    // Five slots, of which one is kept for an optimistic unchoke.
    expect(round(peers, { unchokeSlotsLimit: 5 }).log).toEqual(['+0', '+2', '-5'])
    expect(peers.every(p => p.rounds === 1)).toBe(true)
  })

  test('as many slots as there are optimistic unchokes are kept', () => {
    const peers = Array.from({ length: 4 }, (_, i) => peer(String(i), { downloadedInLastRound: 100 - i }))
    expect(round(peers, { unchokeSlotsLimit: 4 }, 3).log).toEqual(['+0'])
  })

  test('an optimistic unchoke that wins a slot is a regular one from then on', () => {
    const peers = [
      peer('a', { downloadedInLastRound: 9, isChoked: false, isOptimisticallyUnchoked: true }),
      peer('b', { isChoked: false, isOptimisticallyUnchoked: true }),
    ]
    const { log, optimisticDue } = round(peers, { unchokeSlotsLimit: 3 }, 2)
    expect([log, optimisticDue]).toEqual([['!a'], true])
    expect(peers[1]).toMatchObject({ isChoked: false, isOptimisticallyUnchoked: true })
  })

  test('peers that lost interest are choked, and lose an optimistic slot too', () => {
    const peers = [
      peer('a', { isInterested: false, isChoked: false, isOptimisticallyUnchoked: true }),
      peer('b', { isDisconnecting: true, isChoked: false }),
      peer('c', { isInterested: false }),
    ]
    const { log, eligible, optimisticDue } = round(peers, {}, 1)
    expect([log, eligible, optimisticDue]).toEqual([['!a', '-a', '-b'], 0, true])
  })

  test('exempt peers, web seeds and those of paused torrents are left alone', () => {
    const peers = [
      peer('a', { ignoresSlots: true, isChoked: false }),
      peer('b', { isWebSeed: true, isChoked: false }),
      peer('c', { isTorrentPaused: true }),
    ]
    expect(round(peers)).toMatchObject({ log: [], eligible: 0 })
  })

  test('a torrent without a free slot passes its turn on', () => {
    const peers = ['a', 'b', 'c'].map((n, i) => peer(n, { downloadedInLastRound: 10 - i }))
    const actions = new Actions()
    actions.refuse.add(peers[0]!)
    expect(round(peers, { unchokeSlotsLimit: 3 }, 1, actions).log).toEqual(['+b', '+c'])
  })

  test('without a limit nothing is done', () => {
    const peers = [peer('a')]
    const { slots, log } = round(peers, { unchokeSlotsLimit: -1 })
    expect([slots, log]).toEqual([Number.POSITIVE_INFINITY, []])
  })
})

describe('the optimistic round', () => {
  const optimistic = (peers: Peer[], settings: Partial<ChokeSettings> = {}, slots = 8) => {
    const r = recalculateOptimisticUnchokes(peers, { ...DEFAULTS, ...settings }, slots)
    return [names(r.unchoke), names(r.keep), names(r.choke)]
  }

  test('those that have waited longest are unchoked, and the one before them is choked', () => {
    const peers = [
      peer('a', { lastOptimisticallyUnchoked: 30 }),
      peer('b', { lastOptimisticallyUnchoked: 10 }),
      peer('c', { lastOptimisticallyUnchoked: 40, isChoked: false, isOptimisticallyUnchoked: true }),
    ]
    expect(optimistic(peers)).toEqual(['b', '', 'c'])
  })

  test('with nobody waiting an optimistic unchoke has another round', () => {
    expect(optimistic([peer('c', { isChoked: false, isOptimisticallyUnchoked: true })])).toEqual(['', 'c', ''])
  })

  test('only interested, choked peers of running torrents with metadata and free slots are candidates', () => {
    const peers = [
      peer('a', { isInterested: false }),
      peer('b', { isChoked: false }),
      peer('c', { isTorrentPaused: true }),
      peer('d', { hasMetadata: false }),
      peer('e', { hasFreeUploadSlot: false }),
      peer('f', { isConnecting: true }),
      peer('g', { ignoresSlots: true }),
      peer('h', { isWebSeed: true }),
      peer('i', { lastOptimisticallyUnchoked: 99 }),
    ]
    expect(optimistic(peers, { numOptimisticUnchokeSlots: 9 })).toEqual(['i', '', ''])
  })

  test('their number is the setting, or a fifth of the slots and at least one', () => {
    expect([optimisticShare(4), optimisticShare(10), optimisticShare(0)]).toEqual([1, 2, 1])
    const peers = Array.from({ length: 6 }, (_, i) => peer(String(i), { lastOptimisticallyUnchoked: i }))
    expect(optimistic(peers, {}, 15)[0]).toBe('012')
    expect(optimistic(peers, { numOptimisticUnchokeSlots: 2 }, 15)[0]).toBe('01')
    expect(optimistic(peers, {}, 0)[0]).toBe('')
  })

  test('ties are broken by the given priority', () => {
    const peers = [peer('a'), peer('b'), peer('c')]
    const priority = (p: Peer) => ({ a: 3, b: 1, c: Number.POSITIVE_INFINITY })[p.name]!
    const { unchoke } = recalculateOptimisticUnchokes(peers, { ...DEFAULTS, numOptimisticUnchokeSlots: 2 }, 8, priority)
    expect(names(unchoke)).toBe('ba')
  })
})

test('in round robin every peer is unchoked sooner or later', () => {
  const settings = { ...DEFAULTS, unchokeSlotsLimit: 4, seedingPieceQuota: 1 }
  const peers = Array.from({ length: 12 }, (_, i) => peer(String.fromCharCode(97 + i)))
  const served = new Set<string>()
  for (let now = NOW, n = 0; n < 60; n++, now += 15_000) {
    const actions = new Actions()
    actions.unchoke = p => {
      p.isChoked = false
      p.timeOfLastUnchoke = now
      p.uploadedSinceUnchoked = 0
      served.add(p.name)
      return true
    }
    recalculateUnchokeSlots(peers, 15_000, settings, now, 0, actions)
    for (const p of peers) p.uploadedInLastRound = p.isChoked ? 0 : 1000
    for (const p of peers) if (!p.isChoked) p.uploadedSinceUnchoked += 1000
  }
  expect(served.size).toBe(12)
})
