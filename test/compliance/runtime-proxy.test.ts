/** Connections through proxies. Node only: the simulator has none. */

import { createServer, type Socket } from 'node:net'
import { constants } from 'node:os'
import { afterEach, describe, expect, test } from 'vitest'
import type { Endpoint } from '../../src/core/endpoint.ts'
import { ProxyType, SocketType } from '../../src/core/enums.ts'
import { ErrorCode, genericCategory } from '../../src/core/error-code.ts'
import { Operation } from '../../src/core/operation.ts'
import type { ProxyOptions } from '../../src/core/runtime.ts'
import { createNodeRuntime } from '../../src/runtime/node-runtime.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

async function serve(accept: (socket: Socket) => void): Promise<Endpoint> {
  const server = createServer(socket => {
    socket.on('error', () => socket.destroy())
    accept(socket)
  })
  open.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return ['127.0.0.1', (server.address() as { port: number }).port]
}

/** Reads exactly `count` bytes, however they come. */
function reader(socket: Socket): (count: number) => Promise<Buffer> {
  let have = Buffer.alloc(0)
  let wake = () => {}
  socket.on('data', chunk => {
    have = Buffer.concat([have, chunk])
    wake()
  })
  return async count => {
    while (have.length < count) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    const taken = have.subarray(0, count)
    have = have.subarray(count)
    return taken
  }
}

interface Seen {
  readonly lines: string[]
}

/** A SOCKS proxy that notes what it was asked and then plays the target: it greets at once, in one packet with its answer. */
async function socksProxy(seen: Seen, options: { reply?: number; password?: string } = {}): Promise<Endpoint> {
  return serve(async socket => {
    const read = reader(socket)
    const [version] = await read(1)
    if (version === 4) {
      const rest = await read(7)
      let user = ''
      for (;;) {
        const [byte] = await read(1)
        if (byte === 0) break
        user += String.fromCharCode(byte!)
      }
      seen.lines.push(`socks4 ${user} ${[...rest.subarray(3)].join('.')}:${rest.readUInt16BE(1)}`)
      const reply = Buffer.from([0, options.reply ?? 90, 0, 0, 0, 0, 0, 0])
      socket.write((options.reply ?? 90) === 90 ? Buffer.concat([reply, Buffer.from('hello')]) : reply)
      return
    }
    const methods = await read((await read(1))[0]!)
    const method = options.password !== undefined ? 2 : 0
    if (!methods.includes(method)) {
      socket.end(Buffer.from([5, 255]))
      return
    }
    socket.write(Buffer.from([5, method]))
    if (method === 2) {
      await read(1)
      const user = (await read((await read(1))[0]!)).toString()
      const password = (await read((await read(1))[0]!)).toString()
      seen.lines.push(`login ${user}:${password}`)
      socket.write(Buffer.from([1, password === options.password ? 0 : 1]))
      if (password !== options.password) return
    }
    const [, , , type] = await read(4)
    const address =
      type === 3 ? (await read((await read(1))[0]!)).toString() : [...(await read(type === 1 ? 4 : 16))].join('.')
    seen.lines.push(`socks5 ${address}:${(await read(2)).readUInt16BE()}`)
    const reply = Buffer.from([5, options.reply ?? 0, 0, 1, 127, 0, 0, 1, 0, 80])
    if ((options.reply ?? 0) !== 0) {
      socket.write(reply)
      return
    }
    socket.write(Buffer.concat([reply, Buffer.from('hello')]))
    const request = await read(3)
    if (request.toString() === 'GET') socket.end('HTTP/1.0 200 OK\r\n\r\nthrough')
  })
}

function proxy(type: number, at: Endpoint, login: readonly [string, string] = ['', '']): ProxyOptions {
  return { type, hostname: at[0], port: at[1], username: login[0], password: login[1] }
}

interface Outcome {
  readonly text: string
  readonly kind: number
  readonly error: ErrorCode | null
  readonly operation: number | null
}

/** Connects to a peer through a proxy and reads until it greets with five bytes, or the end. */
function peer(options: ProxyOptions, pausedAtFirst = false): Promise<Outcome> {
  return new Promise(resolve => {
    let text = ''
    const runtime = createNodeRuntime()
    const stream = runtime.connect({ to: ['192.0.2.7', 6881], proxy: options })
    stream.setHandler({
      onConnect() {
        if (pausedAtFirst) {
          stream.pause()
          runtime.setTimer(30, () => stream.resume())
        }
      },
      onData(chunk) {
        text += Buffer.from(chunk).toString('latin1')
        if (text.length < 5) return
        stream.close()
        resolve({ text, kind: stream.kind, error: null, operation: null })
      },
      onDrain() {},
      onClose: (error, operation) => resolve({ text, kind: stream.kind, error, operation }),
    })
  })
}

