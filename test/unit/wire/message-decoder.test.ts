import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { hexToBytes } from '../../../src/core/bytes.ts'
import { libtorrentError } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { MessageDecoder, type WireLimits } from '../../../src/wire/message-decoder.ts'
import * as encode from '../../../src/wire/message-encoder.ts'
import { RecordingSink } from './recording-sink.ts'

const root = new Uint8Array(32).fill(0xab)
const hashRequest = { root, base: 0, index: 4, count: 2, proofLayers: 2 }
const payload = Uint8Array.from({ length: 11 }, (_, i) => i + 1)
const hashes = Uint8Array.from({ length: 4 * 32 }, (_, i) => i)

/** All messages there are, one after the other. */
function everyMessage(): Uint8Array {
  const w = new ByteWriter()
  encode.encodeKeepAlive(w)
  encode.encodeBitfield(w, Uint8Array.of(0xf0, 0x40))
  encode.encodeChoke(w)
  encode.encodeUnchoke(w)
  encode.encodeInterested(w)
  encode.encodeNotInterested(w)
  encode.encodeHave(w, 0xfffffffe)
  encode.encodeRequest(w, 1, 0x4000, 16384)
  encode.encodePiece(w, 2, 0x8000, payload)
  encode.encodePiece(w, 3, 0, new Uint8Array(0))
  encode.encodeCancel(w, 4, 16384, 16384)
  encode.encodeDhtPort(w, 0xfedc)
  encode.encodeSuggest(w, 5)
  encode.encodeHaveAll(w)
  encode.encodeHaveNone(w)
  encode.encodeReject(w, 6, 7, 8)
  encode.encodeAllowedFast(w, 9)
  encode.encodeExtended(w, 0, Uint8Array.from([0x64, 0x65]))
  encode.encodeExtended(w, 3, new Uint8Array(0))
  encode.encodeHashRequest(w, hashRequest)
  encode.encodeHashes(w, { ...hashRequest, proofLayers: 2 }, hashes.subarray(0, 4 * 32))
  encode.encodeHashReject(w, hashRequest)
  return w.finish()
}

interface Setup {
  limits?: WireLimits
  numPieces?: number
  fast?: boolean
  v2?: boolean
  change?: (sink: RecordingSink) => void
}

function make(setup: Setup = {}): { sink: RecordingSink; decoder: MessageDecoder } {
  const sink = new RecordingSink()
  setup.change?.(sink)
  const decoder = new MessageDecoder(sink, setup.limits)
  decoder.setNumPieces(setup.numPieces ?? -1)
  decoder.setFastSupported(setup.fast ?? true)
  decoder.setProtocolV2(setup.v2 ?? true)
  return { sink, decoder }
}

function record(chunks: readonly Uint8Array[], setup: Setup = {}): string[] {
  const { sink, decoder } = make(setup)
  for (const chunk of chunks) decoder.push(chunk)
  return sink.log
}

/** The log of `stream` whole, after checking that byte by byte gives the same. */
function decode(hex: string | Uint8Array, setup: Setup = {}): string[] {
  const stream = typeof hex === 'string' ? hexToBytes(hex.replaceAll(' ', ''))! : hex
  const whole = record([stream], setup)
  expect(
    record(
      Array.from(stream, b => Uint8Array.of(b)),
      setup,
    ),
  ).toEqual(whole)
  return whole
}

const errorLine = (value: LibtorrentErrors) => `error ${libtorrentError(value)}`

/** Requests and blocks of 11 bytes in rows that go on, and rows that only seem to. */
function rows(): Uint8Array {
  const w = new ByteWriter()
  for (const [piece, begin, length] of [
    [1, 0, 11],
    [1, 11, 11],
    [1, 22, 11],
    [1, 44, 11],
    [1, 55, 10],
    [2, 65, 10],
    [2, 75, 10],
  ] as const) {
    encode.encodeRequest(w, piece, begin, length)
  }
  encode.encodeCancel(w, 2, 85, 10)
  for (const [piece, begin] of [
    [1, 0],
    [1, 11],
    [1, 22],
    [2, 33],
    [2, 55],
    [2, 66],
  ] as const) {
    encode.encodePiece(w, piece, begin, payload)
  }
  encode.encodePiece(w, 2, 77, payload.subarray(0, 5))
  encode.encodeHave(w, 3)
  return w.finish()
}

