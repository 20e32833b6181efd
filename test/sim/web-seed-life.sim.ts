import { describe, expect, test } from 'vitest'
import { PeerBlockedAlert } from '../../src/alert/peer-alerts.ts'
import { SaveResumeDataAlert } from '../../src/alert/storage-alerts.ts'
import { PeerBlockedReason } from '../../src/core/enums.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { IpFilter } from '../../src/net/ip-filter.ts'
import { PortFilter } from '../../src/net/port-filter.ts'
import type { TorrentHandle } from '../../src/session/torrent-handle.ts'
import { type Simulation, simulate } from './lib/simulation.ts'
import { makeFilesTorrent, makeTorrent, Swarm, type SwarmNode } from './lib/swarm.ts'
import { complaints, complete, ends, leech } from './lib/web-leech.ts'
import { WebServer } from './lib/web-server.ts'

const PIECE = 64 * 1024
/** Not of a local network. */
const GLOBAL = { addresses: ['50.0.0.1', '2600::1'] }

function call(node: SwarmNode, fn: (handle: TorrentHandle) => void): void {
  fn(node.handle)
}

/** The URLs that resume data names. */
function saved(sim: Simulation, node: SwarmNode): string[] {
  node.handle.saveResumeData()
  const isThere = () => node.alerts.some(alert => alert instanceof SaveResumeDataAlert)
  sim.runUntil(isThere, 10_000, 'resume data')
  const at = node.alerts.findLastIndex(alert => alert instanceof SaveResumeDataAlert)
  return (node.alerts[at] as SaveResumeDataAlert).params.urlSeeds
}

describe('redirects', () => {
  test('of the only file lead to another server, which is not saved', () => {
    simulate(1, sim => {
      const torrent = makeTorrent(1_000_000, PIECE)
      const old = new WebServer(sim, 'old.test')
      const mirror = new WebServer(sim, 'mirror.test')
      mirror.files.set('/some/where.bin', torrent.content)
      old.respond = () => ({ status: 301, headers: { location: 'http://mirror.test/some/where.bin' } })
      const node = leech(sim, torrent, ['http://old.test/file-1'])
      sim.runUntilSo(() => node.isSeeding, 60_000)
      expect(old.served).toHaveLength(1)
      expect(mirror.bytes).toBe(1_000_000)
      expect(node.handle.urlSeeds()).toEqual(['http://mirror.test/some/where.bin', 'http://old.test/file-1'])
      expect(saved(sim, node)).toEqual(['http://old.test/file-1'])
      complete(sim, node, torrent)
    })
  })

  for (const [kind, flags] of [
    ['v1', CreateFlags.v1Only],
    ['hybrid', 0],
  ] as const) {
    test(`of each file lead to another path, ${kind}`, () => {
      simulate(2, sim => {
        const torrent = makeFilesTorrent([200_000, 150_000, 100_000], PIECE, flags)
        const server = new WebServer(sim, 'seed.test')
        const url = server.put(torrent, '/new/')
        server.respond = ({ path }) =>
          path.startsWith('/old/') ? { status: 302, headers: { location: path.replace('/old/', '/new/') } } : null
        const node = leech(sim, torrent, [url.replace('/new/', '/old/')], { settings: { urlseed_pipeline_size: 1 } })
        complete(sim, node, torrent, 200_000)
        expect(server.served.filter(({ path }) => path.startsWith('/old/'))).toHaveLength(3)
      })
    })
  }

  test('of single files lead to a server that has those only', () => {
    simulate(3, sim => {
      const torrent = makeFilesTorrent([200_000, 150_000, 100_000], PIECE)
      const server = new WebServer(sim, 'seed.test')
      const mirror = new WebServer(sim, 'mirror.test')
      const url = server.put(torrent)
      mirror.files.set('/x y', server.files.get('/many-1/file-1')!)
      mirror.files.set('/x%20y', server.files.get('/many-1/file-1')!)
      server.files.delete('/many-1/file-1')
      server.respond = ({ path }) =>
        path.endsWith('file-1') ? { status: 307, headers: { location: 'http://mirror.test/x y' } } : null
      const node = leech(sim, torrent, [url])
      sim.run(120_000)
      // pieces with parts of files of both servers cannot be had from either
      const shared = 2
      expect(node.handle.status().numPieces).toBe(Math.ceil(450_000 / PIECE) - shared)
      expect(new Set(mirror.served.map(({ path }) => path))).toEqual(new Set(['/x%20y']))
      expect(saved(sim, node)).toEqual([url])
      node.close()
    })
  })

  test('without end are not followed for ever', () => {
    for (const sizes of [[300_000], [300_000, 200_000]]) {
      simulate(4, sim => {
        const torrent = makeFilesTorrent(sizes, PIECE)
        const server = new WebServer(sim, 'seed.test')
        let n = 0
        server.respond = () => ({ status: 302, headers: { location: `/to/${n++}` } })
        const node = leech(sim, torrent, [`${server.origin}/`])
        sim.run(600_000)
        // a few are on their way at a time
        expect(server.served.length).toBeLessThanOrEqual(12 * sizes.length)
        expect(complaints(node).length).toBeGreaterThan(0)
        node.close()
      })
    }
  })

  test('from one server to the other and back are not followed for ever', () => {
    simulate(5, sim => {
      const torrent = makeFilesTorrent([100_000, 100_000], PIECE)
      const a = new WebServer(sim, 'a.test')
      const b = new WebServer(sim, 'b.test')
      a.respond = ({ path }) => ({ status: 302, headers: { location: `http://b.test${path}` } })
      b.respond = ({ path }) => ({ status: 302, headers: { location: `http://a.test${path}` } })
      const node = leech(sim, torrent, ['http://a.test/x/', 'http://b.test/x/'])
      sim.run(600_000)
      expect(a.served.length + b.served.length).toBeLessThan(40)
      node.close()
    })
  })

  test('from the internet do not lead into the local network, unless that is allowed', () => {
    for (const mitigation of [true, false]) {
      simulate(6, sim => {
        const torrent = makeTorrent(300_000, PIECE)
        const server = new WebServer(sim, 'seed.test', { runtime: sim.host('outside', GLOBAL) })
        const inside = new WebServer(sim, 'inside.test')
        inside.files.set('/file', torrent.content)
        server.respond = () => ({ status: 302, headers: { location: 'http://inside.test/file' } })
        const node = leech(sim, torrent, ['http://seed.test/file-1'], { settings: { ssrf_mitigation: mitigation } })
        sim.run(60_000)
        expect(inside.served.length > 0).toBe(!mitigation)
        expect(complaints(node)).toEqual(mitigation ? ['http://inside.test/file: banned by IP filter'] : [])
        node.close()
      })
    }
  })
})

