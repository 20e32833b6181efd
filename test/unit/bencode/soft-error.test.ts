import { expect, test } from 'vitest'
import { PacketBdecoder, tryBdecode } from '../../../src/bencode/bdecode.ts'
import { softError } from '../../../src/bencode/soft-error.ts'
import { BdecodeErrors } from '../../../src/core/error-table.ts'

function flaw(text: string): string {
  const { node, error } = tryBdecode(Buffer.from(text, 'latin1'))
  expect(error, text).toBe(BdecodeErrors.noError)
  return softError(node.table()!, node.token())
}

test('what is encoded as bencoding wants has no flaw', () => {
  for (const text of [
    'i0e',
    'i-1e',
    'i10e',
    '0:',
    '10:aaaaaaaaaa',
    'le',
    'de',
    'd0:i1e1:ai0ee',
    'd1:a0:2:aa0:1:b0:e',
  ]) {
    expect(flaw(text), text).toBe('')
  }
})

test('zeros before numbers', () => {
  for (const text of ['i00e', 'i01e', 'li1ei02ee', 'd1:ai007ee']) expect(flaw(text)).toBe('leading zero in integer')
  for (const text of ['01:a', 'l1:a00:e', 'd1:a02:xxe', 'd01:ai1ee']) {
    expect(flaw(text)).toBe('leading zero in string length')
  }
})

test('keys that are not in the order of their bytes, or twice there', () => {
  for (const text of ['d1:bi1e1:ai1ee', 'd2:aa0:1:a0:e', 'ld1:b0:1:a0:ee', 'd1:ad1:b0:1:a0:ee', 'd1:\xff0:1:a0:e']) {
    expect(flaw(text), text).toBe('unsorted dictionary key')
  }
  for (const text of ['d1:ai1e1:ai2ee', 'd0:0:0:0:e', 'd1:ale1:alee']) {
    expect(flaw(text), text).toBe('duplicate dictionary key')
  }
})

test('only the value asked about is looked at', () => {
  const { node } = tryBdecode(Buffer.from('d1:al1:xe1:bi01ee'))
  const table = node.table()!
  expect(softError(table, table.find(0, 'a'))).toBe('')
  expect(softError(table, table.find(0, 'b'))).toBe('leading zero in integer')
  expect(softError(table, 0)).toBe('leading zero in integer')
})

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
