import { expect, test } from 'vitest'
import { bdecode } from '../../../src/bencode/bdecode.ts'
import { bencode, bencodeInto } from '../../../src/bencode/bencode.ts'
import { type BencodeInput, Preformatted } from '../../../src/bencode/entry.ts'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { bytesToBinary } from '../../../src/core/bytes.ts'

const encoded = (value: BencodeInput) => bytesToBinary(bencode(value))

test.each<[BencodeInput, string]>([
  [0, 'i0e'],
  [-0, 'i0e'],
  [-17, 'i-17e'],
  [Number.MAX_SAFE_INTEGER, 'i9007199254740991e'],
  [9223372036854775807n, 'i9223372036854775807e'],
  ['spam', '4:spam'],
  ['', '0:'],
  ['\u00e5\u{1f600}', '6:\xc3\xa5\xf0\x9f\x98\x80'],
  [new Uint8Array([0, 255]), '2:\x00\xff'],
  [Buffer.from('ab'), '2:ab'],
  [[], 'le'],
  [['a', 1, ['b']], 'l1:ai1el1:bee'],
  [{}, 'de'],
  [{ b: 1, a: { z: 'x' } }, 'd1:ad1:z1:xe1:bi1ee'],
  [
    new Map<string, BencodeInput>([
      ['b', 1],
      ['a', [2]],
    ]),
    'd1:ali2ee1:bi1ee',
  ],
  [
    new Map([
      [new Uint8Array([255]), 1],
      [new Uint8Array([127]), 2],
    ]),
    'd1:\x7fi2e1:\xffi1ee',
  ],
  [{ info: new Preformatted(Buffer.from('d1:xi1ee')) }, 'd4:infod1:xi1eee'],
])('encodes case %$', (value, text) => {
  expect(encoded(value)).toBe(text)
})

test('keys are sorted by their bytes: upper case first, prefixes before longer keys, high bytes last', () => {
  const value = { b: 1, '\xff': 2, a: 3, B: 4, ab: 5, '10': 6, '9': 7, '\x80': 8, '': 9 }
  expect(encoded(value)).toBe('d0:i9e2:10i6e1:9i7e1:Bi4e1:ai3e2:abi5e1:bi1e1:\x80i8e1:\xffi2ee')
})

test('__proto__ is a key like any other', () => {
  const value = bdecode(Buffer.from('d9:__proto__d1:ai1eee'))
  expect(encoded(value)).toBe('d9:__proto__d1:ai1eee')
})

test.each<[unknown, ErrorConstructor, RegExp]>([
  [Number.NaN, RangeError, /integer/],
  [Number.POSITIVE_INFINITY, RangeError, /integer/],
  [1.5, RangeError, /integer.*1\.5/],
  [2 ** 53, RangeError, /bigint/],
  [undefined, TypeError, /undefined/],
  [null, TypeError, /null/],
  [true, TypeError, /true/],
  [() => 1, TypeError, /=>/],
  [Symbol('s'), TypeError, /Symbol/],
  [{ a: undefined }, TypeError, /undefined/],
  [new Array(2), TypeError, /undefined/],
  [new Date(0), TypeError, /Date/],
  [new Set([1]), TypeError, /Set/],
  [{ '\u20ac': 1 }, TypeError, /beyond 255/],
  [new Map([[1, 1]]), TypeError, /key/],
  [
    new Map<unknown, number>([
      ['a', 1],
      [new Uint8Array([97]), 2],
    ]),
    TypeError,
    /twice/,
  ],
] as [unknown, ErrorConstructor, RegExp][])('refuses what bencoding cannot express: %o', (value, type, text) => {
  expect(() => bencode(value as BencodeInput)).toThrow(type)
  expect(() => bencode(value as BencodeInput)).toThrow(text)
})

test('a cycle is an error and not a crash', () => {
  const list: BencodeInput[] = []
  list.push(list)
  expect(() => bencode(list)).toThrow(/cycle/)
})

test('bencodeInto appends to what is there', () => {
  const out = new ByteWriter(1)
  out.ascii('>')
  bencodeInto(out, [1])
  expect(bytesToBinary(out.finish())).toBe('>li1ee')
})
