import { describe, expect, test } from 'vitest'
import { bytesToHex, hexToBytes } from '../../../src/core/bytes.ts'
import { type AssociateOptions, type AssociateOutcome, Socks5Associate } from '../../../src/net/socks5-associate.ts'

const ASSOCIATE = '05030001000000000000'

/** Lets a proxy say things, and returns what was said to it and how it ended. */
function talk(options: Partial<AssociateOptions>, ...says: string[]): { sent: string[]; end: AssociateOutcome | null } {
  const sent: string[] = []
  const whole = { username: '', password: '', proxy: ['10.0.0.9', 1080] as const, local: null, ...options }
  const talk = new Socks5Associate(whole, bytes => sent.push(bytesToHex(bytes)))
  talk.start()
  let end: AssociateOutcome | null = null
  for (const hex of says) end ??= talk.receive(hexToBytes(hex)!)
  return { sent, end }
}

function refusal(options: Partial<AssociateOptions>, ...says: string[]): string {
  const { end } = talk(options, ...says)
  if (end === null || end.relay !== null) throw new Error('it was not refused')
  return `${end.error.message()}${end.final ? ', for good' : ''}`
}

const LOGIN = { username: 'me', password: 'xyz' }
/** RFC 1929: version, counted name, counted password. */
const LOGIN_BYTES = '01026d650378797a'

describe('UDP ASSOCIATE', () => {
  test('without a login', () => {
    const { sent, end } = talk({}, '0500', '050000010102030407d0')
    expect(sent).toEqual(['050100', ASSOCIATE])
    expect(end).toEqual({ relay: ['1.2.3.4', 2000] })
  })

  test('with a login, if the proxy wants it', () => {
    expect(talk(LOGIN, '0502', '0100', '050000010102030407d0')).toEqual({
      sent: ['05020002', LOGIN_BYTES, ASSOCIATE],
      end: { relay: ['1.2.3.4', 2000] },
    })
    expect(talk(LOGIN, '0500').sent).toEqual(['05020002', ASSOCIATE])
  })

  test('names and passwords are cut to what the message can hold', () => {
    const { sent } = talk({ username: 'u'.repeat(300), password: '' }, '0502')
    expect(sent[1]).toBe(`01ff${'75'.repeat(255)}00`)
  })

  test('tells where our packets come from, if asked to', () => {
    expect(talk({ local: ['10.0.0.1', 6881] }, '0500').sent[1]).toBe('050300010a0000011ae1')
    expect(talk({ local: ['::1', 1] }, '0500').sent[1]).toBe(`05030004${'00'.repeat(15)}010001`)
  })

  test('the relay may be at any form of address', () => {
    const relay = (reply: string) => talk({}, '0500', `050000${reply}`).end?.relay
    expect(relay(`04${'20010db8'}${'00'.repeat(11)}0107d0`)).toEqual(['2001:db8::1', 2000])
    expect(relay('030570726f787907d0')).toEqual(['10.0.0.9', 2000])
    expect(relay('030007d0')).toEqual(['10.0.0.9', 2000])
    expect(relay('010000000007d0')).toEqual(['10.0.0.9', 2000])
    expect(relay(`04${'00'.repeat(16)}07d0`)).toEqual(['10.0.0.9', 2000])
  })

  test('however the stream is cut', () => {
    for (const all of ['050201000500000301 4107d0', '05020100050000010102030407d0']) {
      const bytes = all.replaceAll(' ', '').match(/../g)!
      const outcome = talk(LOGIN, ...bytes).end
      expect(outcome).toHaveProperty('relay.1', 2000)
      for (let cut = 0; cut <= bytes.length; cut++) {
        expect(talk(LOGIN, bytes.slice(0, cut).join(''), bytes.slice(cut).join('')).end).toEqual(outcome)
      }
      for (let end = 0; end < bytes.length; end++) expect(talk(LOGIN, ...bytes.slice(0, end)).end).toBe(null)
    }
  })

  test('a wrong proxy or login is refused for good', () => {
    expect(refusal({}, '0400')).toBe('SOCKS unsupported version, for good')
    expect(refusal({}, '4854')).toBe('SOCKS unsupported version, for good')
    expect(refusal({}, '05ff')).toBe('SOCKS unsupported authentication method, for good')
    expect(refusal({}, '0502')).toBe('SOCKS username required, for good')
    expect(refusal(LOGIN, '0502', '0500')).toBe('SOCKS unsupported authentication version, for good')
    expect(refusal(LOGIN, '0502', '0101')).toBe('SOCKS authentication error, for good')
    expect(refusal({}, '0500', '0400')).toBe('SOCKS unsupported version, for good')
  })

  test.each([
    ['01', 'SOCKS general failure'],
    ['02', 'Permission denied'],
    ['03', 'Network is unreachable'],
    ['04', 'No route to host'],
    ['05', 'Connection refused'],
    ['06', 'Connection timed out'],
    ['07', 'SOCKS command not supported'],
    ['08', 'Address family not supported by protocol'],
    ['63', 'SOCKS general failure'],
  ])('reply %s is "%s", and may be another one later', (code, text) => {
    expect(refusal({}, '0500', `05${code}`)).toBe(text)
    expect(refusal({}, '0500', `05${code}0001000000000000`)).toBe(text)
  })

  test('a reply with an address of an unknown form is of no use', () => {
    expect(refusal({}, '0500', '0500000201020304')).toBe('Address family not supported by protocol')
  })
})
