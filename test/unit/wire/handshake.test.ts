import { expect, test } from 'vitest'
import { bytesToHex, hexToBytes } from '../../../src/core/bytes.ts'
import { encodeHandshake, HandshakeDecoder, readFeatures } from '../../../src/wire/handshake.ts'

const infoHash = new Uint8Array(20).fill(0x11)
const peerId = new Uint8Array(20).fill(0x22)
const all = { extended: true, fast: true, dht: true, v2Upgrade: true }
const none = { extended: false, fast: false, dht: false, v2Upgrade: false }

function decoder(): { log: string[]; decoder: HandshakeDecoder } {
  const log: string[] = []
  return {
    log,
    decoder: new HandshakeDecoder({
      onForeignProtocol: bytes => log.push(`foreign ${bytesToHex(bytes)}`),
      onInfoHash: (reserved, hash) => log.push(`info-hash ${bytesToHex(reserved)} ${bytesToHex(hash)}`),
      onPeerId: id => log.push(`peer id ${bytesToHex(id)}`),
    }),
  }
}

test('the handshake is 68 bytes with the reserved bits of the BEPs and of libtorrent', () => {
  const text = bytesToHex(new TextEncoder().encode('\x13BitTorrent protocol'))
  expect(bytesToHex(encodeHandshake(all, infoHash, peerId))).toBe(
    `${text}0000000000100015${'11'.repeat(20)}${'22'.repeat(20)}`,
  )
  expect(bytesToHex(encodeHandshake(none, infoHash, peerId)).slice(40, 56)).toBe('0000000000000000')
  expect(() => encodeHandshake(none, infoHash.subarray(1), peerId)).toThrow(RangeError)
})

test('reserved bits are read one by one, and unknown ones are ignored', () => {
  expect(readFeatures(hexToBytes('0000000000100000')!)).toEqual({ ...none, extended: true })
  expect(readFeatures(hexToBytes('0000000000000004')!)).toEqual({ ...none, fast: true })
  expect(readFeatures(hexToBytes('0000000000000001')!)).toEqual({ ...none, dht: true })
  expect(readFeatures(hexToBytes('0000000000000010')!)).toEqual({ ...none, v2Upgrade: true })
  expect(readFeatures(hexToBytes('ffffffffffffffff')!)).toEqual(all)
  expect(readFeatures(hexToBytes('ffffffffffefffea')!)).toEqual(none)
})

test('a handshake gives the same events at every two cuts, and leaves the first message alone', () => {
  const stream = new Uint8Array([...encodeHandshake(all, infoHash, peerId), 0, 0, 0, 1, 1])
  const whole = [`info-hash 0000000000100015 ${'11'.repeat(20)}`, `peer id ${'22'.repeat(20)}`]
  for (let i = 0; i <= stream.length; i++) {
    for (let j = i; j <= stream.length; j++) {
      const { log, decoder: d } = decoder()
      let rest = ''
      for (const chunk of [stream.subarray(0, i), stream.subarray(i, j), stream.subarray(j)])
        rest += bytesToHex(chunk.subarray(d.push(chunk)))
      expect(log).toEqual(whole)
      expect(rest).toBe('0000000101')
      expect(d.done).toBe(true)
    }
  }
})

test('the info-hash is known before the peer id has arrived', () => {
  const { log, decoder: d } = decoder()
  d.push(encodeHandshake(none, infoHash, peerId).subarray(0, 48))
  expect(log.length).toBe(1)
  expect(d.received).toBe(48)
  expect(d.done).toBe(false)
})

test('another protocol is told after 20 bytes, and ends the decoder', () => {
  for (const at of [0, 1, 19]) {
    const bytes = encodeHandshake(none, infoHash, peerId)
    bytes[at]! ^= 1
    const { log, decoder: d } = decoder()
    expect(d.push(bytes)).toBe(20)
    expect(log).toEqual([`foreign ${bytesToHex(bytes.subarray(0, 20))}`])
    expect(d.push(bytes)).toBe(0)
    expect(d.done).toBe(true)
  }
})

test('a decoder that was stopped by its sink says nothing more', () => {
  const log: string[] = []
  const d: HandshakeDecoder = new HandshakeDecoder({
    onForeignProtocol: () => log.push('foreign'),
    onInfoHash: () => {
      log.push('info-hash')
      d.stop()
    },
    onPeerId: () => log.push('peer id'),
  })
  expect(d.push(encodeHandshake(none, infoHash, peerId))).toBe(48)
  expect(log).toEqual(['info-hash'])
})
