import { describe, expect, test } from 'vitest'
import { tryBdecode } from '../../../src/bencode/bdecode.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import { EncPolicy, TrackerEvent } from '../../../src/core/enums.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { announceUrl, parseTrackerResponse, readPeer } from '../../../src/tracker/http-announce.ts'
import { INFO_HASH, request } from './fakes.ts'

const settings = new SessionSettings()
const ascii = (text: string) => Buffer.from(text, 'latin1')
const parse = (text: string | Uint8Array) => parseTrackerResponse(typeof text === 'string' ? ascii(text) : text, null)
const error = (text: string | Uint8Array) => parse(text).error?.value()
const url = (over = {}, changed: Partial<SessionSettings> = {}) =>
  announceUrl(request(over), 6881, Object.assign(new SessionSettings(), changed)) as string

describe('the URL of an announce', () => {
  test('has every parameter in the order trackers have always seen', () => {
    expect(url()).toBe(
      'http://tracker.test/announce?info_hash=abababababababababab&peer_id=-LT2100-123456789012&port=6881' +
        '&uploaded=2&downloaded=1&left=3&corrupt=4&key=0000BEEF&numwant=50&compact=1&no_peer_id=1' +
        '&supportcrypto=1&redundant=5',
    )
  })

  test('is byte for byte what libtorrent 2.0.8 sends', () => {
    const captured =
      'http://127.0.0.1:34699/announce?k=1&info_hash=ab%00%ff%20!~*()ababababab&peer_id=-LT2080-4yEICIU5rc7(' +
      '&port=39629&uploaded=0&downloaded=0&left=16384&corrupt=0&key=844D6784&event=started&numwant=200' +
      '&compact=1&no_peer_id=1&supportcrypto=1&redundant=0'
    const over = {
      url: 'http://127.0.0.1:34699/announce?k=1',
      infoHash: new Sha1Hash(Uint8Array.from(ascii('ab\0\xff !~*()ababababab'))),
      peerId: ascii('-LT2080-4yEICIU5rc7('),
      uploaded: 0,
      downloaded: 0,
      left: 16384,
      corrupt: 0,
      redundant: 0,
      key: 0x844d6784,
      event: TrackerEvent.started,
      numWant: 200,
    }
    expect(announceUrl(request(over), 39629, settings)).toBe(captured)
  })

  test('escapes bytes with lower-case digits', () => {
    const infoHash = Object.assign(Object.create(INFO_HASH), { view: () => new Uint8Array([0, 0xff, 0x20, 0x41]) })
    expect(url({ infoHash })).toContain('?info_hash=%00%ff%20A&')
  })

  test.each([
    [TrackerEvent.none, null],
    [TrackerEvent.completed, 'completed'],
    [TrackerEvent.started, 'started'],
    [TrackerEvent.stopped, 'stopped'],
    [TrackerEvent.paused, 'paused'],
  ])('names event %i as %s', (event, name) => {
    expect(/&event=(\w+)/.exec(url({ event }))?.[1] ?? null).toBe(name)
  })

  test('goes on after parameters that the tracker URL has', () => {
    expect(url({ url: 'http://t/announce?passkey=1' })).toContain('http://t/announce?passkey=1&info_hash=')
  })

  test('is refused where the tracker URL has parameters of an announce', () => {
    for (const name of ['info_hash', 'event', 'port', 'left', 'key', 'uploaded', 'downloaded', 'corrupt', 'PEER_ID']) {
      const refused = announceUrl(request({ url: `http://t/announce?a=b&${name}=1` }), 1, settings) as ErrorCode
      expect(refused.value(), name).toBe(LibtorrentErrors.ssrfMitigation)
    }
    expect(url({ url: 'http://t/announce?port=1' }, { ssrfMitigation: false })).toContain('?port=1&info_hash')
  })

  test('follows the settings', () => {
    expect(url({}, { announceCryptoSupport: false })).not.toContain('supportcrypto')
    expect(url({}, { inEncPolicy: EncPolicy.peDisabled })).not.toContain('supportcrypto')
    expect(url({}, { reportRedundantBytes: false })).not.toContain('redundant')
    expect(url({}, { announceIp: '1.2.3.4' })).toContain('&ip=1.2.3.4')
    expect(url({}, { announceIp: '1.2.3.4', anonymousMode: true })).not.toContain('&ip=')
  })

  test('carries the tracker id and our addresses', () => {
    const out = url({ trackerId: 'a b&c', ipv4: ['8.8.8.8'], ipv6: ['2001:db8::1', '2001:db8::2'] })
    expect(out).toContain('&trackerid=a%20b%26c')
    expect(out.endsWith('&ipv4=8.8.8.8&ipv6=2001%3adb8%3a%3a1&ipv6=2001%3adb8%3a%3a2')).toBe(true)
  })

  test('writes numbers beyond 32 bits in full', () => {
    expect(url({ left: 2 ** 52, key: 0xffffffff })).toMatch(/&left=4503599627370496&.*&key=FFFFFFFF&/)
  })

  test('of a scrape has the info-hash only, at the scrape address', () => {
    expect(url({ scrape: true, url: 'http://t/x/announce.php?k=1' })).toBe(
      'http://t/x/scrape.php?k=1&info_hash=abababababababababab',
    )
    const none = announceUrl(request({ scrape: true, url: 'http://t/a' }), 1, settings) as ErrorCode
    expect(none.value()).toBe(LibtorrentErrors.scrapeNotAvailable)
  })
})

