import { describe, expect, test } from 'vitest'
import { ChokingAlgorithm, SeedChokingAlgorithm, TorrentFlags } from '../../src/core/enums.ts'
import type { PeerConnection } from '../../src/peer/peer-connection.ts'
import type { SettingsPack } from '../../src/settings/pack-type.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeTorrent, type SimTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'

const PIECE = 64 * 1024
/** So little that what is still on its way to a peer that was choked is soon there. */
const REQUEST = 4 * 1024
const NEVER = 1_000_000

/** Peers in private networks have privileges: they need no slot. */
function far(n: number) {
  return { addresses: [`81.4.${n >> 8}.${(n & 255) + 1}`] }
}

/** A peer that takes what it can get and never says what it got. */
class Taker {
  readonly peer: FakePeer
  #choked = true
  #asked = 0

  constructor(sim: Simulation, torrent: SimTorrent, to: SwarmNode, n: number, rate: number, has: number) {
    const host = sim.host(`taker ${n}`, { ...far(n + 1), down: { bytesPerSecond: rate } })
    this.peer = FakePeer.connect(host, to.endpoint, {
      infoHash: torrent.infoHash.toBytes(),
      peerId: Buffer.from(`-XX0000-${String(n).padStart(12, '0')}`),
    })
    const pieces = Math.ceil(torrent.content.length / PIECE)
    const lacks = pieces - Math.floor(pieces * has)
    this.peer.onHandshake = () => {
      this.peer.sendBitfield(Array.from({ length: pieces }, (_, i) => i >= lacks))
      this.peer.send(PeerMessage.interested)
    }
    this.peer.onMessage = ({ id }) => {
      this.peer.messages.length = 0
      if (id === PeerMessage.choke) this.#choked = true
      else if (id === PeerMessage.unchoke) {
        this.#choked = false
        for (let i = 0; i < 2; i++) this.#ask(lacks)
      } else if (id === PeerMessage.piece) {
        if (!this.#choked) this.#ask(lacks)
      }
    }
  }

  #ask(pieces: number): void {
    const at = (this.#asked++ * REQUEST) % (pieces * PIECE)
    this.peer.sendRequest(Math.floor(at / PIECE), at % PIECE, REQUEST)
  }
}

interface SeedOptions {
  readonly settings: SettingsPack
  readonly up?: number
  readonly pieces?: number
  /** Of each peer that takes: bytes per second of its line, and its share of the torrent. */
  readonly takers: readonly { readonly rate: number; readonly has?: number }[]
}

/** A seed, and scripted peers that all want to take from it. */
class Seeding {
  readonly node: SwarmNode
  readonly takers: readonly Taker[]
  readonly #sim: Simulation
  #seconds = 0

  constructor(sim: Simulation, options: SeedOptions) {
    this.#sim = sim
    const torrent = makeTorrent((options.pieces ?? 64) * PIECE, PIECE)
    this.node = new Swarm(sim, torrent).add('seed', {
      has: 'all',
      host: { ...far(0), up: { bytesPerSecond: options.up ?? 0 } },
      settings: {
        unchoke_interval: 10,
        optimistic_unchoke_interval: 10,
        allowed_fast_set_size: 0,
        ...options.settings,
      },
      params: params => {
        params.flags |= TorrentFlags.seedMode
      },
    })
    sim.run(1000)
    this.takers = options.takers.map(({ rate, has }, n) => new Taker(sim, torrent, this.node, n, rate, has ?? 0))
  }

  /** The peers that are unchoked, or of those the ones with a slot of their own. */
  unchoked(which: 'all' | 'regular' | 'optimistic' = 'all'): number[] {
    const found: number[] = []
    for (const peer of this.node.engine.connections) {
      if (peer.amChoking) continue
      const optimistic = peer.entry?.optimisticallyUnchoked === true
      if (which === 'all' || (which === 'optimistic') === optimistic) found.push(numberOf(peer))
    }
    return found.sort((a, b) => a - b)
  }

