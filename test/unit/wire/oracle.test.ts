import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { encodeHandshake, HandshakeDecoder } from '../../../src/wire/handshake.ts'
import { MessageDecoder } from '../../../src/wire/message-decoder.ts'
import * as encode from '../../../src/wire/message-encoder.ts'
import { RecordingSink } from './recording-sink.ts'

/** The part of bittorrent-protocol's `Wire` used here; the package has no types. */
interface Wire {
  handshake(infoHash: Uint8Array, peerId: Uint8Array, extensions: { dht?: boolean; fast?: boolean }): void
  choke(): void
  unchoke(): void
  interested(): void
  uninterested(): void
  have(piece: number): void
  bitfield(bits: Uint8Array): void
  request(piece: number, begin: number, length: number, done: () => void): void
  piece(piece: number, begin: number, data: Uint8Array): void
  cancel(piece: number, begin: number, length: number): void
  port(port: number): void
  suggest(piece: number): void
  haveAll(): void
  haveNone(): void
  reject(piece: number, begin: number, length: number): void
  allowedFast(piece: number): void
  on(event: string, fn: (...args: unknown[]) => void): void
  write(bytes: Uint8Array): void
  destroy(): void
}

const packageName: string = 'bittorrent-protocol'
const { default: WireClass } = (await import(packageName)) as { default: new () => Wire }

const infoHash = new Uint8Array(20).fill(0x11)
const peerId = new Uint8Array(20).fill(0x22)
const features = { extended: true, fast: true, dht: true, v2Upgrade: false }

/** Waits until the wire's stream machinery has come to rest. */
const settle = () => new Promise(resolve => setImmediate(() => setImmediate(resolve)))

describe('bittorrent-protocol', () => {
  test('understands what we write', async () => {
    const wire = new WireClass()
    const log: string[] = []
    wire.on('data', () => {})
    wire.on('handshake', (hash, id, extensions) => log.push(`handshake ${hash} ${id} ${JSON.stringify(extensions)}`))
    for (const name of ['keep-alive', 'choke', 'unchoke', 'interested', 'uninterested', 'have', 'port', 'suggest'])
      wire.on(name, (...args) => log.push([name, ...args].join(' ')))
    for (const name of ['have-all', 'have-none', 'reject', 'allowed-fast', 'cancel'])
      wire.on(name, (...args) => log.push([name, ...args].join(' ')))
    wire.on('bitfield', bits => log.push(`bitfield ${(bits as { get(i: number): boolean }).get(1)}`))
    wire.on('request', (piece, begin, length) => log.push(`request ${piece} ${begin} ${length}`))
    wire.on('piece', (piece, begin, data) => log.push(`piece ${piece} ${begin} ${(data as Uint8Array).length}`))
    wire.on('timeout', () => {})

    wire.handshake(infoHash, peerId, { fast: true })
    wire.write(encodeHandshake(features, infoHash, peerId))
    const w = new ByteWriter()
    encode.encodeKeepAlive(w)
    encode.encodeBitfield(w, Uint8Array.of(0x40))
    encode.encodeInterested(w)
    encode.encodeNotInterested(w)
    encode.encodeUnchoke(w)
    encode.encodeHave(w, 3)
    encode.encodeDhtPort(w, 6881)
    encode.encodeSuggest(w, 4)
    encode.encodeAllowedFast(w, 5)
    encode.encodePiece(w, 1, 16384, new Uint8Array(100))
    wire.write(w.finish())
    await settle()
    // It takes requests once it has unchoked us.
    wire.unchoke()
    w.clear()
    encode.encodeRequest(w, 2, 0, 16384)
    encode.encodeCancel(w, 2, 0, 16384)
    encode.encodeHaveAll(w)
    encode.encodeChoke(w)
    wire.write(w.finish())
    await settle()
    expect(log).toEqual([
      `handshake ${'11'.repeat(20)} ${'22'.repeat(20)} {"dht":true,"fast":true,"extended":true}`,
      'keep-alive',
      'bitfield true',
      'interested',
      'uninterested',
      'unchoke',
      'have 3',
      'port 6881',
      'suggest 4',
      'allowed-fast 5',
      'piece 1 16384 100',
      'request 2 0 16384',
      'cancel 2 0 16384',
      'have-all',
      'choke',
    ])
    wire.destroy()
  })

  test('is understood by us', async () => {
    const wire = new WireClass()
    const chunks: Uint8Array[] = []
    wire.on('data', chunk => chunks.push(Uint8Array.from(chunk as Uint8Array)))
    wire.on('timeout', () => {})
    wire.handshake(infoHash, peerId, { dht: true, fast: true })
    wire.write(encodeHandshake(features, infoHash, peerId))
    // It sends requests once it is unchoked.
    wire.write(Uint8Array.of(0, 0, 0, 1, 1))
    await settle()
    wire.bitfield(Uint8Array.of(0x80))
    wire.interested()
    wire.uninterested()
    wire.unchoke()
    wire.have(0x01020304)
    wire.port(6881)
    wire.suggest(7)
    wire.haveAll()
    wire.haveNone()
    wire.allowedFast(8)
    wire.reject(1, 2, 3)
    wire.piece(1, 16384, new Uint8Array(3).fill(9))
    wire.request(4, 16384, 16384, () => {})
    wire.cancel(4, 16384, 16384)
    wire.choke()
    await settle()

    const sink = new RecordingSink()
    const messages = new MessageDecoder(sink)
    messages.setFastSupported(true)
    const log: string[] = []
    const shake = new HandshakeDecoder({
      onForeignProtocol: () => log.push('foreign'),
      onInfoHash: (_reserved, hash) => log.push(`info-hash ${hash[0]}`),
      onPeerId: id => log.push(`peer id ${id[0]}`),
    })
    for (const chunk of chunks) messages.push(chunk.subarray(shake.push(chunk)))
    expect(log).toEqual(['info-hash 17', 'peer id 34'])
    expect(sink.log.filter(l => !l.startsWith('extended'))).toEqual([
      'bitfield 80',
      'interested',
      'not interested',
      'unchoke',
      'have 16909060',
      'port 6881',
      'suggest 7',
      'have all',
      'have none',
      'allowed fast 8',
      'reject 1 2 3',
      'piece 1 16384 3',
      'piece end 1 16384 3 090909',
      'request 4 16384 16384',
      'cancel 4 16384 16384',
      'choke',
    ])
    wire.destroy()
  })
})
