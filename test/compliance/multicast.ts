/** What every socket that has joined a multicast group must do. */

import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import { type Endpoint, isMulticast, isV6 } from '../../src/core/endpoint.ts'
import type { ErrorCode } from '../../src/core/error-code.ts'
import type { Datagram, DatagramHandler, MulticastOptions, Runtime } from '../../src/core/runtime.ts'
import { nodeInterfaces } from '../../src/runtime/node-interfaces.ts'
import { Simulation } from '../sim/lib/simulation.ts'
import { nodeWorld, type World } from './runtime-worlds.ts'

/** Two runtimes on one network. */
interface Lan extends World {
  /** The address by which each of them is on it. */
  readonly addressOf: (runtime: Runtime) => string
}

export interface LanFactory {
  readonly name: string
  readonly group: string
  make(): Lan
}

/** Not those of local service discovery: what runs on this machine would hear it. */
const GROUP_V4 = '239.192.152.77'
const GROUP_V6 = 'ff15::77'
const port = 40_000 + Math.floor(Math.random() * 20_000)

/**
 * The worlds to run the suite on. On Node IPv4 is tried on the loopback interface; that has no multicast over IPv6,
 * which therefore needs some other network, but nothing leaves the machine.
 */
export function lanWorlds(): LanFactory[] {
  const nodeLan = (address: string, group: string): LanFactory => ({
    name: `Node, ${address}`,
    group,
    make: () => ({ ...nodeWorld.make(), addressOf: () => address }),
  })
  const worlds = [nodeLan('127.0.0.1', GROUP_V4)]
  const v6 = nodeInterfaces().find(({ address, loopback }) => isV6(address) && !loopback)
  if (v6 !== undefined) worlds.push(nodeLan(v6.address, GROUP_V6))
  else console.warn('multicast over IPv6 is not tested: there is no network with it but loopback')
  for (const seed of [1, 2]) {
    worlds.push({ name: `simulator, IPv4, seed ${seed}`, group: GROUP_V4, make: () => simLan(seed, 0) })
    worlds.push({ name: `simulator, IPv6, seed ${seed}`, group: GROUP_V6, make: () => simLan(seed, 1) })
  }
  return worlds
}

function simLan(seed: number, family: 0 | 1): Lan {
  const sim = new Simulation(seed)
  const a = sim.host('a', { addresses: ['192.168.7.1', '2001:db8:7::1'] })
  const b = sim.host('b', { addresses: ['192.168.7.2', '2001:db8:7::2'] })
  return {
    a,
    b,
    address: () => b.host.addresses[family]!,
    until: async (condition, what) => sim.runUntil(condition, 10_000, what),
    settle: async () => sim.run(1000),
    addressOf: runtime => (runtime === a ? a : b).host.addresses[family]!,
  }
}

class Inbox implements DatagramHandler {
  readonly packets: { readonly text: string; readonly from: Endpoint }[] = []
  readonly errors: { readonly error: ErrorCode; readonly fatal: boolean }[] = []
  inCall = false
  onEvent: () => void = () => {}

  onPacket(packet: Uint8Array, from: Endpoint): void {
    if (this.inCall) throw new Error('a packet came from inside a call')
    this.packets.push({ text: new TextDecoder().decode(packet), from })
    this.onEvent()
  }

  onError(error: ErrorCode, _operation: number, fatal: boolean): void {
    if (this.inCall) throw new Error('an error came from inside a call')
    this.errors.push({ error, fatal })
  }

  onWritable(): void {}