  /** Lets time pass, a second at a time. */
  #pass(seconds: number, each: () => void = () => {}): void {
    for (let i = 0; i < seconds; i++) {
      this.#sim.run(1000)
      // those that wait are not to be taken for dead
      if (++this.#seconds % 60 === 0) for (const { peer } of this.takers) peer.sendKeepAlive()
      each()
    }
  }

  /** Lets time pass, and says who had a slot in how many of the seconds. */
  watch(seconds: number, which: 'all' | 'regular' | 'optimistic' = 'all'): number[] {
    const held = this.takers.map(() => 0)
    this.#pass(seconds, () => {
      for (const n of this.unchoked(which)) held[n]!++
    })
    return held
  }

  close(): void {
    this.node.close()
  }
}

function numberOf(peer: PeerConnection): number {
  const [, , high, low] = peer.endpoint[0].split('.').map(Number)
  return high! * 256 + low! - 2
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}

describe('the rate based choker', () => {
  /** Slots in use on average once they have settled, of 16 peers that all take alike. */
  function slots(seed: number, up: number, rate: number, settings: SettingsPack = {}): number {
    let mean = 0
    simulate(seed, sim => {
      const seeding = new Seeding(sim, {
        up,
        takers: Array.from({ length: 16 }, () => ({ rate })),
        settings: { choking_algorithm: ChokingAlgorithm.rateBasedChoker, ...settings },
      })
      seeding.watch(120)
      mean = sum(seeding.watch(30)) / 30
      seeding.close()
    })
    return mean
  }

  test('opens more slots on a fast line than on a slow one', () => {
    // 20 kB/s are shared by three that get 5 kB/s and more; 120 kB/s by eight that get 15
    expect(slots(1, 20_000, 50_000)).toBe(3)
    const fast = slots(1, 120_000, 50_000)
    expect(fast).toBeGreaterThanOrEqual(6)
    expect(fast).toBeLessThanOrEqual(9)
  })

  test.each([
    [4000, 3],
    [8000, 5],
    [16_000, 9],
  ])('with peers that take %i bytes per second has a slot for each 2 KiB of it, and one to try', (rate, expected) => {
    expect(slots(2, 1_000_000, rate)).toBe(expected)
  })

  test.each([
    [4096, 7],
    [8192, 5],
    [20_000, 1],
  ])('begins to count at %i bytes per second', (threshold, expected) => {
    expect(slots(3, 1_000_000, 16_000, { rate_choker_initial_threshold: threshold })).toBe(expected)
  })
})

