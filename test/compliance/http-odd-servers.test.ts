/** Servers as they are met in the wild, byte by byte. Node only: the simulator has no bytes here. */

import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/core/error-code.ts'
import { Operation } from '../../src/core/operation.ts'
import type { HttpHead, HttpRequestOptions } from '../../src/core/runtime.ts'
import { createNodeRuntime } from '../../src/runtime/node-runtime.ts'
import { TEST_CERTIFICATE, TEST_KEY } from './http-certificate.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

/** Starts a server that runs `talk` once a request's head is there. */
async function serve(talk: (socket: Socket, head: string) => void): Promise<number> {
  const server = createServer(socket => {
    socket.on('error', () => socket.destroy())
    let head = ''
    socket.on('data', chunk => {
      const before = head.includes('\r\n\r\n')
      head += chunk.toString('latin1')
      if (!before && head.includes('\r\n\r\n')) talk(socket, head)
    })
  })
  open.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as { port: number }).port
}

interface Result {
  readonly head: HttpHead | null
  readonly body: string
  readonly error: ErrorCode | null
  readonly operation: Operation | null
}

function get(url: string, options: Partial<HttpRequestOptions> = {}): Promise<Result> {
  return new Promise(resolve => {
    let head: HttpHead | null = null
    let body = ''
    createNodeRuntime().http.request(
      { url, timeoutMs: 3000, maxBodyBytes: 1 << 20, maxRedirects: 5, verifyCertificate: true, ...options },
      {
        onHead: received => {
          head = received
        },
        onData: chunk => {
          body += Buffer.from(chunk).toString('latin1')
        },
        onEnd: () => resolve({ head, body, error: null, operation: null }),
        onError: (error, operation) => resolve({ head, body, error, operation }),
      },
    )
  })
}

async function answerOf(bytes: string | Buffer, options: Partial<HttpRequestOptions> = {}): Promise<Result> {
  const port = await serve(socket => socket.end(bytes))
  return get(`http://127.0.0.1:${port}/announce`, options)
}

test('a filter that throws ends the request and nothing else', async () => {
  const port = await serve(socket => socket.end('HTTP/1.0 200 OK\r\n\r\n'))
  const bug = () => {
    throw new Error('a bug')
  }
  const url = `http://127.0.0.1:${port}/announce`
  for (const filter of [{ filterUrl: bug }, { filterAddresses: bug }]) {
    const { head, error, operation } = await get(url, filter)
    expect([head, error!.message(), operation]).toEqual([null, 'Input/output error', Operation.exception])
  }
  expect((await get(url)).error).toBeNull()
})

describe('answers', () => {
  test('HTTP/1.0 without a length ends with the connection', async () => {
    const { head, body, error } = await answerOf('HTTP/1.0 200 OK\r\n\r\nd8:intervali1800ee')
    expect(error).toBeNull()
    expect(head!.status).toBe(200)
    expect(body).toBe('d8:intervali1800ee')
  })

  test('HTTP/1.1 without a length ends with the connection', async () => {
    const { body, error } = await answerOf('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nd8:intervali1800ee')
    expect(error).toBeNull()
    expect(body).toBe('d8:intervali1800ee')
  })

  test('chunks are put together', async () => {
    const { body, error } = await answerOf(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n',
    )
    expect(error).toBeNull()
    expect(body).toBe('abcdefg')
  })

  test('a head may come byte by byte', async () => {
    const bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    const port = await serve(socket => {
      let at = 0
      const next = () => {
        if (at < bytes.length) socket.write(bytes[at++]!, () => setImmediate(next))
        else socket.end()
      }
      next()
    })
    expect((await get(`http://127.0.0.1:${port}/`)).body).toBe('ok')
  })

  test('an interim answer is not the answer', async () => {
    const { head, body } = await answerOf(
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok',
    )
    expect([head!.status, head!.statusText, body]).toEqual([200, 'Fine', 'ok'])
  })

  test('a compressed body that ends with the connection is unpacked', async () => {
    const packed = gzipSync('unpacked')
    const { body, error } = await answerOf(
      Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n'), packed]),
    )
    expect(error).toBeNull()
    expect(body).toBe('unpacked')
  })

  test('a compressed body that is cut is an error', async () => {
    const packed = gzipSync('unpacked'.repeat(100))
    const { error } = await answerOf(
      Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n'), packed.subarray(0, -12)]),
    )
    expect(error!.message()).toBe('available inflate data did not terminate')
  })

  test('repeated headers are joined', async () => {
    const { head } = await answerOf('HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n')
    expect(head!.headers['x-a']).toBe('1, 2')
  })
})

