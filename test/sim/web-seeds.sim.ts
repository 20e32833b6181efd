import { describe, expect, test } from 'vitest'
import { PeerBanAlert } from '../../src/alert/peer-alerts.ts'
import { HashFailedAlert } from '../../src/alert/torrent-alerts.ts'
import { UrlSeedAlert } from '../../src/alert/tracker-alerts.ts'
import { CreateFlags } from '../../src/metainfo/create-flags.ts'
import { simulate } from './lib/simulation.ts'
import { makeFilesTorrent, makeOneV2, makeTorrent, type NodeOptions, Swarm } from './lib/swarm.ts'
import { complaints, complete, ends, leech } from './lib/web-leech.ts'
import { WebServer } from './lib/web-server.ts'

const PIECE = 64 * 1024

describe('a download from a web seed alone', () => {
  test('of one file', () => {
    simulate(1, sim => {
      const torrent = makeTorrent(3_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const node = leech(sim, torrent, [server.put(torrent)])
      complete(sim, node, torrent)
      expect(server.bytes).toBe(3_000_000)
      expect(new Set(server.served.map(({ connection }) => connection)).size).toBe(1)
    })
  })

  test.each(['/a/whatever', '/a/'])('of one file, v2: %s', path => {
    simulate(2, sim => {
      const torrent = makeOneV2(300_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      server.put(torrent, '/a/')
      server.files.set('/a/whatever', [...server.files.values()][0]!)
      const node = leech(sim, torrent, [server.origin + path])
      complete(sim, node, torrent)
      expect(server.served[0]!.path).toBe(path === '/a/' ? '/a/single.bin' : path)
      expect(server.bytes).toBe(300_000)
    })
  })

  const layouts: readonly (readonly [string, number])[] = [
    ['v1', CreateFlags.v1Only],
    ['v2', CreateFlags.v2Only],
    ['hybrid', 0],
  ]
  for (const [kind, flags] of layouts) {
    test(`of several files, ${kind}`, () => {
      simulate(2, sim => {
        const torrent = makeFilesTorrent([100_000, 1, 0, 300_000, PIECE, 20_000, 70_000], PIECE, flags)
        const server = new WebServer(sim, 'seed.test')
        const node = leech(sim, torrent, [server.put(torrent, '/a/b/')])
        complete(sim, node, torrent)
        expect(server.bytes).toBe(100_000 + 1 + 300_000 + PIECE + 20_000 + 70_000)
        expect(server.served.some(({ path }) => path.includes('.pad'))).toBe(false)
      })
    })
  }
})

describe('what is asked of a server', () => {
  test('blocks in a row are asked for together, up to a limit', () => {
    simulate(3, sim => {
      const torrent = makeTorrent(12_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const node = leech(sim, torrent, [server.put(torrent)], { settings: { urlseed_max_request_bytes: 2 << 20 } })
      complete(sim, node, torrent)
      const sizes = server.served.map(({ start, end }) => end - start)
      expect(Math.max(...sizes)).toBe(2 << 20)
      expect(sizes.length).toBeLessThan(20)
      expect(server.bytes).toBe(12_000_000)
    })
  })

  test('who we are is said once per connection, and not by those who would be anonymous', () => {
    simulate(3, sim => {
      const torrent = makeFilesTorrent([100_000, 100_000, 100_000], PIECE)
      const agents = (settings: NonNullable<NodeOptions['settings']>) => {
        const server = new WebServer(sim, `seed${sim.rng.uint32()}.test`)
        complete(sim, leech(sim, torrent, [server.put(torrent)], { settings }), torrent)
        expect(server.served.length).toBeGreaterThan(2)
        return server.served.map(({ request }) => request.headers['user-agent'] ?? null)
      }
      const once = agents({ user_agent: 'me/1' })
      expect(once[0]).toBe('me/1')
      expect(once.slice(1).every(agent => agent === null)).toBe(true)
      expect(agents({ user_agent: 'me/1', always_send_user_agent: true }).every(agent => agent === 'me/1')).toBe(true)
      expect(agents({ user_agent: 'me/1', anonymous_mode: true }).every(agent => agent === null)).toBe(true)
    })
  })

  test('a name and a password in the URL are sent', () => {
    simulate(3, sim => {
      const torrent = makeTorrent(100_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent).replace('http://', 'http://me:secret@')
      complete(sim, leech(sim, torrent, [url]), torrent)
      expect(server.served[0]!.request.headers['authorization']).toBe(`Basic ${btoa('me:secret')}`)
      expect(server.served[0]!.request.headers['accept-encoding']).toBeUndefined()
    })
  })

  test('the URL of one file may be the file itself, or the directory it is in, or only the host', () => {
    for (const url of ['http://seed.test/x/whatever.bin?key=1', 'http://seed.test/x/', 'http://seed.test']) {
      simulate(4, sim => {
        const torrent = makeTorrent(100_000, PIECE)
        const server = new WebServer(sim, 'seed.test')
        for (const path of ['/x/whatever.bin', '/x/file-1', '/file-1']) server.files.set(path, torrent.content)
        // a query is not sent into the local network
        complete(sim, leech(sim, torrent, [url], { settings: { ssrf_mitigation: false } }), torrent)
      })
    }
  })

  test('a directory may lack its slash, and files keep their names on the server whatever they are called here', () => {
    simulate(5, sim => {
      const torrent = makeFilesTorrent([100_000, 50_000], PIECE)
      const server = new WebServer(sim, 'seed.test')
      server.put(torrent, '/dir/')
      const node = leech(sim, torrent, ['http://seed.test/dir'], {
        params: params => {
          params.renamedFiles[0] = 'other/name'
        },
      })
      complete(sim, node, torrent)
      expect([...new Set(server.served.map(({ path }) => path))].sort()).toEqual([
        '/dir/many-1/file-0',
        '/dir/many-1/file-1',
      ])
    })
  })

  test('it is shown as a web seed, under the name that it gives itself', () => {
    simulate(6, sim => {
      const torrent = makeTorrent(1_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      server.respond = () => ({ fault: 'silence' })
      const node = leech(sim, torrent, [server.put(torrent)])
      sim.run(1000)
      const [info] = node.handle.getPeerInfo()
      expect(info!.connectionType).toBe(2)
      expect(Buffer.from(info!.client).toString()).toBe('seed.test')
      expect(info!.remoteEndpoint()).toEqual([server.runtime.host.addresses[0], 80])
      expect(info!.progressPpm).toBe(1_000_000)
      server.respond = ({ start, end }) => ({
        status: 206,
        headers: { 'content-range': `bytes ${start}-${end - 1}/1000000`, server: 'sim/1.0' },
        body: torrent.content.subarray(start, end),
        drip: { bytes: 16_384, everyMs: 500 },
      })
      sim.runUntilSo(() => node.handle.status().totalDone > 0, 60_000, 'the first blocks')
      expect(Buffer.from(node.handle.getPeerInfo()[0]!.client).toString()).toBe('sim/1.0')
      node.close()
    })
  })
})

describe('a server that is not as it should be', () => {
  test('lacks a file: the others are taken from it, and that one from a peer', () => {
    simulate(10, sim => {
      const torrent = makeFilesTorrent([200_000, 200_000, 200_000], PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.files.delete('/many-1/file-1')
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('leech', { params: params => params.urlSeeds.push(url) })
      sim.run(120_000)
      expect(complaints(node)).toEqual([`${url}: 404 Not Found`])
      expect(server.served.filter(({ path }) => path.endsWith('1'))).toHaveLength(1)
      // pieces that have a part of the missing file are missing too
      const missing = Math.floor(400_000 / PIECE) - Math.floor(200_000 / PIECE) + 1
      expect(node.handle.status().numPieces).toBe(Math.ceil(600_000 / PIECE) - missing)
      node.connectTo(swarm.add('seed', { has: 'all' }))
      complete(sim, node, torrent)
      swarm.close()
    })
  })

  test('sends bad data for the only file: it is banned, and the rest comes from a peer', () => {
    simulate(11, sim => {
      const torrent = makeTorrent(1_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.files.get('/file-1')![500_000]! ^= 1
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('leech', { params: params => params.urlSeeds.push(url) })
      sim.run(120_000)
      expect(node.alerts.filter(alert => alert instanceof HashFailedAlert)).toHaveLength(1)
      expect(node.alerts.filter(alert => alert instanceof PeerBanAlert)).toHaveLength(1)
      expect(complaints(node)).toEqual([`${url}: peer banned`])
      expect(node.handle.urlSeeds()).toEqual([])
      expect(node.handle.getPeerInfo()).toEqual([])
      node.connectTo(swarm.add('seed', { has: 'all' }))
      complete(sim, node, torrent)
      swarm.close()
    })
  })

  test('sends bad data, and is not banned if that is not wished', () => {
    simulate(11, sim => {
      const torrent = makeTorrent(1_000_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.files.get('/file-1')![500_000]! ^= 1
      const node = leech(sim, torrent, [url], { settings: { ban_web_seeds: false } })
      sim.run(5000)
      expect(node.handle.urlSeeds()).toEqual([url])
      server.files.set('/file-1', torrent.content)
      complete(sim, node, torrent)
    })
  })

  test('has another copy of one of several files: it is not asked for that one, and not banned', () => {
    simulate(12, sim => {
      const torrent = makeFilesTorrent([PIECE * 3, PIECE * 3, PIECE * 3], PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.files.get('/many-1/file-1')!.fill(0)
      const swarm = new Swarm(sim, torrent)
      const node = swarm.add('leech', { params: params => params.urlSeeds.push(url) })
      sim.run(10_000)
      expect(node.alerts.filter(alert => alert instanceof PeerBanAlert)).toEqual([])
      expect(node.handle.status().numPieces).toBe(6)
      expect(node.handle.urlSeeds()).toEqual([url])
      node.connectTo(swarm.add('seed', { has: 'all' }))
      complete(sim, node, torrent)
      swarm.close()
    })
  })

  test('is overloaded: it is left alone for as long as it asks', () => {
    simulate(13, sim => {
      const torrent = makeTorrent(300_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.respond = () => ({ status: 503, statusText: 'Busy', headers: { 'retry-after': '100' } })
      const node = leech(sim, torrent, [url])
      sim.run(90_000)
      expect(server.served).toHaveLength(1)
      expect(complaints(node)).toEqual([`${url}: 503 Service Unavailable`])
      expect(node.alerts.find(alert => alert instanceof UrlSeedAlert)!.errorMessage()).toBe('503 Busy')
      server.respond = null
      complete(sim, node, torrent)
      expect(server.served[1]!.atMs).toBeGreaterThan(100_000)
    })
  })

  test('is not there: it is tried again after a while', () => {
    simulate(13, sim => {
      const torrent = makeTorrent(300_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.close()
      const node = leech(sim, torrent, [url], { settings: { urlseed_wait_retry: 50 } })
      sim.run(40_000)
      expect(ends(node)).toEqual(['Connection refused'])
      expect(complaints(node)).toEqual([`${url}: Connection refused`])
      const again = new WebServer(sim, 'seed.test', { runtime: server.runtime })
      again.put(torrent)
      complete(sim, node, torrent)
      expect(again.served[0]!.atMs).toBeGreaterThan(50_000)
    })
  })

  test('says nothing: it is disconnected after urlseed_timeout, and asked again', () => {
    simulate(14, sim => {
      const torrent = makeTorrent(300_000, PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      server.respond = () => ({ fault: 'silence' })
      const node = leech(sim, torrent, [url], { settings: { urlseed_timeout: 10 } })
      sim.run(9000)
      expect(ends(node)).toEqual([])
      sim.run(3000)
      expect(ends(node)).toEqual(['timed out: inactivity'])
      server.respond = null
      complete(sim, node, torrent)
    })
  })

  test('stops in the middle of a body: what came is kept but for the block that was cut, the rest asked for again', () => {
    for (const fault of ['stall', 'cut'] as const) {
      simulate(14, sim => {
        const torrent = makeTorrent(3_000_000, PIECE)
        const server = new WebServer(sim, 'seed.test')
        const url = server.put(torrent)
        let first = true
        server.respond = ({ start, end }) => {
          if (!first || end - start < 1_000_000) return null
          first = false
          const headers = { 'content-range': `bytes ${start}-${end - 1}/3000000` }
          return { status: 206, headers, body: torrent.content.subarray(start, end), fault }
        }
        const node = leech(sim, torrent, [url])
        complete(sim, node, torrent)
        expect(first).toBe(false)
        expect(ends(node).length).toBeGreaterThan(0)
        expect(node.alerts.filter(alert => alert instanceof HashFailedAlert)).toEqual([])
      })
    }
  })

  test('cannot cope with several requests at a time: it is asked one by one from then on', () => {
    simulate(14, sim => {
      const torrent = makeFilesTorrent(new Array(20).fill(10_000), PIECE)
      const server = new WebServer(sim, 'seed.test')
      const url = server.put(torrent)
      let last = Number.NEGATIVE_INFINITY
      let broken = 0
      server.respond = ({ atMs }) => {
        // sent before the last could have been answered
        const together = atMs - last < 10
        last = atMs
        if (together) broken++
        return together ? { fault: 'reset' } : null
      }
      const node = leech(sim, torrent, [url])
      complete(sim, node, torrent)
      expect(broken).toBeGreaterThan(0)
      expect(ends(node)).toHaveLength(2)
    })
  })

  const liars: readonly (readonly [string, (content: Uint8Array, start: number, end: number) => object, string])[] = [
    ['answers another range', (c, start, end) => answer(c, start + 1, end + 1, 206), 'invalid HTTP range'],
    ['answers a shorter range', (c, start, end) => answer(c, start, end - 1, 206), 'invalid HTTP range'],
    ['knows no ranges', c => ({ status: 200, body: c }), 'invalid HTTP range'],
    [
      'sends more than it said',
      (c, start, end) => ({ ...answer(c, start, end, 206), body: c.subarray(start, end + 1) }),
      'invalid HTTP range',
    ],
    [
      'sends less than it said',
      (c, start, end) => ({ ...answer(c, start, end, 206), body: c.subarray(start, end - 1) }),
      'invalid HTTP range',
    ],
    ['is no web server', () => ({ fault: 'garbage' }), 'Invalid HTTP header'],
  ]
  for (const [what, respond, error] of liars) {
    test(`${what}: it is left alone for a while`, () => {
      simulate(15, sim => {
        const torrent = makeTorrent(3_000_000, PIECE)
        const server = new WebServer(sim, 'seed.test')
        const url = server.put(torrent)
        server.respond = ({ start, end }) => respond(torrent.content, start, end)
        const node = leech(sim, torrent, [url], {
          settings: { urlseed_max_request_bytes: 1 << 20, urlseed_pipeline_size: 1 },
        })
        sim.run(29_000)
        expect(server.served).toHaveLength(1)
        expect(ends(node)).toEqual([error])
        expect(complaints(node)).toEqual([`${url}: ${error}`])
        server.respond = null
        complete(sim, node, torrent)
      })
    })
  }

  const useless: readonly (readonly [string, object, string])[] = [
    ['compresses', { status: 206, headers: { 'content-encoding': 'gzip' }, body: 'x' }, 'invalid HTTP range'],
    ['names no range', { status: 206, body: 'x' }, 'invalid HTTP range'],
    ['names no length', { status: 200, headers: { 'content-length': 'many' } }, 'missing content-length'],
    ['redirects to nowhere', { status: 302 }, 'missing location'],
    ['redirects to what is no web server', { status: 302, headers: { location: 'ftp://x/y' } }, 'missing location'],
  ]
  for (const [what, response, error] of useless) {
    test(`${what}: it is not used again`, () => {
      simulate(16, sim => {
        const torrent = makeTorrent(1_000_000, PIECE)
        const server = new WebServer(sim, 'seed.test')
        const url = server.put(torrent)
        server.respond = () => response
        const node = leech(sim, torrent, [url])
        sim.run(300_000)
        expect(server.served).toHaveLength(1)
        expect(complaints(node)).toHaveLength(1)
        expect(complaints(node)[0]).toContain(error)
        // another session may find it in order
        expect(node.handle.urlSeeds()).toEqual([url])
        node.close()
      })
    })
  }
})

function answer(content: Uint8Array, start: number, end: number, status: number) {
  return {
    status,
    headers: { 'content-range': `bytes ${start}-${end - 1}/${content.length}` },
    body: content.subarray(start, end),
  }
}
