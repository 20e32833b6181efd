import { expect, test } from 'vitest'
import { BdecodeError, bdecode, bdecodeNode, tryBdecode } from '../../../src/bencode/bdecode.ts'
import { BdecodeNode } from '../../../src/bencode/bdecode-node.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import { printEntry } from '../../../src/bencode/print-entry.ts'
import { binaryToBytes } from '../../../src/core/bytes.ts'
import { LibtorrentError } from '../../../src/core/error-code.ts'
import { BdecodeErrors } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'

const bytes = (text: string) => binaryToBytes(text)
const E = BdecodeErrors

// what libtorrent reports for each, code and offset
test.each<[input: string, error: BdecodeErrors, position: number]>([
  ['', E.unexpectedEof, 0],
  ['e', E.unexpectedEof, 0],
  ['d1:ai1e1:be', E.expectedValue, 10],
  ['di5e1:ae', E.expectedDigit, 1],
  ['di2ei0ee', E.expectedDigit, 1],
  ['df00:', E.expectedDigit, 1],
  ['dd', E.expectedDigit, 1],
  ['d1000:..e', E.unexpectedEof, 5],
  ['d1000:', E.unexpectedEof, 5],
  ['d1000', E.expectedColon, 5],
  ['-10:foobar', E.expectedValue, 0],
  ['18446744073709551615:foobar', E.overflow, 19],
  ['99999999:foobar', E.unexpectedEof, 8],
  ['9223372036854775807:a', E.unexpectedEof, 19],
  ['9223372036854775808:a', E.overflow, 18],
  ['000000000000000001:a', E.limitExceeded, 19],
  ['100:..', E.unexpectedEof, 3],
  ['5', E.unexpectedEof, 1],
  ['55', E.expectedColon, 2],
  ['l2:..', E.unexpectedEof, 5],
  ['l2:..0', E.unexpectedEof, 6],
  ['ie', E.expectedDigit, 1],
  ['i-e', E.expectedDigit, 2],
  ['i-', E.unexpectedEof, 2],
  ['i', E.unexpectedEof, 1],
  ['i10', E.unexpectedEof, 3],
  ['i1.5e', E.expectedDigit, 2],
  ['i35412-5633e', E.expectedDigit, 6],
  ['i92337203t854775807e', E.expectedDigit, 9],
  ['i184467440737095516154e', E.overflow, 22],
  ['d1:ai1e1:b3:foo1:cli1ei2ee1:dd1:xi1-eee', E.expectedDigit, 35],
  ['d1:ai1e1:b3:foo1:cli1ei2ee1:d-d1:xi1eee', E.expectedValue, 29],
  ['d1:ai1e1:b3:foo1:cli1ei2ee-1:dd1:xi1eee', E.expectedDigit, 26],
  ['d1:ai1e1:b3:foo1:cli1e-i2ee1:dd1:xi1eee', E.expectedValue, 22],
])('%j is refused with the code and the offset that libtorrent reports', (input, error, position) => {
  const r = tryBdecode(bytes(input))
  expect([r.error, r.position]).toEqual([error, position])
  for (const decode of [bdecode, bdecodeNode]) {
    let thrown: unknown
    try {
      decode(bytes(input))
    } catch (e) {
      thrown = e
    }
    expect(thrown).toBeInstanceOf(BdecodeError)
    expect(thrown).toBeInstanceOf(LibtorrentError)
    expect((thrown as BdecodeError).code.value()).toBe(error)
    expect((thrown as BdecodeError).code.category().name()).toBe('bdecode')
    expect((thrown as BdecodeError).position).toBe(position)
  }
})

test('what was read before an error is a closed value', () => {
  const r = tryBdecode(bytes('d1:ai1e1:b3:foo1:cli1e-i2ee1:dd1:xi1eee'))
  expect(r.node.dictSize()).toBe(3)
  expect(r.node.dictFindIntValue('a')).toBe(1)
  expect(r.node.dictFind('c').listSize()).toBe(1)
  const cut = tryBdecode(bytes('d1:a2:xx1:b'))
  expect(cut.node.dictSize()).toBe(2)
  expect(cut.node.dictFind('b').dictSize()).toBe(0)
  const print = (text: string) => printEntry(tryBdecode(bytes(text)).node)
  expect(print('d1:ai1e1:b3:foo1:cli1ei2ee1:dd1:xi1-eee')).toBe(
    "{ 'a': 1, 'b': 'foo', 'c': [ 1, 2 ], 'd': { 'x': {} } }",
  )
  expect(print('d1:ai1e1:b3:foo1:cli1ei2ee1:d-d1:xi1eee')).toBe("{ 'a': 1, 'b': 'foo', 'c': [ 1, 2 ], 'd': {} }")
  expect(print('d1:ai1e1:b3:foo1:cli1ei2ee-1:dd1:xi1eee')).toBe("{ 'a': 1, 'b': 'foo', 'c': [ 1, 2 ] }")
  expect(tryBdecode(bytes('-')).node.type()).toBe(BdecodeNode.Type.noneT)
})

