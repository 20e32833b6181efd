import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { canTest } from './lib/child.ts'
import { Workspace, writeShape } from './lib/files.ts'
import { ltTool } from './lib/lt-tool.ts'
import { KINDS, makeTorrent, PIECE } from './lib/make.ts'
import { lib } from './lib/ours.ts'

const space = new Workspace()
afterAll(() => space.remove())

const V1 = 'cdf6e8ae4a4a3ec0bbc20e8c8ff3a0ba1d1ba12d'
const V2 = 'caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e'

const LINKS: Readonly<Record<string, string>> = {
  'hex v1': `magnet:?xt=urn:btih:${V1}`,
  'base32 v1': 'magnet:?xt=urn:btih:ZX3OPRQKJI7MBO6CB2GI746QXIORXIJN&dn=base32',
  v2: `magnet:?xt=urn:btmh:1220${V2}&dn=two`,
  hybrid: `magnet:?xt=urn:btih:${V1}&xt=urn:btmh:1220${V2}&dn=both`,
  'with trackers, numbered and not': `magnet:?xt=urn:btih:${V1}&tr.1=udp%3A%2F%2Fa.example%3A1&tr=http%3A%2F%2Fb.example%2Fannounce&tr=udp%3A%2F%2F%5B%3A%3A1%5D%3A7%2Fannounce`,
  'with everything': `magnet:?xt=urn:btih:${V1}&dn=%C3%BCn%C3%AF%20c%26d%3D&tr=udp%3A%2F%2Ftracker.example%3A80&ws=http%3A%2F%2Fseed.example%2Fa%20b&x.pe=127.0.0.1%3A6881&x.pe=%5B%3A%3A1%5D%3A6882&dht=router.example%3A6881&so=0,2,4-6`,
  'with parts nobody knows': `magnet:?xl=100&xt=urn:sha1:ABC&as=http%3A%2F%2Fx&xt=urn:btih:${V1}&kt=a+b&empty=`,
}

describe.runIf(canTest('libtorrent'))('a magnet link', () => {
  for (const [name, uri] of Object.entries(LINKS)) {
    test(`${name}, is read the same on both sides`, () => {
      const ours = lib.parseMagnetUri(uri)
      const theirs = ltTool.parseMagnet(uri)
      expect(fieldsOf(ours)).toEqual({
        v1: theirs.v1,
        v2: theirs.v2,
        name: theirs.name,
        trackers: theirs.trackers,
        tiers: theirs.tiers,
        urlSeeds: theirs.urlSeeds,
        peers: theirs.peers,
        dhtNodes: theirs.dhtNodes,
        filePriorities: theirs.filePriorities,
      })
    })

    test(`${name}, read and made again by us, is the same to libtorrent`, () => {
      const ours = lib.parseMagnetUri(uri)
      const again = ltTool.parseMagnet(lib.makeMagnetUri(ours))
      expect({ v1: again.v1, v2: again.v2, name: again.name, trackers: again.trackers }).toEqual({
        v1: fieldsOf(ours).v1,
        v2: fieldsOf(ours).v2,
        name: ours.name,
        trackers: ours.trackers,
      })
      expect({ seeds: again.urlSeeds, peers: again.peers, files: again.filePriorities }).toEqual({
        seeds: ours.urlSeeds,
        peers: ours.peers,
        files: ours.filePriorities,
      })
    })
  }

  test('of a torrent of any kind, made on one side, is read on the other', async () => {
    const parent = space.dir()
    writeShape(parent, 'Füße & more', [
      ['a', PIECE + 1],
      ['b', 5],
    ])
    for (const flags of Object.values(KINDS)) {
      const torrent = await makeTorrent(join(parent, 'Füße & more'), flags, {
        trackers: [['http://tracker.example/announce?x=1&y=2', 0]],
        webSeed: 'http://seed.example/dir/',
      })
      const info = new lib.TorrentInfo(torrent)
      const ours = lib.makeMagnetUri(info)
      const theirs = ltTool.makeMagnet(torrent)
      const read = ltTool.parseMagnet(ours)
      expect(ltTool.parseMagnet(theirs)).toEqual(read)
      expect(fieldsOf(lib.parseMagnetUri(theirs))).toEqual(fieldsOf(lib.parseMagnetUri(ours)))
      expect(read.name).toBe('Füße & more')
      expect([read.v1, read.v2]).toEqual([fieldsOf(lib.parseMagnetUri(ours)).v1, fieldsOf(lib.parseMagnetUri(ours)).v2])
    }
  })

  test('that is malformed is refused on both sides', () => {
    for (const uri of ['magnet:?dn=x', 'magnet:?xt=urn:btih:abc', `http://x/?xt=urn:btih:${V1}`, 'magnet:']) {
      expect(() => lib.parseMagnetUri(uri), uri).toThrow()
      expect(() => ltTool.parseMagnet(uri), uri).toThrow()
    }
  })
})

function fieldsOf(params: InstanceType<typeof lib.AddTorrentParams>) {
  const { v1, v2 } = params.infoHashes
  return {
    v1: params.infoHashes.hasV1() ? v1.toString() : '',
    v2: params.infoHashes.hasV2() ? v2.toString() : '',
    name: params.name,
    trackers: params.trackers,
    tiers: params.trackerTiers,
    urlSeeds: params.urlSeeds,
    peers: params.peers,
    dhtNodes: params.dhtNodes,
    filePriorities: params.filePriorities,
  }
}
