import { expect, test } from 'vitest'
import { tryBdecode } from '../../../src/bencode/bdecode.ts'
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
