import { Socket } from 'node:dgram'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Datagram, DatagramHandler } from '../../../src/core/runtime.ts'
import { bindOnNode } from '../../../src/runtime/node-datagram.ts'

const open: Datagram[] = []

afterEach(() => {
  for (const socket of open.splice(0)) socket.close()
  vi.restoreAllMocks()
})

function bind(handler: Partial<DatagramHandler>): Promise<Datagram> {
  return new Promise((resolve, reject) => {
    const whole = { onPacket() {}, onError() {}, onWritable() {}, ...handler }
    bindOnNode(['127.0.0.1', 0], whole, (error, socket) => {
      if (socket === null) reject(new Error(error?.message()))
      else {
        open.push(socket)
        resolve(socket)
      }
    })
  })
}

describe('a datagram socket of Node', () => {
  test('copies long packets too', async () => {
    let arrived: (packet: Uint8Array) => void = () => {}
    const packet = new Promise<Uint8Array>(resolve => (arrived = resolve))
    const to = await bind({ onPacket: bytes => arrived(bytes.slice()) })
    const from = await bind({})
    const buffer = new Uint8Array(9000).fill(7)
    expect(from.send(buffer, to.local)).toBe(true)
    buffer.fill(8)
    expect(Array.from(await packet)).toEqual(new Array(9000).fill(7))
  })

  test('tells when there is room again, also if all that waits are answers', async () => {
    let queued = 1 << 20
    vi.spyOn(Socket.prototype, 'getSendQueueSize').mockImplementation(() => queued)
    let tell = () => {}
    const hasRoom = new Promise<void>(resolve => (tell = resolve))
    const to = await bind({})
    const from = await bind({ onWritable: () => tell() })
    expect(from.send(new Uint8Array(10), to.local, true)).toBe(false)
    queued = 0
    await hasRoom
    expect(from.send(new Uint8Array(10), to.local, true)).toBe(true)
  })
})