test('every cut of a valid value is an error, and what came before it is a closed value', () => {
  const good = bytes('d1:ad3:fooli1ei-2ee3:zap0:e1:bl2:xyleded1:kl0:eee1:ci123456789e1:z26:abcdefghijklmnopqrstuvwxyze')
  expect(tryBdecode(good).error).toBe(0)
  for (let i = 0; i < good.length; i++) {
    const r = tryBdecode(good.subarray(0, i))
    expect(r.error, `cut at ${i}`).not.toBe(0)
    expect(r.position).toBeLessThanOrEqual(i)
    walk(r.node)
  }
})

test('the depth limit counts open lists and dictionaries', () => {
  const nested = (n: number) => bytes('l'.repeat(n) + 'e'.repeat(n))
  expect(tryBdecode(nested(99)).error).toBe(0)
  expect(tryBdecode(nested(100)).error).toBe(E.depthExceeded)
  expect(tryBdecode(nested(100)).position).toBe(100)
  expect(tryBdecode(nested(3), { depth: 4 }).error).toBe(0)
  expect(tryBdecode(nested(4), { depth: 4 }).error).toBe(E.depthExceeded)
  expect(tryBdecode(nested(100_000), { depth: 200_000 }).error).toBe(0)
})

test('the token limit counts values, keys and ends', () => {
  const list = bytes(`l${'0:'.repeat(8)}e`)
  expect(tryBdecode(list, { tokens: 10 }).error).toBe(0)
  expect(tryBdecode(list, { tokens: 9 }).error).toBe(E.limitExceeded)
  expect(tryBdecode(bytes(`l${'le'.repeat(2_000_000)}e`)).error).toBe(E.limitExceeded)
})

test('bytes behind the value are ignored', () => {
  const node = bdecodeNode(bytes('i5egarbage'))
  expect(node.intValue()).toBe(5)
  expect(node.dataSection()).toEqual(bytes('i5e'))
})

test('a Buffer is decoded like any other bytes, and copied where a copy is promised', () => {
  const buffer = Buffer.from('xxd1:a3:fooexx').subarray(2, 12)
  const value = bdecode(buffer) as Record<string, Uint8Array>
  buffer.fill(0)
  expect(value['a']!.constructor).toBe(Uint8Array)
  expect(value['a']).toEqual(bytes('foo'))
})

test('plain values: strings are bytes, keys are binary strings, dictionaries have no prototype', () => {
  const value = bdecode(bytes('d3:\x00\xff\xe4i-7e9:__proto__d1:xi1ee11:constructor1:y4:listl1:ai2eee')) as Record<
    string,
    unknown
  >
  expect(Object.getPrototypeOf(value)).toBeNull()
  expect(Object.keys(value)).toEqual(['\x00\xff\xe4', '__proto__', 'constructor', 'list'])
  expect(value['\x00\xff\xe4']).toBe(-7)
  expect(Object.values(value)[1]).toEqual({ x: 1 })
  expect(({} as { x?: number }).x).toBeUndefined()
  expect(value['list']).toEqual([bytes('a'), 2])
})

test('of a key that is there twice the last value counts in plain values, the first in nodes', () => {
  const twice = bytes('d1:ai1e1:ai2ee')
  expect(bdecode(twice)).toEqual({ a: 2 })
  expect(bdecodeNode(twice).dictFindIntValue('a')).toBe(1)
})

test.each<[string, number | bigint]>([
  ['i0e', 0],
  ['i-0e', 0],
  ['i-1e', -1],
  ['i007e', 7],
  ['i9007199254740991e', 9007199254740991],
  ['i-9007199254740991e', -9007199254740991],
  ['i9007199254740992e', 9007199254740992n],
  ['i9007199254740993e', 9007199254740993n],
  ['i9223372036854775807e', 9223372036854775807n],
  ['i-9223372036854775808e', -9223372036854775808n],
  ['i99999999999999999999e', 99999999999999999999n],
  ['i00000000000000000012e', 12],
])('%s decodes to exactly %s', (text, value) => {
  expect(bdecode(bytes(text))).toBe(value)
})

