import { describe, expect, test } from 'vitest'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { PexFlags } from '../../../src/core/enums.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { type ListedConnection, PeerEntry, PeerSource } from '../../../src/torrent/peer-entry.ts'
import { PeerList, type PeerListHost } from '../../../src/torrent/peer-list.ts'

class Host implements PeerListHost {
  isFinished = false
  maxPeerlistSize = 1000
  minReconnectTime = 60
  maxFailcount = 3
  allowMultipleConnectionsPerIp = false
  erased: PeerEntry[] = []
  externalEndpoint(): Endpoint {
    return ['9.9.9.9', 6881]
  }
  peerErased(entry: PeerEntry): void {
    this.erased.push(entry)
  }
}

/** A connection that reports its end at once. */
class Connection implements ListedConnection {
  entry: PeerEntry | null = null
  error: ErrorCode | null = null
  failure = false
  down = 0
  up = 0
  hasFailed = false
  readonly #list: PeerList
  readonly #remote: Endpoint
  readonly #outgoing: boolean
  readonly #local: Endpoint

  constructor(list: PeerList, remote: Endpoint, outgoing = false, local: Endpoint = ['9.9.9.9', 6881]) {
    this.#list = list
    this.#remote = remote
    this.#outgoing = outgoing
    this.#local = local
  }
  remote = () => this.#remote
  localEndpoint = () => this.#local
  isOutgoing = () => this.#outgoing
  failed = () => this.hasFailed
  totalPayloadDownload = () => this.down
  totalPayloadUpload = () => this.up
  setPeerEntry(entry: PeerEntry) {
    this.entry = entry
  }
  addStat(downloaded: number, uploaded: number) {
    this.down += downloaded
    this.up += uploaded
  }
  disconnect(error: ErrorCode, _operation: unknown, failure = false) {
    this.error = error
    this.failure = failure
    this.close(100)
  }
  close(now: number) {
    if (this.entry !== null) this.#list.connectionClosed(this, this.entry, now)
  }
}

function make(settings: Partial<Host> = {}, seed = 1) {
  const host = Object.assign(new Host(), settings)
  const list = new PeerList(host, new SeededRng(seed))
  return { host, list }
}

function connect(list: PeerList, entry: PeerEntry, now = 1): Connection {
  const c = new Connection(list, entry.endpoint(), true)
  c.entry = entry
  list.setConnection(entry, c)
  entry.lastConnected = now
  list.checkInvariant()
  return c
}

const { tracker, dht, pex, lsd, resumeData } = PeerSource

describe('adding', () => {
  test('a peer heard of twice is one entry with both sources', () => {
    const { list } = make()
    const first = list.addPeer(['10.0.0.2', 3000], tracker)
    expect(first?.isNew).toBe(true)
    const again = list.addPeer(['10.0.0.2', 3000], dht)
    expect(again).toEqual({ entry: first!.entry, isNew: false })
    expect(first!.entry.source).toBe(tracker | dht)
    expect([list.size, list.numConnectCandidates()]).toEqual([1, 1])
  })

  test('a known address takes the new port, unless there may be several peers per address', () => {
    const { list } = make()
    const { entry } = list.addPeer(['10.0.0.2', 3000], tracker)!
    list.addPeer(['10.0.0.2', 9000], tracker)
    expect([list.size, entry.port]).toEqual([1, 9000])

    const several = make({ allowMultipleConnectionsPerIp: true }).list
    several.addPeer(['10.0.0.2', 3000], tracker)
    several.addPeer(['10.0.0.2', 9000], tracker)
    expect(
      several
        .entries()
        .map(p => p.port)
        .sort(),
    ).toEqual([3000, 9000])
  })

  test('endpoints that cannot be connected to are refused', () => {
    const { list } = make()
    for (const bad of [
      ['0.0.0.0', 10],
      ['10.0.0.1', 0],
      ['10.0.0.1', 1],
      ['fe80::1', 10],
      ['::', 10],
    ] as Endpoint[]) {
      expect(list.addPeer(bad, pex), bad.join(' ')).toBeNull()
    }
    expect(list.size).toBe(0)
  })

  test('what peer exchange says of a peer is kept', () => {
    const { list } = make()
    const flags = PexFlags.pexEncryption | PexFlags.pexSeed | PexFlags.pexHolepunch | PexFlags.pexLtV2
    const { entry } = list.addPeer(['10.0.0.2', 3000], pex, flags)!
    expect([entry.peSupport, entry.maybeUploadOnly, entry.supportsHolepunch, entry.protocolV2, entry.seed]).toEqual([
      true,
      true,
      true,
      true,
      false,
    ])
    connect(list, entry)
    expect(entry.maybeUploadOnly).toBe(false)
    // While connected we know better ourselves.
    list.addPeer(['10.0.0.2', 3000], pex, PexFlags.pexSeed)
    expect(entry.maybeUploadOnly).toBe(false)
  })

  test('a tracker that still names a peer forgives it one failure', () => {
    const { list } = make()
    const { entry } = list.addPeer(['10.0.0.2', 3000], pex)!
    list.setFailcount(entry, 3)
    expect(list.numConnectCandidates()).toBe(0)
    list.addPeer(['10.0.0.2', 3000], dht)
    expect(entry.failcount).toBe(3)
    list.addPeer(['10.0.0.2', 3000], tracker)
    expect([entry.failcount, list.numConnectCandidates()]).toEqual([2, 1])
  })
})

