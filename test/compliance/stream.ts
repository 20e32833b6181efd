/** What every `Stream` and `Listener` must do. */

import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/core/error-code.ts'
import { Operation } from '../../src/core/operation.ts'
import { SeededRng } from '../../src/core/rng.ts'
import type { Listener, Stream, StreamHandler } from '../../src/core/runtime.ts'
import { listen, type World, type WorldFactory } from './runtime-worlds.ts'

/** Notes what happens to a stream, and whether anything happens when it must not. */
class Recorder implements StreamHandler {
  readonly events: string[] = []
  readonly chunks: Uint8Array[] = []
  bytes = 0
  error: ErrorCode | null = null
  operation: Operation | null = null
  /** Set while the test is inside a call: no callback may come then. */
  inCall = false
  onEvent: (event: string) => void = () => {}

  onConnect(): void {
    this.#note('connect')
  }

  onData(chunk: Uint8Array): void {
    this.chunks.push(chunk.slice())
    this.bytes += chunk.length
    this.#note('data')
  }

  onDrain(): void {
    this.#note('drain')
  }

  onClose(error: ErrorCode, operation: Operation): void {
    this.error = error
    this.operation = operation
    this.#note('close')
  }

  text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  #note(event: string): void {
    if (this.inCall) throw new Error(`${event} came from inside a call`)
    if (this.events.includes('close')) throw new Error(`${event} came after close`)
    if (event !== 'data' || this.events.at(-1) !== 'data') this.events.push(event)
    this.onEvent(event)
  }
}

interface Pair {
  readonly listener: Listener
  readonly client: Stream
  readonly atClient: Recorder
  readonly server: Stream
  readonly atServer: Recorder
  close(): void
}

async function pair(world: World, family: 4 | 6 = 4): Promise<Pair> {
  const atServer = new Recorder()
  const atClient = new Recorder()
  let server: Stream | null = null
  const listener = await listen(world, [world.address(family), 0], {
    onAccept(stream) {
      stream.setHandler(atServer)
      server = stream
    },
    onError() {},
  })
  const client = world.a.connect({ to: listener.local })
  client.setHandler(atClient)
  await world.until(() => atClient.events.length > 0 && server !== null, 'a connection')
  const accepted = server as unknown as Stream
  return {
    listener,
    client,
    atClient,
    server: accepted,
    atServer,
    close() {
      client.close()
      accepted.close()
      listener.close()
    },
  }
}

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  new SeededRng(seed).fill(bytes)
  return bytes
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

/** Runs the suite on one world. */
export function streamSuite(factory: WorldFactory): void {
  describe(`streams: ${factory.name}`, () => {
    exchangeTests(factory)
    flushTests(factory)
    closeTests(factory)
    connectTests(factory)
  })
}

