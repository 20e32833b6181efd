import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { TEST_CERTIFICATE, TEST_KEY } from '../compliance/http-certificate.ts'
import { canTest } from './lib/child.ts'
import { digests, type Shape, Workspace, writeShape } from './lib/files.ts'
import { LtPeer } from './lib/lt-peer.ts'
import { KINDS, makeTorrent, PIECE, SHAPES } from './lib/make.ts'
import { lib, Ours } from './lib/ours.ts'
import { WebServer } from './lib/web-server.ts'

const space = new Workspace()
const open: { stop(): Promise<void> }[] = []

afterEach(async () => {
  for (const each of open.splice(0)) await each.stop()
})
afterAll(() => space.remove())

interface World {
  readonly server: WebServer
  /** Where the served files are. */
  readonly root: string
  readonly torrent: Uint8Array
}

/** A server that has the files of a torrent. @param url of the web seed, to the origin of the server */
async function world(
  shape: Shape,
  flags: readonly string[],
  url: (origin: string) => string,
  pieceSize = PIECE,
): Promise<World> {
  const root = space.dir('www')
  writeShape(root, 'served', shape)
  const server = await WebServer.start(root)
  open.push(server)
  const torrent = await makeTorrent(join(root, 'served'), flags, { webSeed: url(server.origin), pieceSize })
  return { server, root, torrent }
}

async function download(torrent: Uint8Array, settings: Record<string, unknown> = {}) {
  const save = space.dir('ours')
  const ours = await Ours.start({ torrent, save, settings })
  open.push(ours)
  return { ours, save }
}

function expectSame(save: string, root: string): void {
  const served = digests(join(root, 'served'))
  const got = Object.entries(digests(join(save, 'served'))).filter(([path]) => !path.startsWith('.pad'))
  expect(Object.fromEntries(got)).toEqual(served)
}

describe('a download from a web server', () => {
  for (const [kind, flags] of Object.entries(KINDS)) {
    for (const shape of ['one file', 'one byte', 'many files', 'a directory with one file', 'small files']) {
      test(`${kind}, ${shape}`, async () => {
        const { server, root, torrent } = await world(SHAPES[shape]!, flags, origin => `${origin}/`)
        const { ours, save } = await download(torrent)
        await ours.finished()
        expectSame(save, root)
        expect(server.connections).toBe(1)
        expect(ours.handle.status().totalFailedBytes).toBe(0)
        expect(ours.handle.status().totalRedundantBytes).toBe(0)
        expect(server.asked.every(({ headers }) => headers['accept-encoding'] === undefined)).toBe(true)
      })
    }
  }

  test('of one file that is large', async () => {
    const { root, torrent, server } = await world([['', 60_000_000]], ['v1_only'], origin => `${origin}/served`)
    const { ours, save } = await download(torrent)
    await ours.finished()
    expectSame(save, root)
    expect(server.asked.length).toBeLessThan(60)
  })

  test('that is chunked, compressed if one asks for that, and closes its connections', async () => {
    const { root, torrent, server } = await world([['', 3_000_000]], ['v1_only'], origin => `${origin}/served`)
    const file = readFileSync(join(root, 'served'))
    server.respond = (request, response) => {
      const [start, last] = request.headers.range!.slice('bytes='.length).split('-').map(Number)
      response.writeHead(206, { 'content-range': `bytes ${start}-${last}/3000000`, connection: 'close' })
      for (let at = start!; at <= last!; at += 12_345)
        response.write(file.subarray(at, Math.min(at + 12_345, last! + 1)))
      response.end()
      return true
    }
    const { ours, save } = await download(torrent)
    await ours.finished()
    expectSame(save, root)
    expect(server.connections).toBe(server.asked.length)
  })

  test('that redirects to another', async () => {
    const { root, torrent, server } = await world(SHAPES['many files']!, [], origin => `${origin}/`)
    const other = await WebServer.start(root)
    open.push(other)
    server.respond = (request, response) => {
      response.writeHead(302, { location: other.origin + request.url }).end()
      return true
    }
    const { ours, save } = await download(torrent)
    await ours.finished()
    expectSame(save, root)
  })

  test('that is slow is not read faster than the limit allows', async () => {
    const { root, torrent } = await world([['', 2_000_000]], ['v1_only'], origin => `${origin}/served`)
    const params = lib.loadTorrentBuffer(torrent)
    params.downloadLimit = 500_000
    const save = space.dir('ours')
    const before = Date.now()
    const ours = await Ours.start({ params, save })
    open.push(ours)
    await ours.finished()
    expect(Date.now() - before).toBeGreaterThan(2000)
    expectSame(save, root)
  })
})

test('over TLS, and not if the certificate is not to be trusted', async () => {
  const { root, torrent } = await world(SHAPES['many files']!, [], origin => `${origin}/`)
  const server = await WebServer.start(root, { key: TEST_KEY, cert: TEST_CERTIFICATE })
  open.push(server)
  const start = async (validate: boolean) => {
    const params = lib.loadTorrentBuffer(torrent)
    params.urlSeeds = [`${server.origin}/`]
    const save = space.dir('ours')
    const ours = await Ours.start({ params, save, settings: { validate_https_trackers: validate } })
    open.push(ours)
    return { ours, save }
  }
  const wary = await start(true)
  const alert = await wary.ours.alert('peer_disconnected')
  expect(alert.message()).toContain('[ssl_handshake]')
  expect(server.asked).toEqual([])
  const { ours, save } = await start(false)
  await ours.finished()
  expectSame(save, root)
  // Node's own HTTPS server closes connections with several requests on their way now and then
  expect(server.connections).toBeLessThanOrEqual(3)
})