describe('the limit', () => {
  test('useless entries make room, useful ones do not', () => {
    const { list, host } = make({ maxPeerlistSize: 20 })
    for (let i = 0; i < 20; i++) list.addPeer([`10.0.0.${i + 1}`, 3000], tracker)
    expect(list.addPeer(['10.0.1.1', 3000], tracker)).toBeNull()
    for (const entry of list.entries().slice(0, 3)) list.setFailcount(entry, 4)
    expect(list.addPeer(['10.0.1.1', 3000], tracker)?.isNew).toBe(true)
    expect(host.erased.length).toBeGreaterThan(0)
    expect(host.erased.every(e => e.failcount === 4)).toBe(true)
    list.checkInvariant()
  })

  test('peers of resume data are never pressed in, and go first', () => {
    const { list, host } = make({ maxPeerlistSize: 20 })
    for (let i = 0; i < 20; i++) list.addPeer([`10.0.0.${i + 1}`, 3000], i < 5 ? resumeData : tracker)
    expect(list.addPeer(['10.0.1.1', 3000], resumeData)).toBeNull()
    for (const entry of list.entries().slice()) if (entry.source === resumeData) list.setFailcount(entry, 5)
    expect(list.addPeer(['10.0.1.1', 3000], tracker)).not.toBeNull()
    expect(host.erased.every(e => e.source === resumeData)).toBe(true)
  })

  test('an incoming connection may push out a useful entry, but not a connected one', () => {
    const { list, host } = make({ maxPeerlistSize: 4 })
    for (let i = 0; i < 4; i++) connect(list, list.addPeer([`10.0.0.${i + 1}`, 3000], tracker)!.entry)
    const refused = new Connection(list, ['10.0.1.1', 5000])
    expect(list.newConnection(refused, 5)).toBe(false)
    expect(refused.error?.value()).toBe(LibtorrentErrors.tooManyConnections)
    ;(list.entries()[2]!.connection as Connection).close(6)
    expect(list.newConnection(new Connection(list, ['10.0.1.2', 5000]), 7)).toBe(true)
    expect(host.erased).toHaveLength(1)
    list.checkInvariant()
  })

  test('ids of erased entries are used again, after the host was told', () => {
    const { list, host } = make()
    const { entry } = list.addPeer(['10.0.0.1', 3000], tracker)!
    list.erasePeer(entry)
    expect(host.erased).toEqual([entry])
    expect(list.byId(entry.id)).toBeUndefined()
    expect(list.addPeer(['10.0.0.9', 3000], tracker)!.entry.id).toBe(entry.id)
  })
})

