/** What every `HttpClient` must do. */

import { constants } from 'node:os'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type ErrorCode, libtorrentError } from '../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../src/core/error-table.ts'
import { Operation } from '../../src/core/operation.ts'
import type { HttpHead, HttpRequest, HttpRequestOptions, HttpSession, HttpSink } from '../../src/core/runtime.ts'
import type { HttpServer, ServedRequest } from '../sim/lib/sim-http.ts'
import type { World } from './runtime-worlds.ts'

/** A world in which HTTP servers can be started. */
export interface HttpWorld extends World {
  /** Starts a server on `b`. @returns its origin, such as `http://127.0.0.1:1234`, and how to stop it */
  serve(server: HttpServer): Promise<{ readonly origin: string; readonly port: number; stop(): void }>
  /** A name that leads to `b` over IPv4. */
  readonly hostname: string
}

export interface HttpWorldFactory {
  readonly name: string
  make(): HttpWorld
}

class Answer implements HttpSink {
  head: HttpHead | null = null
  readonly chunks: Uint8Array[] = []
  error: ErrorCode | null = null
  operation: Operation | null = null
  ended = false
  inCall = false
  onEvent: (event: string) => void = () => {}

  onHead(head: HttpHead): void {
    this.head = head
    this.#note('head')
  }

  onData(chunk: Uint8Array): void {
    this.chunks.push(chunk.slice())
    this.#note('data')
  }

  onEnd(): void {
    this.#note('end')
    this.ended = true
  }

  onError(error: ErrorCode, operation: Operation): void {
    this.#note('error')
    this.error = error
    this.operation = operation
  }

  get done(): boolean {
    return this.ended || this.error !== null
  }

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  #note(event: string): void {
    if (this.inCall) throw new Error(`${event} came from inside a call`)
    if (this.done) throw new Error(`${event} came after the end`)
    if ((event === 'data' || event === 'end') && this.head === null) throw new Error(`${event} came before the head`)
    this.onEvent(event)
  }
}

function start(
  world: HttpWorld,
  url: string,
  options: Partial<HttpRequestOptions> = {},
): { answer: Answer; request: HttpRequest } {
  const answer = new Answer()
  answer.inCall = true
  const request = world.a.http.request(
    { url, timeoutMs: 5000, maxBodyBytes: 1 << 20, maxRedirects: 5, verifyCertificate: true, ...options },
    answer,
  )
  answer.inCall = false
  return { answer, request }
}

async function get(world: HttpWorld, url: string, options: Partial<HttpRequestOptions> = {}): Promise<Answer> {
  const { answer } = start(world, url, options)
  await world.until(() => answer.done, 'an answer')
  await world.settle()
  return answer
}

const BODY = 'd8:intervali1800e5:peers0:e'.repeat(40)

/** Runs the suite on one world. */
export function httpSuite(factory: HttpWorldFactory): void {
  describe(`http: ${factory.name}`, () => {
    requestTests(factory)
    bodyTests(factory)
    redirectTests(factory)
    failureTests(factory)
    sessionTests(factory)
  })
}

/** One request of a session after the other. */
async function getOver(
  world: HttpWorld,
  session: HttpSession,
  url: string,
  options: Partial<HttpRequestOptions> = {},
): Promise<Answer> {
  const answer = new Answer()
  const all = { timeoutMs: 5000, maxBodyBytes: 1 << 20, maxRedirects: 0, verifyCertificate: true, ...options }
  answer.inCall = true
  session.request({ url, ...all }, answer)
  answer.inCall = false
  await world.until(() => answer.done, 'an answer')
  return answer
}