function get(url: string, options: ProxyOptions): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    createNodeRuntime().http.request(
      { url, proxy: options, timeoutMs: 3000, maxBodyBytes: 10_000, maxRedirects: 0, verifyCertificate: false },
      {
        onHead: head => {
          text += `${head.status} from "${head.remoteAddress}" `
        },
        onData: chunk => {
          text += Buffer.from(chunk).toString('latin1')
        },
        onEnd: () => resolve(text),
        onError: (error, operation) => resolve(`${error.message()} ${operation}`),
      },
    )
  })
}

describe('SOCKS', () => {
  test.each([false, true])(
    'peers are reached through SOCKS5; bytes right after the handshake are kept (paused: %s)',
    async paused => {
      const seen: Seen = { lines: [] }
      const { text, kind } = await peer(proxy(ProxyType.socks5, await socksProxy(seen)), paused)
      expect(text).toBe('hello')
      expect(kind).toBe(SocketType.socks5)
      expect(seen.lines).toEqual(['socks5 192.0.2.7:6881'])
    },
  )

  test('a password is sent if the proxy has one', async () => {
    const seen: Seen = { lines: [] }
    const at = await socksProxy(seen, { password: 'secret' })
    expect((await peer(proxy(ProxyType.socks5Pw, at, ['me', 'secret']))).text).toBe('hello')
    expect(seen.lines[0]).toBe('login me:secret')
    const wrong = await peer(proxy(ProxyType.socks5Pw, at, ['me', 'guess']))
    expect(wrong.error!.message()).toBe('SOCKS authentication error')
    const none = await peer(proxy(ProxyType.socks5, at))
    expect(none.error!.message()).toBe('SOCKS unsupported authentication method')
    expect(none.operation).toBe(Operation.handshake)
  })

  test('a host name that is too long for SOCKS5 fails the request, a password is cut', async () => {
    const seen: Seen = { lines: [] }
    const at = await socksProxy(seen, { password: 'p'.repeat(255) })
    const host = `${'a.'.repeat(200)}example`
    expect(await get(`http://${host}/`, proxy(ProxyType.socks5, at))).toBe(
      `${new ErrorCode(constants.errno.ENAMETOOLONG, genericCategory()).message()} ${Operation.handshake}`,
    )
    const login = [`${'u'.repeat(254)}\u00fc`, 'p'.repeat(300)] as const
    expect((await peer(proxy(ProxyType.socks5Pw, at, login))).text).toBe('hello')
    expect(seen.lines[0]).toBe(`login ${'u'.repeat(254)}:${'p'.repeat(255)}`)
  })

  test('peers are reached through SOCKS4', async () => {
    const seen: Seen = { lines: [] }
    const { text } = await peer(proxy(ProxyType.socks4, await socksProxy(seen), ['me', '']))
    expect(text).toBe('hello')
    expect(seen.lines).toEqual(['socks4 me 192.0.2.7:6881'])
  })

  test.each([
    [ProxyType.socks5, 1, 'SOCKS general failure'],
    [ProxyType.socks5, 2, 'Permission denied'],
    [ProxyType.socks5, 3, 'Network is unreachable'],
    [ProxyType.socks5, 4, 'No route to host'],
    [ProxyType.socks5, 5, 'Connection refused'],
    [ProxyType.socks5, 6, 'Connection timed out'],
    [ProxyType.socks5, 7, 'SOCKS command not supported'],
    [ProxyType.socks5, 8, 'Address family not supported by protocol'],
    [ProxyType.socks4, 91, 'SOCKS general failure'],
    [ProxyType.socks4, 92, 'SOCKS no identd running'],
    [ProxyType.socks4, 93, 'SOCKS identd could not identify username'],
  ])('the refusal of proxy type %i with %i is "%s"', async (type, reply, message) => {
    const { error } = await peer(proxy(type, await socksProxy({ lines: [] }, { reply })))
    expect(error!.message()).toBe(message)
  })

  test('a proxy that is not there, hangs up or talks nonsense fails the connection', async () => {
    const gone = await serve(() => {})
    for (const server of open.splice(0)) server.close()
    const refused = await peer(proxy(ProxyType.socks5, gone))
    expect(refused.error!.message()).toBe('Connection refused')
    expect(refused.operation).toBe(Operation.connect)
    const closing = await serve(socket => socket.destroy())
    expect((await peer(proxy(ProxyType.socks5, closing))).error).not.toBeNull()
    const nonsense = await serve(socket => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    expect((await peer(proxy(ProxyType.socks5, nonsense))).error!.message()).toBe('SOCKS unsupported version')
  })

  test('closing in the middle of a handshake is silent and drops the connection', async () => {
    let dropped = false
    const at = await serve(socket => {
      socket.resume()
      socket.on('close', () => {
        dropped = true
      })
    })
    const runtime = createNodeRuntime()
    const stream = runtime.connect({ to: ['192.0.2.7', 6881], proxy: proxy(ProxyType.socks5, at) })
    let events = 0
    const count = () => void events++
    stream.setHandler({ onConnect: count, onData: count, onDrain: count, onClose: count })
    let flushed = 0
    stream.write([new Uint8Array(3)], () => flushed++)
    await new Promise(resolve => setTimeout(resolve, 50))
    stream.close()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect([events, flushed, dropped]).toEqual([0, 1, true])
  })

  test('HTTP requests leave the look-up to the proxy, unless told not to', async () => {
    const seen: Seen = { lines: [] }
    const at = await serve(async socket => {
      const read = reader(socket)
      await read((await read(2))[1]!)
      socket.write(Buffer.from([5, 0]))
      const [, , , type] = await read(4)
      const address =
        type === 3 ? (await read((await read(1))[0]!)).toString() : [...(await read(type === 1 ? 4 : 16))].join('.')
      seen.lines.push(`${address}:${(await read(2)).readUInt16BE()}`)
      socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 80]))
      await read(3)
      socket.end('HTTP/1.0 200 OK\r\n\r\nthrough')
    })
    expect(await get('http://nothing.invalid:8080/', proxy(ProxyType.socks5, at))).toBe('200 from "" through')
    expect(await get('http://127.0.0.1:8080/', { ...proxy(ProxyType.socks5, at), proxyHostnames: false })).toBe(
      '200 from "" through',
    )
    expect(await get('http://nothing.invalid/', { ...proxy(ProxyType.socks5, at), proxyHostnames: false })).toBe(
      `Host not found (authoritative) ${Operation.hostnameLookup}`,
    )
    expect(seen.lines).toEqual(['nothing.invalid:8080', '127.0.0.1:8080'])
  })
})

