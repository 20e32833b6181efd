import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import type { Datagram, Listener, Stream, StreamHandler } from '../../src/core/runtime.ts'
import { FakePeer, PeerMessage } from './lib/fake-peer.ts'
import { FakeTracker } from './lib/fake-tracker.ts'
import { SimClock } from './lib/sim-clock.ts'
import type { SimRuntime } from './lib/sim-runtime.ts'
import { type Simulation, simulate } from './lib/simulation.ts'

function listen(sim: Simulation, runtime: SimRuntime, port: number, accept: (stream: Stream) => void): Listener {
  let listener: Listener | null = null
  runtime.listen(['0.0.0.0', port], { onAccept: accept, onError() {} }, (_error, opened) => {
    listener = opened
  })
  sim.runUntil(() => listener !== null)
  return listener!
}

function bind(
  sim: Simulation,
  runtime: SimRuntime,
  port: number,
  onPacket: (text: string, from: string) => void,
): Datagram {
  let socket: Datagram | null = null
  const handler = {
    onPacket: (packet: Uint8Array, from: readonly [string, number]) =>
      onPacket(Buffer.from(packet).toString(), from.join(':')),
    onError() {},
    onWritable() {},
  }
  runtime.bindDatagram(['0.0.0.0', port], handler, (_error, opened) => {
    socket = opened
  })
  sim.runUntil(() => socket !== null)
  return socket!
}

function collector(): StreamHandler & { bytes: number; error: string; connected: boolean } {
  return {
    bytes: 0,
    error: '',
    connected: false,
    onConnect() {
      this.connected = true
    },
    onData(chunk) {
      this.bytes += chunk.length
    },
    onDrain() {},
    onClose(error) {
      this.error = error.message()
    },
  }
}

/** Sends `bytes` from one host to another. @returns milliseconds it took */
function transfer(sim: Simulation, from: SimRuntime, to: SimRuntime, bytes: number, limitMs = 600_000): number {
  const at = collector()
  const listener = listen(sim, to, 4000, stream => stream.setHandler(at))
  const stream = from.connect({ to: [to.host.addresses[0]!, 4000] })
  stream.setHandler(collector())
  stream.write([new Uint8Array(bytes)])
  const start = sim.clock.now()
  sim.runUntil(() => at.bytes === bytes, limitMs, 'the transfer')
  stream.close()
  listener.close()
  return sim.clock.now() - start
}

describe('virtual time', () => {
  test('events run in the order of their times, then of their making', () => {
    const clock = new SimClock()
    const order: string[] = []
    clock.after(10, () => order.push('c'))
    clock.after(5, () => order.push('a'))
    clock.after(5, () => order.push('b'))
    clock.after(7, () => order.push('never')).cancel()
    clock.runUntil(100)
    expect(order).toEqual(['a', 'b', 'c'])
    expect(clock.now()).toBe(100)
  })

  test('a thousand random timers fire in order', () => {
    simulate(11, sim => {
      const times: number[] = []
      for (let i = 0; i < 1000; i++) sim.clock.after(sim.rng.below(5000), () => times.push(sim.clock.now()))
      sim.run(5000)
      expect(times.length).toBe(1000)
      expect(times).toEqual([...times].sort((a, b) => a - b))
    })
  })

  test('a part that reschedules itself at once is found out', () => {
    const clock = new SimClock()
    const again = () => void clock.after(0, again)
    again()
    expect(() => clock.runUntil(1)).toThrow('time stands still')
  })

  test('a failing test tells its seed and the last events', () => {
    expect(() =>
      simulate(42, sim => {
        sim.log.add('the last straw')
        throw new Error('broken')
      }),
    ).toThrow(/broken\nseed 42.*\n.*the last straw/s)
  })
})

describe('replay', () => {
  function run(seed: number): string {
    return simulate(seed, sim => {
      const [a, b, c] = ['a', 'b', 'c'].map(name => sim.host(name)) as [SimRuntime, SimRuntime, SimRuntime]
      sim.net.setPath(a.host, b.host, { loss: 0.05 })
      transfer(sim, a, b, 300_000)
      transfer(sim, b, c, 300_000)
    }).log.digest
  }

  test('the same seed gives the same events, another seed others', () => {
    expect(run(5)).toBe(run(5))
    expect(run(5)).not.toBe(run(6))
  })
})

