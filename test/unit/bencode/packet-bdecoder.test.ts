import { expect, test } from 'vitest'
import { PacketBdecoder, tryBdecode } from '../../../src/bencode/bdecode.ts'
import { BdecodeErrors } from '../../../src/core/error-table.ts'

test('a decoder of packets gives for each what decoding it alone would', () => {
  const decoder = new PacketBdecoder({ depth: 10, tokens: 100 })
  const packets = ['d1:ad1:bi1ee1:cl1:x1:yee', 'i1e', 'd1:a', 'le', `l${'1:x'.repeat(98)}e`, '5:hello', 'd1:ai1ee']
  for (let i = 0; i < 3; i++) {
    for (const packet of packets) {
      const { node, error } = tryBdecode(Buffer.from(packet), { depth: 10, tokens: 100 })
      expect(decoder.decode(Buffer.from(packet)), packet).toBe(error)
      if (error !== BdecodeErrors.noError) continue
      const own = node.table()!
      expect(decoder.table.count).toBe(own.count)
      expect(decoder.table.words.subarray(0, 2 * own.count)).toEqual(own.words.subarray(0, 2 * own.count))
      expect(Buffer.from(decoder.table.buffer).toString()).toBe(packet)
    }
  }
})

test('a decoder of packets never needs more memory than its limits say', () => {
  const decoder = new PacketBdecoder({ depth: 10, tokens: 100 })
  const { words } = decoder.table
  for (const packet of [
    `${'l'.repeat(9)}${'0:'.repeat(200)}`,
    'd1:a'.repeat(50),
    `l${'i1e'.repeat(99)}`,
    'le'.repeat(99),
  ]) {
    decoder.decode(Buffer.from(packet))
    expect(decoder.table.words).toBe(words)
  }
})
