import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { textToBytes } from '../../../src/core/bytes.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import {
  decodeUtMetadata,
  encodeUtMetadata,
  MetadataMessageType,
  metadataPartSize,
  metadataParts,
} from '../../../src/wire/ut-metadata.ts'

function encoded(...args: [number, number, number, number?]): Uint8Array {
  const out = new ByteWriter()
  encodeUtMetadata(out, 3, ...args)
  return out.finish()
}

describe('messages of BEP 9', () => {
  test('its vectors', () => {
    expect(Buffer.from(encoded(0, 0, 0)).toString('latin1')).toBe('\0\0\0\x1b\x14\x03d8:msg_typei0e5:piecei0ee')
    const data = Buffer.from(encoded(1, 0, 34256, 5)).toString('latin1')
    expect(data).toBe('\0\0\0\x34\x14\x03d8:msg_typei1e5:piecei0e10:total_sizei34256ee')
    expect(decodeUtMetadata(textToBytes('d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx'))).toEqual({
      type: MetadataMessageType.data,
      part: 0,
      totalSize: 34256,
      data: textToBytes('xxxxxxxx'),
    })
    expect(decodeUtMetadata(textToBytes('d8:msg_typei2e5:piecei0ee'))).toEqual({
      type: MetadataMessageType.reject,
      part: 0,
      totalSize: 0,
      data: new Uint8Array(0),
    })
  })

  test('data that looks like more of the dictionary is data', () => {
    expect(decodeUtMetadata(textToBytes('d8:msg_typei1e5:piecei7eed3:fooi1ee'))!.data).toEqual(
      textToBytes('d3:fooi1ee'),
    )
  })

  test('cut anywhere in the dictionary it is no message', () => {
    const whole = textToBytes('d8:msg_typei1e5:piecei0e10:total_sizei34256ee')
    for (let end = 0; end < whole.length; end++) expect(decodeUtMetadata(whole.subarray(0, end))).toBeNull()
    expect(decodeUtMetadata(whole)).not.toBeNull()
  })

  test.each(['', 'i1e', 'le', 'de', 'd8:msg_typei0ee', 'd5:piecei0ee', 'd8:msg_type0:5:piecei0ee'])(
    'is refused: %s',
    text => expect(decodeUtMetadata(textToBytes(text))).toBeNull(),
  )

  test('nesting and numbers of values are limited, garbage never throws', () => {
    expect(decodeUtMetadata(textToBytes(`d1:a${'l'.repeat(50)}${'e'.repeat(50)}8:msg_typei0e5:piecei0ee`))).toBeNull()
    expect(decodeUtMetadata(textToBytes(`d1:al${'i0e'.repeat(1000)}e8:msg_typei0e5:piecei0ee`))).toBeNull()
    const rng = new SeededRng(5)
    const base = textToBytes('d8:msg_typei1e5:piecei0e10:total_sizei34256ee')
    for (let i = 0; i < 2000; i++) {
      const bytes = base.slice()
      bytes[rng.below(bytes.length)] = rng.below(256)
      const message = decodeUtMetadata(bytes)
      if (message !== null) expect(message.totalSize).toBeGreaterThanOrEqual(0)
    }
  })

  test.each([
    ['9223372036854775807', Number.MAX_SAFE_INTEGER],
    ['-9223372036854775807', Number.MIN_SAFE_INTEGER],
    ['4294967296', 4294967296],
    ['-5', -5],
  ])('part %s can be rejected', (written, part) => {
    const message = decodeUtMetadata(textToBytes(`d8:msg_typei0e5:piecei${written}ee`))
    expect(message!.part).toBe(part)
    const reject = Buffer.from(encoded(2, message!.part, 0)).toString('latin1')
    expect(reject.slice(6)).toBe(`d8:msg_typei2e5:piecei${part}ee`)
  })

  test('parts', () => {
    expect([0, 1, 16384, 16385].map(metadataParts)).toEqual([0, 1, 1, 2])
    expect(metadataPartSize(16385, 0)).toBe(16384)
    expect(metadataPartSize(16385, 1)).toBe(1)
  })
})