function exchangeTests(factory: WorldFactory): void {
  test.each([4, 6] as const)('both ends see each other and their bytes over IPv%i', async family => {
    const world = factory.make()
    const { client, atClient, server, atServer, close } = await pair(world, family)
    expect(client.remote).toEqual([world.address(family), server.local[1]])
    expect(server.remote).toEqual(client.local)
    expect(server.local).toEqual(client.remote)
    client.write([text('ping')])
    server.write([text('pong')])
    await world.until(() => atServer.bytes === 4 && atClient.bytes === 4, 'both messages')
    expect(atServer.text()).toBe('ping')
    expect(atClient.text()).toBe('pong')
    expect(atClient.events[0]).toBe('connect')
    expect(atServer.events).not.toContain('connect')
    close()
  })

  test('no callback comes from inside a call', async () => {
    const world = factory.make()
    const { client, atClient, server, atServer, close } = await pair(world)
    server.write([text('something to read')])
    await world.settle()
    atClient.inCall = true
    atServer.inCall = true
    let flushed = 0
    client.pause()
    client.resume()
    client.write([text('x')], () => flushed++)
    expect(flushed).toBe(0)
    server.close()
    client.resume()
    atClient.inCall = false
    atServer.inCall = false
    await world.until(() => atClient.error !== null, 'the end')
    expect(flushed).toBe(1)
    close()
  })

  test('what the accepting side writes at once comes after the connection is up', async () => {
    const world = factory.make()
    const listener = await listen(world, [world.address(4), 0], {
      onAccept(stream) {
        stream.setHandler(new Recorder())
        stream.write([text('welcome')])
        stream.write([text('!')])
      },
      onError() {},
    })
    const at = new Recorder()
    const client = world.a.connect({ to: listener.local })
    client.setHandler(at)
    await world.until(() => at.bytes === 8, 'the greeting')
    expect(at.events).toEqual(['connect', 'data'])
    expect(at.text()).toBe('welcome!')
    client.close()
    listener.close()
  })

  test('what was written before the connection came up is sent then', async () => {
    const world = factory.make()
    const atServer = new Recorder()
    const listener = await listen(world, [world.address(4), 0], {
      onAccept: stream => stream.setHandler(atServer),
      onError() {},
    })
    let flushed = 0
    const client = world.a.connect({ to: listener.local })
    client.setHandler(new Recorder())
    client.write([text('early')], () => flushed++)
    await world.until(() => atServer.bytes === 5 && flushed === 1, 'the early bytes')
    client.close()
    listener.close()
  })

  test('views of any size arrive in the order written', async () => {
    const world = factory.make()
    const { client, atServer, close } = await pair(world)
    const rng = new SeededRng(7)
    const sent: Uint8Array[] = []
    for (let i = 0; i < 60; i++) {
      const views = Array.from({ length: rng.below(5) }, () => pattern(rng.below(4000), rng.uint32()))
      sent.push(...views)
      client.write(views)
    }
    const whole = Buffer.concat(sent)
    await world.until(() => atServer.bytes === whole.length, 'all bytes')
    expect(Buffer.concat(atServer.chunks).equals(whole)).toBe(true)
    close()
  })

  test('a reader that pauses holds the writer back, and loses nothing', async () => {
    const world = factory.make()
    const { client, atClient, server, atServer, close } = await pair(world)
    const whole = pattern(24 << 20, 9)
    server.pause()
    let flushed = 0
    for (let at = 0; at < whole.length; at += 1 << 20)
      client.write([whole.subarray(at, at + (1 << 20))], () => flushed++)
    expect(client.queuedBytes).toBeGreaterThan(0)
    await world.settle()
    expect(atServer.bytes).toBe(0)
    expect(client.queuedBytes).toBeGreaterThan(8 << 20)
    expect(flushed).toBeLessThan(16)
    expect(atClient.events).toEqual(['connect'])
    server.resume()
    atServer.onEvent = () => {
      // Stop and go in the middle of it.
      if (atServer.chunks.length % 16 !== 0) return
      server.pause()
      world.b.setTimer(0, () => server.resume())
    }
    await world.until(() => atServer.bytes === whole.length && flushed === 24, 'all bytes')
    await world.settle()
    expect(client.queuedBytes).toBe(0)
    expect(atClient.events).toEqual(['connect', 'drain'])
    expect(Buffer.concat(atServer.chunks).equals(whole)).toBe(true)
    close()
  })

  test.each(['client', 'server'] as const)('no data comes to a paused %s, not even what is there', async side => {
    const world = factory.make()
    const both = await pair(world)
    const [writer, reader, at] =
      side === 'client'
        ? [both.server, both.client, both.atClient]
        : ([both.client, both.server, both.atServer] as const)
    reader.pause()
    writer.write([text('later')])
    await world.settle()
    expect(at.bytes).toBe(0)
    reader.resume()
    await world.until(() => at.bytes === 5, 'the held-back data')
    at.onEvent = () => reader.pause()
    writer.write([pattern(500_000, 3)])
    await world.settle()
    const before = at.bytes
    await world.settle()
    expect(at.bytes).toBe(before)
    at.onEvent = () => {}
    reader.resume()
    await world.until(() => at.bytes === 500_005, 'the rest')
    both.close()
  })
}

function flushTests(factory: WorldFactory): void {
  test('onFlushed comes once for each write, in order, also for empty ones', async () => {
    const world = factory.make()
    const { client, atServer, close } = await pair(world)
    const flushed: number[] = []
    client.write([], () => flushed.push(0))
    client.write([pattern(300_000, 1)], () => flushed.push(1))
    client.write([new Uint8Array(0), new Uint8Array(0)], () => flushed.push(2))
    client.write([text('a'), text('b')], () => flushed.push(3))
    client.write([], () => flushed.push(4))
    await world.until(() => atServer.bytes === 300_002 && flushed.length === 5, 'everything')
    expect(flushed).toEqual([0, 1, 2, 3, 4])
    close()
  })

  test('onFlushed comes once for each write when the stream is closed first', async () => {
    const world = factory.make()
    const { client, server, close } = await pair(world)
    server.pause()
    const flushed: number[] = []
    for (let i = 0; i < 20; i++) client.write([pattern(1 << 20, i)], () => flushed.push(i))
    await world.settle()
    expect(flushed.length).toBeLessThan(20)
    const before = flushed.length
    client.close()
    expect(flushed.length).toBe(before)
    await world.until(() => flushed.length >= 20, 'all callbacks')
    await world.settle()
    expect(flushed).toEqual(Array.from({ length: 20 }, (_, i) => i))
    expect(client.queuedBytes).toBe(0)
    close()
  })

  test('onFlushed comes once for each write when the peer goes away', async () => {
    const world = factory.make()
    const { client, atClient, server, close } = await pair(world)
    server.pause()
    let flushed = 0
    for (let i = 0; i < 20; i++) client.write([pattern(1 << 20, i)], () => flushed++)
    await world.settle()
    server.close()
    await world.until(() => atClient.error !== null && flushed >= 20, 'the end of the stream')
    await world.settle()
    expect(flushed).toBe(20)
    expect([constants.errno.ECONNRESET, constants.errno.EPIPE, 2]).toContain(atClient.error!.value())
    close()
  })

  test('a write after close is dropped, and flushed in a later event', async () => {
    const world = factory.make()
    const { client, close } = await pair(world)
    client.close()
    let flushed = 0
    client.write([text('too late')], () => flushed++)
    expect(flushed).toBe(0)
    await world.until(() => flushed === 1, 'the callback')
    close()
  })

  test('a write from inside onFlushed is sent', async () => {
    const world = factory.make()
    const { client, atServer, close } = await pair(world)
    let left = 200
    const more = () => {
      if (left-- > 0) client.write([pattern(10_000, left)], more)
    }
    more()
    await world.until(() => atServer.bytes === 2_000_000, 'all writes')
    close()
  })
}

