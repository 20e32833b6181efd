import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { bytesToHex, hexToBytes } from '../../../src/core/bytes.ts'
import { putPieceHeader } from '../../../src/core/piece-frames.ts'
import { hashesLength, readHashRequest, uncleCount, writeHashRequest } from '../../../src/wire/hash-messages.ts'
import { decodeDontHave, decodeUploadOnly, encodeDontHave, encodeUploadOnly } from '../../../src/wire/lt-donthave.ts'
import * as encode from '../../../src/wire/message-encoder.ts'

function written(fn: (out: ByteWriter) => void): string {
  const out = new ByteWriter(4)
  fn(out)
  return bytesToHex(out.finish())
}

describe('message encoder', () => {
  test.each<[string, (out: ByteWriter) => void, string]>([
    ['keep-alive', w => encode.encodeKeepAlive(w), '00000000'],
    ['choke', w => encode.encodeChoke(w), '0000000100'],
    ['unchoke', w => encode.encodeUnchoke(w), '0000000101'],
    ['interested', w => encode.encodeInterested(w), '0000000102'],
    ['not interested', w => encode.encodeNotInterested(w), '0000000103'],
    ['have', w => encode.encodeHave(w, 0x010203), '000000050400010203'],
    ['bitfield', w => encode.encodeBitfield(w, Uint8Array.of(0xf0, 0x80)), '0000000305f080'],
    ['request', w => encode.encodeRequest(w, 1, 2, 0x4000), '0000000d06000000010000000200004000'],
    ['piece', w => encode.encodePiece(w, 1, 2, Uint8Array.of(9)), '0000000a07000000010000000209'],
    ['cancel', w => encode.encodeCancel(w, 1, 2, 0x4000), '0000000d08000000010000000200004000'],
    ['port', w => encode.encodeDhtPort(w, 6881), '00000003091ae1'],
    ['suggest', w => encode.encodeSuggest(w, 5), '000000050d00000005'],
    ['have all', w => encode.encodeHaveAll(w), '000000010e'],
    ['have none', w => encode.encodeHaveNone(w), '000000010f'],
    ['reject', w => encode.encodeReject(w, 1, 2, 0x4000), '0000000d10000000010000000200004000'],
    ['allowed fast', w => encode.encodeAllowedFast(w, 5), '000000051100000005'],
    ['extended', w => encode.encodeExtended(w, 3, Uint8Array.of(7)), '00000003140307'],
    ['upload only', w => encodeUploadOnly(w, 3, true), '00000003140301'],
    ['upload only, no longer', w => encodeUploadOnly(w, 3, false), '00000003140300'],
    ['lt_donthave', w => encodeDontHave(w, 7, 0x102), '00000006140700000102'],
  ])('%s is written as its BEP has it', (_name, fn, hex) => expect(written(fn)).toBe(hex))

  test('the header of a piece is written at an offset, and says where it ends', () => {
    const target = new Uint8Array(64)
    expect(putPieceHeader(target, 3, 0xfffffffe, 0x8000, 0x4000)).toBe(16)
    expect(bytesToHex(target.subarray(0, 17))).toBe('000000' + '0000400907fffffffe00008000' + '00')
  })

  test('hash messages carry root, base, index, count and proof layers', () => {
    const root = Uint8Array.from({ length: 32 }, (_, i) => i)
    const request = { root, base: 1, index: 512, count: 2, proofLayers: 3 }
    const head = `${bytesToHex(root)}00000001000002000000000200000003`
    expect(written(w => encode.encodeHashRequest(w, request))).toBe(`0000003115${head}`)
    expect(written(w => encode.encodeHashReject(w, request))).toBe(`0000003117${head}`)
    expect(written(w => encode.encodeHashes(w, request, new Uint8Array(64)))).toBe(
      `0000007116${head}${'00'.repeat(64)}`,
    )
    const bytes = new Uint8Array(50)
    writeHashRequest(bytes, 2, request)
    expect(readHashRequest(bytes, 2)).toEqual(request)
  })

  test('layers that the asked-for hashes prove by themselves have no uncle hashes', () => {
    // One uncle a layer, less those below the top of the asked-for subtree.
    expect(uncleCount(2, 0)).toBe(0)
    expect(uncleCount(2, 3)).toBe(3)
    expect(uncleCount(4, 3)).toBe(2)
    expect(uncleCount(512, 8)).toBe(0)
    expect(uncleCount(512, 10)).toBe(2)
    expect(uncleCount(300, 10)).toBe(2)
    expect(hashesLength({ root: new Uint8Array(32), base: 0, index: 0, count: 512, proofLayers: 10 })).toBe(
      49 + 514 * 32,
    )
  })

  test('short extended messages of another length are no message', () => {
    expect(decodeDontHave(hexToBytes('00000102')!)).toBe(258)
    expect(decodeDontHave(hexToBytes('000102')!)).toBe(null)
    expect(decodeDontHave(hexToBytes('0000010203')!)).toBe(null)
    expect(decodeUploadOnly(Uint8Array.of(1))).toBe(true)
    expect(decodeUploadOnly(Uint8Array.of(0))).toBe(false)
    expect(decodeUploadOnly(new Uint8Array(0))).toBe(null)
    expect(decodeUploadOnly(new Uint8Array(2))).toBe(null)
  })
})
