import { describe, expect, test } from 'vitest'
import { bencode } from '../../../src/bencode/bencode.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { generateId } from '../../../src/dht/node-id.ts'
import { type Asker, Observer, ObserverFlag } from '../../../src/dht/observer.ts'
import { FakeNetwork, hash, text } from './fake-network.ts'

const NOBODY = new Sha1Hash()
const THERE: Endpoint = ['203.0.113.1', 6881]
const THEIR_ID = hash('1111111111222222222233333333334444444444')

/** Writes down what it is told. */
class Recorder implements Asker {
  readonly searchId = 9
  readonly events: string[] = []
  onReply(observer: Observer): void {
    this.events.push('reply')
    observer.flags |= ObserverFlag.done
  }
  finished(): void {
    this.events.push('finished')
  }
  failed(observer: Observer, short: boolean): void {
    this.events.push(short ? 'late' : 'failed')
    if (short) observer.flags |= ObserverFlag.shortTimeout
  }
  resort(): void {
    this.events.push('resort')
  }
  abort(): void {
    this.events.push('abort')
  }
}

function ping(network: FakeNetwork, asker: Asker, to = THERE): { observer: Observer; sent: boolean } {
  const observer = new Observer(asker, to, NOBODY, network.now)
  observer.flags |= ObserverFlag.queried
  return { observer, sent: network.rpc.invoke({ method: 'ping' }, observer) }
}

function setup() {
  const network = new FakeNetwork()
  const asker = new Recorder()
  return { network, asker, events: asker.events }
}

function pong(network: FakeNetwork, id: Uint8Array = THEIR_ID.toBytes()): Uint8Array {
  return network.response(network.sent.at(-1)!, { id })
}

describe('a response', () => {
  test('reaches who asked, and puts the node into the table with its round-trip time', () => {
    const { network, asker, events } = setup()
    expect(ping(network, asker).sent).toBe(true)
    expect(network.rpc.numTransactions).toBe(1)
    expect(network.rpc.numAllocatedObservers).toBe(1)
    network.now += 123
    expect(network.deliver(pong(network), THERE)).toBe(true)
    expect(events).toEqual(['reply'])
    const found = network.table.findNode(THEIR_ID)
    expect(found.map(node => [node.id.toString(), node.endpoint, node.rtt])).toEqual([
      [THEIR_ID.toString(), THERE, 123],
    ])
    expect(network.rpc.numTransactions).toBe(0)
    expect(network.rpc.numAllocatedObservers).toBe(0)
    expect(network.deliver(pong(network), THERE)).toBe(false)
    expect(events).toEqual(['reply'])
  })

  test('from another port or address is passed over, and the right one still taken', () => {
    const { network, asker, events } = setup()
    ping(network, asker)
    expect(network.deliver(pong(network), [THERE[0], THERE[1] + 1])).toBe(false)
    expect(network.deliver(pong(network), ['203.0.113.2', THERE[1]])).toBe(false)
    expect(network.table.size().nodes).toBe(0)
    expect(events).toEqual([])
    expect(network.deliver(pong(network), THERE)).toBe(true)
    expect(events).toEqual(['reply'])
  })

  test('with another transaction id, or none of two bytes, is passed over', () => {
    const { network, asker, events } = setup()
    ping(network, asker)
    const { tid } = network.sent[0]!
    const other = Uint8Array.of(tid[0]!, tid[1]! ^ 1)
    const long = Uint8Array.of(...tid, 0)
    for (const t of [other, long, tid.subarray(0, 1), new Uint8Array(0)]) {
      expect(network.deliver(bencode({ r: { id: THEIR_ID.toBytes() }, t, y: 'r' }), THERE)).toBe(false)
    }
    expect(network.deliver(bencode({ r: { id: THEIR_ID.toBytes() }, y: 'r' }), THERE)).toBe(false)
    expect(events).toEqual([])
    expect(network.rpc.numTransactions).toBe(1)
  })

  test('without an id of 20 bytes is a failure', () => {
    for (const r of [{}, { id: new Uint8Array(19) }, { id: new Uint8Array(21) }, { id: 1 }, [], 'x', null]) {
      const { network, asker, events } = setup()
      ping(network, asker)
      const packet = bencode({ ...(r === null ? {} : { r }), t: network.sent[0]!.tid, y: 'r' })
      expect(network.deliver(packet, THERE)).toBe(false)
      expect(events, JSON.stringify(r)).toEqual(['failed'])
      expect(network.table.size().nodes).toBe(0)
      expect(network.rpc.numTransactions).toBe(0)
    }
  })

  test('with an id that is wrong for the address is a failure only if that is enforced', () => {
    const right = generateId(THERE[0], new FakeNetwork().rng)
    for (const [enforce, id, event] of [
      [false, THEIR_ID, 'reply'],
      [true, THEIR_ID, 'failed'],
      [true, right, 'reply'],
    ] as const) {
      const { network, asker, events } = setup()
      network.settings.dhtEnforceNodeId = enforce
      ping(network, asker)
      expect(network.deliver(pong(network, id.toBytes()), THERE)).toBe(event === 'reply')
      expect(events).toEqual([event])
    }
  })

  test('to a query that was given up only says that the node is there', () => {
    const { network, asker, events } = setup()
    const { observer } = ping(network, asker)
    observer.flags |= ObserverFlag.done
    expect(network.deliver(pong(network), THERE)).toBe(true)
    expect(events).toEqual(['reply'])
    expect(network.table.size().nodes).toBe(1)
  })
})