function sessionTests(factory: HttpWorldFactory): void {
  test('requests of a session go over one connection, those of others do not', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ connection, url }) => ({ body: `${connection} ${url.pathname}` }))
    const session = world.a.http.session()
    const first = (await getOver(world, session, `${origin}/1`)).text()
    const second = (await getOver(world, session, `${origin}/2`)).text()
    expect([first.split(' ')[1], second.split(' ')[1]]).toEqual(['/1', '/2'])
    expect(second.split(' ')[0]).toBe(first.split(' ')[0])
    expect((await get(world, `${origin}/`)).text().split(' ')[0]).not.toBe(first.split(' ')[0])
    session.close()
    session.close()
    stop()
  })

  test('a request may follow from the end of the one before, and the answer knows who gave it', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ connection }) => ({ body: `${connection}` }))
    const session = world.a.http.session()
    const options = { timeoutMs: 5000, maxBodyBytes: 100, maxRedirects: 0, verifyCertificate: true }
    const second = new Answer()
    const first = new Answer()
    first.onEvent = event => {
      if (event === 'end') session.request({ url: `${origin}/`, ...options }, second)
    }
    session.request({ url: `${origin}/`, ...options }, first)
    await world.until(() => second.done, 'both answers')
    expect(second.text()).toBe(first.text())
    expect(second.head!.remoteAddress).toBe(world.address(4))
    session.close()
    stop()
  })

  test('a server that closes its connections is connected to again', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ connection }) => ({
      body: `${connection}`,
      headers: { connection: 'close' },
    }))
    const session = world.a.http.session()
    const first = await getOver(world, session, `${origin}/`)
    await world.settle()
    const second = await getOver(world, session, `${origin}/`)
    expect(Number(second.text())).toBeGreaterThan(Number(first.text()))
    session.close()
    stop()
  })

  test('a session may turn to another server, and to the first again', async () => {
    const world = factory.make()
    const a = await world.serve(() => ({ body: 'a' }))
    const b = await world.serve(() => ({ body: 'b' }))
    const session = world.a.http.session()
    const texts = []
    for (const { origin } of [a, b, a, a]) texts.push((await getOver(world, session, `${origin}/`)).text())
    expect(texts).toEqual(['a', 'b', 'a', 'a'])
    session.close()
    a.stop()
    b.stop()
  })

  test('after a request that was aborted or failed the session goes on', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ url }) =>
      url.pathname === '/ok' ? { body: 'ok' } : { body: 'x'.repeat(1000), fault: 'cut' },
    )
    const session = world.a.http.session()
    expect((await getOver(world, session, `${origin}/cut`)).error).not.toBeNull()
    expect((await getOver(world, session, `${origin}/ok`)).text()).toBe('ok')
    const aborted = new Answer()
    const options = { timeoutMs: 5000, maxBodyBytes: 100, maxRedirects: 0, verifyCertificate: true }
    session.request({ url: `${origin}/ok`, ...options }, aborted).abort()
    expect((await getOver(world, session, `${origin}/ok`)).text()).toBe('ok')
    expect(aborted.done).toBe(false)
    session.close()
    stop()
  })

  test('nothing comes of a request whose session is closed', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: BODY }))
    const session = world.a.http.session()
    const answer = new Answer()
    const options = { timeoutMs: 5000, maxBodyBytes: 1 << 20, maxRedirects: 0, verifyCertificate: true }
    session.request({ url: `${origin}/`, ...options }, answer)
    session.close()
    await world.settle()
    expect(answer.head).toBeNull()
    expect(answer.done).toBe(false)
    stop()
  })

  test('a body that stalls times out, and not while it is paused', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: 'x'.repeat(10_000), fault: 'stall' }))
    const session = world.a.http.session()
    const answer = await getOver(world, session, `${origin}/`, { timeoutMs: 300 })
    expect(answer.error!.is(LibtorrentErrors.timedOut)).toBe(true)
    expect(answer.bytes).toBe(5000)
    session.close()
    stop()
  })

  test('a long body comes bit by bit, as fast as it is read', async () => {
    const world = factory.make()
    const body = new Uint8Array(4 << 20).map((_, i) => i % 251)
    const { origin, stop } = await world.serve(() => ({ body }))
    const session = world.a.http.session()
    const answer = new Answer()
    let reads = 0
    let paused = false
    const request = session.request(
      { url: `${origin}/`, timeoutMs: 5000, maxBodyBytes: body.length, maxRedirects: 0, verifyCertificate: true },
      answer,
    )
    answer.onEvent = event => {
      if (paused) throw new Error(`${event} while paused`)
      if (event !== 'data' || ++reads % 8 !== 0) return
      request.pause()
      paused = true
    }
    while (!answer.done) {
      await world.until(() => answer.done || paused, 'some of the body')
      await world.settle()
      paused = false
      request.resume()
    }
    expect(reads).toBeGreaterThan(8)
    expect(Buffer.concat(answer.chunks).equals(body)).toBe(true)
    session.close()
    stop()
  })

  /** Requests that are on their way together. @returns their answers, and what happened in which order */
  function pipeline(
    world: HttpWorld,
    urls: readonly string[],
    each: Partial<HttpRequestOptions> = {},
  ): { answers: Answer[]; requests: HttpRequest[]; order: string[]; session: HttpSession } {
    const session = world.a.http.session(urls.length)
    const options = { timeoutMs: 5000, maxBodyBytes: 1 << 20, maxRedirects: 0, verifyCertificate: true, ...each }
    const order: string[] = []
    const answers = urls.map(() => new Answer())
    const requests = urls.map((url, i) => {
      const answer = answers[i]!
      answer.onEvent = event => {
        if (order.at(-1) !== `${i} ${event}`) order.push(`${i} ${event}`)
      }
      answer.inCall = true
      const request = session.request({ url, ...options }, answer)
      answer.inCall = false
      return request
    })
    return { answers, requests, order, session }
  }

  test('requests that are on their way together are answered one after the other, over one connection', async () => {
    const world = factory.make()
    const seen: number[] = []
    const { origin, stop } = await world.serve(({ connection, url }) => {
      seen.push(connection)
      return { body: url.pathname.repeat(20_000) }
    })
    const { answers, order, session } = pipeline(
      world,
      ['/a', '/b', '/c', '/d'].map(path => origin + path),
    )
    await world.until(() => answers.every(answer => answer.done), 'all answers')
    expect(answers.map(answer => answer.text().slice(0, 4))).toEqual(['/a/a', '/b/b', '/c/c', '/d/d'])
    expect(order).toEqual([0, 1, 2, 3].flatMap(i => [`${i} head`, `${i} data`, `${i} end`]))
    expect(new Set(seen).size).toBe(1)
    session.close()
    stop()
  })

  test('and are sent before the first of them is answered', async () => {
    const world = factory.make()
    let asked = 0
    const { origin, stop } = await world.serve(() => {
      asked++
      return { fault: 'silence' }
    })
    const { answers, session } = pipeline(world, [`${origin}/a`, `${origin}/b`, `${origin}/c`])
    await world.until(() => asked === 3, 'all requests')
    expect(answers.some(answer => answer.done)).toBe(false)
    session.close()
    stop()
  })

  test('pausing holds them all, and nothing is lost or out of order', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ url }) => ({ body: url.pathname.repeat(5000) }))
    const urls = ['/a', '/b', '/c'].map(path => origin + path)
    const { answers, requests, order, session } = pipeline(world, urls)
    let paused = false
    answers.forEach((answer, i) => {
      const note = answer.onEvent
      answer.onEvent = event => {
        if (paused) throw new Error(`${i} ${event} while paused`)
        note(event)
        // an end is the last of its request, which is not there to be paused then
        paused = true
        for (const request of requests) request.pause()
      }
    })
    while (!answers.every(answer => answer.done)) {
      await world.settle()
      paused = false
      for (const request of requests) request.resume()
      await world.until(() => paused, 'something')
    }
    expect(answers.map(answer => answer.bytes)).toEqual([10_000, 10_000, 10_000])
    expect(order).toEqual([0, 1, 2].flatMap(i => [`${i} head`, `${i} data`, `${i} end`]))
    session.close()
    stop()
  })

  test('if one fails, the others that are on their way fail too, and the session goes on', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ url }) =>
      url.pathname === '/cut' ? { body: 'x'.repeat(1000), fault: 'cut' } : { body: 'ok' },
    )
    const { answers, session } = pipeline(world, [`${origin}/a`, `${origin}/cut`, `${origin}/c`])
    await world.until(() => answers.every(answer => answer.done), 'all answers')
    expect(answers.map(answer => answer.error === null)).toEqual([true, false, false])
    expect((await getOver(world, session, `${origin}/d`)).text()).toBe('ok')
    session.close()
    stop()
  })

  test('each is timed from when it is its turn', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ url }) =>
      url.pathname === '/c' ? { fault: 'silence' } : { body: 'x'.repeat(100) },
    )
    const { answers, session } = pipeline(world, [`${origin}/a`, `${origin}/b`, `${origin}/c`], { timeoutMs: 300 })
    await world.until(() => answers.every(answer => answer.done), 'all answers')
    expect(answers.map(answer => answer.error?.is(LibtorrentErrors.timedOut) ?? null)).toEqual([null, null, true])
    session.close()
    stop()
  })

  test('nothing comes of any once the session is closed', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: 'x'.repeat(100_000) }))
    const { answers, session } = pipeline(world, [`${origin}/a`, `${origin}/b`, `${origin}/c`])
    await world.until(() => answers[0]!.head !== null, 'the first')
    session.close()
    const before = answers.map(answer => answer.bytes)
    await world.settle()
    expect(answers.map(answer => answer.bytes)).toEqual(before)
    expect(answers.some(answer => answer.error !== null)).toBe(false)
    stop()
  })

  test('a request that wants no compression asks for none, and gets the body as it was sent', async () => {
    const world = factory.make()
    const packed = gzipSync(BODY)
    const { origin, stop } = await world.serve(request => ({
      body: packed,
      headers: { 'content-encoding': 'gzip', 'x-asked': request.headers['accept-encoding'] ?? 'nothing' },
    }))
    const answer = await get(world, `${origin}/`, { decompress: false })
    expect(answer.head!.headers['x-asked']).toBe('nothing')
    expect(Buffer.concat(answer.chunks).equals(packed)).toBe(true)
    stop()
  })
}