function closeTests(factory: WorldFactory): void {
  test('the end of the stream comes after all its bytes', async () => {
    const world = factory.make()
    const { client, atClient, server, close } = await pair(world)
    let flushed = false
    server.write([pattern(700_000, 5)], () => {
      flushed = true
    })
    await world.until(() => flushed, 'the bytes to leave')
    server.close()
    await world.until(() => atClient.error !== null, 'the end')
    expect(atClient.bytes).toBe(700_000)
    expect(atClient.events).toEqual(['connect', 'data', 'close'])
    expect(atClient.error!.message()).toBe('End of file')
    expect(atClient.operation).toBe(Operation.sockRead)
    expect(client.queuedBytes).toBe(0)
    close()
  })

  test('no callback follows our own close, and close is idempotent', async () => {
    const world = factory.make()
    const { client, atClient, server, atServer, close } = await pair(world)
    server.write([pattern(100_000, 1)])
    client.close()
    client.close()
    const before = atClient.events.length
    await world.until(() => atServer.error !== null, 'the other end to notice')
    await world.settle()
    expect(atClient.events.length).toBe(before)
    client.pause()
    client.resume()
    close()
  })

  test.each(['data', 'drain', 'close', 'flushed'])('closing inside %s ends the callbacks', async when => {
    const world = factory.make()
    const { client, atClient, server, atServer, close } = await pair(world)
    let after = 0
    let closed = false
    atClient.onEvent = event => {
      if (closed) after++
      if (event !== when) return
      closed = true
      client.close()
    }
    client.write([pattern(4 << 20, 1)], () => {
      if (when !== 'flushed' || closed) return
      closed = true
      client.close()
    })
    server.write([pattern(100_000, 2)])
    if (when === 'close') server.close()
    await world.until(() => closed, `a close inside ${when}`)
    await world.settle()
    expect(after).toBe(0)
    expect(atServer.error !== null || when === 'close').toBe(true)
    close()
  })

  test('closing inside onConnect ends the callbacks', async () => {
    const world = factory.make()
    const atServer = new Recorder()
    const listener = await listen(world, [world.address(4), 0], {
      onAccept(stream) {
        stream.setHandler(atServer)
        stream.write([text('hello')])
      },
      onError() {},
    })
    const at = new Recorder()
    const client = world.a.connect({ to: listener.local })
    client.setHandler(at)
    at.onEvent = () => client.close()
    await world.until(() => atServer.error !== null, 'the end')
    await world.settle()
    expect(at.events).toEqual(['connect'])
    listener.close()
  })

  test('both ends may close at once', async () => {
    const world = factory.make()
    const { client, atClient, server, atServer, close } = await pair(world)
    client.write([text('x')])
    server.write([text('y')])
    client.close()
    server.close()
    await world.settle()
    expect(atClient.error).toBeNull()
    expect(atServer.error).toBeNull()
    close()
  })

  test('an accepted stream without a handler is closed', async () => {
    const world = factory.make()
    const listener = await listen(world, [world.address(4), 0], { onAccept() {}, onError() {} })
    const at = new Recorder()
    world.a.connect({ to: listener.local }).setHandler(at)
    await world.until(() => at.error !== null, 'the end')
    expect(at.events).toEqual(['connect', 'close'])
    listener.close()
  })

  test('closing inside onAccept ends the connection', async () => {
    const world = factory.make()
    const atServer = new Recorder()
    const listener = await listen(world, [world.address(4), 0], {
      onAccept(stream) {
        stream.setHandler(atServer)
        stream.close()
      },
      onError() {},
    })
    const at = new Recorder()
    world.a.connect({ to: listener.local }).setHandler(at)
    await world.until(() => at.error !== null, 'the end')
    expect(atServer.events).toEqual([])
    listener.close()
  })

  test('a handler may be replaced at any time', async () => {
    const world = factory.make()
    const { client, atClient, server, close } = await pair(world)
    const second = new Recorder()
    atClient.onEvent = () => client.setHandler(second)
    server.write([text('one')])
    await world.until(() => atClient.bytes > 0, 'the first bytes')
    server.write([text('two')])
    await world.until(() => atClient.bytes + second.bytes === 6, 'the second bytes')
    expect(atClient.chunks.length).toBe(1)
    expect(atClient.text() + second.text()).toBe('onetwo')
    close()
  })
}

