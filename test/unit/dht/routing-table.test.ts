import { describe, expect, test } from 'vitest'
import { Sha1Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import type { DhtModule } from '../../../src/core/enums.ts'
import { SeededRng, shuffle } from '../../../src/core/rng.ts'
import { NEVER, type NodeEntry, UNKNOWN_RTT } from '../../../src/dht/node-entry.ts'
import { closerTo, distanceExp, generateId, generateIdImpl, generateRandomId } from '../../../src/dht/node-id.ts'
import { RoutingTable, type RoutingTableSettings } from '../../../src/dht/routing-table.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { hash, SampleEndpoints } from './node-samples.ts'

const ID = hash('3123456789abcdef01232456789abcdef0123456')
const UNIFORM_ID = hash('1234876923549721020394873245098347598635')
const STEP = hash('15764f7459456a9453f8719b09547c11d5f34061')
const NOBODY = hash('0123456789abcdef01232456789abcdef0123456')

class Lab {
  readonly rng = new SeededRng(3)
  readonly endpoints = new SampleEndpoints()
  readonly settings: SessionSettings
  readonly lines: string[] = []
  readonly table: RoutingTable
  clock = 1_000_000

  constructor(pack: SettingsPack, id = ID, family: 4 | 6 = 4, bucketSize?: number) {
    this.settings = new SessionSettings(pack)
    this.table = new RoutingTable({
      id,
      family,
      settings: this.settings satisfies RoutingTableSettings,
      now: () => this.clock,
      log: { shouldLog: () => true, log: (_: DhtModule, line: string) => this.lines.push(line) },
      ...(bucketSize === undefined ? {} : { bucketSize }),
    })
  }

  live(): NodeEntry[] {
    const out: NodeEntry[] = []
    this.table.forEachNode(node => out.push(node), null)
    return out
  }

  spare(): NodeEntry[] {
    const out: NodeEntry[] = []
    this.table.forEachNode(null, node => out.push(node))
    return out
  }

  /** A node of the table by its address. */
  node(endpoint: Endpoint): NodeEntry {
    const found = [...this.live(), ...this.spare()].find(node => node.address === endpoint[0])
    if (found === undefined) throw new Error(`no node ${endpoint[0]}`)
    return found
  }
}

const PLAIN: SettingsPack = {
  dht_extended_routing_table: false,
  dht_prefer_verified_node_ids: false,
  dht_enforce_node_id: false,
}

/** The id with its first byte set, the others as they are. */
function first(id: Sha1Hash, byte: number): Sha1Hash {
  const bytes = id.toBytes()
  bytes[0] = byte
  return new Sha1Hash(bytes)
}

function plus(a: Sha1Hash, b: Sha1Hash): Sha1Hash {
  const sum = (BigInt(`0x${a}`) + BigInt(`0x${b}`)) & ((1n << 160n) - 1n)
  return new Sha1Hash(sum.toString(16).padStart(40, '0'))
}

describe('one node', () => {
  const AT: Endpoint = ['4.4.4.4', 4]

  test.each([
    [4, ['4.4.4.4', 4], ['4.4.4.5', 5]],
    [6, ['2001:1111:1111:1111:1111:1111:1111:1111', 4], ['2001:1111:1111:1111:eeee:eeee:eeee:eeee', 5]],
  ] as [4 | 6, Endpoint, Endpoint][])('of family %d comes, fails, comes back, and is guarded', (family, at, near) => {
    const lab = new Lab({ dht_extended_routing_table: false }, ID, family)
    const { table } = lab
    expect(table.findNode(ID)).toEqual([])
    const id = generateIdImpl(at[0], 1, lab.rng)
    expect(table.nodeSeen(id, at, 10)).toBe(true)
    expect(table.size()).toEqual({ nodes: 1, replacements: 0, confirmed: 1 })
    const found = table.findNode(ID, 10)
    expect(found.map(node => [node.id.toString(), node.endpoint, node.timeoutCount])).toEqual([[id.toString(), at, 0]])

    table.nodeFailed(id, at)
    expect(lab.live().map(node => node.timeoutCount)).toEqual([1])
    expect(table.findNode(ID, 10)).toEqual([])
    expect(table.findNode(ID, 10, true)).toHaveLength(1)

    table.nodeSeen(id, at, 10)
    expect(lab.live().map(node => node.timeoutCount)).toEqual([0])

    // the same id from another port of the same address, and from a near one
    expect(table.nodeSeen(id, [at[0], 5], 10)).toBe(false)
    expect(table.nodeSeen(id, near, 10)).toBe(false)
    // another id from a near address
    expect(table.nodeSeen(generateIdImpl(near[0], 1, lab.rng), near, 10)).toBe(false)
    expect(table.findNode(ID, 10).map(node => node.endpoint)).toEqual([at])

    // another id from the same endpoint: neither is to be trusted
    expect(table.nodeSeen(generateIdImpl(at[0], 2, lab.rng), at, 10)).toBe(false)
    expect(table.size()).toEqual({ nodes: 0, replacements: 0, confirmed: 0 })
    expect(table.numActiveBuckets).toBe(0)
    table.checkInvariant()
    expect(lab.lines.map(line => line.split(':')[0])).toEqual([
      'NODE FAILED id',
      'ignoring node (duplicate IP)',
      'ignoring node',
      'evicting node (changed ID)',
    ])
  })

  test('is not removed because somebody merely says it has another id', () => {
    const lab = new Lab(PLAIN)
    lab.table.nodeSeen(UNIFORM_ID, AT, 10)
    lab.table.heardAbout(NOBODY, AT)
    expect(lab.live().map(node => node.id)).toEqual([UNIFORM_ID])
    lab.table.checkInvariant()
  })

  test('that was heard of stands by, and is in use once it has answered', () => {
    const lab = new Lab(PLAIN)
    lab.table.heardAbout(UNIFORM_ID, AT)
    expect(lab.table.size()).toEqual({ nodes: 0, replacements: 1, confirmed: 0 })
    expect(lab.table.findNode(UNIFORM_ID, 8, true)).toEqual([])
    expect(lab.table.nodeSeen(UNIFORM_ID, AT, 10)).toBe(true)
    expect(lab.table.size()).toEqual({ nodes: 1, replacements: 0, confirmed: 1 })
    lab.table.checkInvariant()
  })

  test('of the other family, our own id and router nodes are not taken', () => {
    const lab = new Lab(PLAIN)
    lab.table.addRouterNode(AT)
    lab.table.addRouterNode(['4.4.4.4', 5])
    lab.table.addRouterNode([...AT])
    expect(lab.table.routerNodes).toEqual([AT, ['4.4.4.4', 5]])
    expect(lab.table.nodeSeen(UNIFORM_ID, AT, 10)).toBe(false)
    expect(lab.table.nodeSeen(UNIFORM_ID, ['2001:db8::1', 4], 10)).toBe(false)
    expect(lab.table.nodeSeen(ID, ['5.5.5.5', 4], 10)).toBe(false)
    lab.table.heardAboutAt(UNIFORM_ID.view(), 0, AT)
    expect(lab.table.size().nodes + lab.table.size().replacements).toBe(0)
    expect(lab.table.nodeSeen(UNIFORM_ID, ['4.4.4.4', 6], 10)).toBe(true)
  })

  test('whose id was not known gets it when it answers', () => {
    const lab = new Lab(PLAIN)
    lab.table.heardAbout(new Sha1Hash(), AT)
    expect(lab.table.nodeSeen(UNIFORM_ID, AT, 10)).toBe(true)
    expect([...lab.live(), ...lab.spare()].map(node => node.id)).toEqual([UNIFORM_ID])
    lab.table.checkInvariant()
  })

  test('with an id that is not bound to its address is taken only if the settings allow it', () => {
    const lab = new Lab({ ...PLAIN, dht_enforce_node_id: true })
    const bound = generateId(AT[0], lab.rng)
    expect(lab.table.nodeSeen(UNIFORM_ID, AT, 10)).toBe(false)
    lab.table.heardAbout(UNIFORM_ID, AT)
    lab.table.heardAboutAt(UNIFORM_ID.view(), 0, AT)
    expect(lab.table.size()).toEqual({ nodes: 0, replacements: 0, confirmed: 0 })
    expect(lab.table.nodeSeen(bound, AT, 10)).toBe(true)
  })

  test('that changes its id is removed (dht_verify_node_address)', () => {
    const lab = new Lab({ dht_extended_routing_table: false })
    const id = plus(ID, STEP)
    lab.table.nodeSeen(id, AT, 10)
    expect(lab.table.findNode(ID, 10)).toHaveLength(1)
    lab.table.nodeSeen(id, ['4.4.4.6', 4], 10)
    expect(lab.table.findNode(ID, 10)).toHaveLength(1)
    lab.table.nodeSeen(NOBODY, AT, 10)
    expect(lab.table.findNode(ID, 10)).toHaveLength(0)
    expect(lab.table.size().nodes).toBe(0)
  })

  test('goes when it has failed too often and nobody can take its place', () => {
    const lab = new Lab({ ...PLAIN, dht_max_fail_count: 3 })
    lab.table.nodeSeen(UNIFORM_ID, AT, 10)
    // another port, or an id we do not have, says nothing about it
    lab.table.nodeFailed(UNIFORM_ID, ['4.4.4.4', 5])
    lab.table.nodeFailed(NOBODY, AT)
    lab.table.nodeFailed(ID, AT)
    expect(lab.live()[0]?.failCount).toBe(0)
    lab.table.nodeFailed(UNIFORM_ID, AT)
    lab.table.nodeFailed(UNIFORM_ID, AT)
    expect(lab.live()[0]?.failCount).toBe(2)
    lab.table.nodeFailed(UNIFORM_ID, AT)
    expect(lab.live()).toEqual([])
    lab.table.checkInvariant()
  })

  test('known by bytes is brought up to date without a new entry', () => {
    const lab = new Lab(PLAIN)
    const packet = new Uint8Array(64)
    packet.set(UNIFORM_ID.view(), 13)
    lab.table.heardAboutAt(packet, 13, AT)
    expect(lab.spare().map(node => node.id.toString())).toEqual([UNIFORM_ID.toString()])
    // borrowed bytes
    packet.fill(0)
    expect(lab.spare()[0]!.id.toString()).toBe(UNIFORM_ID.toString())
    const [node] = lab.spare()
    packet.set(UNIFORM_ID.view(), 40)
    lab.table.heardAboutAt(packet, 40, AT)
    expect(lab.live()).toEqual([node])
    lab.table.checkInvariant()
  })
})

describe('a full bucket', () => {
  /** Two nodes a bucket, nothing can be split: all ids differ from ours in the first bit. */
  function full(pack: SettingsPack = {}) {
    const lab = new Lab({ ...PLAIN, ...pack }, first(ID, 0), 4, 2)
    const add = (byte: number, rtt: number) => {
      const endpoint = lab.endpoints.v4()
      const id = first(generateRandomId(lab.rng), byte)
      lab.table.nodeSeen(id, endpoint, rtt)
      return { id, endpoint }
    }
    return { lab, add }
  }

  test('keeps who comes next as a replacement, who takes over when a node fails', () => {
    const { lab, add } = full()
    const a = add(0x80, 10)
    const b = add(0xc0, 10)
    const slow = add(0xc1, 90)
    const slower = add(0x81, 99)
    expect(lab.live().map(node => node.id)).toEqual([a.id, b.id])
    expect(lab.spare().map(node => node.id)).toEqual([slow.id, slower.id])
    lab.table.nodeFailed(a.id, a.endpoint)
    expect(lab.live().map(node => node.id)).toEqual([b.id, slow.id])
    expect(lab.spare().map(node => node.id)).toEqual([slower.id])
    lab.table.checkInvariant()
  })

  test('takes a quicker one in the place of a slower one with the same bits', () => {
    const { lab, add } = full()
    add(0x80, 10)
    const b = add(0xc0, 50)
    const quick = add(0xc1, 20)
    expect(lab.live().map(node => node.id)).toContain(quick.id)
    expect(lab.live().map(node => node.id)).not.toContain(b.id)
    lab.table.checkInvariant()
  })

  test('takes a new one in the place of one that failed', () => {
    const { lab, add } = full()
    const a = add(0x80, 10)
    add(0xc0, 10)
    lab.table.nodeFailed(a.id, a.endpoint)
    const slow = add(0xc1, 90)
    expect(lab.live().map(node => node.id)).toContain(slow.id)
    expect(lab.live().map(node => node.id)).not.toContain(a.id)
    lab.table.checkInvariant()
  })

  test('has room for as many replacements, and drops those first that never answered', () => {
    const { lab, add } = full()
    add(0x80, 10)
    add(0xc0, 10)
    const heard: Sha1Hash[] = []
    for (let i = 0; i < 3; i++) {
      heard.push(first(generateRandomId(lab.rng), 0x90))
      lab.table.heardAbout(heard[i]!, lab.endpoints.v4())
    }
    expect(lab.spare().map(node => node.id)).toEqual([heard[1], heard[2]])
    expect(lab.table.isFull(0)).toBe(true)
    const c = add(0xc1, 90)
    const d = add(0x91, 90)
    expect(lab.spare().map(node => node.id)).toEqual([c.id, d.id])
    // now by the rules of a bucket: the slowest goes, if it is slower
    const e = add(0x92, 80)
    expect(lab.spare().map(node => node.id)).toEqual([e.id, d.id])
    add(0x93, 90)
    expect(lab.spare().map(node => node.id)).toEqual([e.id, d.id])
    lab.table.checkInvariant()
  })

  test('a replacement that fails stays, one failure the worse', () => {
    const { lab, add } = full()
    add(0x80, 10)
    add(0xc0, 10)
    const c = add(0xc1, 90)
    lab.table.nodeFailed(c.id, [c.endpoint[0], c.endpoint[1] ^ 1])
    expect(lab.spare()[0]!.failCount).toBe(0)
    lab.table.nodeFailed(c.id, c.endpoint)
    expect(lab.spare()[0]!.failCount).toBe(1)
  })

  test('asks the neighbours of a node soon that changed its id', () => {
    const { lab, add } = full()
    const a = add(0x80, 10)
    const b = add(0xc0, 10)
    lab.clock += 5 * 60_000
    const b2 = lab.node(b.endpoint)
    lab.table.nodeSeen(first(NOBODY, 0xfe), a.endpoint, 10)
    expect(b2.lastQueried).not.toBe(NEVER)
    const c = add(0x80, 10)
    lab.clock += 1
    lab.table.nodeSeen(first(NOBODY, 0xfd), c.endpoint, 10)
    expect(b2.lastQueried).toBe(NEVER)
    expect(lab.live()).toEqual([b2])
  })
})

describe('many nodes', () => {
  test.each([4, 6] as const)(
    'of family %d with ids bound to their addresses fill a table as deep as they are many',
    family => {
      const lab = new Lab({ dht_extended_routing_table: false, dht_restrict_routing_ips: false }, ID, family)
      const { table } = lab
      for (let i = 0; i < 10_000; i++) {
        const endpoint = family === 4 ? lab.endpoints.v4() : lab.endpoints.v6()
        const id = generateIdImpl(endpoint[0], 6, lab.rng)
        table.nodeSeen(id, endpoint, 20 + id.view()[19]!)
        if (i % 500 === 0) table.checkInvariant()
      }
      expect([11, 12]).toContain(table.numActiveBuckets)
      expect(table.size().nodes).toBeGreaterThanOrEqual(8 * 10)
      table.checkInvariant()

      const nodes = lab.live()
      expect(table.findNode(generateRandomId(lab.rng), nodes.length * 2)).toHaveLength(nodes.length)
      for (let i = 0; i < 50; i++) {
        const target = generateRandomId(lab.rng)
        const found = table.findNode(target, 16)
        nodes.sort((a, b) => (closerTo(target, a.id, b.id) ? -1 : 1))
        const sum = (of: readonly NodeEntry[]) => of.reduce((n, node) => n + distanceExp(node.id, target), 0)
        expect(sum(found)).toBe(sum(nodes.slice(0, 16)))
        expect(new Set(found.map(node => node.id.toString())).size).toBe(16)
      }
    },
  )

  test('spread evenly fill the buckets that exist for so many', () => {
    const lab = new Lab(PLAIN, UNIFORM_ID)
    let id = UNIFORM_ID
    for (let i = 255; i >= 0; i--) {
      id = plus(id, STEP)
      lab.table.nodeSeen(first(id, id.view()[0]! ^ i), lab.endpoints.v4(), 20 + id.view()[19]!)
    }
    expect(lab.table.numActiveBuckets).toBe(6)
    lab.table.checkInvariant()
  })

  test('with larger buckets too', () => {
    const lab = new Lab({ ...PLAIN, dht_extended_routing_table: true }, UNIFORM_ID)
    expect([0, 1, 2, 3, 4, 100].map(i => lab.table.bucketLimit(i))).toEqual([128, 64, 32, 16, 8, 8])
    let id = UNIFORM_ID
    const order = shuffle(
      Array.from({ length: 256 }, (_, i) => i),
      lab.rng,
    )
    for (const byte of order) {
      id = first(plus(id, STEP), byte)
      lab.table.nodeSeen(id, lab.endpoints.v4(), 20 + id.view()[19]!)
    }
    expect(lab.table.numActiveBuckets).toBe(6)
    lab.table.checkInvariant()
  })

  test('that force splits do not bring it out of balance', () => {
    const lab = new Lab(PLAIN, UNIFORM_ID)
    for (let i = 0; i < 32; i++) lab.table.nodeSeen(first(UNIFORM_ID, i << 3), lab.endpoints.v4(), 20)
    expect(lab.table.numActiveBuckets).toBe(2)
  })

  test('are visited, in use or standing by', () => {
    const lab = new Lab(PLAIN, UNIFORM_ID, 4, 2)
    for (let i = 0; i < 32; i++) lab.table.nodeSeen(first(UNIFORM_ID, i << 3), lab.endpoints.v4(), 20)
    expect(lab.table.numActiveBuckets).toBe(2)
    expect(lab.table.size()).toEqual({ nodes: 4, replacements: 4, confirmed: 4 })
    expect([lab.live().length, lab.spare().length]).toEqual([4, 4])
    let all = 0
    lab.table.forEachNode(() => all++)
    expect(all).toBe(8)
    expect(lab.table.status()).toEqual([
      { numNodes: 2, numReplacements: 2, lastActive: 0 },
      { numNodes: 2, numReplacements: 2, lastActive: 0 },
    ])
  })

  test('with unbound ids do not split a bucket that prefers bound ones', () => {
    const lab = new Lab({ ...PLAIN, dht_prefer_verified_node_ids: true }, UNIFORM_ID)
    for (let i = 0; i < 256; i++) lab.table.nodeSeen(first(plus(UNIFORM_ID, STEP), i), lab.endpoints.v4(), 20)
    expect(lab.table.numActiveBuckets).toBe(1)
  })

  test('move when our own id changes, and none is made up', () => {
    const lab = new Lab(PLAIN, new Sha1Hash())
    const order = shuffle(
      Array.from({ length: 256 }, (_, i) => i),
      lab.rng,
    )
    for (const byte of order) lab.table.nodeSeen(first(new Sha1Hash(), byte), lab.endpoints.v4(), 20)
    expect(lab.table.numActiveBuckets).toBe(6)
    const before = new Set([...lab.live(), ...lab.spare()].map(node => node.id.toString()))
    lab.table.updateNodeId(Sha1Hash.max())
    expect(lab.table.id).toEqual(Sha1Hash.max())
    expect(lab.table.numActiveBuckets).toBeLessThanOrEqual(4)
    lab.table.checkInvariant()
    for (const node of [...lab.live(), ...lab.spare()]) expect(before).toContain(node.id.toString())
    expect(lab.table.size().nodes).toBeGreaterThan(8)
  })

  test('made up to be near us make no endless table', () => {
    const lab = new Lab({ ...PLAIN, dht_restrict_routing_ips: false }, ID)
    for (let bit = 0; bit < 160; bit++) {
      for (let k = 0; k < 20; k++) {
        const bytes = generateRandomId(lab.rng).toBytes()
        for (let i = 0; i < bit; i++) {
          const mask = 0x80 >> (i & 7)
          bytes[i >> 3] = (bytes[i >> 3]! & ~mask) | (ID.view()[i >> 3]! & mask)
        }
        lab.table.nodeSeen(new Sha1Hash(bytes), lab.endpoints.v4(), 20)
      }
    }
    lab.table.checkInvariant()
    expect(lab.table.numActiveBuckets).toBeLessThanOrEqual(159)
    expect(lab.table.size().nodes).toBeLessThanOrEqual(159 * 8)
  })
})

describe('look-up', () => {
  /** As libtorrent does it, the plain way: whole buckets from the target's on, the last one by distance. */
  function model(table: RoutingTable, target: Sha1Hash, count: number, includeFailed: boolean): string[] {
    const start = Math.min(159 - distanceExp(table.id, target), table.buckets.length - 1)
    const order: number[] = []
    for (let i = start; i < table.buckets.length; i++) order.push(i)
    for (let i = start - 1; i >= 0; i--) order.push(i)
    const out: NodeEntry[] = []
    for (const i of order) {
      if (out.length >= count) break
      const nodes = table.buckets[i]!.live.filter(node => includeFailed || node.confirmed)
      nodes.sort((a, b) => (closerTo(target, a.id, b.id) ? -1 : 1))
      out.push(...nodes.slice(0, count - out.length))
    }
    return out.sort((a, b) => (closerTo(target, a.id, b.id) ? -1 : 1)).map(node => node.id.toString())
  }

  test.each([false, true])('finds what the plain way finds, the closest first (extended table: %s)', extended => {
    const lab = new Lab({ ...PLAIN, dht_extended_routing_table: extended })
    for (let i = 0; i < 600; i++)
      lab.table.nodeSeen(generateRandomId(lab.rng), lab.endpoints.v4(), 20 + lab.rng.below(500))
    for (const node of lab.live()) if (lab.rng.below(4) === 0) node.timedOut()
    const buffer = new Uint8Array(40)
    for (let i = 0; i < 300; i++) {
      // targets in each bucket, also near our own id
      const target = generateRandomId(lab.rng).toBytes()
      const shared = lab.rng.below(12)
      for (let bit = 0; bit < shared; bit++) {
        const mask = 0x80 >> (bit & 7)
        target[bit >> 3] = (target[bit >> 3]! & ~mask) | (ID.view()[bit >> 3]! & mask)
      }
      const count = 1 + lab.rng.below(40)
      const includeFailed = lab.rng.below(2) === 0
      const found = lab.table.findNode(new Sha1Hash(target), count, includeFailed)
      expect(found.map(node => node.id.toString())).toEqual(
        model(lab.table, new Sha1Hash(target), count, includeFailed),
      )
      buffer.set(target, 7)
      const again: NodeEntry[] = [found[0]!]
      lab.table.findNodeAt(buffer, 7, count, includeFailed, again)
      expect(again).toEqual(found)
    }
  })

  test('gives as many as a bucket has if no number is said', () => {
    const lab = new Lab(PLAIN)
    for (let i = 0; i < 100; i++) lab.table.nodeSeen(generateRandomId(lab.rng), lab.endpoints.v4(), 20)
    expect(lab.table.findNode(generateRandomId(lab.rng))).toHaveLength(8)
  })

  test('is right for ids that differ in their last bytes only', () => {
    const lab = new Lab({ ...PLAIN, dht_extended_routing_table: true })
    const base = 'f123456789abcdef01232456789abcdef01234'
    for (let i = 0; i < 64; i++) {
      lab.table.nodeSeen(hash(base + i.toString(16).padStart(2, '0')), lab.endpoints.v4(), 20)
    }
    const found = lab.table.findNode(hash(`${base}25`), 4)
    expect(found.map(node => node.id.toString().slice(38))).toEqual(['25', '24', '27', '26'])
  })
})

describe('refresh', () => {
  test('asks near nodes first, each in turn', () => {
    const lab = new Lab(PLAIN)
    expect(lab.table.nextRefresh()).toBeNull()
    for (let i = 0; i < 40; i++) lab.table.nodeSeen(generateRandomId(lab.rng), lab.endpoints.v4(), 20)
    const nodes = lab.live()
    nodes.forEach((node, i) => {
      node.lastQueried = 1000 + ((i * 7) % nodes.length)
    })
    const want = [...nodes].sort((a, b) => a.lastQueried - b.lastQueried)
    for (const node of want) {
      lab.clock++
      expect(lab.table.nextRefresh()).toBe(node)
      expect(node.lastQueried).toBe(lab.clock)
    }
  })

  test('asks a node that was never asked before all others, and replacements where there is room', () => {
    const lab = new Lab(PLAIN)
    for (let i = 0; i < 40; i++) lab.table.nodeSeen(generateRandomId(lab.rng), lab.endpoints.v4(), 20)
    const buckets = lab.table.buckets
    expect(buckets.length).toBeGreaterThan(1)
    const far = buckets[0]!.live[0]!
    far.lastQueried = NEVER
    expect(lab.table.nextRefresh()).toBe(far)
    // heard of, and its bucket is the last one
    const id = lab.table.id.toBytes()
    id[19]! ^= 1
    lab.table.heardAbout(new Sha1Hash(id), lab.endpoints.v4())
    const asked = lab.table.nextRefresh()
    expect(asked?.id.toString()).toBe(new Sha1Hash(id).toString())
    expect(lab.table.nextRefresh()).not.toBe(asked)
  })
})

describe('depth', () => {
  test('counts the buckets that are half full', () => {
    const lab = new Lab(PLAIN)
    expect(lab.table.depth()).toBe(-1)
    for (let i = 0; i < 3000; i++) lab.table.nodeSeen(generateRandomId(lab.rng), lab.endpoints.v4(), 20)
    expect(lab.table.depth()).toBeGreaterThanOrEqual(5)
    expect(lab.table.depth()).toBeLessThan(lab.table.numActiveBuckets)
  })
})

test('whatever happens, the parts of the table agree', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const rng = new SeededRng(seed)
    const bucketSize = [2, 4, 8][seed % 3]!
    const lab = new Lab({ dht_prefer_verified_node_ids: seed % 2 === 0, dht_max_fail_count: 2 }, ID, 4, bucketSize)
    const known: [Sha1Hash, Endpoint][] = []
    for (let step = 0; step < 3000; step++) {
      lab.clock += rng.below(60_000)
      const old = known.length > 0 && rng.below(3) > 0 ? known[rng.below(known.length)]! : null
      // few addresses, so that they meet
      const address = `${20 + rng.below(4)}.1.${rng.below(24)}.${1 + rng.below(3)}`
      const endpoint: Endpoint = old?.[1] ?? [address, 1 + rng.below(3)]
      const random = generateRandomId(rng).toBytes()
      if (rng.below(3) === 0) random.set(ID.view().subarray(0, rng.below(4)))
      const id = old !== null && rng.below(4) > 0 ? old[0] : new Sha1Hash(random)
      switch (rng.below(6)) {
        case 0:
          lab.table.heardAbout(id, endpoint)
          break
        case 1:
          lab.table.heardAboutAt(id.view(), 0, endpoint)
          break
        case 2:
          lab.table.nodeFailed(id, endpoint)
          break
        case 3:
          lab.table.nextRefresh()
          break
        default:
          lab.table.nodeSeen(id, endpoint, rng.below(3) === 0 ? UNKNOWN_RTT : rng.below(1000))
      }
      if (known.length < 500) known.push([id, endpoint])
      if (step % 500 === 499) {
        lab.settings.applyPack({
          dht_restrict_routing_ips: rng.below(2) === 0,
          dht_extended_routing_table: rng.below(2) === 0,
        })
      }
      if (step % 1000 === 999) lab.table.updateNodeId(new Sha1Hash(generateRandomId(rng).view()))
      if (step % 10 === 0) lab.table.checkInvariant()
    }
    lab.table.checkInvariant()
    expect(lab.table.size().nodes).toBeGreaterThan(1)
  }
})
