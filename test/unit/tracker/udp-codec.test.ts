import { expect, test } from 'vitest'
import { TrackerEvent } from '../../../src/core/enums.ts'
import {
  decodeAnnounce,
  decodeConnect,
  decodeError,
  decodeHeader,
  decodeScrape,
  encodeAnnounce,
  encodeConnect,
  encodeScrape,
} from '../../../src/tracker/udp-codec.ts'
import { INFO_HASH, request } from './fakes.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytes = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const ID = bytes('0102030405060708')

test('a connect request has the protocol id, the action and the transaction id', () => {
  expect(hex(encodeConnect(0xdeadbeef))).toBe('0000041727101980' + '00000000' + 'deadbeef')
})

test('an announce request is laid out as BEP 15 says, with the URL data of BEP 41', () => {
  const packet = encodeAnnounce(ID, 7, request({ event: TrackerEvent.started }), 0x1ae1, '1.2.3.4', '/announce?a=b')
  expect(hex(packet)).toBe(
    '0102030405060708' +
      '00000001' +
      '00000007' +
      '6162'.repeat(10) +
      hex(Buffer.from('-LT2100-123456789012')) +
      '0000000000000001' +
      '0000000000000003' +
      '0000000000000002' +
      '00000002' +
      '01020304' +
      '0000beef' +
      '00000032' +
      '1ae1' +
      `020d${hex(Buffer.from('/announce?a=b'))}`,
  )
})

test('an announce request without announce_ip leaves the address to the tracker', () => {
  for (const ip of ['', '::1', 'nonsense']) {
    expect(hex(encodeAnnounce(ID, 7, request(), 1, ip, '/')).slice(168, 176), ip).toBe('00000000')
  }
})

test('URL data is cut at 255 bytes', () => {
  const packet = encodeAnnounce(ID, 7, request(), 1, '', '/'.repeat(1000))
  expect(packet.length).toBe(98 + 2 + 255)
  expect(packet[99]).toBe(255)
})

test('a scrape request has the connection id and the info-hash', () => {
  expect(hex(encodeScrape(ID, 9, INFO_HASH.view()))).toBe(
    '0102030405060708' + '00000002' + '00000009' + '6162'.repeat(10),
  )
})

test('a response begins with an action from 0 to 3', () => {
  expect(decodeHeader(bytes('00000001 ffffffff'))).toEqual({ action: 1, transactionId: 0xffffffff })
  expect(decodeHeader(bytes('00000004 00000000'))).toBeNull()
  expect(decodeHeader(bytes('ffffffff 00000000'))).toBeNull()
  for (let i = 0; i < 8; i++) expect(decodeHeader(new Uint8Array(i))).toBeNull()
})

test('a connect response has a connection id', () => {
  expect(decodeConnect(bytes('00000000 00000001 0102030405060708 ff'))).toEqual(ID)
  expect(decodeConnect(new Uint8Array(15))).toBeNull()
})

const ANNOUNCE = '00000001 00000001 00000708 00000002 00000003'

test('an announce response lists peers of the address family of the tracker', () => {
  expect(decodeAnnounce(bytes(ANNOUNCE), 4)).toEqual({ interval: 1800, incomplete: 2, complete: 3, peers: [] })
  expect(decodeAnnounce(bytes(`${ANNOUNCE} 01020304 0050 05060708 0051`), 4)?.peers).toEqual([
    ['1.2.3.4', 80],
    ['5.6.7.8', 81],
  ])
  expect(decodeAnnounce(bytes(`${ANNOUNCE} 20010db8000000000000000000000001 0050`), 16)?.peers).toEqual([
    ['2001:db8::1', 80],
  ])
})

test('an announce response cut in a peer is invalid, cut before the peers too short', () => {
  const whole = bytes(`${ANNOUNCE} 01020304 0050 05060708 0051`)
  for (let i = 0; i < whole.length; i++) {
    const reply = decodeAnnounce(whole.subarray(0, i), 4)
    if (i < 20) expect(reply, String(i)).toBeNull()
    else expect(reply?.peers?.length, String(i)).toBe(i === 20 ? 0 : i === 26 ? 1 : undefined)
  }
})

test('a scrape response has seeds, downloads, leeches', () => {
  expect(decodeScrape(bytes('00000002 00000001 00000001 00000002 00000003'))).toEqual({
    complete: 1,
    downloaded: 2,
    incomplete: 3,
  })
  expect(decodeScrape(new Uint8Array(19))).toBeNull()
})

test('an error response is text', () => {
  expect(decodeError(Buffer.concat([new Uint8Array(8), Buffer.from('go away\0')]))).toBe('go away')
  expect(decodeError(new Uint8Array(8))).toBe('')
})

test('the connection id is a copy, also of a packet that is a Buffer', () => {
  const packet = Buffer.from('0000000000000001' + '0102030405060708', 'hex')
  const id = decodeConnect(packet)!
  packet.fill(0xff)
  expect(hex(id)).toBe('0102030405060708')
})