describe('message decoder', () => {
  test('requests and blocks that come in a row are the same as if each came alone', () => {
    const stream = rows()
    const log = decode(stream)
    expect(log.filter(line => line.startsWith('request'))).toEqual([
      'request 1 0 11',
      'request 1 11 11',
      'request 1 22 11',
      'request 1 44 11',
      'request 1 55 10',
      'request 2 65 10',
      'request 2 75 10',
    ])
    expect(log.filter(line => line.startsWith('piece end'))).toHaveLength(7)
    for (const takesBlocks of [1, 2, 3, 10]) {
      for (let i = 0; i <= stream.length; i++) {
        const { sink, decoder } = make({ change: s => (s.takesBlocks = takesBlocks) })
        decoder.push(stream.subarray(0, i))
        decoder.push(stream.subarray(i))
        expect(sink.log, `${takesBlocks} taken, cut at ${i}`).toEqual(log)
        expect(decoder.payloadBytes).toBe(6 * payload.length + 5)
      }
    }
  })

  test('nothing is taken in a row after the sink has stopped the decoder', () => {
    const { sink, decoder } = make({ change: s => (s.takesBlocks = 2) })
    sink.onEvent = line => {
      if (line.startsWith('piece end 1 11')) decoder.stop()
    }
    decoder.push(rows())
    expect(sink.log.at(-1)).toMatch(/^piece end 1 11/)
  })

  test('every message arrives with what it carries', () => {
    const r = `${'ab'.repeat(32)} 0 4 2 2`
    expect(decode(everyMessage(), { numPieces: 10 })).toEqual([
      'keep-alive',
      'bitfield f040',
      'choke',
      'unchoke',
      'interested',
      'not interested',
      'have 4294967294',
      'request 1 16384 16384',
      'piece 2 32768 11',
      'piece end 2 32768 11 0102030405060708090a0b',
      'piece 3 0 0',
      'piece end 3 0 0 ',
      'cancel 4 16384 16384',
      'port 65244',
      'suggest 5',
      'have all',
      'have none',
      'reject 6 7 8',
      'allowed fast 9',
      'extended header 0 2',
      'extended 0 6465',
      'extended header 3 0',
      'extended 3 ',
      `hash request ${r}`,
      `hashes ${r} ${hex(hashes)}`,
      `hash reject ${r}`,
    ])
  })

  test('events do not depend on how the stream is cut', () => {
    const stream = everyMessage()
    const whole = record([stream])
    for (let i = 0; i <= stream.length; i++)
      for (let j = i; j <= stream.length; j++) {
        const log = record([stream.subarray(0, i), stream.subarray(i, j), stream.subarray(j)])
        if (log.join() !== whole.join()) expect(log, `${i},${j}`).toEqual(whole)
      }
  })

  test('a block that is not wanted is skipped at every cut, and what follows is read', () => {
    const w = new ByteWriter()
    encode.encodePiece(w, 1, 0, payload)
    encode.encodeHave(w, 7)
    const stream = w.finish()
    const change = (s: RecordingSink) => {
      s.wantsBlock = false
    }
    const whole = decode(stream, { change })
    expect(whole).toEqual(['piece 1 0 11', 'piece end 1 0 11 ', 'have 7'])
    for (let i = 0; i <= stream.length; i++)
      expect(record([stream.subarray(0, i), stream.subarray(i)], { change }), `${i}`).toEqual(whole)
  })

  test('payload is handed over as views of the chunk it came in, without gathering', () => {
    const w = new ByteWriter(32768)
    encode.encodePiece(w, 1, 0, new Uint8Array(16384).fill(7))
    const stream = w.finish()
    const { sink, decoder } = make()
    const parts: number[][] = []
    sink.onPiecePayload = (chunk, start, end, offset) => {
      expect(stream.buffer).toBe(chunk.buffer)
      parts.push([start, end, offset])
    }
    decoder.push(stream.subarray(0, 1000))
    expect(decoder.inBlock).toBe(true)
    expect(decoder.blockReceived).toBe(987)
    decoder.push(stream.subarray(1000))
    expect(parts).toEqual([
      [13, 1000, 0],
      [0, 15397, 987],
    ])
    expect(decoder.payloadBytes).toBe(16384)
    expect(decoder.inBlock).toBe(false)
    expect(decoder.bufferedCapacity).toBeLessThan(100)
  })

  test('an extended message that is not wanted is skipped without memory for it', () => {
    const w = new ByteWriter()
    encode.encodeExtended(w, 9, new Uint8Array(100_000))
    encode.encodeHave(w, 1)
    const stream = w.finish()
    const change = (s: RecordingSink) => {
      s.wantsExtended = false
    }
    const { sink, decoder } = make({ change })
    for (let at = 0; at < stream.length; at += 1000) {
      decoder.push(stream.subarray(at, at + 1000))
      expect(decoder.bufferedCapacity).toBeLessThan(100)
    }
    expect(sink.log).toEqual(['extended header 9 100000', 'have 1'])
    expect(record([stream], { change })).toEqual(sink.log)
  })

  test('memory for a long message grows with what arrives, not with what is announced, and is given back', () => {
    const w = new ByteWriter()
    encode.encodeExtended(w, 1, new Uint8Array(1024 * 1024 - 2))
    const stream = w.finish()
    const { sink, decoder } = make()
    for (let at = 0; at < stream.length - 1; at += 4096) {
      decoder.push(stream.subarray(at, Math.min(at + 4096, stream.length - 1)))
      expect(decoder.bufferedCapacity).toBeLessThanOrEqual(Math.max(128, 2 * (at + 4096)))
    }
    expect(sink.log.length).toBe(1)
    decoder.push(stream.subarray(stream.length - 1))
    expect(sink.log.length).toBe(2)
    expect(decoder.bufferedCapacity).toBeLessThan(100)
  })

  test('an unknown message goes to whoever wants it', () => {
    const change = (s: RecordingSink) => {
      s.wantsUnknown = true
    }
    expect(decode('00000003 63 aabb 00000001 7f 00000001 00', { change })).toEqual([
      'unknown header 99 2',
      'unknown 99 aabb',
      'unknown header 127 0',
      'unknown 127 ',
      'choke',
    ])
  })

  test('messages too short for their header are taken no notice of, as in libtorrent', () => {
    expect(decode('00000001 07 00000008 07 00000000 000000 00000003 16 0000 00000001 00')).toEqual(['choke'])
  })
})