describe('garbage', () => {
  test.each([
    ['an empty answer', '', 'End of file'],
    ['a cut head', 'HTTP/1.1 200 OK\r\nContent-Le', 'End of file'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n', 'Invalid HTTP header'],
    ['a status that is no number', 'HTTP/1.1 abc OK\r\n\r\n', 'Invalid HTTP header'],
    ['a length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nbody', 'Invalid HTTP header'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbody', 'Invalid HTTP header'],
    [
      'a chunk size that is no number',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      'Invalid HTTP header',
    ],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nnonsense\r\n\r\n', 'Invalid HTTP header'],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(200_000)}`, 'File too large'],
  ])('%s is an error', async (_name, bytes, message) => {
    const { error, operation } = await answerOf(bytes)
    expect(error?.message()).toBe(message)
    expect(operation).toBe(Operation.sockRead)
  })

  test('a body that drips is timed from one piece to the next', async () => {
    const port = await serve(socket => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab')
    })
    const { body, error } = await get(`http://127.0.0.1:${port}/`, { timeoutMs: 150 })
    expect(body).toBe('ab')
    expect(error!.message()).toBe('timed out')
  })

  test('a body that never ends stops at the limit', async () => {
    const port = await serve(socket => {
      const more = () => {
        if (!socket.destroyed) socket.write(Buffer.alloc(50_000), more)
      }
      socket.write('HTTP/1.1 200 OK\r\n\r\n', more)
    })
    const { body, error } = await get(`http://127.0.0.1:${port}/`, { maxBodyBytes: 300_000 })
    expect(error!.message()).toBe('File too large')
    expect(body.length).toBeLessThanOrEqual(300_000)
  })
})

describe('https', () => {
  async function serveTls(): Promise<number> {
    const server = createTlsServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, socket => {
      socket.on('error', () => socket.destroy())
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret'))
    })
    server.on('tlsClientError', () => {})
    open.push(server)
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as { port: number }).port
  }

  test('an untrusted certificate is refused, unless it need not be valid', async () => {
    const port = await serveTls()
    const strict = await get(`https://localhost:${port}/`, { family: 4 })
    expect(strict.error!.category().name()).toBe('asio.ssl')
    expect(strict.operation).toBe(Operation.sslHandshake)
    const lax = await get(`https://localhost:${port}/`, { family: 4, verifyCertificate: false })
    expect(lax.error).toBeNull()
    expect(lax.body).toBe('secret')
    expect(lax.head!.remoteAddress).toBe('127.0.0.1')
    const numeric = await get(`https://127.0.0.1:${port}/`, { verifyCertificate: false })
    expect(numeric.body).toBe('secret')
  })

  test('a server that speaks no TLS fails in the handshake', async () => {
    const port = await serve(() => {})
    const plain = createServer(socket => {
      socket.on('error', () => socket.destroy())
      socket.end('HTTP/1.1 400 Bad\r\n\r\n')
    })
    open.push(plain)
    await new Promise<void>(resolve => plain.listen(0, '127.0.0.1', resolve))
    const wrong = await get(`https://127.0.0.1:${(plain.address() as { port: number }).port}/`)
    expect(wrong.operation).toBe(Operation.sslHandshake)
    const silent = await get(`https://127.0.0.1:${port}/`, { timeoutMs: 150 })
    expect(silent.error!.message()).toBe('timed out')
  })
})

/** The next of a row of numbers that is the same in every run, below `limit`. */
function dice(): (limit: number) => number {
  let state = 12345
  return limit => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % limit
  }
}

test('whatever servers answer to requests in a row, each request ends, and nothing is thrown', async () => {
  const roll = dice()
  const answers: ((socket: Socket, body: string) => void)[] = [
    socket => socket.resetAndDestroy(),
    socket => socket.end(),
    (socket, body) =>
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`),
    (socket, body) => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length + 5}\r\n\r\n${body}`),
    socket => socket.write('garbage\r\n\r\n'),
    (socket, body) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}and more`),
    (socket, body) =>
      socket.write(
        `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      ),
    (socket, body) => socket.end(`HTTP/1.1 200 OK\r\n\r\n${body}`),
    socket => socket.write('HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 2\r\n\r\nno'),
    socket => socket.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    (socket, body) =>
      socket.write(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
  ]
  const server = createServer(socket => {
    socket.on('error', () => socket.destroy())
    let text = ''
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        text = text.slice(end + 4)
        const body = 'x'.repeat(1 + roll(5000))
        const odd = answers[roll(answers.length * 2)]
        if (odd !== undefined) odd(socket, body)
        else socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
      }
    })
  })
  open.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const { http } = createNodeRuntime()
  let ended = 0
  let failed = 0
  for (let round = 0; round < 250; round++) {
    const depth = 1 + roll(5)
    const session = http.session(depth)
    const requests: { pause(): void; resume(): void }[] = []
    let more = depth + roll(10)
    let broken = false
    await new Promise<void>(resolve => {
      let left = 0
      const over = () => {
        if (--left === 0) resolve()
      }
      const start = () => {
        more--
        left++
        const options = {
          url: `http://127.0.0.1:${port}/`,
          timeoutMs: 300,
          maxBodyBytes: roll(4) === 0 ? 1000 : 100_000,
          maxRedirects: roll(2),
          verifyCertificate: true,
        }
        const request = session.request(options, {
          onHead() {},
          onData() {
            if (roll(10) !== 0) return
            for (const each of requests) each.pause()
            setTimeout(() => {
              for (const each of requests) each.resume()
            }, roll(3))
          },
          onEnd() {
            ended++
            if (!broken && more > 0) start()
            over()
          },
          onError() {
            failed++
            broken = true
            over()
          },
        })
        requests.push(request)
      }
      for (let i = 0; i < depth; i++) start()
      if (roll(15) === 0) {
        setTimeout(() => {
          session.close()
          resolve()
        }, roll(4))
      }
    })
    session.close()
  }
  expect(ended).toBeGreaterThan(100)
  expect(failed).toBeGreaterThan(100)
}, 60_000)
