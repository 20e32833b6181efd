import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { binaryToBytes, bytesToBinary, textToBytes } from '../../../src/core/bytes.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { decodeExtendedHandshake, ExtensionId, encodeExtendedHandshake } from '../../../src/wire/extended.ts'
import { MessageDecoder } from '../../../src/wire/message-decoder.ts'
import { RecordingSink } from './recording-sink.ts'

const decode = (text: string) => decodeExtendedHandshake(binaryToBytes(text))

/** What `decode` gives for `text`, without the tree. */
function plain(text: string) {
  const { root: _root, ids, ...rest } = decode(text)!
  return { ...rest, ids: Object.fromEntries(ids) }
}

const EMPTY = {
  ids: {},
  listenPort: 0,
  client: '',
  requestQueue: 0,
  uploadOnly: false,
  shareMode: false,
  completeAgo: -1,
  metadataSize: 0,
  yourIp: null,
  ipv4: null,
  ipv6: null,
}

describe('extended handshake', () => {
  test('the example of BEP 10 is understood', () => {
    expect(plain('d1:md11:LT_metadatai1e6:ut_pexi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e')).toEqual({
      ...EMPTY,
      ids: { LT_metadata: 1, ut_pex: 2 },
      listenPort: 6881,
      client: '\u00b5Torrent 1.2',
    })
  })

  test('all keys are read', () => {
    expect(
      plain(
        'd12:complete_agoi7e4:ipv44:\x01\x02\x03\x044:ipv616:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x011:md11:lt_donthavei7ee' +
          '13:metadata_sizei31235e1:pi1e4:reqqi500e10:share_modei1e11:upload_onlyi1e1:v1:x6:yourip4:\x7f\0\0\x01e',
      ),
    ).toEqual({
      ids: { lt_donthave: 7 },
      listenPort: 1,
      client: 'x',
      requestQueue: 500,
      uploadOnly: true,
      shareMode: true,
      completeAgo: 7,
      metadataSize: 31235,
      yourIp: '127.0.0.1',
      ipv4: '1.2.3.4',
      ipv6: '2001:db8::1',
    })
  })

  test('unknown keys are ignored, and there for plugins', () => {
    const handshake = decode('d4:junkli1e1:xe1:md0:i5e1:qi300eee')!
    expect(Object.fromEntries(handshake.ids)).toEqual({ '': 5 })
    expect(handshake.root.dictFindList('junk').listSize()).toBe(2)
  })

  test('values of the wrong type or out of range are as if absent', () => {
    expect(
      plain(
        'd12:complete_agoi-5e4:ipv43:abc4:ipv64:abcd1:mi3e13:metadata_sizei-1e1:pi65536e4:reqqi4294967296e1:vi3e6:yourip5:abcdee',
      ),
    ).toEqual(EMPTY)
    expect(plain('d1:md1:ai0e1:bi256e1:ci-1e1:d1:xee')).toEqual(EMPTY)
    expect(plain('de')).toEqual(EMPTY)
  })

  test('an IPv4 address in the clothes of IPv6 is an IPv4 address', () => {
    expect(plain(`d6:yourip16:${'\0'.repeat(10)}\xff\xff\x0a\0\0\x01e`).yourIp).toBe('10.0.0.1')
  })

  test('what is not a dictionary gives null', () => {
    for (const text of ['', 'x', 'i1e', 'le', '1:a', 'd1:m', 'd1:mde', 'di1ei2ee'])
      expect(decode(text), text).toBe(null)
  })

  test('a client name that is no UTF-8 is cleaned, and a long one cut', () => {
    expect(plain('d1:v4:a\xff\xfebe').client).toBe('a__b')
    expect(plain(`d1:v5000:${'x'.repeat(5000)}e`).client.length).toBe(256)
  })

  test('a handshake of very many values is no handshake, and ids are bounded', () => {
    expect(decode(`d1:al${'i1e'.repeat(20_000)}ee`)).toBe(null)
    let m = ''
    for (let i = 0; i < 1000; i++) m += `4:${String(i).padStart(4, '0')}i1e`
    expect(decode(`d1:md${m}ee`)!.ids.size).toBe(256)
  })

  test('it is written as one message with sorted keys, and only what is given', () => {
    const out = new ByteWriter()
    out.uint8(0x77)
    encodeExtendedHandshake(out, {
      ids: { upload_only: ExtensionId.upload_only, lt_donthave: ExtensionId.lt_donthave },
      listenPort: 6881,
      client: 'x 1',
      requestQueue: 500,
      uploadOnly: true,
      completeAgo: -1,
      yourIp: '1.2.3.4',
      extra: { zz: 1 },
    })
    const body =
      'd12:complete_agoi-1e1:md11:lt_donthavei7e11:upload_onlyi3ee1:pi6881e4:reqqi500e11:upload_onlyi1e' +
      '1:v3:x 16:yourip4:\x01\x02\x03\x042:zzi1ee'
    expect(bytesToBinary(out.view())).toBe(`w\0\0\0${String.fromCharCode(body.length + 2)}\x14\0${body}`)
  })

  test('what is written is read back, through the message decoder', () => {
    const fields = {
      ids: { ut_pex: 1 },
      listenPort: 1,
      client: 'Grüße',
      requestQueue: 2000,
      completeAgo: 3,
      metadataSize: 4,
      uploadOnly: true,
      shareMode: true,
      yourIp: '2001:db8::1',
      ipv4: '1.2.3.4',
      ipv6: 'fe80::1',
    }
    const out = new ByteWriter()
    encodeExtendedHandshake(out, fields)
    const sink = new RecordingSink()
    let seen: unknown
    sink.onExtended = (id, payload) => {
      const { root: _root, ids, ...rest } = decodeExtendedHandshake(payload)!
      seen = { id, ...rest, ids: Object.fromEntries(ids) }
    }
    new MessageDecoder(sink).push(out.finish())
    expect(seen).toEqual({ id: 0, ...fields })
  })

  test('it is understood by the bencode package, and the other way round', async () => {
    const { default: oracle } = (await import('bencode' as string)) as {
      default: { encode(value: unknown): Uint8Array; decode(bytes: Uint8Array): Record<string, unknown> }
    }
    const out = new ByteWriter()
    encodeExtendedHandshake(out, { ids: { ut_pex: 1 }, client: 'x', listenPort: 7 })
    expect(oracle.decode(out.finish().subarray(6))).toEqual({ m: { ut_pex: 1 }, p: 7, v: textToBytes('x') })
    expect(decodeExtendedHandshake(oracle.encode({ m: { ut_metadata: 3 }, reqq: 250 }))).toMatchObject({
      ids: new Map([['ut_metadata', 3]]),
      requestQueue: 250,
    })
  })

  test('garbage never throws', () => {
    const rng = new SeededRng(4)
    const valid = binaryToBytes('d1:md6:ut_pexi1ee1:pi6881e4:reqqi500e1:v3:abc6:yourip4:\x7f\0\0\x01e')
    for (let round = 0; round < 5000; round++) {
      const bytes = valid.slice(0, 1 + rng.below(valid.length))
      for (let n = rng.below(4); n > 0; n--) bytes[rng.below(bytes.length)] = rng.below(256)
      decodeExtendedHandshake(bytes)
    }
  })
})