function hex(b: Uint8Array): string {
  return Array.from(b, x => x.toString(16).padStart(2, '0')).join('')
}

describe('a malformed message ends the connection with the error of libtorrent', () => {
  const cases: [name: string, stream: string, error: LibtorrentErrors, setup?: Setup][] = [
    ['choke with a payload', '00000002 00 00', LibtorrentErrors.invalidChoke],
    ['unchoke with a payload', '00000002 01 00', LibtorrentErrors.invalidUnchoke],
    ['interested with a payload', '00000002 02 00', LibtorrentErrors.invalidInterested],
    ['not interested with a payload', '00000002 03 00', LibtorrentErrors.invalidNotInterested],
    ['short have', '00000004 04 000000', LibtorrentErrors.invalidHave],
    ['long have', '00000006 04 0000000000', LibtorrentErrors.invalidHave],
    ['short request', '0000000c 06 0000000000000000000000', LibtorrentErrors.invalidRequest],
    ['long cancel', '0000000e 08 00000000000000000000000000', LibtorrentErrors.invalidCancel],
    ['long port', '00000004 09 000000', LibtorrentErrors.invalidDhtPort],
    ['short suggest', '00000002 0d 00', LibtorrentErrors.invalidSuggest],
    ['long have all', '00000002 0e 00', LibtorrentErrors.invalidHaveAll],
    ['long have none', '00000002 0f 00', LibtorrentErrors.invalidHaveNone],
    ['short reject', '00000002 10 00', LibtorrentErrors.invalidReject],
    ['short allowed fast', '00000002 11 00', LibtorrentErrors.invalidAllowFast],
    ['suggest without fast', '00000005 0d 00000000', LibtorrentErrors.invalidSuggest, { fast: false }],
    ['have all without fast', '00000001 0e', LibtorrentErrors.invalidHaveAll, { fast: false }],
    ['have none without fast', '00000001 0f', LibtorrentErrors.invalidHaveNone, { fast: false }],
    ['reject without fast', `0000000d 10 ${'00'.repeat(12)}`, LibtorrentErrors.invalidReject, { fast: false }],
    ['allowed fast without fast', '00000005 11 00000000', LibtorrentErrors.invalidAllowFast, { fast: false }],
    ['hash request on v1', `00000031 15 ${'00'.repeat(48)}`, LibtorrentErrors.invalidMessage, { v2: false }],
    ['hashes on v1', `00000031 16 ${'00'.repeat(48)}`, LibtorrentErrors.invalidMessage, { v2: false }],
    ['hash reject on v1', `00000031 17 ${'00'.repeat(48)}`, LibtorrentErrors.invalidMessage, { v2: false }],
    ['short hash request', '00000002 15 00', LibtorrentErrors.invalidHashRequest],
    ['short hash reject', '00000002 17 00', LibtorrentErrors.invalidHashReject],
    ['extended without an id', '00000001 14', LibtorrentErrors.invalidExtended],
    ['short bitfield', '00000002 05 ff', LibtorrentErrors.invalidBitfieldSize, { numPieces: 9 }],
    ['long bitfield', '00000003 05 ffff', LibtorrentErrors.invalidBitfieldSize, { numPieces: 8 }],
    ['empty bitfield', '00000001 05', LibtorrentErrors.invalidBitfieldSize, { numPieces: 1 }],
    ['block over 16 KiB', '0000400a 07 00000000 00000000', LibtorrentErrors.packetTooLarge],
    ['message over 1 MiB', '00100001 14', LibtorrentErrors.packetTooLarge],
    ['length that is negative as a signed number', 'ffffffff 00', LibtorrentErrors.packetTooLarge],
  ]
  test.each(cases)('%s', (_name, stream, error, setup) => {
    const log = decode(`00000001 00 ${stream} 00000001 01 00000001 01`, setup)
    expect(log[0]).toBe('choke')
    expect(log.filter(l => !l.startsWith('extended header'))).toEqual(['choke', errorLine(error)])
  })

  test('an id nobody knows', () => {
    expect(decode('00000005 63 00000000')).toEqual(['unknown header 99 4', errorLine(LibtorrentErrors.invalidMessage)])
  })

  test.each([
    ['no hashes', { ...hashRequest, count: 0 }, 0],
    ['too many hashes', { ...hashRequest, count: 8193 }, 8193],
    ['too few hashes for the request', hashRequest, 2],
    ['too many hashes for the request', hashRequest, 4],
    ['an absurd number of proof layers', { ...hashRequest, proofLayers: 0xffffffff }, 2],
    ['a negative index', { ...hashRequest, index: 0xffffffff }, 3],
  ] as const)('hashes with %s', (_name, request, count) => {
    const w = new ByteWriter()
    encode.encodeHashes(w, request, new Uint8Array(32 * (count === 4 ? 5 : count)))
    encode.encodeChoke(w)
    expect(decode(w.finish())).toEqual([errorLine(LibtorrentErrors.invalidHashes)])
  })

  test('hashes of the wrong number are refused before they are there', () => {
    const w = new ByteWriter()
    encode.encodeHashes(w, hashRequest, new Uint8Array(32 * 100))
    const { sink, decoder } = make()
    decoder.push(w.finish().subarray(0, 53))
    expect(sink.log).toEqual([errorLine(LibtorrentErrors.invalidHashes)])
  })

  test('a bitfield is judged again when the number of pieces became known while it was arriving', () => {
    const { sink, decoder } = make()
    decoder.push(hexToBytes('0000000305ff')!)
    decoder.setNumPieces(3)
    decoder.push(hexToBytes('ff')!)
    expect(sink.log).toEqual([errorLine(LibtorrentErrors.invalidBitfieldSize)])
  })
})