describe('choosing whom to connect to', () => {
  test('nobody is chosen twice in a row, and the list is gone through', () => {
    const { list } = make()
    for (let i = 0; i < 50; i++) list.addPeer([`10.0.0.${i + 1}`, 3000], tracker)
    const seen = new Set<PeerEntry>()
    for (let i = 0; i < 50; i++) {
      const entry = list.connectOnePeer(1)!
      seen.add(entry)
      connect(list, entry)
    }
    expect(seen.size).toBe(50)
    expect(list.connectOnePeer(1)).toBeNull()
    expect(list.numConnectCandidates()).toBe(0)
  })

  test('a peer is tried again after a time that grows with its failures', () => {
    const { list } = make()
    const { entry } = list.addPeer(['10.0.0.1', 3000], tracker)!
    const c = connect(list, entry, 1000)
    c.hasFailed = true
    c.close(1000)
    expect(entry.failcount).toBe(1)
    expect(list.connectOnePeer(1000 + 119)).toBeNull()
    expect(list.connectOnePeer(1000 + 120)).toBe(entry)
    const again = connect(list, entry, 1120)
    again.hasFailed = true
    again.close(1120)
    expect(list.connectOnePeer(1120 + 179)).toBeNull()
    expect(list.connectOnePeer(1120 + 180)).toBe(entry)
    list.setFailcount(entry, 3)
    expect(list.connectOnePeer(9999), 'max_failcount is reached').toBeNull()
  })

  test('fewer failures, local addresses, longer idle and better sources go first', () => {
    const { list } = make()
    const add = (address: string, source: number) => list.addPeer([address, 3000], source)!.entry
    const failed = add('1.0.0.1', tracker)
    list.setFailcount(failed, 1)
    const late = add('1.0.0.2', tracker)
    late.lastConnected = 10
    const fromPex = add('1.0.0.3', pex)
    const fromDht = add('1.0.0.4', dht)
    const fromLsd = add('1.0.0.5', lsd)
    const fromTracker = add('1.0.0.6', tracker)
    const local = add('192.168.0.6', pex)
    const order: PeerEntry[] = []
    for (let i = 0; i < 7; i++) order.push(list.connectOnePeer(5000)!)
    expect(order).toEqual([local, fromTracker, fromLsd, fromDht, fromPex, late, failed])
  })

  test('between equals the rank of the pair decides', () => {
    const { list } = make()
    const entries = Array.from({ length: 8 }, (_, i) => list.addPeer([`${i + 1}.7.3.9`, 3000], tracker)!.entry)
    const byRank = entries.toSorted((a, b) => b.rank(['9.9.9.9', 6881]) - a.rank(['9.9.9.9', 6881]))
    expect(entries.map(() => list.connectOnePeer(1))).toEqual(byRank)
  })

  test('once finished, seeds and upload-only peers are no candidates, and supposed ones come last', () => {
    const { list, host } = make()
    const seed = list.addPeer(['1.0.0.1', 3000], tracker)!.entry
    list.setSeed(seed, true)
    const uploadOnly = list.addPeer(['1.0.0.2', 3000], tracker)!.entry
    list.setUploadOnly(uploadOnly, true)
    const maybe = list.addPeer(['1.0.0.3', 3000], tracker, PexFlags.pexSeed)!.entry
    const leech = list.addPeer(['1.0.0.4', 3000], pex)!.entry
    expect([list.numConnectCandidates(), list.numSeeds()]).toEqual([4, 1])
    host.isFinished = true
    expect(list.numConnectCandidates()).toBe(2)
    list.checkInvariant()
    expect([list.connectOnePeer(1), list.connectOnePeer(1)]).toEqual([leech, maybe])
  })

  test('banned peers, web seeds and those with unknown ports are no candidates', () => {
    const { list } = make()
    const banned = list.addPeer(['1.0.0.1', 3000], tracker)!.entry
    list.banPeer(banned)
    const seed = list.addDetached(['1.0.0.2', 80])
    expect(list.byId(seed.id)).toBe(seed)
    const c = new Connection(list, ['1.0.0.3', 5555])
    expect(list.newConnection(c, 1)).toBe(true)
    c.close(2)
    expect([list.size, list.numConnectCandidates(), list.connectOnePeer(500)]).toEqual([2, 0, null])
    list.updatePeerPort(6881, c.entry!, PeerSource.incoming)
    expect(list.connectOnePeer(500)).toBe(c.entry)
    list.releaseDetached(seed)
    expect(list.byId(seed.id)).toBeUndefined()
  })

  test('a search looks at 300 entries and goes on from there', () => {
    const { list } = make({ maxPeerlistSize: 0 })
    for (let i = 0; i < 1000; i++) list.addPeer([`10.0.${i >> 8}.${i & 255}`, 3000], tracker)
    const useful = list.entries()[900]!
    for (const entry of list.entries()) if (entry !== useful) list.banPeer(entry)
    expect([1, 2, 3].map(() => list.connectOnePeer(1))).toEqual([null, null, null])
    expect(list.connectOnePeer(1)).toBe(useful)
  })
})

