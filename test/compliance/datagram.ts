/** What every `Datagram` must do. */

import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import type { Endpoint } from '../../src/core/endpoint.ts'
import type { ErrorCode } from '../../src/core/error-code.ts'
import type { DatagramHandler } from '../../src/core/runtime.ts'
import { bind, type WorldFactory } from './runtime-worlds.ts'

class Inbox implements DatagramHandler {
  readonly packets: { readonly text: string; readonly from: Endpoint }[] = []
  readonly errors: { readonly error: ErrorCode; readonly fatal: boolean; readonly to: Endpoint | null }[] = []
  writable = 0
  inCall = false
  onEvent: (from: Endpoint) => void = () => {}

  onPacket(packet: Uint8Array, from: Endpoint): void {
    if (this.inCall) throw new Error('a packet came from inside a call')
    this.packets.push({ text: new TextDecoder().decode(packet), from })
    this.onEvent(from)
  }

  onError(error: ErrorCode, _operation: number, fatal: boolean, to: Endpoint | null): void {
    if (this.inCall) throw new Error('an error came from inside a call')
    this.errors.push({ error, fatal, to })
  }

  onWritable(): void {
    this.writable++
  }
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

/** Runs the suite on one world. */
export function datagramSuite(factory: WorldFactory): void {
  describe(`datagrams: ${factory.name}`, () => {
    test.each([4, 6] as const)('a packet comes whole, and from whom it was sent, over IPv%i', async family => {
      const world = factory.make()
      const atA = new Inbox()
      const atB = new Inbox()
      const a = await bind(world, world.a, [family === 4 ? '0.0.0.0' : '::', 0], atA)
      const b = await bind(world, world.b, [world.address(family), 0], atB)
      expect(b.local[1]).toBeGreaterThan(0)
      atA.inCall = true
      expect(a.send(text('question'), b.local)).toBe(true)
      expect(a.send(new Uint8Array(0), b.local)).toBe(true)
      atA.inCall = false
      await world.until(() => atB.packets.length === 2, 'both packets')
      expect(atB.packets.map(packet => packet.text).sort()).toEqual(['', 'question'])
      const { from } = atB.packets[0]!
      expect(from[1]).toBe(a.local[1])
      expect(from[0].includes(':')).toBe(family === 6)
      b.send(text('answer'), from)
      await world.until(() => atA.packets.length === 1, 'the answer')
      expect(atA.packets[0]).toEqual({ text: 'answer', from: b.local })
      a.close()
      b.close()
    })

    test('a packet is copied by send', async () => {
      const world = factory.make()
      const atB = new Inbox()
      const a = await bind(world, world.a, ['0.0.0.0', 0], new Inbox())
      const b = await bind(world, world.b, [world.address(4), 0], atB)
      const packet = text('before')
      a.send(packet, b.local)
      packet.set(text('after!'))
      await world.until(() => atB.packets.length === 1, 'the packet')
      expect(atB.packets[0]!.text).toBe('before')
      a.close()
      b.close()
    })

    test.each([false, true])(
      'packets that are sent in a row arrive as they were, whatever their lengths (answers: %s)',
      async isAnswer => {
        const world = factory.make()
        const atB = new Inbox()
        const a = await bind(world, world.a, ['0.0.0.0', 0], new Inbox())
        const b = await bind(world, world.b, [world.address(4), 0], atB)
        // one buffer for all, as senders have it
        const buffer = new Uint8Array(1400)
        const sent: string[] = []
        for (let i = 0; i < 80; i++) {
          const packet = buffer.subarray(0, i % 20 === 19 ? 1400 : 100 + (i % 3))
          packet.fill(0x30 + i)
          sent.push(new TextDecoder().decode(packet))
          expect(a.send(packet, b.local, isAnswer)).toBe(true)
        }
        await world.until(() => atB.packets.length === 80, 'all packets')
        expect(atB.packets.map(packet => packet.text).sort()).toEqual(sent.sort())
        a.close()
        b.close()
      },
    )

    test('nothing comes after close, and sending then is refused', async () => {
      const world = factory.make()
      const atA = new Inbox()
      const atB = new Inbox()
      const a = await bind(world, world.a, ['0.0.0.0', 0], atA)
      const b = await bind(world, world.b, [world.address(4), 0], atB)
      for (let i = 0; i < 5; i++) a.send(text('x'), b.local)
      b.close()
      b.close()
      expect(b.send(text('x'), a.local)).toBe(false)
      await world.settle()
      expect(atB.packets).toEqual([])
      expect(atA.errors.every(({ fatal }) => !fatal)).toBe(true)
      a.close()
    })

    test('a socket may be closed inside its own callback', async () => {
      const world = factory.make()
      const atB = new Inbox()
      const a = await bind(world, world.a, ['0.0.0.0', 0], new Inbox())
      const b = await bind(world, world.b, [world.address(4), 0], atB)
      atB.onEvent = () => b.close()
      for (let i = 0; i < 5; i++) a.send(text('x'), b.local)
      await world.until(() => atB.packets.length > 0, 'the first packet')
      await world.settle()
      expect(atB.packets.length).toBe(1)
      a.close()
    })

    test('a packet that is too large is reported with its target, and the socket lives on', async () => {
      const world = factory.make()
      const atA = new Inbox()
      const atB = new Inbox()
      const a = await bind(world, world.a, ['0.0.0.0', 0], atA)
      const b = await bind(world, world.b, [world.address(4), 0], atB)
      atA.inCall = true
      a.send(new Uint8Array(70_000), b.local)
      atA.inCall = false
      await world.until(() => atA.errors.length === 1, 'the error')
      expect(atA.errors[0]!.error.value()).toBe(constants.errno.EMSGSIZE)
      expect(atA.errors[0]!.fatal).toBe(false)
      expect(atA.errors[0]!.to).toEqual(b.local)
      a.send(text('small'), b.local)
      await world.until(() => atB.packets.length === 1, 'the small one')
      a.close()
      b.close()
    })

    test('a port in use and a foreign address cannot be bound', async () => {
      const world = factory.make()
      const b = await bind(world, world.b, [world.address(4), 0], new Inbox())
      const answers: (ErrorCode | null)[] = []
      world.b.bindDatagram(b.local, new Inbox(), error => answers.push(error))
      world.b.bindDatagram(['203.0.113.77', 0], new Inbox(), error => answers.push(error))
      expect(answers).toEqual([])
      await world.until(() => answers.length === 2, 'both answers')
      expect(answers.map(error => error?.value()).sort()).toEqual(
        [constants.errno.EADDRINUSE, constants.errno.EADDRNOTAVAIL].sort(),
      )
      b.close()
    })
  })
}