describe('the network', () => {
  test('a line carries what its rate says', () => {
    simulate(1, sim => {
      const slow = sim.host('slow', { up: { bytesPerSecond: 100_000 } })
      const fast = sim.host('fast')
      expect(transfer(sim, slow, fast, 1_000_000)).toBeGreaterThan(10_000)
      expect(transfer(sim, slow, fast, 1_000_000)).toBeLessThan(12_000)
      expect(transfer(sim, fast, slow, 1_000_000)).toBeLessThan(2_000)
    })
  })

  test('two streams share one line', () => {
    simulate(2, sim => {
      const from = sim.host('from', { up: { bytesPerSecond: 100_000 } })
      const ends = ['x', 'y'].map(name => {
        const at = collector()
        const to = sim.host(name)
        listen(sim, to, 4000, stream => stream.setHandler(at))
        const stream = from.connect({ to: [to.host.addresses[0]!, 4000] })
        stream.setHandler(collector())
        stream.write([new Uint8Array(6_000_000)])
        return at
      })
      sim.run(60_000)
      for (const at of ends) expect(at.bytes).toBeGreaterThan(2_400_000)
      expect(ends[0]!.bytes + ends[1]!.bytes).toBeLessThan(6_000_000)
    })
  })

  test('loss slows a stream and breaks nothing; datagrams are just gone', () => {
    simulate(3, sim => {
      const a = sim.host('a')
      const b = sim.host('b')
      const clean = transfer(sim, a, b, 1_000_000)
      sim.net.setPath(a.host, b.host, { loss: 0.2 })
      expect(transfer(sim, a, b, 1_000_000)).toBeGreaterThan(clean * 2)
      let got = 0
      bind(sim, b, 5000, () => got++)
      const socket = bind(sim, a, 5000, () => {})
      for (let i = 0; i < 1000; i++) socket.send(new Uint8Array(10), [b.host.addresses[0]!, 5000])
      sim.run(1000)
      expect(got).toBeGreaterThan(700)
      expect(got).toBeLessThan(900)
    })
  })

  test('datagrams beyond the queue or the largest size are dropped, and the sender hears of room', () => {
    simulate(4, sim => {
      const a = sim.host('a', { up: { bytesPerSecond: 10_000, queueBytes: 3_000 } })
      const b = sim.host('b')
      let got = 0
      bind(sim, b, 5000, () => got++)
      let writable = 0
      let socket: Datagram | null = null
      a.bindDatagram(
        ['0.0.0.0', 0],
        { onPacket() {}, onError() {}, onWritable: () => void writable++ },
        (_e, opened) => {
          socket = opened
        },
      )
      sim.runUntil(() => socket !== null)
      const to = [b.host.addresses[0]!, 5000] as const
      const sent = Array.from({ length: 10 }, () => socket!.send(new Uint8Array(972), to))
      expect(sent).toEqual([true, true, true, ...new Array(7).fill(false)])
      sim.run(5000)
      expect([got, writable]).toEqual([3, 1])
      socket!.send(new Uint8Array(1473), to)
      sim.run(5000)
      expect(got).toBe(3)
    })
  })

  test('a partition stalls streams, and healing lets them go on', () => {
    simulate(5, sim => {
      const a = sim.host('a')
      const b = sim.host('b')
      const at = collector()
      listen(sim, b, 4000, stream => stream.setHandler(at))
      const stream = a.connect({ to: [b.host.addresses[0]!, 4000] })
      stream.setHandler(collector())
      sim.run(1000)
      const heal = sim.net.partition([a.host])
      stream.write([new Uint8Array(100_000)])
      sim.run(20_000)
      expect(at.bytes).toBe(0)
      heal()
      sim.run(20_000)
      expect(at.bytes).toBe(100_000)
    })
  })

  test('a partition that lasts ends streams and connection attempts', () => {
    simulate(6, sim => {
      const a = sim.host('a')
      const b = sim.host('b')
      listen(sim, b, 4000, stream => stream.setHandler(collector()))
      const old = collector()
      const stream = a.connect({ to: [b.host.addresses[0]!, 4000] })
      stream.setHandler(old)
      sim.run(1000)
      b.host.online = false
      stream.write([new Uint8Array(10)])
      const fresh = collector()
      a.connect({ to: [b.host.addresses[0]!, 4000] }).setHandler(fresh)
      const nobody = collector()
      a.connect({ to: ['10.99.99.99', 4000] }).setHandler(nobody)
      sim.run(60_000)
      expect([old.error, fresh.error, nobody.error]).toEqual(['', '', ''])
      sim.run(200_000)
      expect(new Set([old.error, fresh.error, nobody.error])).toEqual(new Set(['Connection timed out']))
    })
  })

  test('behind a translator one is seen with its address, and reached only where one has sent to', () => {
    simulate(7, sim => {
      const inside = sim.host('inside', {
        addresses: ['192.168.0.2'],
        nat: { publicAddress: '203.0.113.1', kind: 'restricted' },
      })
      const outside = sim.host('outside')
      const other = sim.host('other')
      const heard: string[] = []
      const a = bind(sim, inside, 5000, (text, from) => heard.push(`inside hears ${text} from ${from}`))
      const b = bind(sim, outside, 5000, (text, from) => heard.push(`outside hears ${text} from ${from}`))
      const c = bind(sim, other, 5000, () => {})
      b.send(Buffer.from('knock'), ['203.0.113.1', 5000])
      sim.run(1000)
      a.send(Buffer.from('hello'), [outside.host.addresses[0]!, 5000])
      sim.run(1000)
      b.send(Buffer.from('again'), ['203.0.113.1', 5000])
      c.send(Buffer.from('me too'), ['203.0.113.1', 5000])
      sim.run(1000)
      expect(heard).toEqual([
        'outside hears hello from 203.0.113.1:5000',
        `inside hears again from ${outside.host.addresses[0]}:5000`,
      ])
      const seen: string[] = []
      listen(sim, outside, 4000, stream => seen.push(stream.remote[0]))
      listen(sim, inside, 4000, stream => seen.push(`in: ${stream.remote[0]}`))
      inside.connect({ to: [outside.host.addresses[0]!, 4000] }).setHandler(collector())
      outside.connect({ to: ['203.0.113.1', 4000] }).setHandler(collector())
      sim.run(1000)
      expect(seen).toEqual(['203.0.113.1'])
      inside.host.forward(4000)
      sim.run(10_000)
      expect(seen).toEqual(['203.0.113.1', `in: ${outside.host.addresses[0]}`])
    })
  })

  test('a chunk that is kept without a copy is spoiled', () => {
    simulate(8, sim => {
      const a = sim.host('a')
      const b = sim.host('b')
      let kept = new Uint8Array(0)
      listen(sim, b, 4000, stream =>
        stream.setHandler({ ...collector(), onData: chunk => void (kept = chunk as Uint8Array<ArrayBuffer>) }),
      )
      const stream = a.connect({ to: [b.host.addresses[0]!, 4000] })
      stream.setHandler(collector())
      stream.write([Uint8Array.of(1)])
      sim.run(1000)
      expect([...kept]).toEqual([0xdb])
    })
  })
})