describe('connections', () => {
  test('an incoming connection gets the entry of its address, and earlier totals', () => {
    const { list } = make()
    const { entry } = list.addPeer(['10.0.0.1', 3000], tracker)!
    const first = connect(list, entry)
    first.down = 5000
    first.up = 70_000
    first.close(9)
    expect([entry.prevAmountDownload, entry.prevAmountUpload]).toEqual([4, 68])
    const c = new Connection(list, ['10.0.0.1', 45_000])
    expect(list.newConnection(c, 10)).toBe(true)
    expect([c.entry, c.down, c.up, entry.prevAmountDownload]).toEqual([entry, 4096, 68 * 1024, 0])
    expect(entry.port).toBe(3000)
    list.checkInvariant()
  })

  test('banned peers are turned away', () => {
    const { list } = make()
    list.banPeer(list.addPeer(['10.0.0.1', 3000], tracker)!.entry)
    const c = new Connection(list, ['10.0.0.1', 45_000])
    expect(list.newConnection(c, 1)).toBe(false)
    expect(c.error?.value()).toBe(LibtorrentErrors.peerBanned)
  })

  test('a second connection of the same direction is turned away', () => {
    const { list } = make()
    const first = new Connection(list, ['10.0.0.1', 45_000])
    list.newConnection(first, 1)
    const second = new Connection(list, ['10.0.0.1', 45_001])
    expect(list.newConnection(second, 1)).toBe(false)
    expect([first.error, second.error?.value()]).toEqual([null, LibtorrentErrors.duplicatePeerId])
  })

  test('of an incoming and an outgoing connection, the one made from the lower port stays', () => {
    for (const [ours, theirs, incomingStays] of [
      [3000, 4000, false],
      [4000, 3000, true],
    ] as const) {
      const { list } = make()
      const { entry } = list.addPeer(['10.0.0.1', theirs], tracker)!
      const out = new Connection(list, ['10.0.0.1', theirs], true, ['9.9.9.9', 50_000])
      out.entry = entry
      list.setConnection(entry, out)
      const incoming = new Connection(list, ['10.0.0.1', 60_000], false, ['9.9.9.9', ours])
      expect(list.newConnection(incoming, 1)).toBe(incomingStays)
      expect([out.error !== null, incoming.error !== null]).toEqual([incomingStays, !incomingStays])
      expect(entry.connection).toBe(incomingStays ? incoming : out)
      list.checkInvariant()
    }
  })

  test('a connection to ourselves is closed at both ends', () => {
    const { list } = make()
    const { entry } = list.addPeer(['9.9.9.9', 6881], tracker)!
    const out = new Connection(list, ['9.9.9.9', 6881], true, ['9.9.9.9', 50_000])
    out.entry = entry
    list.setConnection(entry, out)
    const incoming = new Connection(list, ['9.9.9.9', 50_000], false, ['9.9.9.9', 6881])
    expect(list.newConnection(incoming, 1)).toBe(false)
    expect([out.error?.value(), incoming.error?.value()]).toEqual([
      LibtorrentErrors.selfConnection,
      LibtorrentErrors.selfConnection,
    ])
    expect([out.failure, incoming.failure]).toEqual([true, true])
  })

  test('with several peers per address, an entry without a known port goes with its connection', () => {
    const { list, host } = make({ allowMultipleConnectionsPerIp: true })
    const a = new Connection(list, ['10.0.0.1', 45_000])
    const b = new Connection(list, ['10.0.0.1', 45_001])
    expect([list.newConnection(a, 1), list.newConnection(b, 1), list.size]).toEqual([true, true, 2])
    a.close(2)
    expect([list.size, host.erased]).toEqual([1, [a.entry]])
    list.checkInvariant()
  })

  test('a peer that names the port of another connected one is closed', () => {
    const { list } = make({ allowMultipleConnectionsPerIp: true })
    const known = list.addPeer(['10.0.0.1', 3000], tracker)!.entry
    connect(list, known)
    const c = new Connection(list, ['10.0.0.1', 45_000])
    list.newConnection(c, 1)
    expect(list.updatePeerPort(3000, c.entry!, PeerSource.incoming)).toBe(false)
    expect([c.error?.value(), list.size]).toEqual([LibtorrentErrors.duplicatePeerId, 1])
    list.checkInvariant()
  })
})

