import { describe, expect, test } from 'vitest'
import { LibtorrentError } from '../../../src/core/error-code.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { IpFilter } from '../../../src/net/ip-filter.ts'
import { PortFilter } from '../../../src/net/port-filter.ts'

const LAST6 = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
const ALL4: [string, string] = ['0.0.0.0', '255.255.255.255']
const ALL6: [string, string] = ['::', LAST6]
const { blocked } = IpFilter.AccessFlags

describe('ip filter', () => {
  test('a new filter allows everything', () => {
    const f = new IpFilter()
    expect(f.empty()).toBe(true)
    expect(f.access('0.1.2.3')).toBe(0)
    expect(f.access('::123')).toBe(0)
    expect(f.exportFilter()).toEqual([[ALL4], [ALL6]])
  })

  test('a rule concerns its own family', () => {
    const f = new IpFilter()
    f.addRule('0.0.0.0', '0.255.255.255', 123)
    expect(f.access('0.1.2.3')).toBe(123)
    expect(f.access('1.2.3.4')).toBe(0)
    expect(f.access('::123')).toBe(0)
    expect(f.empty()).toBe(false)
    expect(f.exportFilter()).toEqual([
      [
        ['0.0.0.0', '0.255.255.255'],
        ['1.0.0.0', '255.255.255.255'],
      ],
      [ALL6],
    ])
    const g = new IpFilter()
    g.addRule('::', '::ffff', 123)
    expect(g.access('::123')).toBe(123)
    expect(g.access('1.2.3.4')).toBe(0)
    expect(g.access('::1:0')).toBe(0)
    expect(g.exportFilter()).toEqual([
      [ALL4],
      [
        ['::', '::ffff'],
        ['::1:0', LAST6],
      ],
    ])
  })

  const ranges = (...rules: [string, string, number][]) => {
    const f = new IpFilter()
    for (const [first, last, flags] of rules) f.addRule(first, last, flags)
    return f.exportRanges().v4.map(r => `${r.first}-${r.last}:${r.flags}`)
  }

  test('neighbours with the same flags become one range', () => {
    expect(ranges(['1.0.0.0', '1.0.0.9', 1], ['1.0.0.10', '1.0.0.20', 1])).toEqual([
      '0.0.0.0-0.255.255.255:0',
      '1.0.0.0-1.0.0.20:1',
      '1.0.0.21-255.255.255.255:0',
    ])
    expect(ranges(['1.0.0.10', '1.0.0.20', 1], ['1.0.0.0', '1.0.0.9', 1])).toEqual([
      '0.0.0.0-0.255.255.255:0',
      '1.0.0.0-1.0.0.20:1',
      '1.0.0.21-255.255.255.255:0',
    ])
  })

  test('of overlapping rules the last one counts', () => {
    expect(ranges(['1.0.0.0', '1.0.0.255', 1], ['1.0.0.10', '1.0.0.20', 0])).toEqual([
      '0.0.0.0-0.255.255.255:0',
      '1.0.0.0-1.0.0.9:1',
      '1.0.0.10-1.0.0.20:0',
      '1.0.0.21-1.0.0.255:1',
      '1.0.1.0-255.255.255.255:0',
    ])
    expect(ranges(['1.0.0.10', '1.0.0.20', 5], ['1.0.0.0', '1.0.0.255', 1])).toEqual([
      '0.0.0.0-0.255.255.255:0',
      '1.0.0.0-1.0.0.255:1',
      '1.0.1.0-255.255.255.255:0',
    ])
  })

  test('a rule may cover everything, and be undone', () => {
    expect(ranges(['0.0.0.0', '255.255.255.255', 1])).toEqual(['0.0.0.0-255.255.255.255:1'])
    const f = new IpFilter()
    f.addRule('1.2.3.4', '1.2.3.4', 1)
    f.addRule('0.0.0.0', '255.255.255.255', 0)
    expect(f.empty()).toBe(true)
  })

  test('all 32 bits of the flags are kept, for masks of peer classes', () => {
    const f = new IpFilter()
    f.addRule('1.2.3.4', '1.2.3.4', 0x80000001)
    expect(f.access('1.2.3.4')).toBe(0x80000001)
  })

  test('IPv4-mapped addresses can begin and end a range of IPv6', () => {
    const f = new IpFilter()
    f.addRule('::ffff:1.0.0.0', '::ffff:1.255.255.255', 1)
    expect(f.access('::ffff:1.2.3.4')).toBe(1)
    expect(f.access('1.2.3.4')).toBe(0)
    expect(f.exportFilter()[1]).toContainEqual(['::ffff:1.0.0.0', '::ffff:1.255.255.255'])
  })

  test('what is not an address or a range is refused', () => {
    const f = new IpFilter()
    for (const text of ['', 'x', '1.2.3', '1.2.3.256', '::g', '1.2.3.4:80']) {
      expect(() => f.access(text), text).toThrow(LibtorrentError)
      expect(() => f.addRule(text, '9.9.9.9', 1), text).toThrow('Invalid argument')
    }
    expect(() => f.addRule('1.2.3.4', '::1', 1)).toThrow(RangeError)
    expect(() => f.addRule('1.2.3.4', '1.2.3.3', 1)).toThrow(RangeError)
    expect(f.empty()).toBe(true)
  })

  test('a clone goes its own way', () => {
    const f = new IpFilter()
    f.addRule('1.0.0.0', '1.0.0.255', 1)
    const g = f.clone()
    g.addRule('1.0.0.0', '1.0.0.255', 0)
    g.addRule('::1', '::1', 1)
    expect(f.access('1.0.0.1')).toBe(1)
    expect(f.access('::1')).toBe(0)
    expect(g.access('1.0.0.1')).toBe(0)
  })

  test('any mix of rules and reads agrees with an array of flags, and with the fewest ranges', () => {
    const rng = new SeededRng(3)
    for (let round = 0; round < 300; round++) {
      const model = new Uint8Array(256)
      const f = new IpFilter()
      for (let n = 1 + rng.below(40); n > 0; n--) {
        const a = rng.below(256)
        const b = a + rng.below(256 - a)
        const flags = rng.below(3)
        model.fill(flags, a, b + 1)
        f.addRule(`10.0.0.${a}`, `10.0.0.${b}`, flags)
        if (rng.below(6) === 0) expect(f.access(`10.0.0.${a}`)).toBe(flags)
      }
      for (let i = 0; i < 256; i++) if (f.access(`10.0.0.${i}`) !== model[i]) expect.fail(`round ${round}, ${i}`)
      const { v4 } = f.exportRanges()
      for (let i = 1; i < v4.length; i++) expect(v4[i]!.flags).not.toBe(v4[i - 1]!.flags)
      expect(f.access('9.255.255.255')).toBe(0)
      expect(f.access('10.0.1.0')).toBe(0)
    }
  })

  test('it blocks what the ip-set package has', async () => {
    const { default: IPSet } = (await import('ip-set' as string)) as {
      default: new () => { add(first: string, last: string): void; contains(address: string): boolean }
    }
    const rng = new SeededRng(5)
    const oracle = new IPSet()
    const f = new IpFilter()
    // IPv4 only: that package keeps IPv6 addresses as doubles, so that neighbours are the same to it.
    const name = (n: number) => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
    for (let i = 0; i < 500; i++) {
      const a = rng.below(1 << 20)
      const b = a + rng.below(2000)
      oracle.add(name(a), name(b))
      f.addRule(name(a), name(b), blocked)
    }
    for (let i = 0; i < 8000; i++) {
      const address = name(rng.below(1 << 20))
      if ((f.access(address) === blocked) !== oracle.contains(address)) expect.fail(address)
    }
  })

  test('a list of 300,000 unsorted ranges is no burden', () => {
    const rng = new SeededRng(7)
    const f = new IpFilter()
    for (let i = 0; i < 300_000; i++) {
      const n = rng.uint32()
      const network = `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}`
      f.addRule(`${network}.0`, `${network}.255`, blocked)
    }
    const start = process.cpuUsage().user
    f.access('1.2.3.4')
    // Putting them in one by one takes minutes.
    expect((process.cpuUsage().user - start) / 1e6).toBeLessThan(20)
  })
})

describe('port filter', () => {
  test('ports have the flags of the last rule that names them', () => {
    const f = new PortFilter()
    expect(f.access(0)).toBe(0)
    f.addRule(0, 1024, PortFilter.AccessFlags.blocked)
    f.addRule(80, 80, 0)
    f.addRule(65535, 65535, 1)
    expect([0, 79, 80, 81, 1024, 1025, 65534, 65535].map(p => f.access(p))).toEqual([1, 1, 0, 1, 1, 0, 0, 1])
  })

  test('what is not a port is refused', () => {
    const f = new PortFilter()
    for (const port of [-1, 65536, 0.5, Number.NaN]) {
      expect(() => f.access(port)).toThrow(RangeError)
      expect(() => f.addRule(port, 65535, 1)).toThrow(RangeError)
    }
    expect(() => f.addRule(2, 1, 1)).toThrow(RangeError)
  })
})