describe('a URL that is not used', () => {
  const cases: readonly (readonly [string, string, string, boolean])[] = [
    ['of another protocol', 'ftp://seed.test/', 'unsupported URL protocol', true],
    ['with a strange host', 'http://se ed.test/', 'invalid hostname', false],
    ['with a strange port', 'http://seed.test:x/', 'invalid port', false],
    ['with port 0', 'http://seed.test:0/', 'invalid port', false],
    ['with an international name', 'http://xn--seed-8qa.test/', 'blocked by IDNA ban', true],
    ['that asks something of the local network', 'http://seed.test/file?do=this', 'blocked by SSRF mitigation', true],
  ]
  for (const [what, url, error, kept] of cases) {
    test(what, () => {
      simulate(7, sim => {
        const torrent = makeTorrent(100_000, PIECE)
        const server = new WebServer(sim, 'seed.test')
        const node = leech(sim, torrent, [url], { settings: { allow_idna: false, ssrf_mitigation: true } })
        sim.run(120_000)
        expect(complaints(node)).toEqual([`${url}: ${error}`])
        expect(server.served).toEqual([])
        expect(node.handle.urlSeeds()).toEqual(kept ? [url] : [])
        node.close()
      })
    })
  }

  test('whose name is not found is looked up again much later', () => {
    simulate(8, sim => {
      const torrent = makeTorrent(100_000, PIECE)
      const node = leech(sim, torrent, ['http://seed.test/'], { settings: { web_seed_name_lookup_retry: 300 } })
      sim.run(290_000)
      expect(complaints(node)).toHaveLength(1)
      const server = new WebServer(sim, 'seed.test')
      server.put(torrent)
      complete(sim, node, torrent, 400_000)
      expect(server.served[0]!.atMs).toBeGreaterThan(300_000)
    })
  })

  test('whose address or port is filtered', () => {
    simulate(9, sim => {
      const torrent = makeTorrent(100_000, PIECE)
      const server = new WebServer(sim, 'seed.test', { runtime: sim.host('outside', GLOBAL) })
      const url = server.put(torrent)
      const node = leech(sim, torrent, [])
      const addresses = new IpFilter()
      addresses.addRule('50.0.0.0', '50.255.255.255', 1)
      node.engine.turn.call(() => node.engine.connects.setIpFilter(addresses))
      call(node, handle => handle.addUrlSeed(url))
      sim.run(20_000)
      const blocked = node.alerts.filter(alert => alert instanceof PeerBlockedAlert)
      expect(blocked.map(({ reason }) => reason)).toEqual([PeerBlockedReason.ipFilter])
      const ports = new PortFilter()
      ports.addRule(80, 80, 1)
      node.engine.turn.call(() => {
        node.engine.connects.setIpFilter(new IpFilter())
        node.engine.connects.setPortFilter(ports)
      })
      sim.run(60_000)
      expect(complaints(node)).toEqual([`${url}: port blocked by port-filter`])
      expect(server.served).toEqual([])
      node.close()
    })
  })
})