describe('filters', () => {
  test('blocked addresses are erased and their connections closed', () => {
    const { list, host } = make()
    const gone = list.addPeer(['10.0.0.1', 3000], tracker)!.entry
    const c = connect(list, gone)
    list.addPeer(['10.0.0.2', 3000], tracker)
    list.addPeer(['10.1.0.2', 3000], tracker)
    expect(list.applyIpFilter(address => address.startsWith('10.0.'))).toEqual([['10.0.0.1', 3000]])
    expect([c.error?.value(), list.size, host.erased.length]).toEqual([LibtorrentErrors.bannedByIpFilter, 1, 2])
    list.checkInvariant()
  })

  test('blocked ports too', () => {
    const { list } = make()
    connect(list, list.addPeer(['10.0.0.1', 3000], tracker)!.entry)
    list.addPeer(['10.0.0.2', 3001], tracker)
    expect(list.applyPortFilter(port => port === 3000)).toEqual([['10.0.0.1', 3000]])
    expect(list.entries().map(e => e.port)).toEqual([3001])
    list.checkInvariant()
  })
})

test('an entry keeps every small value apart', () => {
  const entry = new PeerEntry(1, '1.2.3.4', 5, true, tracker)
  expect([entry.supportsUtp, entry.connectable, entry.trustPoints]).toEqual([true, true, 0])
  entry.failcount = 40
  entry.trustPoints = -9
  entry.hashfails = 300
  expect([entry.failcount, entry.trustPoints, entry.hashfails]).toEqual([31, -7, 255])
  entry.trustPoints = 20
  entry.failcount = 2
  expect([entry.failcount, entry.trustPoints, entry.hashfails]).toEqual([2, 8, 255])
  const flags = ['onParole', 'banned', 'protocolV2', 'optimisticallyUnchoked', 'webSeed', 'peSupport'] as const
  for (const flag of flags) {
    expect(entry[flag]).toBe(false)
    entry[flag] = true
    expect(entry[flag]).toBe(true)
  }
  expect(entry.source).toBe(tracker)
})

test('whatever happens to peers, the counts and the order hold', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const rng = new SeededRng(seed)
    const { list, host } = make(
      { maxPeerlistSize: 30, maxFailcount: 1 + rng.below(4), allowMultipleConnectionsPerIp: rng.below(2) === 0 },
      seed,
    )
    const open: Connection[] = []
    let now = 1
    for (let i = 0; i < 600; i++) {
      now += rng.below(40)
      const remote: Endpoint = [`10.0.0.${1 + rng.below(50)}`, 2 + rng.below(4)]
      const entry = list.entries()[rng.below(list.size || 1)]
      const action = rng.below(13)
      if (action < 4) list.addPeer(remote, 1 << rng.below(5), rng.below(256))
      else if (action === 4) {
        const c = new Connection(list, remote)
        if (list.newConnection(c, now)) open.push(c)
      } else if (action < 7) {
        const chosen = list.connectOnePeer(now)
        if (chosen !== null) {
          const c = new Connection(list, chosen.endpoint(), true, ['9.9.9.9', 7000 + rng.below(9)])
          c.entry = chosen
          list.setConnection(chosen, c)
          open.push(c)
        }
      } else if (action < 9) {
        const c = open.splice(rng.below(open.length || 1), 1)[0]
        if (c !== undefined) {
          c.hasFailed = rng.below(2) === 0
          c.close(now)
        }
      } else if (entry === undefined) continue
      else if (action === 9) list.setSeed(entry, rng.below(2) === 0)
      else if (action === 10) list.setUploadOnly(entry, rng.below(2) === 0)
      else if (action === 11 && rng.below(8) === 0) list.banPeer(entry)
      else if (action === 11) host.isFinished = rng.below(2) === 0
      else if (entry.connection !== null) list.updatePeerPort(2 + rng.below(4), entry, PeerSource.incoming)
      list.checkInvariant()
      expect(list.size).toBeLessThanOrEqual(30)
    }
  }
})