describe('the answer to an announce', () => {
  test('may list peers by name', () => {
    const { response, error } = parse(
      'd5:peersld7:peer id20:aaaaaaaaaaaaaaaaaaaa2:ip13:test_hostname4:porti1000eed' +
        '7:peer id20:bbbbabaababababababa2:ip12:another_host4:porti1001eeee',
    )
    expect(error).toBeNull()
    expect(response.peers.map(p => [p.hostname, p.port, Buffer.from(p.peerId).toString()])).toEqual([
      ['test_hostname', 1000, 'aaaaaaaaaaaaaaaaaaaa'],
      ['another_host', 1001, 'bbbbabaababababababa'],
    ])
  })

  test('may list peers in six bytes each', () => {
    expect(parse('d5:peers12:\x01\x02\x03\x04\x30\x10\x09\x08\x07\x06\x20\x10e').response.peers4).toEqual([
      ['1.2.3.4', 0x3010],
      ['9.8.7.6', 0x2010],
    ])
    expect(error('d5:peers7:\x01\x02\x03\x04\x30\x10\x01e')).toBe(LibtorrentErrors.invalidPeersEntry)
  })

  test('may list IPv6 peers in eighteen bytes each', () => {
    const peer = '\x20\x01\x0d\xb8' + '\0'.repeat(11) + '\x01\x30\x10'
    expect(parse(`d6:peers618:${peer}e`).response.peers6).toEqual([['2001:db8::1', 0x3010]])
    expect(error(`d6:peers619:${peer}\x01e`)).toBe(LibtorrentErrors.invalidPeersEntry)
  })

  test('names the intervals, which else are 1800 and 30 seconds', () => {
    const said = parse('d8:intervali1042e12:min intervali10e5:peers0:e').response
    expect([said.interval, said.minInterval]).toEqual([1042, 10])
    const unsaid = parse('d5:peers0:e').response
    expect([unsaid.interval, unsaid.minInterval]).toEqual([1800, 30])
  })

  test('keeps absurd intervals within 32 bits', () => {
    const { response } = parse('d8:intervali9223372036854775807e12:min intervali-9223372036854775807ee')
    expect([response.interval, response.minInterval]).toEqual([0x7fffffff, -0x7fffffff])
  })

  test('may warn, give a tracker id, scrape numbers and our address', () => {
    const { response, error } = parse(
      'd8:completei1e10:downloadedi3e11:external ip4:\x01\x02\x03\x0410:incompletei2e5:peers0:' +
        '10:tracker id3:abc15:warning message12:test messagee',
    )
    expect(error).toBeNull()
    expect(response).toMatchObject({
      complete: 1,
      incomplete: 2,
      downloaded: 3,
      externalIp: '1.2.3.4',
      trackerId: 'abc',
      warningMessage: 'test message',
    })
    expect(parse('d5:peers0:e').response).toMatchObject({ complete: -1, incomplete: -1, downloaded: -1 })
  })

  test('may give a tracker id of any bytes, which it gets back', () => {
    const { trackerId } = parse('d5:peers0:10:tracker id4:a&\0\xffe').response
    expect(url({ trackerId })).toContain('&trackerid=a%26%00%ff')
  })

  test('may give our IPv6 address; other lengths are ignored', () => {
    const ip = '\xf1\x02\x03\x04' + '\0'.repeat(10) + '\xff\xff'
    expect(parse(`d11:external ip16:${ip}5:peers0:e`).response.externalIp).toBe('f102:304::ffff')
    expect(parse('d11:external ip5:12345e').response.externalIp).toBeNull()
  })

  test('may be a refusal', () => {
    const { response, error } = parse('d14:failure reason12:test message5:peers0:e')
    expect(error?.value()).toBe(LibtorrentErrors.trackerFailure)
    expect(response.failureReason).toBe('test message')
    expect(response.retryIn).toBe(-1)
  })

  test.each([
    ['i5e', 300],
    ['1:5', 300],
    ['5:never', Number.POSITIVE_INFINITY],
    ['i0e', -1],
    ['i-1e', -1],
    ['4:soon', -1],
    ['le', -1],
    ['i99999999999e', 0x7fffffff],
  ])('a refusal with retry in %s means %d seconds', (value, seconds) => {
    expect(parse(`d14:failure reason1:x8:retry in${value}e`).response.retryIn).toBe(seconds)
  })

  test('one bad peer of a list is left out; a list of bad ones only is an error', () => {
    const good = 'd2:ip7:1.2.3.44:porti1ee'
    expect(parse(`d5:peersli1e${good}d2:ip1:xeee`).response.peers.length).toBe(1)
    expect(error('d5:peersli1eee')).toBe(LibtorrentErrors.invalidPeerDict)
    expect(error('d5:peersld2:ip1:xeee')).toBe(LibtorrentErrors.invalidTrackerResponse)
    expect(error('d5:peerslee')).toBeUndefined()
  })

  test('without peers, or with peers of a strange type, is an answer nevertheless', () => {
    expect(error('de')).toBeUndefined()
    expect(error('d5:peersi1ee')).toBeUndefined()
    expect(error('d5:peersd1:ai1eee')).toBeUndefined()
    expect(error('d6:peers6i1ee')).toBeUndefined()
  })

  test('that is no dictionary is invalid', () => {
    for (const body of ['i1e', 'le', '3:abc']) expect(error(body), body).toBe(LibtorrentErrors.invalidTrackerResponse)
  })

  test('that is not bencoded gives the decoder error', () => {
    expect(parse('abc').error?.category().name()).toBe('bdecode')
    expect(error('')).toBe(3)
    expect(error('abc')).toBe(4)
    expect(error(ascii('l'.repeat(1000)))).toBe(5)
    expect(error('<html>')).toBe(4)
  })

  test('cut anywhere never throws', () => {
    const whole = ascii(
      'd8:completei1e11:external ip4:\x01\x02\x03\x048:intervali9e5:peersld2:ip1:x4:porti1eee6:peers60:10:tracker id1:xe',
    )
    for (let i = 0; i < whole.length; i++) expect(parse(whole.subarray(0, i)).error, String(i)).not.toBeNull()
    expect(parse(whole).error).toBeNull()
  })

  test('of mutated bytes never throws', () => {
    const whole = ascii('d8:completei1e5:peersld2:ip1:x4:porti1eee6:peers618:aaaaaaaaaaaaaaaaaae')
    for (let at = 0; at < whole.length; at++) {
      for (const byte of [0, 0x30, 0x3a, 0x64, 0x65, 0x69, 0x6c, 0xff]) {
        const bad = Uint8Array.from(whole)
        bad[at] = byte
        parse(bad)
        parseTrackerResponse(bad, INFO_HASH.key())
      }
    }
  })

  test('a string longer than the body is refused before memory is reserved', () => {
    expect(error('d5:peers2147483647:ab')).toBe(3)
  })
})