function requestTests(factory: HttpWorldFactory): void {
  test('a request reaches the server as it was made, and its answer comes back', async () => {
    const world = factory.make()
    const seen: ServedRequest[] = []
    const { origin, stop } = await world.serve(request => {
      seen.push(request)
      return { body: BODY, headers: { 'Content-Type': 'text/plain' } }
    })
    const answer = await get(world, `${origin}/announce?info_hash=%00%ff%20a&port=6881`, {
      headers: { 'User-Agent': 'tester/1.0' },
    })
    expect(answer.error).toBeNull()
    expect(answer.text()).toBe(BODY)
    expect(answer.head).toMatchObject({
      status: 200,
      statusText: 'OK',
      url: `${origin}/announce?info_hash=%00%ff%20a&port=6881`,
      remoteAddress: world.address(4),
    })
    expect(answer.head!.headers['content-type']).toBe('text/plain')
    expect(seen[0]!.method).toBe('GET')
    expect(seen[0]!.url.search).toBe('?info_hash=%00%ff%20a&port=6881')
    expect(seen[0]!.headers['user-agent']).toBe('tester/1.0')
    expect(seen[0]!.headers['accept-encoding']).toBe('gzip')
    expect(seen[0]!.headers['host']).toBe(new URL(origin).host)
    stop()
  })

  test('a body can be posted', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(request => ({
      body: `${request.method} ${new TextDecoder().decode(request.body)}`,
    }))
    const answer = await get(world, `${origin}/`, { method: 'POST', body: new TextEncoder().encode('<soap/>') })
    expect(answer.text()).toBe('POST <soap/>')
    stop()
  })

  test('name and password in the URL become basic authentication', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(request => ({ body: request.headers['authorization'] ?? 'none' }))
    const withLogin = origin.replace('http://', 'http://me:pass%20word@')
    expect((await get(world, `${withLogin}/`)).text()).toBe(`Basic ${btoa('me:pass word')}`)
    expect((await get(world, `${origin}/`)).text()).toBe('none')
    stop()
  })

  test('an answer of any status is delivered', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ status: 404, statusText: 'Nothing Here', body: 'gone' }))
    const answer = await get(world, `${origin}/`)
    expect(answer.head).toMatchObject({ status: 404, statusText: 'Nothing Here' })
    expect(answer.text()).toBe('gone')
    expect(answer.ended).toBe(true)
    stop()
  })

  test('a host is looked up, and its addresses can be filtered', async () => {
    const world = factory.make()
    const { port, stop } = await world.serve(() => ({ body: 'ok' }))
    const url = `http://${world.hostname}:${port}/`
    const asked: string[] = []
    const allowed = await get(world, url, {
      filterAddresses: (addresses, target) => {
        asked.push(target.hostname)
        return addresses.filter(address => !address.includes(':'))
      },
    })
    expect(allowed.text()).toBe('ok')
    expect(asked).toEqual([world.hostname])
    const none = await get(world, url, { filterAddresses: () => [] })
    expect(none.error!.message()).toBe('banned by IP filter')
    expect(none.head).toBeNull()
    const refused = await get(world, url, {
      filterAddresses: () => libtorrentError(LibtorrentErrors.ssrfMitigation),
    })
    expect(refused.error!.is(LibtorrentErrors.ssrfMitigation)).toBe(true)
    stop()
  })

  test('only addresses of the asked family are used', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: 'ok' }))
    expect((await get(world, `${origin}/`, { family: 4 })).text()).toBe('ok')
    const other = await get(world, `${origin}/`, { family: 6 })
    expect(other.error!.value()).toBe(constants.errno.EAFNOSUPPORT)
    const local = await get(world, `${origin}/`, { localAddress: '::1' })
    expect(local.error!.value()).toBe(constants.errno.EAFNOSUPPORT)
    stop()
  })
}