describe('the fakes', () => {
  test('a fake peer shakes hands and seeds to another', () => {
    simulate(9, sim => {
      const a = sim.host('a')
      const b = sim.host('b')
      const content = new Uint8Array(100_000).map((_, i) => i)
      const options = { infoHash: new Uint8Array(20).fill(7) }
      FakePeer.listen(b, ['0.0.0.0', 6881], options, peer => peer.seed(content, 65536))
      sim.run(10)
      const peer = FakePeer.connect(a, [b.host.addresses[0]!, 6881], options)
      sim.runUntil(() => peer.messages.length === 1)
      expect(peer.handshake!.subarray(28, 48)).toEqual(Buffer.from(options.infoHash))
      expect(peer.messages[0]).toEqual({ id: PeerMessage.bitfield, payload: Buffer.of(0xc0) })
      peer.send(PeerMessage.interested)
      sim.runUntil(() => peer.messages.length === 2)
      peer.sendRequest(1, 16384, 16384)
      sim.runUntil(() => peer.messages.length === 3)
      const { id, payload } = peer.messages[2]!
      expect(id).toBe(PeerMessage.piece)
      expect(payload.subarray(8)).toEqual(Buffer.from(content.subarray(65536 + 16384, 65536 + 32768)))
      peer.close()
    })
  })

  test('a fake tracker remembers who announced, and tells the others', () => {
    simulate(10, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker'))
      const hash = 'ab'.repeat(20)
      const bodies: string[] = []
      const announce = (client: SimRuntime, query: string) =>
        client.http.request(
          {
            url: `${tracker.httpUrl}?info_hash=${'%ab'.repeat(20)}&peer_id=${'x'.repeat(20)}&compact=1&${query}`,
            timeoutMs: 1000,
            maxBodyBytes: 10_000,
            maxRedirects: 0,
            verifyCertificate: true,
            family: 4,
          },
          {
            onHead() {},
            onData: chunk => void bodies.push(Buffer.from(chunk).toString('latin1')),
            onEnd: () => void bodies.push('.'),
            onError: error => void bodies.push(error.message()),
          },
        )
      const a = sim.host('a')
      const b = sim.host('b')
      announce(a, 'port=1000&left=0&event=started')
      sim.run(500)
      announce(b, 'port=2000&left=5&event=started')
      sim.run(500)
      expect(tracker.members(hash)).toBe(2)
      expect(bodies.join('').split('.')[1]).toMatch(/^d8:completei1e10:incompletei1e8:intervali1800e5:peers6:/)
      announce(a, 'port=1000&left=0&event=stopped')
      sim.run(500)
      expect(tracker.members(hash)).toBe(1)
      expect(tracker.announces.map(({ event }) => event)).toEqual(['started', 'started', 'stopped'])
      tracker.silent = true
      announce(a, 'port=1000&left=0')
      sim.run(2000)
      expect(bodies.at(-1)).toBe('timed out')
    })
  })

  test('a fake tracker speaks UDP', () => {
    simulate(11, sim => {
      const tracker = new FakeTracker(sim, sim.host('tracker', { addresses: ['10.1.0.1'] }))
      const answers: Buffer[] = []
      const a = sim.host('a')
      let socket: Datagram | null = null
      const handler = { onPacket: (p: Uint8Array) => void answers.push(Buffer.from(p)), onError() {}, onWritable() {} }
      a.bindDatagram(['0.0.0.0', 0], handler, (_e, opened) => {
        socket = opened
      })
      sim.run(10)
      const to = ['10.1.0.1', 6969] as const
      socket!.send(Buffer.from('00000417271019800000000000000007', 'hex'), to)
      sim.run(100)
      expect(answers[0]!.toString('hex', 0, 8)).toBe('0000000000000007')
      const announce = Buffer.alloc(98)
      answers[0]!.copy(announce, 0, 8)
      announce.writeUInt32BE(1, 8)
      announce.writeUInt32BE(2, 80)
      announce.writeUInt16BE(1234, 96)
      socket!.send(announce, to)
      sim.run(100)
      expect(answers[1]!.readUInt32BE(0)).toBe(1)
      expect(tracker.announces[0]).toMatchObject({ over: 'udp', event: 'started', port: 1234 })
    })
  })

  test('errors of a simulated host are those of a real one', () => {
    simulate(12, sim => {
      const a = sim.host('v4 only', { addresses: ['10.2.0.1'] })
      const at = collector()
      a.connect({ to: ['2001:db8::99', 1] }).setHandler(at)
      let failed = 0
      a.listen(['10.2.0.9', 0], { onAccept() {}, onError() {} }, error => {
        failed = error!.value()
      })
      sim.run(10)
      expect(at.error).toBe('Network is unreachable')
      expect(failed).toBe(constants.errno.EADDRNOTAVAIL)
    })
  })
})