describe('HTTP proxies', () => {
  async function httpProxy(seen: Seen, status = '200 OK'): Promise<Endpoint> {
    return serve(socket => {
      let head = ''
      socket.on('data', chunk => {
        head += chunk.toString('latin1')
        if (!head.includes('\r\n\r\n')) return
        const lines = head.split('\r\n')
        const login = lines.find(line => /^proxy-authorization:/i.test(line)) ?? ''
        seen.lines.push(`${lines[0]!.split(' ').slice(0, 2).join(' ')} ${login.slice(21)}`.trim())
        head = ''
        if (lines[0]!.startsWith('CONNECT'))
          socket.write(`HTTP/1.1 ${status}\r\nX: y\r\n\r\n${status.startsWith('200') ? 'hello' : ''}`)
        else socket.end('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nthrough')
      })
    })
  }

  test.each([false, true])('peers are reached through CONNECT (paused: %s)', async paused => {
    const seen: Seen = { lines: [] }
    const at = await httpProxy(seen)
    const { text, kind } = await peer(proxy(ProxyType.httpPw, at, ['me', 'pw']), paused)
    expect(text).toBe('hello')
    expect(kind).toBe(SocketType.http)
    expect(seen.lines).toEqual([`CONNECT 192.0.2.7:6881 Basic ${btoa('me:pw')}`])
  })

  test('a refusal is the HTTP status, and nonsense a parse error', async () => {
    const refused = await peer(proxy(ProxyType.http, await httpProxy({ lines: [] }, '403 Forbidden')))
    expect([refused.error!.category().name(), refused.error!.value()]).toEqual(['http', 403])
    const nonsense = await serve(socket => socket.write('what?\r\n\r\n'))
    expect((await peer(proxy(ProxyType.http, nonsense))).error!.message()).toBe('Invalid HTTP header')
    const endless = await serve(socket => socket.write('HTTP/1.1 200 OK\r\nX: ' + 'y'.repeat(20_000)))
    expect((await peer(proxy(ProxyType.http, endless))).error!.message()).toBe('Invalid HTTP header')
  })

  test('plain requests are sent to the proxy with their whole URL', async () => {
    const seen: Seen = { lines: [] }
    const at = await httpProxy(seen)
    expect(await get('http://tracker.invalid/announce?a=b', proxy(ProxyType.httpPw, at, ['me', 'pw']))).toBe(
      '200 from "" through',
    )
    expect(seen.lines).toEqual([`GET http://tracker.invalid/announce?a=b Basic ${btoa('me:pw')}`])
  })
})
