import { expect, test } from 'vitest'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { survivorOf } from '../../../src/torrent/duplicate-connection.ts'
import type { ListedConnection } from '../../../src/torrent/peer-entry.ts'

function connection(local: Endpoint, remote: Endpoint, outgoing: boolean, failed = false): ListedConnection {
  return {
    remote: () => remote,
    localEndpoint: () => local,
    isOutgoing: () => outgoing,
    failed: () => failed,
    totalPayloadDownload: () => 0,
    totalPayloadUpload: () => 0,
    disconnect() {},
    setPeerEntry() {},
    addStat() {},
  }
}

/** Two peers that have connected to each other, each from a port of its own to where the other listens. */
function crossing(a: Endpoint, b: Endpoint) {
  const fromA: Endpoint = [a[0], 50_001]
  const fromB: Endpoint = [b[0], 50_002]
  return {
    atA: { toB: connection(fromA, b, true), fromB: connection(a, fromB, false) },
    atB: { toA: connection(fromB, a, true), fromA: connection(b, fromA, false) },
  }
}

const rng = new SeededRng(1)

test.each([
  ['different ports', ['81.0.0.1', 6881], ['81.0.0.2', 7881]],
  ['the same port', ['81.0.0.1', 6881], ['81.0.0.2', 6881]],
  ['the same port, the other way round', ['81.0.0.2', 6881], ['81.0.0.1', 6881]],
] satisfies [string, Endpoint, Endpoint][])('both ends keep the same connection: %s', (_what, a, b) => {
  const { atA, atB } = crossing(a, b)
  const aKeepsItsOwn = survivorOf(atA.toB, atA.fromB, rng) === 'earlier'
  // whichever came first
  expect(survivorOf(atA.fromB, atA.toB, rng)).toBe(aKeepsItsOwn ? 'later' : 'earlier')
  expect(survivorOf(atB.fromA, atB.toA, rng)).toBe(aKeepsItsOwn ? 'earlier' : 'later')
  expect(survivorOf(atB.toA, atB.fromA, rng)).toBe(aKeepsItsOwn ? 'later' : 'earlier')
})

test('of two in the same direction the earlier one stays', () => {
  const { atA } = crossing(['81.0.0.1', 1000], ['81.0.0.2', 2000])
  expect(survivorOf(atA.fromB, atA.fromB, rng)).toBe('earlier')
})

test('one that has failed stays in no case', () => {
  const a: Endpoint = ['81.0.0.1', 1000]
  const b: Endpoint = ['81.0.0.2', 2000]
  const { atA } = crossing(a, b)
  expect(survivorOf(atA.toB, atA.fromB, rng)).toBe('earlier')
  expect(survivorOf(connection([a[0], 50_001], b, true, true), atA.fromB, rng)).toBe('later')
})

test('a connection to ourselves is both ends of one', () => {
  const us: Endpoint = ['81.0.0.1', 6881]
  const from: Endpoint = ['81.0.0.1', 50_001]
  expect(survivorOf(connection(from, us, true), connection(us, from, false), rng)).toBe('self')
})