  get texts(): string[] {
    return this.packets.map(packet => packet.text)
  }
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

async function tryJoin(lan: Lan, runtime: Runtime, options: MulticastOptions, handler: DatagramHandler) {
  const answers: { error: ErrorCode | null; socket: Datagram | null }[] = []
  runtime.bindMulticast(options, handler, (error, socket) => answers.push({ error, socket }))
  expect(answers).toEqual([])
  await lan.until(() => answers.length > 0, 'the answer to bindMulticast')
  return answers[0]!
}

/** Runs the suite on one world. */
export function multicastSuite(factory: LanFactory): void {
  const group: Endpoint = [factory.group, port]

  async function join(lan: Lan, runtime: Runtime, handler: DatagramHandler, to: Endpoint = group): Promise<Datagram> {
    // what is sent with no hops left stays on this machine
    const options = { group: to, interfaceAddress: lan.addressOf(runtime), hops: 0 }
    const { error, socket } = await tryJoin(lan, runtime, options, handler)
    if (socket === null) throw new Error(`cannot join: ${error?.message()}`)
    return socket
  }

  describe(`multicast: ${factory.name}`, () => {
    test('all members hear what one of them sends, and so does the sender', async () => {
      const lan = factory.make()
      const inboxes = [new Inbox(), new Inbox(), new Inbox()]
      const [atA, atB, alsoAtB] = inboxes
      const a = await join(lan, lan.a, atA!)
      const b = await join(lan, lan.b, atB!)
      const b2 = await join(lan, lan.b, alsoAtB!)
      expect(a.local[1]).toBe(port)
      expect(isMulticast(a.local[0])).toBe(false)
      for (const inbox of inboxes) inbox.inCall = true
      const packet = text('hello')
      expect(a.send(packet, group)).toBe(true)
      packet.set(text('gone!'))
      for (const inbox of inboxes) inbox.inCall = false
      await lan.until(() => inboxes.every(inbox => inbox.packets.length === 1), 'the packet everywhere')
      for (const inbox of inboxes) {
        expect(inbox.texts).toEqual(['hello'])
        const { from } = inbox.packets[0]!
        expect(from[1]).toBe(port)
        expect(isV6(from[0])).toBe(isV6(factory.group))
      }
      b.send(text('answer'), group)
      await lan.until(() => inboxes.every(inbox => inbox.packets.length === 2), 'the answer everywhere')
      expect(atA!.texts).toEqual(['hello', 'answer'])
      for (const inbox of inboxes) expect(inbox.errors).toEqual([])
      for (const socket of [a, b, b2]) socket.close()
    })

    if (!isV6(factory.group))
      test('an IPv4 packet comes from the address of the interface it was sent by', async () => {
        const lan = factory.make()
        const inbox = new Inbox()
        const a = await join(lan, lan.a, new Inbox())
        const b = await join(lan, lan.b, inbox)
        a.send(text('x'), group)
        await lan.until(() => inbox.packets.length === 1, 'the packet')
        expect(inbox.packets[0]!.from).toEqual([lan.addressOf(lan.a), port])
        a.close()
        b.close()
      })

    test('who listens to another port hears nothing', async () => {
      const lan = factory.make()
      const inbox = new Inbox()
      const other = new Inbox()
      const a = await join(lan, lan.a, inbox)
      const b = await join(lan, lan.b, other, [factory.group, port + 1])
      a.send(text('x'), group)
      await lan.until(() => inbox.packets.length === 1, 'the packet')
      await lan.settle()
      expect(other.packets).toEqual([])
      a.close()
      b.close()
    })

    test('nothing comes after close, and sending then is refused', async () => {
      const lan = factory.make()
      const atA = new Inbox()
      const atB = new Inbox()
      const a = await join(lan, lan.a, atA)
      const b = await join(lan, lan.b, atB)
      b.close()
      b.close()
      expect(b.send(text('x'), group)).toBe(false)
      a.send(text('x'), group)
      await lan.until(() => atA.packets.length === 1, 'the packet')
      await lan.settle()
      expect(atB.packets).toEqual([])
      atA.onEvent = () => a.close()
      for (let i = 0; i < 3; i++) a.send(text('y'), group)
      await lan.until(() => atA.packets.length === 2, 'one more')
      await lan.settle()
      expect(atA.packets.length).toBe(2)
    })

    test('a packet that is too large is an error that the socket survives', async () => {
      const lan = factory.make()
      const inbox = new Inbox()
      const a = await join(lan, lan.a, inbox)
      a.send(new Uint8Array(70_000), group)
      await lan.until(() => inbox.errors.length === 1, 'the error')
      expect(inbox.errors[0]!.error.value()).toBe(constants.errno.EMSGSIZE)
      expect(inbox.errors[0]!.fatal).toBe(false)
      a.send(text('small'), group)
      await lan.until(() => inbox.texts.includes('small'), 'the small one')
      a.close()
    })

    test('an interface that is not there and a group that is none are refused', async () => {
      const lan = factory.make()
      const v6 = isV6(factory.group)
      const nowhere = { group, interfaceAddress: v6 ? '2001:db8:ffff::9' : '203.0.113.77', hops: 0 }
      const refused = await tryJoin(lan, lan.a, nowhere, new Inbox())
      expect(refused.socket).toBeNull()
      expect(refused.error?.value()).toBe(constants.errno.ENODEV)
      const host: Endpoint = [v6 ? '2001:db8::1' : '192.0.2.1', port]
      const none = await tryJoin(
        lan,
        lan.a,
        { ...nowhere, group: host, interfaceAddress: lan.addressOf(lan.a) },
        new Inbox(),
      )
      expect(none.socket).toBeNull()
      expect(none.error?.value()).toBe(constants.errno.EINVAL)
    })
  })
}