test('a node gives 0 for an integer that does not fit 64 bits, as libtorrent does', () => {
  expect(bdecodeNode(bytes('i9223372036854775808e')).intValue()).toBe(0)
  expect(bdecodeNode(bytes('i-9223372036854775808e')).intValue()).toBe(0)
  expect(bdecodeNode(bytes('i9223372036854775807e')).bigIntValue()).toBe(9223372036854775807n)
  expect(bdecodeNode(bytes('i00000000000000000012e')).intValue()).toBe(12)
  expect(bdecodeNode(bytes('i-0e')).intValue()).toBe(0)
  expect(Object.is(bdecodeNode(bytes('i-0e')).intValue(), 0)).toBe(true)
})

test('what decodes encodes to the same bytes', () => {
  const text = 'd0:0:1:ad1:bli-5ei0ei9223372036854775807eee1:zlde2:zzlee3:\xff\x00\x8010:0123456789e'
  expect(bencode(bdecode(bytes(text)))).toEqual(bytes(text))
})

test('decoding is re-entrant: two decodes in progress do not see one another', () => {
  const a = bdecodeNode(bytes('d1:al1:x1:yee'))
  const b = bdecodeNode(bytes('d1:ai7ee'))
  expect(a.dictFind('a').listAt(0).stringValue()).toEqual(bytes('x'))
  expect(b.dictFindIntValue('a')).toBe(7)
  expect(a.dictFind('a').listAt(1).stringValue()).toEqual(bytes('y'))
})

test('mutated input never throws anything but the decoder errors, and never hangs', () => {
  const rng = new SeededRng(20260101)
  const seeds = [
    'd1:ai1e1:bl3:abci-5ee1:cd0:0:ee',
    'li12345678901234567890e5:helloe',
    'd4:infod5:filesld6:lengthi5e4:pathl1:a1:beeee',
    `${'l'.repeat(50)}${'e'.repeat(50)}`,
    '10:0123456789',
  ].map(bytes)
  const alphabet = bytes('dlie0123456789:-a\xff')
  for (let round = 0; round < 20_000; round++) {
    const input = mutate(seeds[rng.below(seeds.length)]!, alphabet, rng)
    try {
      const value = bdecode(input)
      expect(bencode(value).length).toBeGreaterThan(1)
    } catch (e) {
      if (!(e instanceof BdecodeError)) throw e
    }
    walk(tryBdecode(input).node)
  }
})

function mutate(seed: Uint8Array, alphabet: Uint8Array, rng: SeededRng): Uint8Array {
  let out = Array.from(seed)
  for (let n = 1 + rng.below(4); n > 0; n--) {
    const at = rng.below(out.length + 1)
    const c = alphabet[rng.below(alphabet.length)]!
    const kind = rng.below(4)
    if (kind === 0 && at < out.length) out[at] = c
    else if (kind === 1) out.splice(at, 0, c)
    else if (kind === 2) out.splice(at, 1)
    else out = out.slice(0, at)
  }
  return Uint8Array.from(out)
}

/** Touches every node, which must not throw whatever the input was. */
function walk(node: BdecodeNode): void {
  switch (node.type()) {
    case BdecodeNode.Type.dictT:
      for (let i = 0; i < node.dictSize(); i++) walk(node.dictAt(i)[1])
      break
    case BdecodeNode.Type.listT:
      for (let i = 0; i < node.listSize(); i++) walk(node.listAt(i))
      break
    case BdecodeNode.Type.stringT:
      node.stringValue()
      break
    case BdecodeNode.Type.intT:
      node.intValue()
  }
  node.dataSection()
}

test.each([
  ['text', 'string'],
  [undefined, 'undefined'],
  [null, 'null'],
  [5, 'number'],
  [[100, 101], 'Array'],
  [new ArrayBuffer(2), 'ArrayBuffer'],
  [new Uint16Array(2), 'Uint16Array'],
])('what is no bytes is not decoded: %j', (value, name) => {
  for (const decode of [bdecode, bdecodeNode]) {
    expect(() => decode(value as unknown as Uint8Array)).toThrow(
      new TypeError(`bdecode: expected a Uint8Array, not ${name}`),
    )
  }
})