function connectTests(factory: WorldFactory): void {
  test('a refused connection says so, later', async () => {
    const world = factory.make()
    const { listener, close } = await pair(world)
    close()
    await world.settle()
    const at = new Recorder()
    let flushed = 0
    const stream = world.a.connect({ to: listener.local })
    stream.setHandler(at)
    stream.write([text('x')], () => flushed++)
    at.inCall = true
    expect(at.events).toEqual([])
    at.inCall = false
    await world.until(() => at.error !== null && flushed === 1, 'the refusal')
    expect(at.events).toEqual(['close'])
    expect(at.error!.value()).toBe(constants.errno.ECONNREFUSED)
    expect(at.error!.message()).toBe('Connection refused')
    expect(at.operation).toBe(Operation.connect)
  })

  test('closing while connecting is silent', async () => {
    const world = factory.make()
    const { listener, close } = await pair(world)
    const at = new Recorder()
    const stream = world.a.connect({ to: listener.local })
    stream.setHandler(at)
    let flushed = 0
    stream.write([text('x')], () => flushed++)
    stream.close()
    await world.until(() => flushed === 1, 'the callback')
    await world.settle()
    expect(at.events).toEqual([])
    close()
  })

  test('a local address that is not ours fails to bind', async () => {
    const world = factory.make()
    const { listener, close } = await pair(world)
    const at = new Recorder()
    world.a.connect({ to: listener.local, local: ['203.0.113.77', 0] }).setHandler(at)
    await world.until(() => at.error !== null, 'the failure')
    expect(at.error!.value()).toBe(constants.errno.EADDRNOTAVAIL)
    expect(at.operation).toBe(Operation.sockBind)
    close()
  })

  test('a port in use cannot be listened on twice', async () => {
    const world = factory.make()
    const { listener, close } = await pair(world)
    let answer: ErrorCode | null | undefined
    world.b.listen(listener.local, { onAccept() {}, onError() {} }, error => {
      answer = error
    })
    expect(answer).toBeUndefined()
    await world.until(() => answer !== undefined, 'the answer')
    expect(answer!.value()).toBe(constants.errno.EADDRINUSE)
    expect(answer!.message()).toBe('Address already in use')
    close()
  })

  test('an address that is not ours cannot be listened on', async () => {
    const world = factory.make()
    let answer: ErrorCode | null | undefined
    world.b.listen(['203.0.113.77', 0], { onAccept() {}, onError() {} }, error => {
      answer = error
    })
    await world.until(() => answer !== undefined, 'the answer')
    expect(answer!.value()).toBe(constants.errno.EADDRNOTAVAIL)
  })

  test('IPv4 and IPv6 listen on one port beside each other', async () => {
    const world = factory.make()
    const seen: string[] = []
    const handler = {
      onAccept(stream: Stream) {
        seen.push(stream.remote[0].includes(':') ? 'v6' : 'v4')
      },
      onError() {},
    }
    const v4 = await listen(world, ['0.0.0.0', 0], handler)
    const v6 = await listen(world, ['::', v4.local[1]], handler)
    for (const family of [4, 6] as const) {
      const at = new Recorder()
      world.a.connect({ to: [world.address(family), v4.local[1]] }).setHandler(at)
      await world.until(() => at.error !== null, 'the end')
    }
    expect(seen).toEqual(['v4', 'v6'])
    v4.close()
    v6.close()
  })

  test('a closed listener takes nobody, and its connections live on', async () => {
    const world = factory.make()
    const { listener, client, atServer, close } = await pair(world)
    listener.close()
    await world.settle()
    const at = new Recorder()
    world.a.connect({ to: listener.local }).setHandler(at)
    await world.until(() => at.error !== null, 'the refusal')
    client.write([text('still here')])
    await world.until(() => atServer.bytes === 10, 'the bytes')
    close()
  })
}