test('an error is a failure, well formed or not', () => {
  for (const e of [[201, 'A Generic Error'], 'Malformed Error', [], ['x', 1]]) {
    const { network, asker, events } = setup()
    network.logging = true
    ping(network, asker)
    expect(network.deliver(bencode({ e, t: network.sent[0]!.tid, y: 'e' }), THERE)).toBe(false)
    expect(events).toEqual(['failed'])
    const wellFormed = typeof e[0] === 'number'
    const line = network.lines.find(text => text.includes('error'))
    expect(line).toContain(wellFormed ? '(201) A Generic Error' : 'malformed')
  }
})

describe('a query', () => {
  test('is late after a second and has failed after 15', () => {
    const { network, asker, events } = setup()
    ping(network, asker)
    network.now += 999
    expect(network.rpc.tick()).toBe(1000)
    expect(events).toEqual([])
    network.now += 1
    network.rpc.tick()
    expect(events).toEqual(['late'])
    network.now += 13_500
    expect(network.rpc.tick()).toBe(500)
    network.now += 499
    expect(network.rpc.tick()).toBe(200)
    expect(events).toEqual(['late'])
    network.now += 1
    expect(network.rpc.tick()).toBe(1000)
    expect(events).toEqual(['late', 'failed'])
    expect(network.rpc.numTransactions).toBe(0)
    expect(network.deliver(pong(network), THERE)).toBe(false)
  })

  test('may be answered late', () => {
    const { network, asker, events } = setup()
    ping(network, asker)
    network.now += 14_999
    network.rpc.tick()
    expect(network.deliver(pong(network), THERE)).toBe(true)
    expect(events).toEqual(['late', 'reply'])
    expect(network.table.findNode(THEIR_ID)[0]!.rtt).toBe(14_999)
  })

  test('that nobody wants any more is forgotten at the next tick', () => {
    const { network, asker, events } = setup()
    const { observer } = ping(network, asker)
    observer.flags |= ObserverFlag.done
    network.rpc.tick()
    expect(network.rpc.numTransactions).toBe(0)
    expect(events).toEqual([])
  })

  test('fails at once where the system says that nobody listens, one a report', () => {
    const { network, asker, events } = setup()
    ping(network, asker)
    ping(network, asker)
    ping(network, asker, [THERE[0], 1])
    network.rpc.unreachable([THERE[0], 2])
    expect(events).toEqual([])
    network.rpc.unreachable(THERE)
    expect(events).toEqual(['failed'])
    expect(network.rpc.numTransactions).toBe(2)
    network.rpc.unreachable(THERE)
    network.rpc.unreachable(THERE)
    expect(events).toEqual(['failed', 'failed'])
    expect(network.rpc.numTransactions).toBe(1)
  })

  test('that cannot be sent is not waited for', () => {
    const { network, asker, events } = setup()
    network.canSend = () => false
    expect(ping(network, asker).sent).toBe(false)
    expect(network.rpc.numTransactions).toBe(0)
    expect(network.rpc.numAllocatedObservers).toBe(0)
    network.advance(20_000)
    expect(events).toEqual([])
  })

  test.each([0, -1, 65_536, 1.5, Number.NaN])('to port %d is none', port => {
    const { network, asker } = setup()
    expect(ping(network, asker, ['203.0.113.1', port]).sent).toBe(false)
    expect(network.sent).toEqual([])
  })

  test('has an id of its own among those under way', () => {
    const { network, asker } = setup()
    for (let i = 0; i < 3000; i++) expect(ping(network, asker, ['203.0.113.1', 1 + i]).sent).toBe(true)
    const ids = new Set(network.sent.map(({ tid }) => (tid[0]! << 8) | tid[1]!))
    expect(ids.size).toBe(3000)
    // all over the range, so that nobody can guess them
    expect(Math.max(...ids)).toBeGreaterThan(60_000)
    expect(Math.min(...ids)).toBeLessThan(5000)
  })

  test('is refused once half of the ids are taken', () => {
    const { network, asker } = setup()
    for (let i = 0; i < 0x8000; i++) ping(network, asker, ['203.0.113.1', 1 + i])
    expect(network.rpc.numTransactions).toBe(0x8000)
    expect(ping(network, asker).sent).toBe(false)
    expect(network.rpc.numTransactions).toBe(0x8000)
  })

  test('to a node of the other family asks for nodes of ours', () => {
    const { network, asker } = setup()
    ping(network, asker, ['2001:db8::1', 6881])
    ping(network, asker)
    expect((network.sent[0]!.args['want'] as Uint8Array[]).map(text)).toEqual(['n4'])
    expect(network.sent[1]!.args['want']).toBeUndefined()
    const six = new FakeNetwork({ family: 6 })
    ping(six, asker)
    expect((six.sent[0]!.args['want'] as Uint8Array[]).map(text)).toEqual(['n6'])
  })

  test('says that we are read-only if we are', () => {
    const { network, asker } = setup()
    ping(network, asker)
    network.settings.dhtReadOnly = true
    ping(network, asker)
    expect(network.sent.map(({ all }) => all['ro'])).toEqual([undefined, 1])
  })

  test('carries our id, also a new one', () => {
    const { network, asker } = setup()
    network.rpc.updateNodeId(THEIR_ID)
    ping(network, asker)
    expect(network.sent[0]!.args['id']).toEqual(THEIR_ID.toBytes())
  })
})

test('closing ends all queries, and nothing goes out or in from then on', () => {
  const { network, asker, events } = setup()
  ping(network, asker)
  ping(network, asker)
  const packet = pong(network)
  network.rpc.close()
  expect(events).toEqual(['abort', 'failed', 'abort', 'failed'])
  expect(network.rpc.numTransactions).toBe(0)
  expect(network.rpc.numAllocatedObservers).toBe(0)
  expect(ping(network, asker).sent).toBe(false)
  expect(network.deliver(packet, THERE)).toBe(false)
  network.rpc.close()
  expect(events).toHaveLength(4)
})

test('queries that failed may send others while the list is walked', () => {
  const { network } = setup()
  let again = 3
  class Persistent extends Recorder {
    override failed(observer: Observer, short: boolean): void {
      super.failed(observer, short)
      if (!short && again-- > 0) ping(network, this)
    }
  }
  const asker = new Persistent()
  ping(network, asker)
  ping(network, asker)
  network.advance(100_000)
  expect(asker.events.filter(event => event === 'failed')).toHaveLength(5)
  expect(network.rpc.numTransactions).toBe(0)
})