function bodyTests(factory: HttpWorldFactory): void {
  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
  ] as const)('a body compressed with %s is unpacked', async (encoding, pack) => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: pack(BODY), headers: { 'content-encoding': encoding } }))
    const answer = await get(world, `${origin}/`)
    expect(answer.error).toBeNull()
    expect(answer.text()).toBe(BODY)
    stop()
  })

  test('a body that claims to be gzip and is not fails', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: BODY, headers: { 'content-encoding': 'gzip' } }))
    const answer = await get(world, `${origin}/`)
    expect(answer.error!.message()).toBe('invalid gzip header')
    stop()
  })

  test('an empty body is not unpacked', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ headers: { 'content-encoding': 'gzip' } }))
    const answer = await get(world, `${origin}/`)
    expect([answer.ended, answer.bytes]).toEqual([true, 0])
    stop()
  })

  test('a body may be as long as the limit, and no longer', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: new Uint8Array(100_000) }))
    const fits = await get(world, `${origin}/`, { maxBodyBytes: 100_000 })
    expect([fits.ended, fits.bytes]).toEqual([true, 100_000])
    const long = await get(world, `${origin}/`, { maxBodyBytes: 99_999 })
    expect(long.error!.value()).toBe(constants.errno.EFBIG)
    expect(long.error!.message()).toBe('File too large')
    expect(long.bytes).toBeLessThanOrEqual(99_999)
    stop()
  })

  test('a small body that unpacks to a large one is stopped at the limit', async () => {
    const world = factory.make()
    const bomb = gzipSync(new Uint8Array(64 << 20))
    const { origin, stop } = await world.serve(() => ({ body: bomb, headers: { 'content-encoding': 'gzip' } }))
    const answer = await get(world, `${origin}/`, { maxBodyBytes: 200_000 })
    expect(answer.error!.message()).toBe('inflated data too large')
    expect(answer.bytes).toBeLessThanOrEqual(200_000)
    stop()
  })

  test.each(['identity', 'gzip'])('a paused request delivers nothing and then all of a body in %s', async encoding => {
    const world = factory.make()
    const whole = new Uint8Array(3 << 20).map((_, i) => (i * 7 + (i >> 8)) & 255)
    const body = encoding === 'gzip' ? gzipSync(whole) : whole
    const { origin, stop } = await world.serve(() => ({ body, headers: { 'content-encoding': encoding } }))
    const { answer, request } = start(world, `${origin}/`, { maxBodyBytes: whole.length })
    answer.onEvent = event => {
      if (event === 'data') request.pause()
    }
    await world.until(() => answer.chunks.length > 0, 'the first part')
    await world.settle()
    const before = answer.bytes
    expect(before).toBeLessThan(whole.length)
    await world.settle()
    expect(answer.bytes).toBe(before)
    answer.onEvent = () => {}
    answer.inCall = true
    request.resume()
    answer.inCall = false
    await world.until(() => answer.done, 'the end')
    expect(answer.error).toBeNull()
    expect(Buffer.concat(answer.chunks).equals(whole)).toBe(true)
    stop()
  })
}

