import { describe, expect, test } from 'vitest'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import type { PexOutgoing } from '../../../src/peer/peer-pex.ts'
import { PeerSource } from '../../../src/torrent/peer-entry.ts'
import { PexState } from '../../../src/torrent/pex-state.ts'
import { decodePex, type PexPeers } from '../../../src/wire/ut-pex.ts'

const MINUTE = 60_000

class Connection {
  at: Endpoint | null
  asked = 0
  readonly extensions: { pex: { endpoint(): Endpoint | null; flags(): number } }

  constructor(at: Endpoint | null, flags = 0) {
    this.at = at
    this.extensions = {
      pex: {
        endpoint: () => {
          this.asked++
          return this.at
        },
        flags: () => flags,
      },
    }
  }
}

class Torrent {
  isPrivate = false
  pexDisabled = false
  readonly found: unknown[] = []
  boosts = 0
  connections: Connection[] = []
  readonly swarm: {
    readonly connections: Connection[]
    addPeer(endpoint: Endpoint, source: number, flags: number): void
    connectBoost(): void
  }
  readonly pex: PexState

  constructor() {
    const torrent = this
    this.swarm = {
      get connections() {
        return torrent.connections
      },
      addPeer: (...peer) => void this.found.push(peer),
      connectBoost: () => void this.boosts++,
    }
    this.pex = new PexState(this)
  }

  join(host: number, flags = 0): Connection {
    const connection = new Connection([`1.2.${host >> 8}.${host & 255}`, 1000 + host], flags)
    this.connections.push(connection)
    return connection
  }

  leave(connection: Connection): void {
    this.connections = this.connections.filter(other => other !== connection)
  }
}

/** `+` those added, `-` those dropped, by port beyond 1000. */
function told(message: PexOutgoing | null): string[] | null {
  if (message === null) return null
  const { added, added6, dropped, dropped6 } = decodePex(message.payload)!
  const hosts = (sign: string, peers: PexPeers) =>
    Array.from({ length: peers.length }, (_, i) => `${sign}${peers.endpoint(i)[1] - 1000}`)
  const all = [hosts('+', added), hosts('+', added6), hosts('-', dropped), hosts('-', dropped6)]
  expect([message.numAdded, message.numDropped]).toEqual([
    all[0]!.length + all[1]!.length,
    all[2]!.length + all[3]!.length,
  ])
  return all.flat()
}

describe('what has changed', () => {
  test('is who came and who left since the last round, which is once a minute', () => {
    const torrent = new Torrent()
    const { pex } = torrent
    const one = torrent.join(1)
    torrent.join(2)
    pex.tick(0)
    expect(told(pex.changes())).toEqual(['+1', '+2'])
    torrent.join(3)
    torrent.leave(one)
    pex.tick(MINUTE - 1)
    expect(told(pex.changes())).toEqual(['+1', '+2'])
    pex.tick(MINUTE)
    expect(told(pex.changes())).toEqual(['+3', '-1'])
    pex.tick(2 * MINUTE)
    expect(pex.changes()).toBeNull()
    torrent.connections.push(one)
    pex.tick(3 * MINUTE)
    expect(told(pex.changes())).toEqual(['+1'])
  })

  test('does not mention who came and left in between, or left and came again', () => {
    const torrent = new Torrent()
    const stays = torrent.join(1)
    torrent.pex.tick(0)
    torrent.leave(torrent.join(2))
    torrent.leave(stays)
    torrent.connections.push(stays)
    torrent.pex.tick(MINUTE)
    expect(torrent.pex.changes()).toBeNull()
  })

  test('leaves out who has no address to tell, until there is one', () => {
    const torrent = new Torrent()
    const shy = torrent.join(7)
    torrent.join(1)
    const at = shy.at
    shy.at = null
    torrent.pex.tick(0)
    expect(told(torrent.pex.changes())).toEqual(['+1'])
    shy.at = at
    torrent.pex.tick(MINUTE)
    expect(told(torrent.pex.changes())).toEqual(['+7'])
    // such as one that is ending
    shy.at = null
    torrent.pex.tick(2 * MINUTE)
    expect(told(torrent.pex.changes())).toEqual(['-7'])
  })

  test('adds a hundred peers at most; the others come in the rounds after, and nobody is dropped for it', () => {
    const torrent = new Torrent()
    for (let i = 0; i < 250; i++) torrent.join(i)
    const all: string[] = []
    for (let round = 0; round < 3; round++) {
      torrent.pex.tick(round * MINUTE)
      const changes = told(torrent.pex.changes())!
      expect(changes).toHaveLength(round < 2 ? 100 : 50)
      all.push(...changes)
    }
    expect(new Set(all)).toEqual(new Set(torrent.connections.map((_, i) => `+${i}`)))
    torrent.pex.tick(3 * MINUTE)
    expect(torrent.pex.changes()).toBeNull()
    torrent.connections = []
    torrent.pex.tick(4 * MINUTE)
    expect(told(torrent.pex.changes())!.sort()).toEqual(all.map(peer => peer.replace('+', '-')).sort())
  })

  test('has flags and both families', () => {
    const torrent = new Torrent()
    torrent.join(1, 2)
    torrent.connections.push(new Connection(['2001:db8::5', 1005], 6))
    torrent.pex.tick(0)
    const { added, added6 } = decodePex(torrent.pex.changes()!.payload)!
    expect([added.length, added.flags(0), added6.length, added6.flags(0)]).toEqual([1, 2, 1, 6])
  })
})

