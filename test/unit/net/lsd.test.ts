import { describe, expect, test } from 'vitest'
import { Sha1Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { errnoError } from '../../../src/core/error-code.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { LSD_GROUP_V4, LSD_GROUP_V6, Lsd, type LsdOptions } from '../../../src/net/lsd.ts'
import { readLsdMessage, writeLsdMessage } from '../../../src/net/lsd-message.ts'

const A = new Sha1Hash('0123456789abcdef0123456789abcdef01234567')
const B = new Sha1Hash('ff00000000000000000000000000000000000001')
const bytes = (text: string) => Buffer.from(text, 'latin1')
const message = (...lines: string[]) =>
  bytes(`BT-SEARCH * HTTP/1.1\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`)
const read = (...lines: string[]) => readLsdMessage(message(...lines))
const INCOMPLETE = 'incomplete HTTP message'

describe('the message', () => {
  test('is written as libtorrent writes it', () => {
    expect(Buffer.from(writeLsdMessage('239.192.152.143', 6881, A, 0x7f00ab)).toString()).toBe(
      'BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n' +
        `Infohash: ${A}\r\ncookie: 7f00ab\r\n\r\n\r\n`,
    )
  })

  test('is read as it was written', () => {
    expect(readLsdMessage(writeLsdMessage('[ff15::efc0:988f]', 51413, B, 0x7fffffff))).toEqual({
      port: 51413,
      cookie: 0x7fffffff,
      infoHashes: [B],
    })
  })

  test('may have names in any case, bare line feeds, unknown headers, and no cookie', () => {
    const text = `bt-search * http/1.1\nHOST: x\nX-Thing: a:b\npOrT:\t 80\nINFOHASH:${A.toString().toUpperCase()}\n\n`
    expect(readLsdMessage(bytes(text))).toEqual({ port: 80, cookie: null, infoHashes: [A] })
  })

  test('may name several torrents; what is no info-hash is passed over', () => {
    const bad = ['Infohash: ', `Infohash: ${A}0`, `Infohash: ${'g'.repeat(40)}`, `Infohash: ${'0'.repeat(40)}`]
    expect(read('Port: 1', ...bad, `Infohash: ${A}`, `infohash: ${B}`)).toEqual({
      port: 1,
      cookie: null,
      infoHashes: [A, B],
    })
    expect(read('Port: 1', ...bad)).toEqual({ port: 1, cookie: null, infoHashes: [] })
  })

  test('has a port from 1 to 65534, of which the digits at the beginning count', () => {
    for (const [value, port] of [
      ['1', 1],
      ['65534', 65534],
      ['6881 and more', 6881],
      ['+7', 7],
      ['007', 7],
    ] as const) {
      expect(read(`Port: ${value}`)).toMatchObject({ port })
    }
    for (const value of ['0', '65535', '65536', '-1', 'x', '99999999999999999999', '0x10', '\u00b2']) {
      expect(read(`Port: ${value}`)).toBe(`invalid BT-SEARCH port value: ${value}`)
    }
    for (const lines of [[], ['Port:'], ['Port: ', 'Port: 5'], ['Port : 5']]) {
      expect(read(...lines)).toBe('invalid BT-SEARCH, missing port')
    }
    expect(read('Port: 5', 'Port: 6')).toMatchObject({ port: 5 })
  })

  test('has a cookie in hexadecimal digits', () => {
    for (const [value, cookie] of [
      ['ff', 255],
      ['0xFF', 255],
      ['7fxyz', 127],
      ['zz', null],
      ['', null],
      ['-1', null],
    ] as const) {
      expect(read('Port: 5', `cookie: ${value}`)).toMatchObject({ cookie })
    }
  })

  test('of another kind is none', () => {
    expect(readLsdMessage(bytes('NOTIFY * HTTP/1.1\r\nPort: 5\r\n\r\n'))).toBe('invalid HTTP method: notify')
    expect(readLsdMessage(bytes('HTTP/1.1 200 OK\r\nPort: 5\r\n\r\n'))).toBe('invalid HTTP method: http/1.1')
    expect(readLsdMessage(bytes('\r\nPort: 5\r\n\r\n'))).toBe('invalid HTTP method: ')
    expect(readLsdMessage(bytes(' BT-SEARCH * HTTP/1.1\r\nPort: 5\r\n\r\n'))).toBe('invalid HTTP method: ')
    expect(readLsdMessage(bytes('\nPort: 5\n\n'))).toBe(INCOMPLETE)
    expect(readLsdMessage(new Uint8Array(0))).toBe(INCOMPLETE)
  })

  test('cut anywhere before the end of its head is none', () => {
    const whole = writeLsdMessage('239.192.152.143', 6881, A, 0x1234)
    const head = whole.length - 2
    for (let n = 0; n < whole.length; n++) {
      const cut = readLsdMessage(whole.subarray(0, n))
      if (n < head) expect(cut).toBe(INCOMPLETE)
      else expect(cut).toEqual({ port: 6881, cookie: 0x1234, infoHashes: [A] })
    }
  })

  test('ends with a line without a colon; what follows is not read', () => {
    expect(read('Port: 5', 'no colon', `Infohash: ${A}`)).toEqual({ port: 5, cookie: null, infoHashes: [] })
  })

  test('beyond 1500 bytes is cut there', () => {
    const filler = 'X: '.padEnd(1400, 'x')
    expect(read('Port: 5', filler, `Infohash: ${A}`)).toMatchObject({ infoHashes: [A] })
    expect(read('Port: 5', filler, `Infohash: ${A}`, `Infohash: ${A}`)).toBe(INCOMPLETE)
    const many = read('Port: 5', ...Array(1000).fill(`Infohash: ${A}`))
    expect(many).toBe(INCOMPLETE)
  })

  test('may be any garbage', () => {
    const rng = new SeededRng(5)
    const whole = writeLsdMessage('239.192.152.143', 6881, A, 0x1234)
    let good = 0
    for (let n = 0; n < 20_000; n++) {
      const packet = n % 2 === 0 ? whole.slice() : new Uint8Array(rng.below(300))
      if (n % 2 !== 0) rng.fill(packet)
      else for (let flips = rng.below(4); flips >= 0; flips--) packet[rng.below(packet.length)] = rng.below(256)
      const result = readLsdMessage(packet)
      if (typeof result === 'string') continue
      good++
      expect(result.port).toBeGreaterThan(0)
      expect(result.port).toBeLessThan(65535)
      expect(result.infoHashes.length).toBeLessThanOrEqual(1)
    }
    expect(good).toBeGreaterThan(1000)
  })
})

/** One discoverer, its packets with their times, and a clock that is turned by hand. */
function make(options: Partial<LsdOptions> = {}) {
  let now = 0
  let timers: { at: number; fn: () => void }[] = []
  const sent: string[] = []
  const found: string[] = []
  const logged: string[] = []
  const groups: Endpoint[] = []
  const lsd = new Lsd(
    { address: '192.168.1.5', prefixLength: 24, cookie: 77, ...options },
    {
      send: (packet, group) => {
        groups.push(group)
        sent.push(`${now} ${/Infohash: (..)/.exec(Buffer.from(packet).toString())![1]}`)
      },
      setTimer: (delay, fn) => {
        const timer = { at: now + delay, fn }
        timers.push(timer)
        return {
          cancel: () => {
            timers = timers.filter(other => other !== timer)
          },
        }
      },
      peerFound: (peer, infoHash) => void found.push(`${peer.join(' ')} ${infoHash.toString().slice(0, 2)}`),
      shouldLog: () => true,
      log: text => void logged.push(text),
    },
  )
  const advance = (ms: number) => {
    for (const end = now + ms; now < end; now++) {
      for (const timer of timers.filter(each => each.at <= now)) {
        timers = timers.filter(other => other !== timer)
        timer.fn()
      }
    }
  }
  return { lsd, sent, found, logged, groups, advance, timers: () => timers.length }
}

const heard = (port: number, infoHash: Sha1Hash, cookie = 1) =>
  writeLsdMessage('239.192.152.143', port, infoHash, cookie)

describe('a discoverer', () => {
  test('sends an announce three times: at once, after two seconds, and four seconds later', () => {
    const { lsd, sent, groups, advance, timers } = make()
    lsd.announce([A], 6881)
    advance(60_000)
    expect(sent).toEqual(['0 01', '2000 01', '6000 01'])
    expect(groups[0]).toEqual(LSD_GROUP_V4)
    expect(timers()).toBe(0)
  })

  test('repeats the last announce only, with both hashes of a hybrid torrent', () => {
    const { lsd, sent, advance } = make()
    lsd.announce([A], 6881)
    advance(1000)
    lsd.announce([A, B], 6881)
    advance(60_000)
    expect(sent).toEqual(['0 01', '1000 01', '1000 ff', '3000 01', '3000 ff', '7000 01', '7000 ff'])
  })

  test('with an IPv6 address speaks to the IPv6 group', () => {
    const { lsd, groups, logged } = make({ address: 'fe80::1%eth0', prefixLength: 64 })
    lsd.announce([A], 6881)
    expect(groups).toEqual([LSD_GROUP_V6])
    expect(logged).toEqual([`==> LSD: ih: ${A} port: 6881 [iface: fe80::1%eth0]`])
  })

  test('tells of each torrent that somebody on the network has', () => {
    const { lsd, found, logged } = make()
    lsd.incoming(message('Port: 7000', `Infohash: ${A}`, `Infohash: ${B}`), ['192.168.1.9', 6771])
    lsd.incoming(heard(7001, B), ['192.168.1.200', 1])
    expect(found).toEqual(['192.168.1.9 7000 01', '192.168.1.9 7000 ff', '192.168.1.200 7001 ff'])
    expect(logged[0]).toBe(`<== LSD: 192.168.1.9:7000 ih: ${A}`)
  })

  test('does not listen to itself, to other networks, or to anything else', () => {
    const { lsd, found, logged } = make()
    lsd.incoming(heard(7000, A, 77), ['192.168.1.9', 6771])
    lsd.incoming(heard(7000, A), ['192.168.2.9', 6771])
    lsd.incoming(heard(7000, A), ['fe80::9', 6771])
    lsd.incoming(bytes('M-SEARCH * HTTP/1.1\r\n\r\n'), ['192.168.1.9', 6771])
    expect(found).toEqual([])
    expect(logged).toEqual([
      '<== LSD: ignoring packet (cookie matched our own): 4d',
      '<== LSD: receive from out of network: 192.168.2.9',
      '<== LSD: receive from out of network: fe80::9',
      '<== LSD: invalid HTTP method: m-search',
    ])
  })

  test('tells link-local networks apart by their zones', () => {
    const { lsd, found } = make({ address: 'fe80::1%eth0', prefixLength: 64 })
    lsd.incoming(heard(7000, A), ['fe80::2%eth1', 6771])
    lsd.incoming(heard(7000, A), ['2001:db8::2', 6771])
    lsd.incoming(heard(7000, A), ['fe80::2%eth0', 6771])
    expect(found).toEqual(['fe80::2%eth0 7000 01'])
  })

  test('that cannot send falls silent, but still hears', () => {
    const { lsd, sent, found, logged, advance, timers } = make()
    lsd.announce([A], 6881)
    lsd.sendFailed(errnoError('ENETUNREACH'))
    lsd.sendFailed(errnoError('ENETUNREACH'))
    expect(timers()).toBe(0)
    lsd.announce([B], 6881)
    advance(10_000)
    expect(sent).toEqual(['0 01'])
    expect(logged.filter(text => text.startsWith('*** LSD: failed to send message: (101)')).length).toBe(1)
    lsd.incoming(heard(7000, A), ['192.168.1.9', 6771])
    expect(found.length).toBe(1)
  })

  test('that is closed neither sends nor hears', () => {
    const { lsd, sent, found, advance, timers } = make()
    lsd.announce([A], 6881)
    lsd.close()
    expect(timers()).toBe(0)
    lsd.announce([B], 6881)
    lsd.incoming(heard(7000, A), ['192.168.1.9', 6771])
    advance(10_000)
    expect(sent).toEqual(['0 01'])
    expect(found).toEqual([])
  })
})