function redirectTests(factory: HttpWorldFactory): void {
  test('redirects are followed, relative ones too, and the last URL is told', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ url }) => {
      if (url.pathname === '/a') return { status: 301, headers: { Location: '/b/c' } }
      if (url.pathname === '/b/c') return { status: 302, headers: { Location: `${origin}/d?x=1` } }
      return { body: url.pathname + url.search }
    })
    const answer = await get(world, `${origin}/a`)
    expect(answer.text()).toBe('/d?x=1')
    expect(answer.head!.url).toBe(`${origin}/d?x=1`)
    stop()
  })

  test('a redirect loop ends, with the redirect itself as the answer', async () => {
    const world = factory.make()
    let requests = 0
    const { origin, stop } = await world.serve(() => {
      requests++
      return { status: 302, headers: { Location: '/again' }, body: 'moved' }
    })
    const answer = await get(world, `${origin}/`, { maxRedirects: 3 })
    expect(answer.head!.status).toBe(302)
    expect(requests).toBe(4)
    stop()
  })

  test('a redirect to nowhere fails', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(({ url }) =>
      url.pathname === '/none' ? { status: 302 } : { status: 302, headers: { Location: 'http://[bad/' } },
    )
    const none = await get(world, `${origin}/none`)
    expect(none.error!.message()).toBe('missing Location header in HTTP redirect')
    const bad = await get(world, `${origin}/bad`)
    expect(bad.error!.is(LibtorrentErrors.urlParseError)).toBe(true)
    stop()
  })

  test('each redirect is asked about before anything is sent there', async () => {
    const world = factory.make()
    const paths: string[] = []
    const { origin, stop } = await world.serve(({ url }) => {
      paths.push(url.pathname)
      return { status: 302, headers: { Location: url.pathname === '/a' ? '/b' : '/secret' } }
    })
    const answer = await get(world, `${origin}/a`, {
      filterUrl: url => (url.pathname === '/secret' ? libtorrentError(LibtorrentErrors.ssrfMitigation) : null),
    })
    expect(answer.error!.is(LibtorrentErrors.ssrfMitigation)).toBe(true)
    expect(answer.operation).toBe(Operation.bittorrent)
    expect(paths).toEqual(['/a', '/b'])
    const scheme = await world.serve(() => ({ status: 302, headers: { Location: 'ftp://host/' } }))
    expect((await get(world, `${scheme.origin}/`)).error!.is(LibtorrentErrors.unsupportedUrlProtocol)).toBe(true)
    scheme.stop()
    stop()
  })

  test('the addresses of a redirect target are filtered too', async () => {
    const world = factory.make()
    const { origin, port, stop } = await world.serve(({ url }) =>
      url.pathname === '/' ? { status: 302, headers: { Location: `http://${world.hostname}:${port}/x` } } : {},
    )
    const answer = await get(world, `${origin}/`, {
      filterAddresses: (addresses, url) => (url.pathname === '/x' ? [] : addresses),
    })
    expect(answer.error!.is(LibtorrentErrors.bannedByIpFilter)).toBe(true)
    stop()
  })

  test('a password is sent to the server it is for, and to no other', async () => {
    const world = factory.make()
    const other = await world.serve(request => ({ body: request.headers['authorization'] ?? 'none' }))
    const { origin, stop } = await world.serve(({ url, headers }) => {
      if (url.pathname === '/far') return { status: 302, headers: { Location: `${other.origin}/` } }
      if (url.pathname === '/near') return { status: 302, headers: { Location: '/here' } }
      return { body: headers['authorization'] ?? 'none' }
    })
    const withLogin = origin.replace('http://', 'http://u:p@')
    expect((await get(world, `${withLogin}/near`)).text()).toBe(`Basic ${btoa('u:p')}`)
    expect((await get(world, `${withLogin}/far`)).text()).toBe('none')
    stop()
    other.stop()
  })
}