describe('what a new peer is told', () => {
  test('is who is there, a hundred at most, and nobody dropped', () => {
    const torrent = new Torrent()
    torrent.connections.push(new Connection(null))
    const gone = torrent.join(1)
    torrent.pex.tick(0)
    torrent.leave(gone)
    for (let i = 2; i < 150; i++) torrent.join(i)
    torrent.pex.tick(1000)
    const full = told(torrent.pex.full())!
    expect(full).toEqual(Array.from({ length: 100 }, (_, i) => `+${i + 2}`))
  })

  test('is made once a second, however many ask', () => {
    const torrent = new Torrent()
    for (let i = 0; i < 50; i++) torrent.join(i)
    torrent.pex.tick(0)
    torrent.pex.tick(1000)
    const before = torrent.connections.map(connection => connection.asked)
    const messages = new Set(torrent.connections.map(() => torrent.pex.full()))
    expect(messages.size).toBe(1)
    expect(torrent.connections.map((connection, i) => connection.asked - before[i]!)).toEqual(new Array(50).fill(1))
    torrent.join(50)
    torrent.pex.tick(2000)
    expect(told(torrent.pex.full())).toHaveLength(51)
  })
})

test('who is told of is counted in rounds, not in seconds', () => {
  const torrent = new Torrent()
  for (let i = 0; i < 200; i++) torrent.join(i)
  for (let second = 0; second < 60; second++) {
    torrent.pex.tick(second * 1000)
    for (const _ of torrent.connections) torrent.pex.changes()
  }
  expect(new Set(torrent.connections.map(connection => connection.asked))).toEqual(new Set([1]))
})

test('a torrent that is private, or has it turned off, has nothing to tell', () => {
  for (const why of ['isPrivate', 'pexDisabled'] as const) {
    const torrent = new Torrent()
    torrent.join(1)
    torrent.pex.tick(0)
    torrent[why] = true
    expect([torrent.pex.enabled, torrent.pex.allowed], why).toEqual([false, why !== 'isPrivate'])
    torrent.pex.tick(1000)
    expect(torrent.pex.changes()).toBeNull()
    // and starts over when it is turned on again
    torrent[why] = false
    torrent.join(2)
    torrent.pex.tick(MINUTE)
    expect(told(torrent.pex.changes())).toEqual(['+1', '+2'])
  }
})

test('peers that were told of go to the torrent', () => {
  const torrent = new Torrent()
  torrent.pex.found(['1.2.3.4', 5], 7)
  torrent.pex.foundAll()
  expect(torrent.found).toEqual([[['1.2.3.4', 5], PeerSource.pex, 7]])
  expect(torrent.boosts).toBe(1)
})