test('through an HTTP proxy, which also looks up the name', async () => {
  const { root, server } = await world(SHAPES['many files']!, [], origin => `${origin}/`)
  let proxied = 0
  const proxy = createServer((request, response) => {
    proxied++
    const { pathname } = new URL(request.url!)
    const { host: _, ...headers } = request.headers
    get(server.origin + pathname, { headers }, from => {
      response.writeHead(from.statusCode!, from.headers)
      from.pipe(response)
    })
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  open.push({
    stop: async () => {
      proxy.closeAllConnections()
      proxy.close()
    },
  })
  const torrent = await makeTorrent(join(root, 'served'), [], { webSeed: 'http://nowhere.invalid/' })
  const save = space.dir('ours')
  const settings = {
    proxy_type: 4,
    proxy_hostname: '127.0.0.1',
    proxy_port: (proxy.address() as AddressInfo).port,
    proxy_hostnames: true,
    proxy_peer_connections: true,
  }
  // with a proxy for peers it does not listen
  const ours = new Ours({ torrent, save, settings })
  open.push(ours)
  await ours.finished()
  expectSame(save, root)
  expect(proxied).toBe(server.asked.length)
})

describe('a server that does harm', () => {
  async function against(respond: NonNullable<WebServer['respond']>): Promise<Ours> {
    const { torrent, server } = await world([['', 300_000]], ['v1_only'], origin => `${origin}/served`, 512 * 1024)
    server.respond = respond
    const { ours } = await download(torrent, { urlseed_timeout: 2, close_redundant_connections: true })
    return ours
  }
  const gone = (ours: Ours) =>
    ours.until('the connection to end', () =>
      ours.alerts.find(alert => alert.what() === 'peer_disconnected' || alert.what() === 'peer_error'),
    )

  test('with a head without end', async () => {
    const ours = await against((_, response) => {
      const { socket } = response
      socket!.write('HTTP/1.1 206 Partial Content\r\n')
      const timer = setInterval(() => socket!.write(`x-${Math.random()}: ${'y'.repeat(8000)}\r\n`), 1)
      socket!.on('close', () => clearInterval(timer))
      socket!.on('error', () => {})
      return true
    })
    await gone(ours)
  })

  test('with a body without end', async () => {
    const ours = await against((request, response) => {
      const range = request.headers.range!.replace('=', ' ')
      response.writeHead(206, { 'content-range': `${range}/300000` })
      response.write(Buffer.alloc(290_000))
      const timer = setInterval(() => response.write(Buffer.alloc(100_000)), 1)
      response.on('close', () => clearInterval(timer))
      return true
    })
    await ours.until('the end', () => ours.alerts.find(alert => alert.message().includes('invalid HTTP range')))
  })

  test('with silence', async () => {
    const ours = await against(() => true)
    const alert = await gone(ours)
    expect(alert.message()).toContain('timed out: inactivity')
  })
})

describe.runIf(canTest('libtorrent'))('libtorrent asks for the same URLs', () => {
  const special: Shape = [
    ["it's (a) 50% [file] & more = ~_-.!*;:@$,+?#.bin", PIECE + 3],
    ['dir with space/ünï 日本.txt', 2 * PIECE],
    ['plain', 100],
  ]
  const cases: readonly (readonly [string, Shape, (origin: string) => string])[] = [
    ['one file, its URL', [['', 3 * PIECE]], origin => `${origin}/served`],
    ['one file, its URL under another name', [['', 3 * PIECE]], origin => `${origin}/other%20na%6de`],
    ['one file, its directory', [['', 3 * PIECE]], origin => `${origin}/`],
    ['one file, the host', [['', 3 * PIECE]], origin => origin],
    ['several files, their directory', special, origin => `${origin}/`],
    ['several files, without a slash', special, origin => `${origin}`],
    ['several files, further down', special, origin => `${origin}/down/below`],
  ]
  for (const [what, shape, url] of cases) {
    for (const kind of ['v1', 'hybrid']) {
      test(`${what}, ${kind}`, async () => {
        const { server, root, torrent } = await world(shape, KINDS[kind]!, url)
        if (shape.length === 1) copyFileSync(join(root, 'served'), join(root, 'other name'))
        else {
          mkdirSync(join(root, 'down'))
          writeShape(join(root, 'down', 'below'), 'served', shape)
        }
        const { ours, save } = await download(torrent)
        await ours.finished()
        expectSame(save, root)
        const paths = server.paths
        server.asked.length = 0
        const theirSave = space.dir('theirs')
        const file = space.file('t.torrent', torrent)
        const theirs = await LtPeer.start({ torrent: file, save: theirSave })
        open.push(theirs)
        await theirs.event('finished')
        expectSame(theirSave, root)
        expect(paths).toEqual(server.paths)
      })
    }
  }
})

test('a magnet link names a web seed, and the metadata comes from a peer', async () => {
  const { root, torrent } = await world(SHAPES['many files']!, [], origin => `${origin}/`)
  const params = lib.loadTorrentBuffer(torrent)
  const knows = await download(torrent, { max_web_seed_connections: 1, download_rate_limit: 1 })
  knows.ours.handle.removeUrlSeed(params.urlSeeds[0]!)
  const save = space.dir('ours')
  const ours = await Ours.start({ magnet: lib.makeMagnetUri(params), save })
  open.push(ours)
  expect(ours.handle.urlSeeds()).toEqual(params.urlSeeds)
  ours.handle.connectPeer(knows.ours.endpoint)
  await ours.finished()
  expectSame(save, root)
})
