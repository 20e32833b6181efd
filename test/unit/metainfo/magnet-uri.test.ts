import { describe, expect, test } from 'vitest'
import { Sha1Hash, Sha256Hash } from '../../../src/core/digest.ts'
import { TorrentFlags } from '../../../src/core/enums.ts'
import { LibtorrentError } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import { AddTorrentParams } from '../../../src/metainfo/add-torrent-params.ts'
import { makeMagnetUri, parseMagnetUri, parseMagnetUriDict } from '../../../src/metainfo/magnet-uri.ts'

const V1 = 'cd'.repeat(20)
const V2 = 'cd'.repeat(32)
const BASE = `magnet:?xt=urn:btih:${V1}`

function errorOf(uri: string): number {
  try {
    parseMagnetUri(uri)
  } catch (error) {
    expect(error).toBeInstanceOf(LibtorrentError)
    expect((error as LibtorrentError).code.category().name()).toBe('libtorrent')
    return (error as LibtorrentError).code.value()
  }
  return 0
}

describe('parseMagnetUri', () => {
  test('each tracker is a tier of its own', () => {
    const p = parseMagnetUri(
      'magnet:?tr=udp%3A%2F%2Ftracker.openbittorrent.com%3A80&tr=udp%3A%2F%2Ftracker.ccc.de%3A80' +
        '&xt=urn:btih:a38d02c287893842a32825aa866e00828a318f07&dn=Ubuntu+11.04+%28Final%29',
    )
    expect(p.trackers).toEqual(['udp://tracker.openbittorrent.com:80', 'udp://tracker.ccc.de:80'])
    expect(p.trackerTiers).toEqual([0, 1])
    expect(p.name).toBe('Ubuntu 11.04 (Final)')
    expect(p.infoHashes.v1.toString()).toBe('a38d02c287893842a32825aa866e00828a318f07')
    expect(p.infoHashes.hasV2()).toBe(false)
  })

  test.each([
    ['escaped prefix', `magnet:?xt=urn%3Abtih%3A${V1}`],
    ['escaped digits', `magnet:?xt=urn:btih:${V1.slice(0, -1)}%64`],
    ['mixed case', `magnet:?XT=urn:btih:${V1.toUpperCase()}`],
    ['a parameter that swallows a quote', `magnet:?"foo=bar&xt=urn:btih:${V1}`],
    ['other topics beside it', `magnet:?xt=urn:ed2k:a0a9277894123b27945224fbac8366c9&xt=urn:btih:${V1}`],
    ['a number behind the name', `magnet:?xt.1=urn:btih:${V1}`],
  ])('reads the v1 hash with %s', (_, uri) => {
    expect(parseMagnetUri(uri).infoHashes.v1.toString()).toBe(V1)
  })

  test('reads base32, with the digit one for the letter I', () => {
    const p = parseMagnetUri('magnet:?xt=urn:btih:MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYLC')
    expect(Buffer.from(p.infoHashes.v1.view()).toString()).toBe('abababababababababab')
    const one = parseMagnetUri('magnet:?xt=urn:btih:mfrgcytbmjqweylcmfrgcytbmjqweyl1')
    const letter = parseMagnetUri('magnet:?xt=urn:btih:MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYLI')
    expect(one.infoHashes.equals(letter.infoHashes)).toBe(true)
  })

  test('reads v2 and hybrid hashes', () => {
    const v2 = parseMagnetUri(`magnet:?xt=urn:btmh:1220${V2}`)
    expect(v2.infoHashes.v2.toString()).toBe(V2)
    expect(v2.infoHashes.hasV1()).toBe(false)
    const both = parseMagnetUri(`magnet:?xt=urn:btmh:1220${V2}&xt=urn:btih:${V1}`)
    expect(both.infoHashes.toString()).toBe(`${V1}:${V2}`)
  })

  test.each([
    ['magnet:xt=foo', LibtorrentErrors.unsupportedUrlProtocol],
    ['', LibtorrentErrors.unsupportedUrlProtocol],
    [`http://x/?xt=urn:btih:${V1}`, LibtorrentErrors.unsupportedUrlProtocol],
    ['magnet:?xt=urn%%3A', LibtorrentErrors.invalidEscapedString],
    ['magnet:?', LibtorrentErrors.missingInfoHashInUri],
    ['magnet:?dn=foo&dht=127.0.0.1:43', LibtorrentErrors.missingInfoHashInUri],
    ['magnet:?xt=blah&dn=foo', LibtorrentErrors.missingInfoHashInUri],
    ['magnet:?xt=urn:btih:abababab', LibtorrentErrors.invalidInfoHash],
    ['magnet:?xt=urn:btih: abababababababababab', LibtorrentErrors.invalidInfoHash],
    [`magnet:?xt=urn:btih:${'z'.repeat(40)}`, LibtorrentErrors.invalidInfoHash],
    [`magnet:?xt=urn:btih:${'a'.repeat(31)}!`, LibtorrentErrors.invalidInfoHash],
    [`magnet:?xt=urn:btih:${'a'.repeat(31)}=`, LibtorrentErrors.invalidInfoHash],
    [`magnet:?xt=urn:btih:${V1}\n`, LibtorrentErrors.invalidInfoHash],
    [`magnet:?xt=urn:btmh:1220${V2.slice(2)}`, LibtorrentErrors.invalidInfoHash],
    [`magnet:?xt=urn:btmh:1221${V2}`, LibtorrentErrors.invalidInfoHash],
    [`magnet:?xt=urn:btmh:1220${'z'.repeat(64)}`, LibtorrentErrors.invalidInfoHash],
  ])('%j fails with code %i', (uri, code) => {
    expect(errorOf(uri)).toBe(code)
  })

  test('web seeds, peers and nodes that are malformed are passed over', () => {
    const p = parseMagnetUri(
      `${BASE}&ws=http://foo.com/bar&Ws=http%3a%2f%2fbar.com%2f&ws=bad%zz&x.pe=127.0.0.1:43&x.pe=<invalid1>` +
        '&x.pe=<invalid2>:100&x.pe=[::1]:45&x.pe=1.2.3.4:0&x.pe=1.2.3.4:65536&x.pe=[::1]45' +
        '&dht=127.0.0.1:43&dht=router.example:1337&dht=nothing&dht=x:0&dht=x:65535',
    )
    expect(p.urlSeeds).toEqual(['http://foo.com/bar', 'http://bar.com/'])
    expect(p.peers).toEqual([
      ['127.0.0.1', 43],
      ['::1', 45],
    ])
    expect(p.dhtNodes).toEqual([
      ['127.0.0.1', 43],
      ['router.example', 1337],
    ])
  })

  test('names of trackers may have a number, which does not count', () => {
    const p = parseMagnetUri(
      `magnet:?tr.0=udp://1&tr.1=http://2&tr=http://3&tr.a=http://4&tr.1.2=http://5&xt=urn:btih:${V1}`,
    )
    expect(p.trackers).toEqual(['udp://1', 'http://2', 'http://3'])
    expect(p.trackerTiers).toEqual([0, 1, 2])
  })

  test('trackers that are no tracker URLs are dropped', () => {
    const p = parseMagnetUri(
      `${BASE}&tr=&tr=foo&tr=http://a%20b/&tr=http://a:x/&tr=ftp://a/&tr=http%3A%2F%2Fok%3A80%2Fa`,
    )
    expect(p.trackers).toEqual(['http://ok:80/a'])
  })

  test('an i2p tracker makes it an i2p torrent', () => {
    expect(parseMagnetUri(`${BASE}&tr=https://test.i2p/announce`).flags & TorrentFlags.i2pTorrent).not.toBe(0)
    expect(parseMagnetUri(`${BASE}&tr=https://test.com/announce`).flags & TorrentFlags.i2pTorrent).toBe(0)
  })

  test.each([
    ['so=0,2,4,6-8', [4, 0, 4, 0, 4, 0, 4, 4, 4]],
    ['so=0,2-4,3-5', [4, 0, 4, 4, 4, 4]],
    ['so=2-4&so=1', [0, 4, 4, 4, 4]],
    ['so=7-4,100000000&so=2', [0, 0, 4]],
    ['so=-4&so=1', [0, 4]],
    ['so=3-&so=1', [0, 4]],
    ['so=a&so=1', [0, 4]],
    ['so=&so=,,1', [0, 4]],
    ['so="1,2"', []],
  ])('%s selects files', (argument, priorities) => {
    const p = parseMagnetUri(`${BASE}&${argument}`)
    expect(p.filePriorities).toEqual(priorities)
    if (priorities.length > 0) expect(p.flags & TorrentFlags.defaultDontDownload).not.toBe(0)
  })

  test('a short link cannot make a long list of files', () => {
    expect(parseMagnetUri(`${BASE}&so=0-10000`).filePriorities).toHaveLength(10001)
    expect(parseMagnetUri(`${BASE}&so=0-10001,99999999999999999999`).filePriorities).toHaveLength(0)
  })

  test('any cut of a link reads or fails with an error of libtorrent', () => {
    const uri = `${BASE}&xt=urn:btmh:1220${V2}&dn=a%20b&tr=http%3a%2f%2fx&so=0-3,7&x.pe=[::1]:45&dht=a:4&ws=http://%41`
    for (let i = 0; i <= uri.length; i++) errorOf(uri.slice(0, i))
  })
})

