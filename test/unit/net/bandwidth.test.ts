import { describe, expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { BandwidthChannel, INFINITE_QUOTA, MAX_DEBT_MS } from '../../../src/net/bandwidth-channel.ts'
import { BandwidthManager, type BandwidthSocket } from '../../../src/net/bandwidth-manager.ts'

function channel(limit: number): BandwidthChannel {
  const c = new BandwidthChannel()
  c.throttle(limit)
  return c
}

class Recorder implements BandwidthSocket {
  granted: number[] = []
  disconnecting = false
  assignBandwidth(_channel: number, amount: number): void {
    this.granted.push(amount)
  }
  isDisconnecting(): boolean {
    return this.disconnecting
  }
}

describe('bandwidth channel', () => {
  test('without a limit there is always quota and never a debt', () => {
    const c = new BandwidthChannel()
    c.useQuota(1e9)
    expect(c.quotaLeft()).toBe(INFINITE_QUOTA)
    expect(c.debt()).toBe(0)
    expect(c.delayMs()).toBe(0)
    expect(c.isFull()).toBe(true)
  })

  test('fills at the rate of its limit, to the byte, whatever the tick', () => {
    for (const tick of [1, 7, 100, 250]) {
      const c = channel(5)
      let used = 0
      for (let t = 0; t < 100_000; t += tick) {
        c.updateQuota(tick)
        const n = c.quotaLeft()
        c.useQuota(n)
        used += n
      }
      expect(Math.abs(used - 500)).toBeLessThanOrEqual(2)
    }
  })

  test('keeps a quarter of a second of unused quota', () => {
    const c = channel(1000)
    for (let i = 0; i < 100; i++) c.updateQuota(100)
    expect(c.quotaLeft()).toBe(251)
    expect(c.isFull()).toBe(true)
    c.updateQuota(2000)
    expect(c.quotaLeft()).toBe(2001)
  })

  test('what is used beyond the quota is a debt that time pays', () => {
    const c = channel(1000)
    c.updateQuota(100)
    c.useQuota(600)
    expect(c.debt()).toBe(500)
    expect(c.delayMs()).toBe(500)
    expect(c.quotaLeft()).toBe(0)
    c.updateQuota(250)
    expect(c.delayMs()).toBe(250)
    c.returnQuota(100)
    expect(c.debt()).toBe(150)
  })

  test('debts that pile up are bounded, a single one is not', () => {
    const c = channel(10_000)
    for (let i = 0; i < 100; i++) c.useQuota(16384)
    expect(c.delayMs()).toBe(MAX_DEBT_MS)
    const d = channel(10_000)
    d.useQuota(1_000_000)
    d.useQuota(10)
    expect(d.debt()).toBe(1_000_000)
  })

  test('lifting the limit forgives the debt, changing it does not', () => {
    const c = channel(1000)
    c.useQuota(5000)
    c.throttle(2000)
    expect(c.delayMs()).toBe(2500)
    c.throttle(0)
    expect(c.debt()).toBe(0)
    c.throttle(1000)
    expect(c.delayMs()).toBe(0)
  })

  test('refuses what is not a limit', () => {
    for (const limit of [-1, 0.5, Number.NaN, INFINITE_QUOTA]) expect(() => channel(limit)).toThrow(RangeError)
  })
})

describe('bandwidth manager', () => {
  test('grants at once what no limit concerns', () => {
    const m = new BandwidthManager(1)
    expect(m.requestBandwidth(new Recorder(), 1000, 1, [])).toBe(1000)
    expect(m.requestBandwidth(new Recorder(), 1e6, 1, [new BandwidthChannel()])).toBe(1e6)
    expect(m.isActive()).toBe(false)
  })

  test('queues what there is no quota for, and grants it when there is', () => {
    const m = new BandwidthManager(1)
    const c = channel(10_000)
    const peer = new Recorder()
    expect(m.requestBandwidth(peer, 3000, 1, [c])).toBe(0)
    expect(m.queuedBytes()).toBe(3000)
    m.update(100)
    m.update(100)
    expect(peer.granted).toEqual([])
    expect(m.queuedBytes()).toBe(1000)
    m.checkInvariant()
    m.update(100)
    expect(peer.granted).toEqual([3000])
    expect(m.queueSize()).toBe(0)
    expect(m.queuedBytes()).toBe(0)
  })

  test('grants at once from quota that is left, unless others wait for it', () => {
    const m = new BandwidthManager(1)
    const c = channel(100_000)
    m.requestBandwidth(new Recorder(), 10, 1, [c])
    m.update(250)
    expect(m.requestBandwidth(new Recorder(), 1000, 1, [c])).toBe(1000)
    const big = new Recorder()
    expect(m.requestBandwidth(big, 16384, 1, [c])).toBe(16384)
    expect(m.requestBandwidth(big, 16384, 1, [c])).toBe(0)
    expect(m.requestBandwidth(new Recorder(), 1, 1, [c])).toBe(0)
  })

  test('the tightest of several limits counts, and the others are not used up meanwhile', () => {
    const m = new BandwidthManager(0)
    const own = channel(1000)
    const all = channel(100_000)
    const slow = new Recorder()
    const fast = new Recorder()
    m.requestBandwidth(slow, 1000, 1, [own, all])
    m.requestBandwidth(fast, 9000, 1, [all])
    m.update(100)
    expect(fast.granted).toEqual([9000])
    expect(slow.granted).toEqual([])
    for (let i = 0; i < 9; i++) m.update(100)
    expect(slow.granted).toEqual([1000])
  })

  test('a request that cannot be met for long gets the part it has', () => {
    const m = new BandwidthManager(0)
    const c = channel(100)
    const peer = new Recorder()
    m.requestBandwidth(peer, 16384, 1, [c])
    for (let i = 0; i < 20; i++) m.update(100)
    expect(peer.granted).toEqual([200])
    expect(m.queuedBytes()).toBe(0)
    m.checkInvariant()
  })

  test('one grant is at most a tenth of a second of the limit, or a block', () => {
    const m = new BandwidthManager(0)
    const c = channel(1_000_000)
    const peer = new Recorder()
    m.requestBandwidth(peer, 1e9, 1, [c])
    m.update(200)
    expect(peer.granted).toEqual([100_000])
    const slow = channel(1000)
    const other = new Recorder()
    m.requestBandwidth(other, 1e9, 1, [slow])
    expect(m.queuedBytes()).toBe(16384)
  })

  test('a charge is owed by all channels, and nothing is granted before it is paid', () => {
    const m = new BandwidthManager(1)
    const own = channel(50_000)
    const all = channel(100_000)
    const none = new BandwidthChannel()
    expect(m.charge([own, all, none], 10_000)).toBe(200)
    expect([own, all, none].map(c => c.delayMs())).toEqual([200, 100, 0])
    const peer = new Recorder()
    expect(m.requestBandwidth(peer, 1000, 1, [own, all])).toBe(0)
    m.update(100)
    expect(own.delayMs()).toBe(100)
    expect(peer.granted).toEqual([])
    m.update(100)
    expect(peer.granted).toEqual([])
    m.update(100)
    expect(peer.granted).toEqual([1000])
  })

  test('a debt is paid by time also when nobody waits, and then nothing is active', () => {
    const m = new BandwidthManager(1)
    const c = channel(10_000)
    m.charge([c], 5000)
    for (let i = 0; i < 20; i++) m.update(100)
    expect(c.delayMs()).toBe(0)
    expect(m.isActive()).toBe(false)
    expect(c.quotaLeft()).toBe(2501)
  })

  test('a peer that disconnects gives back what was set aside for it, and is told of nothing', () => {
    const m = new BandwidthManager(1)
    const c = channel(10_000)
    const leaving = new Recorder()
    const staying = new Recorder()
    m.requestBandwidth(leaving, 5000, 1, [c])
    m.requestBandwidth(staying, 2000, 1, [c])
    m.update(200)
    leaving.disconnecting = true
    m.update(1)
    expect(leaving.granted).toEqual([0])
    expect(staying.granted).toEqual([2000])
    m.checkInvariant()
  })

  test('a peer may ask again from within its grant', () => {
    const m = new BandwidthManager(1)
    const c = channel(10_000)
    const grants: number[] = []
    const peer: BandwidthSocket = {
      assignBandwidth: (_channel, amount) => {
        grants.push(amount)
        m.requestBandwidth(peer, 1000, 1, [c])
      },
      isDisconnecting: () => false,
    }
    m.requestBandwidth(peer, 1000, 1, [c])
    for (let i = 0; i < 10; i++) m.update(100)
    expect(grants).toEqual(Array(10).fill(1000))
  })

  test('closing ends all requests, once, and later ones get nothing', () => {
    const m = new BandwidthManager(1)
    const c = channel(10_000)
    const a = new Recorder()
    const b = new Recorder()
    m.requestBandwidth(a, 5000, 1, [c])
    m.requestBandwidth(b, 5000, 1, [c])
    m.update(100)
    m.close()
    m.close()
    expect(a.granted).toEqual([1000])
    expect(b.granted).toEqual([0])
    expect(m.requestBandwidth(a, 1, 1, [])).toBe(0)
    m.update(1000)
    expect(m.queueSize()).toBe(0)
  })

  test('time that was slept through counts three seconds at most', () => {
    const m = new BandwidthManager(1)
    const c = channel(100_000)
    m.charge([c], 1_000_000)
    m.update(3_600_000)
    expect(c.debt()).toBe(700_000)
  })
})

/** A downloading peer on a socket that is never empty: it asks, reads one chunk, and owes what the grant did not cover. */
class Reader implements BandwidthSocket {
  received = 0
  disconnecting = false
  readonly #manager: BandwidthManager
  readonly #channels: readonly BandwidthChannel[]
  readonly #chunk: () => number
  readonly #priority: number
  #quota = 0

  constructor(manager: BandwidthManager, channels: readonly BandwidthChannel[], chunk: () => number, priority = 1) {
    this.#manager = manager
    this.#channels = channels
    this.#chunk = chunk
    this.#priority = priority
    this.ask()
  }

  ask(): void {
    // Chunks are read at once as long as grants come at once.
    for (;;) {
      const granted = this.#manager.requestBandwidth(this, 65536, this.#priority, this.#channels)
      if (granted === 0) return
      this.#read(granted)
    }
  }

  assignBandwidth(_channel: number, amount: number): void {
    this.#read(amount)
    this.ask()
  }

  isDisconnecting(): boolean {
    return this.disconnecting
  }

  #read(granted: number): void {
    this.#quota += granted
    while (this.#quota > 0) {
      const chunk = this.#chunk()
      this.received += chunk
      this.#quota -= chunk
    }
    this.#manager.charge(this.#channels, -this.#quota)
    this.#quota = 0
  }
}