describe('a decoder that ended', () => {
  test('reports its error once and takes nothing more', () => {
    const { sink, decoder } = make()
    decoder.push(hexToBytes('0000000200')!)
    decoder.push(hexToBytes('000000020000')!)
    decoder.fail(libtorrentError(LibtorrentErrors.invalidPiece))
    expect(sink.log).toEqual([errorLine(LibtorrentErrors.invalidChoke)])
    expect(decoder.stopped).toBe(true)
    expect(decoder.error?.is(LibtorrentErrors.invalidChoke)).toBe(true)
  })

  test('stops in the middle of a chunk when any call of the sink stops it, however the stream is cut', () => {
    const stream = everyMessage()
    const lines = record([stream])
    for (const stopAt of new Set(lines)) {
      for (const step of [stream.length, 1, 7]) {
        const { sink, decoder } = make()
        let stopped = false
        sink.onEvent = line => {
          if (stopped) throw new Error(`${line} after stop`)
          if (line === stopAt) {
            stopped = true
            decoder.stop()
          }
        }
        for (let at = 0; at < stream.length; at += step) decoder.push(stream.subarray(at, at + step))
        expect(sink.log.at(-1)).toBe(stopAt)
        expect(decoder.error).toBe(null)
      }
    }
  })

  test('reports an error the sink found as its own', () => {
    const { sink, decoder } = make()
    sink.onEvent = line => {
      if (line.startsWith('piece ')) decoder.fail(libtorrentError(LibtorrentErrors.invalidPiece))
    }
    const w = new ByteWriter()
    encode.encodePiece(w, 1, 0, payload)
    encode.encodeChoke(w)
    decoder.push(w.finish())
    expect(sink.log).toEqual([errorLine(LibtorrentErrors.invalidPiece), 'piece 1 0 11'])
  })
})