test('the deprecated form gives a plain object', () => {
  const dict = parseMagnetUriDict(`${BASE}&dn=foo&tr=http://a/b`)
  expect(dict).toMatchObject({ name: 'foo', trackers: ['http://a/b'], savePath: '', dhtNodes: [] })
  expect(dict.infoHashes!.v1.toString()).toBe(V1)
})

describe('makeMagnetUri', () => {
  const hash = (params: Partial<AddTorrentParams>) => {
    const p = new AddTorrentParams(params)
    p.infoHashes.v1 = new Sha1Hash('61'.repeat(20))
    return makeMagnetUri(p).replace(`magnet:?xt=urn:btih:${'61'.repeat(20)}`, '')
  }

  test('has each hash there is, and is empty without one', () => {
    const p = new AddTorrentParams()
    expect(makeMagnetUri(p)).toBe('')
    p.infoHashes.v2 = new Sha256Hash('62'.repeat(32))
    expect(makeMagnetUri(p)).toBe(`magnet:?xt=urn:btmh:1220${'62'.repeat(32)}`)
    p.infoHashes.v1 = new Sha1Hash('61'.repeat(20))
    expect(makeMagnetUri(p)).toBe(`magnet:?xt=urn:btih:${'61'.repeat(20)}&xt=urn:btmh:1220${'62'.repeat(32)}`)
  })

  test.each([
    [[0, 1], '&so=1'],
    [[1, 1], ''],
    [[1, 0], '&so=0'],
    [[1, 0, 1, 1, 1], '&so=0,2-4'],
    [[1, 1, 0, 1, 1, 1], '&so=0-1,3-5'],
    [[1, 0, 1, 0, 1], '&so=0,2,4'],
  ])('file priorities %j give %s', (filePriorities, expected) => {
    expect(hash({ filePriorities })).toBe(expected)
  })

  test('escapes names and URLs as libtorrent does', () => {
    expect(hash({ name: 'ä b', trackers: ['http://foo.com/a?b'], urlSeeds: ['http://foo.com/bar'] })).toBe(
      '&dn=%c3%a4%20b&tr=http%3a%2f%2ffoo.com%2fa%3fb&ws=http%3a%2f%2ffoo.com%2fbar',
    )
    expect(
      hash({
        dhtNodes: [['127.0.0.1', 6881]],
        peers: [
          ['1.2.3.4', 1234],
          ['::1', 5],
        ],
      }),
    ).toBe('&dht=127.0.0.1:6881&x.pe=1.2.3.4:1234&x.pe=[::1]:5')
  })

  test('what it makes reads back', () => {
    const p = new AddTorrentParams({
      name: 'a+b%&=',
      trackers: ['http://a/?x=1&y=2', 'udp://b:80'],
      urlSeeds: ['http://s/ü'],
      dhtNodes: [
        ['2001:db8::1', 7],
        ['host', 1],
      ],
      peers: [
        ['10.0.0.1', 1],
        ['fe80::1', 2],
      ],
      filePriorities: [4, 0, 0, 4],
    })
    p.infoHashes.v1 = new Sha1Hash('01'.repeat(20))
    const back = parseMagnetUri(makeMagnetUri(p))
    for (const key of ['name', 'trackers', 'urlSeeds', 'dhtNodes', 'peers', 'filePriorities'] as const) {
      expect(back[key]).toEqual(p[key])
    }
  })
})