describe('rates are kept within 5 % over 10 seconds', () => {
  const cases = [
    { peers: 1, limit: 100_000, chunk: 16384 },
    { peers: 200, limit: 100_000, chunk: 16384 },
    { peers: 1, limit: 500_000, chunk: 65536 },
    { peers: 200, limit: 500_000, chunk: 65536 },
    { peers: 1, limit: 20_000_000, chunk: 65536 },
    { peers: 200, limit: 20_000_000, chunk: 65536 },
    { peers: 200, limit: 100_000_000, chunk: 65536 },
  ]
  test.each(cases)('$peers peers, limit $limit, chunks of up to $chunk', ({ peers, limit, chunk }) => {
    for (const tick of [50, 100, 250, 500]) {
      const rng = new SeededRng(peers + limit + tick)
      const m = new BandwidthManager(1)
      const c = channel(limit)
      const readers = Array.from({ length: peers }, () => new Reader(m, [c], () => 1 + rng.below(chunk)))
      const total = () => readers.reduce((sum, r) => sum + r.received, 0)
      let before = total()
      for (let window = 0; window < 3; window++) {
        for (let t = 0; t < 10_000; t += tick) m.update(tick)
        m.checkInvariant()
        const rate = (total() - before) / 10
        expect(rate / limit, `tick ${tick}, window ${window}`).toBeGreaterThan(0.95)
        expect(rate / limit, `tick ${tick}, window ${window}`).toBeLessThan(1.05)
        before = total()
      }
    }
  })

  test('also in the first 10 seconds of a limit that was at rest', () => {
    const m = new BandwidthManager(1)
    const c = channel(1_000_000)
    m.charge([c], 1)
    for (let t = 0; t < 5000; t += 100) m.update(100)
    const reader = new Reader(m, [c], () => 16384)
    for (let t = 0; t < 10_000; t += 100) m.update(100)
    expect(reader.received).toBeGreaterThan(9_500_000)
    expect(reader.received).toBeLessThan(10_500_000)
  })

  test('peers share alike, and by priority', () => {
    const rng = new SeededRng(1)
    const m = new BandwidthManager(1)
    const c = channel(2_000_000)
    const chunk = () => 1 + rng.below(16384)
    const readers = Array.from({ length: 20 }, (_, i) => new Reader(m, [c], chunk, i < 10 ? 1 : 3))
    for (let t = 0; t < 30_000; t += 100) m.update(100)
    const total = readers.reduce((sum, r) => sum + r.received, 0)
    for (let i = 0; i < 20; i++) {
      const share = readers[i]!.received / total
      expect(share / (i < 10 ? 1 / 40 : 3 / 40), `${i}`).toBeGreaterThan(0.85)
      expect(share / (i < 10 ? 1 / 40 : 3 / 40), `${i}`).toBeLessThan(1.15)
    }
  })

  test('a torrent limit holds inside the session limit, and the rest gets what it leaves', () => {
    const m = new BandwidthManager(1)
    const session = channel(1_000_000)
    const torrent = channel(200_000)
    const chunk = () => 16384
    const limited = Array.from({ length: 10 }, () => new Reader(m, [torrent, session], chunk))
    const free = Array.from({ length: 10 }, () => new Reader(m, [session], chunk))
    for (let t = 0; t < 20_000; t += 100) m.update(100)
    const rate = (readers: Reader[]) => readers.reduce((sum, r) => sum + r.received, 0) / 20
    expect(rate(limited) / 200_000).toBeGreaterThan(0.95)
    expect(rate(limited) / 200_000).toBeLessThan(1.05)
    expect((rate(limited) + rate(free)) / 1_000_000).toBeGreaterThan(0.95)
    expect((rate(limited) + rate(free)) / 1_000_000).toBeLessThan(1.05)
  })

  test('a limit that is lowered takes hold within seconds, with 200 peers in the middle of a transfer', () => {
    const m = new BandwidthManager(1)
    const c = channel(50_000_000)
    const readers = Array.from({ length: 200 }, () => new Reader(m, [c], () => 65536))
    const total = () => readers.reduce((sum, r) => sum + r.received, 0)
    for (let t = 0; t < 5000; t += 100) m.update(100)
    c.throttle(1_000_000)
    for (let t = 0; t < 2000; t += 100) m.update(100)
    const before = total()
    for (let t = 0; t < 10_000; t += 100) m.update(100)
    expect((total() - before) / 10 / 1_000_000).toBeGreaterThan(0.95)
    expect((total() - before) / 10 / 1_000_000).toBeLessThan(1.05)
  })

  test('peers that come and go leave the books in order', () => {
    const rng = new SeededRng(9)
    const m = new BandwidthManager(1)
    const c = channel(300_000)
    let readers: Reader[] = []
    for (let t = 0; t < 20_000; t += 100) {
      readers = readers.filter(r => !r.disconnecting)
      for (let n = rng.below(5); n > 0; n--) readers.push(new Reader(m, [c], () => 16384))
      for (const r of readers) if (rng.below(50) === 0) r.disconnecting = true
      // Those that disconnect here ask no more: their last grant of 0 must not be read.
      for (const r of readers) if (r.disconnecting) r.ask = () => {}
      m.update(100)
      m.checkInvariant()
    }
  })
})