describe('garbage', () => {
  test('gives the same events at any cut, and bounded memory', () => {
    const rng = new SeededRng(20)
    for (let round = 0; round < 3000; round++) {
      const stream = new Uint8Array(1 + rng.below(120))
      rng.fill(stream)
      // Make plausible messages likely: a small length, a known id.
      for (let at = 0; at + 5 < stream.length; at += 5 + stream[at + 3]!) {
        stream.fill(0, at, at + 3)
        stream[at + 3] = rng.below(4) === 0 ? rng.below(40) : [1, 5, 13, 3, 49, 2, 20][rng.below(7)]!
        stream[at + 4] = rng.below(25)
      }
      const setup: Setup = {
        numPieces: rng.below(3) === 0 ? 8 : -1,
        fast: rng.below(2) === 0,
        v2: rng.below(2) === 0,
        change: s => {
          s.wantsUnknown = round % 3 === 0
          s.wantsExtended = round % 5 !== 0
          s.wantsBlock = round % 7 !== 0
        },
      }
      const whole = record([stream], setup)
      const chunks: Uint8Array[] = []
      for (let at = 0; at < stream.length; ) {
        const n = 1 + rng.below(9)
        chunks.push(stream.subarray(at, at + n))
        at += n
      }
      expect(record(chunks, setup)).toEqual(whole)
    }
  })
})