function failureTests(factory: HttpWorldFactory): void {
  test.each([
    ['no url at all', LibtorrentErrors.urlParseError],
    ['ftp://host/file', LibtorrentErrors.unsupportedUrlProtocol],
  ])('%s is refused', async (url, value) => {
    const world = factory.make()
    const answer = await get(world, url)
    expect(answer.error!.is(value)).toBe(true)
    expect(answer.operation).toBe(Operation.parseAddress)
  })

  test('a host without a name record fails in the look-up', async () => {
    const world = factory.make()
    const answer = await get(world, 'http://nothing.invalid/')
    expect(answer.error!.message()).toBe('Host not found (authoritative)')
    expect(answer.operation).toBe(Operation.hostnameLookup)
  })

  test('a server that is not there is "connection refused"', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({}))
    stop()
    await world.settle()
    const answer = await get(world, `${origin}/`)
    expect(answer.error!.value()).toBe(constants.errno.ECONNREFUSED)
    expect(answer.operation).toBe(Operation.connect)
  })

  test('a server that says nothing times out', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ fault: 'silence' }))
    const answer = await get(world, `${origin}/`, { timeoutMs: 200 })
    expect(answer.error!.is(LibtorrentErrors.timedOut)).toBe(true)
    stop()
  })

  test('bytes that are no HTTP are a parse error', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ fault: 'garbage' }))
    const answer = await get(world, `${origin}/`)
    expect(answer.error!.message()).toBe('Invalid HTTP header')
    stop()
  })

  test('a connection that breaks is told as that', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ fault: 'reset' }))
    const answer = await get(world, `${origin}/`)
    expect([constants.errno.ECONNRESET, constants.errno.EPIPE, 2]).toContain(answer.error!.value())
    stop()
  })

  test('a body that is cut short delivers what there is, then end of file', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ fault: 'cut', body: BODY }))
    const answer = await get(world, `${origin}/`)
    expect(answer.error!.message()).toBe('End of file')
    expect(answer.text()).toBe(BODY.slice(0, BODY.length >> 1))
    stop()
  })

  test('an aborted request is silent, whenever it is aborted', async () => {
    const world = factory.make()
    const { origin, stop } = await world.serve(() => ({ body: new Uint8Array(200_000) }))
    const early = start(world, `${origin}/`)
    early.request.abort()
    early.request.abort()
    await world.settle()
    expect([early.answer.head, early.answer.done]).toEqual([null, false])
    for (const when of ['head', 'data', 'end']) {
      const { answer, request } = start(world, `${origin}/`)
      let aborted = false
      let after = 0
      answer.onEvent = event => {
        if (aborted) after++
        if (event !== when) return
        aborted = true
        request.abort()
      }
      await world.until(() => aborted, `the abort in ${when}`)
      await world.settle()
      expect(after).toBe(0)
    }
    stop()
  })
}