describe('an entry of a list of peers', () => {
  const peer = (text: string) => readPeer(tryBdecode(ascii(text)).node)

  test('needs an address and a port', () => {
    expect(peer('d7:peer id20:abababababababababab2:ip4:abcd4:porti1337ee')).toMatchObject({
      hostname: 'abcd',
      port: 1337,
    })
    expect(peer('d2:ip11:example.com4:porti1ee')).toMatchObject({ peerId: new Uint8Array(20) })
    expect(peer('11:example.com')).toBe(LibtorrentErrors.invalidPeerDict)
    expect(peer('d7:peer id20:abababababababababab4:porti1337ee')).toBe(LibtorrentErrors.invalidTrackerResponse)
    expect(peer('d7:peer id20:abababababababababab2:ip4:abcde')).toBe(LibtorrentErrors.invalidTrackerResponse)
    expect(peer('d2:ip11:example.com4:porti-1ee')).toBe(LibtorrentErrors.invalidTrackerResponse)
    expect(peer('d2:ip11:example.com4:porti65536ee')).toBe(LibtorrentErrors.invalidTrackerResponse)
    expect(peer('d2:ip11:example.com4:port2:80e')).toBe(LibtorrentErrors.invalidTrackerResponse)
  })
})

describe('the answer to a scrape', () => {
  const scrape = (text: string, hash = 'aaaaaaaaaaaaaaaaaaaa') => parseTrackerResponse(ascii(text), hash)

  test('has the numbers of the torrent asked for', () => {
    const body = 'd5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:incompletei2e10:downloadedi3e11:downloadersi6eeee'
    expect(scrape(body).response).toMatchObject({ complete: 1, incomplete: 2, downloaded: 3, downloaders: 6 })
    expect(scrape(body, 'b'.repeat(20)).error?.value()).toBe(LibtorrentErrors.invalidHashEntry)
  })

  test('finds info-hashes with any byte in them', () => {
    const hash = 'aaa\0aaaaaaaaaaaaaaaa'
    expect(scrape(`d5:filesd20:${hash}d8:completei4e10:incompletei5eeee`, hash).response).toMatchObject({
      complete: 4,
      incomplete: 5,
      downloaded: -1,
      downloaders: -1,
    })
  })

  test('without files is invalid', () => {
    expect(scrape('de').error?.value()).toBe(LibtorrentErrors.invalidFilesEntry)
    expect(scrape('d5:filesi1ee').error?.value()).toBe(LibtorrentErrors.invalidFilesEntry)
    expect(scrape('d5:filesd20:aaaaaaaaaaaaaaaaaaaai1eee').error?.value()).toBe(LibtorrentErrors.invalidHashEntry)
  })

  test('takes numbers that no swarm has for unknown', () => {
    const body = 'd5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei-7e10:incompletei99999999999eeee'
    expect(scrape(body).response).toMatchObject({ complete: -1, incomplete: -1 })
  })

  test('may be a refusal too', () => {
    expect(scrape('d14:failure reason2:noe').error?.value()).toBe(LibtorrentErrors.trackerFailure)
  })
})
