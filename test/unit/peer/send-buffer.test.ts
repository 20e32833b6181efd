import { expect, test } from 'vitest'
import { SendBuffer } from '../../../src/peer/send-buffer.ts'

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

test('what is taken is what was put in, in order, whatever the limit of each take', () => {
  for (let limit = 1; limit < 30; limit++) {
    const buffer = new SendBuffer()
    const released: string[] = []
    buffer.append(bytes('handshake'))
    buffer.out.bytes(bytes('ab'))
    buffer.out.bytes(bytes('cd'))
    buffer.appendBlock([bytes('block'), bytes('one')], () => released.push('one'))
    buffer.out.bytes(bytes('ef'))
    buffer.appendBlock([bytes('two')], () => released.push('two'))
    expect(buffer.bytes).toBe(9 + 4 + 8 + 2 + 3)
    let text = ''
    let payload = 0
    for (let batch = buffer.take(limit); batch !== null; batch = buffer.take(limit)) {
      expect(batch.bytes).toBeLessThanOrEqual(limit)
      expect(batch.views.reduce((n, view) => n + view.length, 0)).toBe(batch.bytes)
      text += Buffer.concat(batch.views).toString()
      payload += batch.payloadBytes
      batch.release()
      batch.release()
    }
    expect(text).toBe('handshakeabcdblockoneeftwo')
    expect(payload).toBe(11)
    expect(released).toEqual(['one', 'two'])
    expect(buffer.bytes).toBe(0)
  }
})

test('a block is released only when its last byte was sent', () => {
  const buffer = new SendBuffer()
  let released = 0
  buffer.appendBlock([bytes('0123456789')], () => released++)
  buffer.take(9)!.release()
  expect(released).toBe(0)
  buffer.take(9)!.release()
  expect(released).toBe(1)
})

test('nothing is taken with no quota, and of an empty buffer', () => {
  const buffer = new SendBuffer()
  expect(buffer.take()).toBeNull()
  buffer.append(bytes('x'))
  expect(buffer.take(0)).toBeNull()
  expect(buffer.take(0.5)).toBeNull()
})

test('clearing gives the memory of all blocks back, once', () => {
  const buffer = new SendBuffer()
  let released = 0
  buffer.appendBlock([bytes('abc')], () => released++)
  buffer.appendBlock([], () => released++)
  expect(released).toBe(1)
  buffer.clear()
  buffer.clear()
  expect(released).toBe(2)
  expect(buffer.bytes).toBe(0)
})

test('of whole messages, payload is counted apart from headers, wherever they are cut', () => {
  const frames = Buffer.alloc(2 * 16397 + 13 + 50)
  for (const limit of [7, 13, 14, 1000, 16397, 20_000, Number.POSITIVE_INFINITY]) {
    const buffer = new SendBuffer()
    let released = 0
    let [total, payload] = [0, 0]
    buffer.appendBlock([frames], () => released++, true)
    for (let batch = buffer.take(limit); batch !== null; batch = buffer.take(limit)) {
      expect(batch.payloadBytes).toBeLessThanOrEqual(batch.bytes)
      total += batch.bytes
      payload += batch.payloadBytes
      batch.release()
    }
    expect([total, payload, released]).toEqual([frames.length, 2 * 16384 + 50, 1])
  }
})