describe('a seed with a few slots', () => {
  /** Two slots, and one for optimistic unchokes. */
  const few: SettingsPack = {
    choking_algorithm: ChokingAlgorithm.fixedSlotsChoker,
    unchoke_slots_limit: 3,
    seeding_piece_quota: 1,
  }
  const { roundRobin, fastestUpload, antiLeech } = SeedChokingAlgorithm
  /** Two are fast, six are not. */
  const unlike = [50_000, 40_000, 13_000, 12_000, 11_000, 10_000, 9000, 8000].map(rate => ({ rate }))

  test('goes round: each peer has a slot until it has its quota, and at least for a minute', () => {
    simulate(4, sim => {
      const seeding = new Seeding(sim, {
        takers: unlike,
        settings: { ...few, seed_choking_algorithm: roundRobin, optimistic_unchoke_interval: NEVER },
      })
      const turns: { readonly who: number; seconds: number }[] = []
      let before: number[] = []
      for (let i = 0; i < 900; i++) {
        seeding.watch(1)
        const now = seeding.unchoked('regular')
        for (const who of now) {
          if (!before.includes(who)) turns.push({ who, seconds: 0 })
          turns.findLast(turn => turn.who === who)!.seconds++
        }
        before = now
      }
      // the slots that were free in the beginning went to whom came first; the last turns are not over
      const order = turns.slice(3).map(({ who }) => who)
      for (let i = 0; i + 8 <= order.length; i++) expect(new Set(order.slice(i, i + 8)).size).toBe(8)
      expect(order.length).toBeGreaterThanOrEqual(16)
      for (const { seconds } of turns.slice(3, -2)) {
        expect(seconds).toBeGreaterThanOrEqual(60)
        expect(seconds).toBeLessThanOrEqual(80)
      }
      seeding.close()
    })
  })

  test('lets a peer keep its slot for longer if the quota is larger', () => {
    simulate(5, sim => {
      const seeding = new Seeding(sim, {
        takers: unlike,
        settings: {
          ...few,
          seeding_piece_quota: 60,
          seed_choking_algorithm: roundRobin,
          optimistic_unchoke_interval: NEVER,
        },
      })
      seeding.watch(15)
      const [first] = seeding.unchoked('regular')
      const rate = unlike[first!]!.rate
      const turn = (60 * PIECE) / rate
      expect(seeding.watch(Math.floor(turn * 0.9) - 15, 'regular')[first!]).toBe(Math.floor(turn * 0.9) - 15)
      seeding.watch(Math.floor(turn * 0.2) + 20)
      expect(seeding.unchoked('regular')).not.toContain(first)
      seeding.close()
    })
  })

  test('keeps those that take fastest, if told to', () => {
    simulate(6, sim => {
      const seeding = new Seeding(sim, {
        takers: unlike.toReversed(),
        settings: { ...few, seed_choking_algorithm: fastestUpload },
      })
      // each is tried once
      seeding.watch(90)
      expect(seeding.watch(300, 'regular')).toEqual([0, 0, 0, 0, 0, 0, 300, 300])
      seeding.close()
    })
  })

  test('against leeching serves those that have just begun, and those that are nearly done', () => {
    simulate(7, sim => {
      const seeding = new Seeding(sim, {
        pieces: 200,
        takers: [0.3, 0, 0.4, 0.5, 0.95, 0.6, 0.7].map(has => ({ rate: 8000, has })),
        settings: { ...few, seed_choking_algorithm: antiLeech },
      })
      seeding.watch(15)
      expect(seeding.watch(120, 'regular')).toEqual([0, 120, 0, 0, 120, 0, 0])
      seeding.close()
    })
  })

  test('tries each of the others in turn, and none twice before all were tried', () => {
    simulate(8, sim => {
      const seeding = new Seeding(sim, {
        takers: unlike,
        settings: { ...few, seed_choking_algorithm: fastestUpload },
      })
      seeding.watch(30)
      const tried: number[] = []
      for (let i = 0; i < 180; i++) {
        seeding.watch(1)
        const [now, ...others] = seeding.unchoked('optimistic')
        expect(others).toEqual([])
        if (now !== undefined && now !== tried.at(-1)) tried.push(now)
      }
      expect(tried.length).toBeGreaterThanOrEqual(18)
      for (let i = 0; i + 6 <= tried.length; i++) {
        expect(tried.slice(i, i + 6).sort()).toEqual([2, 3, 4, 5, 6, 7])
      }
      seeding.close()
    })
  })

  test('tries several at once, if told to', () => {
    simulate(9, sim => {
      const seeding = new Seeding(sim, {
        takers: unlike,
        settings: {
          ...few,
          unchoke_slots_limit: 5,
          num_optimistic_unchoke_slots: 3,
          seed_choking_algorithm: fastestUpload,
        },
      })
      seeding.watch(30)
      const regular = seeding.watch(60, 'regular')
      expect(regular).toEqual([60, 60, 0, 0, 0, 0, 0, 0])
      expect(seeding.unchoked('optimistic')).toHaveLength(3)
      // three of six at a time, ten seconds each
      for (const seconds of seeding.watch(60, 'optimistic').slice(2)) expect(seconds).toBe(30)
      seeding.close()
    })
  })
})
