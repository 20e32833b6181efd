/** Encodings that are read but are not the one that BEP 3 allows: a value with one does not survive a round trip. */

import { TOKEN_DICT, TOKEN_END, TOKEN_INTEGER, TOKEN_LIST, TOKEN_STRING, type TokenTable } from './token-table.ts'

const ZERO = 0x30
const COLON = 0x3a
const END = 0x65

/** What is wrong with the value at `token`, in libtorrent's words; empty if nothing is. */
export function softError(table: TokenTable, token: number): string {
  const { buffer } = table
  const open: number[] = []
  const last = table.next(token)
  for (let i = token; i < last; i++) {
    const at = table.offset(i)
    switch (table.kind(i)) {
      case TOKEN_INTEGER:
        if (buffer[at + 1] === ZERO && buffer[at + 2] !== END) return 'leading zero in integer'
        break
      case TOKEN_STRING:
        if (buffer[at] === ZERO && buffer[at + 1] !== COLON) return 'leading zero in string length'
        break
      case TOKEN_DICT:
      case TOKEN_LIST:
        open.push(i)
        break
      case TOKEN_END: {
        const parent = open.pop()
        const text = parent === undefined || table.kind(parent) !== TOKEN_DICT ? '' : keyError(table, parent)
        if (text !== '') return text
      }
    }
  }
  return ''
}

/** The keys of a dictionary must rise. */
function keyError(table: TokenTable, dict: number): string {
  let key = dict + 1
  if (table.kind(key) === TOKEN_END) return ''
  for (;;) {
    const next = table.next(key + 1)
    if (table.kind(next) === TOKEN_END) return ''
    const order = compareStrings(table, key, next)
    if (order > 0) return 'unsorted dictionary key'
    if (order === 0) return 'duplicate dictionary key'
    key = next
  }
}

function compareStrings(table: TokenTable, a: number, b: number): number {
  const { buffer } = table
  const aAt = table.stringStart(a)
  const bAt = table.stringStart(b)
  const aLength = table.stringLength(a)
  const bLength = table.stringLength(b)
  for (let i = 0; i < aLength && i < bLength; i++) {
    const difference = buffer[aAt + i]! - buffer[bAt + i]!
    if (difference !== 0) return difference
  }
  return aLength - bLength
}
