/** Listen sockets behind a SOCKS5 proxy that relays datagrams, on every world. */

import { afterEach, describe, expect, test } from 'vitest'

import { AlertQueue } from '../../src/alert/alert-queue.ts'
import { Socks5Alert } from '../../src/alert/session-alerts.ts'
import type { Endpoint } from '../../src/core/endpoint.ts'
import { AlertCategory, ProxyType } from '../../src/core/enums.ts'
import { operationName } from '../../src/core/operation.ts'
import type { DatagramHandler } from '../../src/core/runtime.ts'
import { Turn } from '../../src/core/turn.ts'
import { type ListenSocket, ListenSockets } from '../../src/session/listen-sockets.ts'
import { SessionSettings } from '../../src/settings/session-settings.ts'
import { FakeSocks5, type FakeSocks5Options } from '../sim/lib/fake-socks5.ts'
import { bind, WORLDS, type World, type WorldFactory } from './runtime-worlds.ts'

const FAMILY = 4
const cleanUps: (() => void)[] = []

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp()
})

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

interface Scene {
  readonly world: World
  readonly proxy: FakeSocks5
  readonly listen: ListenSockets
  readonly socket: ListenSocket
  /** What the listen socket gave on: text and sender. */
  readonly packets: string[]
  readonly errors: string[]
}

/** A listen socket that has come to terms with the proxy, or was refused. */
async function scene(factory: WorldFactory, options: FakeSocks5Options = {}): Promise<Scene> {
  const world = factory.make()
  const proxy = new FakeSocks5(world.b, [world.address(FAMILY), 0], options)
  cleanUps.push(() => proxy.close())
  await world.until(() => proxy.ready, 'the proxy')
  const settings = new SessionSettings({
    listen_interfaces: '0.0.0.0:0',
    proxy_type: ProxyType.socks5,
    proxy_hostname: proxy.endpoint[0],
    proxy_port: proxy.endpoint[1],
  })
  const packets: string[] = []
  const errors: string[] = []
  const alerts = new AlertQueue(world.a, AlertCategory.error, 100)
  alerts.listen(posted => {
    for (const alert of posted) {
      if (alert instanceof Socks5Alert) errors.push(`${operationName(alert.op)}: ${alert.error.message()}`)
    }
  })
  const turn = new Turn(
    () => world.a.clock.now(),
    error => {
      throw error
    },
  )
  const listen = new ListenSockets({
    runtime: world.a,
    turn,
    settings,
    alerts,
    accepted: stream => stream.close(),
    packet: (packet, from) => packets.push(`${new TextDecoder().decode(packet)} from ${from?.join(':') ?? 'a name'}`),
    packetError: () => {},
    changed: () => {},
  })
  cleanUps.push(() => turn.run('test', () => listen.close()))
  turn.run('test', () => listen.reopen())
  await world.until(() => errors.length > 0 || listen.sockets[0]?.association?.relay != null, 'the association')
  return { world, proxy, listen, socket: listen.sockets[0]!, packets, errors }
}

/** A host that answers each packet with the same text and `!`. */
async function echo(world: World): Promise<Endpoint> {
  const handler: DatagramHandler = {
    onPacket: (packet, from) => void socket.send(bytes(`${new TextDecoder().decode(packet)}!`), from),
    onError() {},
    onWritable() {},
  }
  const socket = await bind(world, world.b, [world.address(FAMILY), 0], handler)
  cleanUps.push(() => socket.close())
  return socket.local
}

for (const factory of WORLDS) {
  describe(`SOCKS5 datagrams: ${factory.name}`, () => {
    test('go through the relay and come back', async () => {
      const { world, proxy, socket, packets, errors } = await scene(factory)
      const host = await echo(world)
      expect(socket.send(bytes('hello'), host, 'tracker')).toBe(null)
      await world.until(() => packets.length === 1, 'the answer')
      expect(socket.sendToHost(bytes('again'), host[0], host[1], 'tracker')).toBe(null)
      await world.until(() => packets.length === 2, 'the second answer')
      expect(packets).toEqual([`hello! from ${host.join(':')}`, `again! from ${host.join(':')}`])
      expect(proxy.targets).toEqual([host.join(':'), host.join(':')])
      expect(errors).toEqual([])
    })

    test('that do not come from the relay, or have no proper header, are dropped', async () => {
      const { world, proxy, socket, packets } = await scene(factory)
      const host = await echo(world)
      socket.send(bytes('hello'), host, 'tracker')
      await world.until(() => packets.length === 1, 'the answer')
      const quiet: DatagramHandler = { onPacket() {}, onError() {}, onWritable() {} }
      const stranger = await bind(world, world.b, [world.address(FAMILY), 0], quiet)
      const at: Endpoint = [proxy.client![0], socket.local[1]]
      stranger.send(bytes('past the proxy'), at)
      stranger.send(Buffer.concat([Uint8Array.of(0, 0, 0, 1, 1, 2, 3, 4, 0, 80), bytes('forged')]), at)
      proxy.sendRaw(bytes('no header'))
      proxy.sendRaw(Buffer.concat([Uint8Array.of(0, 0, 1, 1, 1, 2, 3, 4, 0, 80), bytes('a fragment')]))
      proxy.sendRaw(Uint8Array.of(0, 0, 0, 1, 1, 2, 3))
      proxy.sendRaw(Buffer.concat([Uint8Array.of(0, 0, 0, 3, 1, 0x74, 0, 80), bytes('named')]))
      await world.until(() => packets.length === 2, 'the good one')
      await world.settle()
      stranger.close()
      expect(packets).toEqual([`hello! from ${host.join(':')}`, 'named from a name'])
    })

    test('do not leave if the proxy refuses', async () => {
      const { world, socket, proxy, errors } = await scene(factory, { reply: 7 })
      const host = await echo(world)
      expect(errors).toEqual(['handshake: SOCKS command not supported'])
      expect(socket.send(bytes('hello'), host, 'tracker')?.message()).toBe('Permission denied')
      expect(socket.sendToHost(bytes('hello'), 'some.where', 80, 'tracker')?.message()).toBe('Permission denied')
      await world.settle()
      expect(proxy.targets).toEqual([])
    })

    test('do not leave once the proxy has hung up', async () => {
      const { world, socket, proxy, errors } = await scene(factory)
      const host = await echo(world)
      proxy.hangUp()
      await world.until(() => errors.length > 0, 'the end of the connection')
      expect(errors).toEqual(['sock_read: End of file'])
      expect(socket.send(bytes('hello'), host, 'tracker')?.message()).toBe('Permission denied')
    })
  })
}