describe('the life of a web seed', () => {
  test('it can be added and removed at any time', () => {
    simulate(10, sim => {
      const torrent = makeTorrent(5_000_000, PIECE)
      const line = { up: { bytesPerSecond: 200_000 } }
      const server = new WebServer(sim, 'seed.test', { runtime: sim.host('seed.test', line) })
      const url = server.put(torrent)
      const node = leech(sim, torrent, [])
      sim.run(5000)
      call(node, handle => handle.addUrlSeed(url))
      call(node, handle => handle.addUrlSeed(url))
      expect(node.handle.urlSeeds()).toEqual([url])
      expect(node.handle.needSaveResumeData()).toBe(true)
      sim.run(5000)
      expect(node.handle.getPeerInfo()).toHaveLength(1)
      call(node, handle => handle.removeUrlSeed(url))
      expect(node.handle.getPeerInfo()).toEqual([])
      expect(node.handle.urlSeeds()).toEqual([])
      const had = node.handle.status().totalDone
      sim.run(30_000)
      expect(node.handle.status().totalDone).toBeLessThanOrEqual(had)
      call(node, handle => handle.addUrlSeed(url))
      complete(sim, node, torrent)
    })
  })

  test('no more are used at a time than max_web_seed_connections', () => {
    for (const limit of [1, 3, 0]) {
      simulate(11, sim => {
        const torrent = makeTorrent(2_000_000, PIECE)
        const servers = Array.from({ length: 5 }, (_, i) => new WebServer(sim, `seed${i}.test`))
        for (const server of servers) server.respond = () => ({ fault: 'silence' })
        const urls = servers.map(server => server.put(torrent))
        const node = leech(sim, torrent, urls, { settings: { max_web_seed_connections: limit } })
        sim.run(5000)
        expect(node.handle.getPeerInfo()).toHaveLength(limit === 0 ? 5 : limit)
        node.close()
      })
    }
  })

  test('a paused torrent lets it go, and comes back', () => {
    simulate(12, sim => {
      const torrent = makeTorrent(2_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test', {
        runtime: sim.host('seed.test', { up: { bytesPerSecond: 200_000 } }),
      })
      const node = leech(sim, torrent, [server.put(torrent)])
      sim.run(3000)
      call(node, handle => handle.pause())
      expect(node.handle.getPeerInfo()).toEqual([])
      const asked = server.served.length
      sim.run(60_000)
      expect(server.served).toHaveLength(asked)
      call(node, handle => handle.resume())
      complete(sim, node, torrent)
    })
  })

  test('a whole torrent has no use for it', () => {
    simulate(13, sim => {
      const torrent = makeTorrent(200_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const node = leech(sim, torrent, [server.put(torrent)], { has: 'all' })
      sim.run(60_000)
      expect(server.served).toEqual([])
      expect(node.handle.status().numPeers).toBe(0)
      node.close()
    })
  })

  test('a finished torrent lets it go', () => {
    simulate(13, sim => {
      const torrent = makeTorrent(200_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const node = leech(sim, torrent, [server.put(torrent)])
      sim.runUntilSo(() => node.isSeeding, 60_000)
      expect(ends(node)).toEqual(['torrent finished'])
      sim.run(60_000)
      expect(node.handle.getPeerInfo()).toEqual([])
      node.close()
    })
  })

  test('one that is idle is let go, and asked again when something is wanted', () => {
    simulate(13, sim => {
      const torrent = makeFilesTorrent([PIECE * 4, PIECE * 4], PIECE)
      const server = new WebServer(sim, 'seed.test')
      const node = leech(sim, torrent, [server.put(torrent)], {
        params: params => params.filePriorities.push(4, 0),
      })
      sim.runUntilSo(() => node.handle.status().isFinished, 60_000)
      sim.run(60_000)
      expect(server.served.some(({ path }) => path.endsWith('file-1'))).toBe(false)
      call(node, handle => handle.filePriority(1, 4))
      complete(sim, node, torrent)
    })
  })

  test('the download rate limit holds', () => {
    simulate(14, sim => {
      const torrent = makeTorrent(2_000_000, PIECE)
      // limits are not for the local network
      const server = new WebServer(sim, 'seed.test', { runtime: sim.host('outside', GLOBAL) })
      const node = leech(sim, torrent, [server.put(torrent)], { settings: { download_rate_limit: 100_000 } })
      sim.run(10_000)
      const done = node.handle.status().totalPayloadDownload
      expect(done).toBeGreaterThan(800_000)
      expect(done).toBeLessThan(1_150_000)
      complete(sim, node, torrent)
    })
  })

  test('the bytes it brings are counted, unless that is not wished', () => {
    for (const report of [true, false]) {
      simulate(15, sim => {
        const torrent = makeTorrent(1_000_000, PIECE)
        const server = new WebServer(sim, 'seed.test')
        const node = leech(sim, torrent, [server.put(torrent)], { settings: { report_web_seed_downloads: report } })
        sim.runUntilSo(() => node.isSeeding, 60_000)
        sim.run(2000)
        expect(node.handle.status().totalPayloadDownload).toBe(report ? 1_000_000 : 0)
        expect(node.handle.status().totalRedundantBytes).toBe(0)
        expect(node.handle.status().totalFailedBytes).toBe(0)
        node.close()
      })
    }
  })

  test('peers and web seeds share the work, and each block is asked for once', () => {
    simulate(16, sim => {
      const torrent = makeTorrent(20_000_000, PIECE)
      const line = { up: { bytesPerSecond: 1_000_000 } }
      const server = new WebServer(sim, 'seed.test', { runtime: sim.host('seed.test', line) })
      const url = server.put(torrent)
      const swarm = new Swarm(sim, torrent)
      const seed = swarm.add('seed', { has: 'all', host: line })
      const node = swarm.add('leech', {
        params: params => params.urlSeeds.push(url),
        settings: { urlseed_max_request_bytes: 1 << 20 },
      })
      sim.run(1000)
      node.connectTo(seed)
      sim.runUntilSo(() => node.isSeeding, 120_000)
      const fromPeer = seed.handle.status().totalPayloadUpload
      expect(server.bytes).toBeGreaterThan(4_000_000)
      expect(fromPeer).toBeGreaterThan(4_000_000)
      expect(node.handle.status().totalRedundantBytes).toBeLessThan(200_000)
      swarm.close()
      expect(node.holds(torrent)).toBe(true)
    })
  })

  test('peers are not told of it', () => {
    simulate(17, sim => {
      const torrent = makeTorrent(3_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test', { runtime: sim.host('outside', GLOBAL) })
      server.respond = () => ({ fault: 'silence' })
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('leech', {
        params: params => params.urlSeeds.push(server.put(torrent)),
        settings: { urlseed_timeout: 500 },
      })
      const others = [swarm.add('other'), swarm.add('third')]
      for (const other of others) other.connectTo(node)
      sim.run(180_000)
      expect(node.handle.getPeerInfo()).toHaveLength(3)
      for (const other of others) {
        const heard = other.handle.getPeerInfo().map(info => info.remoteEndpoint()[0])
        expect(heard).not.toContain('50.0.0.1')
      }
      swarm.close()
    })
  })

  test('a server that drips is not trusted with blocks that others could bring', () => {
    simulate(18, sim => {
      const torrent = makeTorrent(1_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.respond = ({ start, end }) => ({
        status: 206,
        headers: { 'content-range': `bytes ${start}-${end - 1}/1000000` },
        body: torrent.content.subarray(start, end),
        drip: { bytes: 10, everyMs: 5000 },
      })
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('leech', { params: params => params.urlSeeds.push(url) })
      sim.run(5000)
      node.connectTo(swarm.add('seed', { has: 'all' }))
      complete(sim, node, torrent, 180_000)
      swarm.close()
    })
  })

  test('a magnet link may name web seeds, which are used once the metadata is there', () => {
    simulate(19, sim => {
      const torrent = makeFilesTorrent([300_000, 200_000], PIECE)
      const server = new WebServer(sim, 'seed.test')
      server.put(torrent, '/d/')
      const swarm = new Swarm(sim, torrent)
      // has the metadata, and no data
      const other = swarm.add('other')
      const node = swarm.add('leech', {
        params: params => {
          params.infoHashes = params.ti!.infoHashes()
          params.ti = null
          params.urlSeeds.push('http://seed.test/d')
        },
      })
      sim.run(10_000)
      expect(server.served).toEqual([])
      node.connectTo(other)
      complete(sim, node, torrent)
      swarm.close()
    })
  })

  test('memory that is used up makes it wait, not fail', () => {
    simulate(20, sim => {
      const torrent = makeTorrent(30_000_000, 1 << 20)
      const server = new WebServer(sim, 'seed.test')
      const node = leech(sim, torrent, [server.put(torrent)], { settings: { max_queued_disk_bytes: 1 << 20 } })
      complete(sim, node, torrent, 300_000)
    })
  })
})
