import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { readUint32 } from '../../../src/core/bytes.ts'
import { ProxyType, TrackerEvent } from '../../../src/core/enums.ts'
import { ErrorCode, errnoError, NetdbErrors, netdbCategory } from '../../../src/core/error-code.ts'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import type { TrackerRequest } from '../../../src/tracker/announce-request.ts'
import { FakeSocket, type Requester, World } from './fakes.ts'

const ID = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])

class Udp extends World {
  constructor(settings = {}) {
    super(settings)
    this.names.set('t', ['1.1.1.1'])
    this.names.set('two', ['1.1.1.1', '2.2.2.2'])
    this.names.set('six', ['2001:db8::1'])
  }

  ask(over: Partial<TrackerRequest> = {}): Requester {
    const requester = this.queue({ url: 'udp://t:6969/announce', ...over })
    this.settle()
    return requester
  }

  /** What was sent last: to whom, action, transaction id. */
  get last() {
    const { to, packet } = this.sent.at(-1)!
    return { to, packet, action: readUint32(packet, 8), id: readUint32(packet, 12) }
  }

  reply(action: number, rest: Uint8Array | number[], from = '1.1.1.1', port = 6969, id = this.last.id): boolean {
    const packet = new ByteWriter().uint32(action).uint32(id).bytes(Uint8Array.from(rest)).finish()
    const taken = this.manager.incomingPacket([from, port], packet)
    this.settle()
    return taken
  }
}

const announced = (interval: number, peers: number[] = []) => [
  ...new ByteWriter().uint32(interval).uint32(2).uint32(3).finish(),
  ...peers,
]

describe('a UDP announce', () => {
  test('connects, announces, and brings the answer', () => {
    const world = new Udp()
    const requester = world.ask({ event: TrackerEvent.started })
    expect(world.lookups).toEqual([{ host: 't', cacheOnly: false }])
    expect([world.last.to, world.last.action]).toEqual(['1.1.1.1:6969', 0])
    const first = world.last.id
    expect(world.reply(0, ID)).toBe(true)
    expect(world.last.action).toBe(1)
    expect(world.last.id).not.toBe(first)
    expect(world.last.packet.subarray(0, 8)).toEqual(ID)
    expect(Buffer.from(world.last.packet.subarray(100)).toString()).toBe('/announce')
    expect(world.reply(1, announced(1800, [9, 9, 9, 9, 0, 80]))).toBe(true)
    expect(requester.log).toEqual(['response'])
    expect(requester.responses[0]).toMatchObject({
      interval: 1800,
      minInterval: 60,
      incomplete: 2,
      complete: 3,
      downloaded: -1,
      peers4: [['9.9.9.9', 80]],
    })
    expect(requester.ips).toEqual(['1.1.1.1'])
    expect(world.manager.isEmpty).toBe(true)
    expect(world.sentTotal).toBe(16 + 28 + 98 + 11 + 28)
    expect(world.receivedTotal).toBe(16 + 28 + 26 + 28)
  })

  test('without a port in the URL goes to 443', () => {
    const world = new Udp()
    world.ask({ url: 'udp://t/announce' })
    expect(world.last.to).toBe('1.1.1.1:443')
  })

  test('does not come more often than min_announce_interval', () => {
    const world = new Udp()
    const requester = world.ask()
    world.reply(0, ID)
    world.reply(1, announced(1))
    expect(requester.responses[0]?.interval).toBe(300)
  })

  test('over IPv6 lists IPv6 peers', () => {
    const world = new Udp()
    const requester = world.ask({ url: 'udp://six:6969', socket: new FakeSocket(['::', 6881]) })
    expect(world.last.to).toBe('[2001:db8::1]:6969')
    world.reply(0, ID, '2001:db8::1')
    world.reply(1, announced(1, [...new Uint8Array(15), 1, 0, 80]), '2001:db8::1')
    expect(requester.responses[0]?.peers6).toEqual([['::1', 80]])
  })

  test('of stopped asks no name server', () => {
    const world = new Udp()
    world.ask({ event: TrackerEvent.stopped })
    expect(world.lookups[0]?.cacheOnly).toBe(true)
  })

  test('tells the address of announce_ip, unless anonymous', () => {
    for (const [settings, ip] of [
      [{ announceIp: '1.2.3.4' }, 0x01020304],
      [{ announceIp: '1.2.3.4', anonymousMode: true }, 0],
    ] as const) {
      const world = new Udp(settings)
      world.ask()
      world.reply(0, ID)
      expect(readUint32(world.last.packet, 84)).toBe(ip)
    }
  })

  test('that is a scrape asks for the numbers', () => {
    const world = new Udp()
    const requester = world.ask({ scrape: true })
    world.reply(0, ID)
    expect([world.last.action, world.last.packet.length]).toEqual([2, 36])
    world.reply(2, new ByteWriter().uint32(1).uint32(2).uint32(3).finish())
    expect(requester.log).toEqual(['scrape 1 3 2 -1'])
  })
})

describe('connection ids', () => {
  test('are used again for udp_tracker_token_expiry seconds', () => {
    const world = new Udp({ udpTrackerTokenExpiry: 60 })
    const socket = new FakeSocket()
    world.ask({ socket })
    world.reply(0, ID)
    world.reply(1, announced(1))
    world.pass(59)
    world.ask({ socket })
    expect(world.last.action).toBe(1)
    world.reply(1, announced(1))
    world.pass(1)
    world.ask({ socket })
    expect(world.last.action).toBe(0)
  })

  test('belong to the listen socket and the tracker they were given for', () => {
    const world = new Udp()
    const socket = new FakeSocket()
    world.ask({ socket })
    world.reply(0, ID)
    world.reply(1, announced(1))
    world.ask({ socket: new FakeSocket() })
    expect(world.last.action).toBe(0)
    world.ask({ socket, url: 'udp://t:7000/announce' })
    expect(world.last.action).toBe(0)
  })

  test('are used once even if set to expire at once', () => {
    const world = new Udp({ udpTrackerTokenExpiry: 0 })
    const requester = world.ask()
    world.reply(0, ID)
    expect(world.last.action).toBe(1)
    world.reply(1, announced(1))
    expect(requester.log).toEqual(['response'])
  })

  test('are dropped when the tracker answers with an error', () => {
    const world = new Udp()
    const socket = new FakeSocket()
    world.ask({ socket })
    world.reply(0, ID)
    world.reply(3, Buffer.from('Connection ID mismatch\0'))
    world.ask({ socket })
    expect(world.last.action).toBe(0)
  })
})

describe('a packet that is no answer to our request is ignored', () => {
  const started = () => {
    const world = new Udp()
    const requester = world.ask()
    return { world, requester, id: world.last.id }
  }

  test.each<[string, (world: Udp, id: number) => boolean]>([
    ['another transaction', (w, id) => w.reply(0, ID, '1.1.1.1', 6969, id ^ 1)],
    ['transaction 0', w => w.reply(0, ID, '1.1.1.1', 6969, 0)],
    ['another address', w => w.reply(0, ID, '1.1.1.2')],
    ['another port', w => w.reply(0, ID, '1.1.1.1', 6970)],
    ['an error from another address', w => w.reply(3, [65], '6.6.6.6')],
    ['an announce that was not asked for', w => w.reply(1, announced(1))],
    ['a scrape that was not asked for', w => w.reply(2, new Uint8Array(12))],
    ['an unknown action', w => w.reply(4, ID)],
    ['a connect without an id', w => w.reply(0, [1, 2, 3, 4, 5, 6, 7])],
    ['a header cut short', w => w.manager.incomingPacket(['1.1.1.1', 6969], new Uint8Array(7))],
    ['nothing', w => w.manager.incomingPacket(['1.1.1.1', 6969], new Uint8Array(0))],
  ])('%s', (_name, send) => {
    const { world, requester, id } = started()
    expect(send(world, id)).toBe(false)
    expect(requester.log).toEqual([])
    expect(world.reply(0, ID, '1.1.1.1', 6969, id)).toBe(true)
    expect(world.last.action).toBe(1)
  })

  test('an answer before anything was asked', () => {
    const world = new Udp()
    world.names.delete('t')
    world.ask()
    const packet = new ByteWriter().uint32(0).uint32(1).bytes(ID).finish()
    expect(world.manager.incomingPacket(['1.1.1.1', 6969], packet)).toBe(false)
  })

  test('an announce response without its numbers', () => {
    const { world, requester } = started()
    world.reply(0, ID)
    for (let length = 0; length < 12; length++) expect(world.reply(1, new Uint8Array(length))).toBe(false)
    expect(requester.log).toEqual([])
    world.reply(1, announced(1))
    expect(requester.log).toEqual(['response'])
  })

  test('the answer to the connect, when it comes twice', () => {
    const { world, id } = started()
    world.reply(0, ID)
    expect(world.reply(0, ID, '1.1.1.1', 6969, id)).toBe(false)
    expect(world.sent).toHaveLength(2)
  })
})

describe('a UDP request fails', () => {
  test('with the words of the tracker', () => {
    const world = new Udp()
    const requester = world.ask()
    world.reply(3, Buffer.from('not authorized'))
    expect(requester.errors[0]?.is(LibtorrentErrors.trackerFailure)).toBe(true)
    expect(requester.log).toEqual(['error tracker sent a failure message | bittorrent | not authorized | 0'])
    expect(world.manager.isEmpty).toBe(true)
  })

  test('when the peers are no whole number', () => {
    const world = new Udp()
    const requester = world.ask()
    world.reply(0, ID)
    world.reply(1, announced(1, [1, 2, 3, 4, 5]))
    expect(requester.errors[0]?.is(LibtorrentErrors.invalidTrackerResponseLength)).toBe(true)
  })

  test('when a scrape response is too short', () => {
    const world = new Udp()
    const requester = world.ask({ scrape: true })
    world.reply(0, ID)
    world.reply(2, new Uint8Array(11))
    expect(requester.errors[0]?.is(LibtorrentErrors.invalidTrackerResponseLength)).toBe(true)
  })

  test('when nothing is heard for tracker_receive_timeout', () => {
    const world = new Udp()
    const requester = world.ask()
    world.pass(9.5)
    world.reply(0, ID)
    world.pass(9.5)
    expect(requester.log).toEqual([])
    world.pass(0.5)
    expect(requester.log).toEqual(['error timed out | timer |  | 0'])
  })

  test('after tracker_completion_timeout, whatever is heard', () => {
    const world = new Udp({ trackerCompletionTimeout: 15 })
    const requester = world.ask()
    world.pass(9)
    world.reply(0, ID)
    world.pass(6)
    expect(requester.log).toEqual(['error timed out | timer |  | 0'])
  })

  test('after stop_tracker_timeout if it announces stopped', () => {
    const world = new Udp({ stopTrackerTimeout: 2 })
    const requester = world.ask({ event: TrackerEvent.stopped })
    world.pass(2)
    expect(requester.log).toHaveLength(1)
  })

  test('when the name server does not answer in time', () => {
    const world = new Udp()
    const requester = world.ask({ url: 'udp://nowhere:1' })
    world.pass(10)
    expect(requester.log).toEqual(['error timed out | timer |  | 0'])
  })

  test('when the host is not found', () => {
    const world = new Udp()
    world.lookupError = new ErrorCode(NetdbErrors.hostNotFound, netdbCategory())
    const requester = world.ask()
    expect(requester.log).toEqual(['error Host not found (authoritative) | hostname_lookup |  | 0'])
  })

  test('when no address of the host can be reached from the listen socket', () => {
    const world = new Udp()
    const requester = world.ask({ url: 'udp://six:1' })
    expect(requester.errors[0]?.is(LibtorrentErrors.announceSkipped)).toBe(true)
    world.names.set('none', [])
    expect(world.ask({ url: 'udp://none:1' }).errors).toHaveLength(1)
  })

  test('when the IP filter blocks all its addresses', () => {
    const world = new Udp()
    const requester = world.ask({ isBlocked: () => true })
    expect(requester.errors[0]?.is(LibtorrentErrors.bannedByIpFilter)).toBe(true)
    world.ask({ url: 'udp://two:1', isBlocked: address => address === '1.1.1.1' })
    expect(world.last.to).toBe('2.2.2.2:1')
  })

  test('when its listen socket is closed meanwhile', () => {
    const world = new Udp()
    const socket = new FakeSocket()
    const requester = world.queue({ url: 'udp://two:1', socket })
    socket.open = false
    world.settle()
    expect(requester.errors[0]?.is(LibtorrentErrors.invalidListenSocket)).toBe(true)
    const other = new FakeSocket()
    const second = world.ask({ url: 'udp://two:1', socket: other })
    other.open = false
    world.pass(10)
    expect(second.log).toHaveLength(1)
  })

  test('when the packet cannot be sent', () => {
    const world = new Udp()
    world.sendError = errnoError('ENETUNREACH')
    const requester = world.ask({ url: 'udp://two:6969' })
    expect(requester.log).toEqual(['error Network is unreachable | sock_write |  | 0'])
  })

  test.each([
    ['udp://', LibtorrentErrors.invalidHostname],
    ['udp:t', LibtorrentErrors.unsupportedUrlProtocol],
    ['udp://t:0', LibtorrentErrors.invalidPort],
    ['udp://t:x', LibtorrentErrors.invalidPort],
    ['udp://[::1', LibtorrentErrors.expectedCloseBracketInAddress],
  ])('when the URL is %s', (url, error) => {
    const world = new Udp()
    const requester = world.queue({ url })
    expect(requester.log).toEqual([])
    world.settle()
    expect(requester.errors[0]?.value()).toBe(error)
    expect(world.manager.isEmpty).toBe(true)
  })
})

describe('a host with several addresses', () => {
  test('is tried at each until one answers', () => {
    const world = new Udp()
    const requester = world.ask({ url: 'udp://two:6969' })
    expect(world.last.to).toBe('1.1.1.1:6969')
    world.pass(10)
    expect(world.last.to).toBe('2.2.2.2:6969')
    expect(requester.log).toEqual([])
    expect(world.reply(0, ID, '1.1.1.1')).toBe(false)
    world.reply(0, ID, '2.2.2.2')
    world.reply(1, announced(1), '2.2.2.2')
    expect(requester.ips).toEqual(['2.2.2.2'])
  })

  test('fails when all have', () => {
    const world = new Udp()
    const requester = world.ask({ url: 'udp://two:6969' })
    world.pass(20)
    expect(requester.log).toEqual(['error timed out | timer |  | 0'])
  })

  test('of which there are absurdly many is given up before long', () => {
    const world = new Udp()
    world.names.set(
      'many',
      Array.from({ length: 5000 }, (_, i) => `1.2.${i >> 8}.${i & 255}`),
    )
    world.sendError = errnoError('ENETUNREACH')
    const requester = world.ask({ url: 'udp://many:1' })
    expect(requester.log).toHaveLength(1)
  })
})

test('through a SOCKS5 proxy that resolves names, packets go to the host by name', () => {
  const world = new Udp({ proxyType: ProxyType.socks5, proxyHostnames: true })
  const requester = world.ask()
  expect(world.lookups).toEqual([])
  expect(world.last.to).toBe('t:6969 by name')
  const connect = new ByteWriter().uint32(0).uint32(world.last.id).bytes(ID).finish()
  expect(world.manager.incomingPacketFromHost(connect)).toBe(true)
  const answer = new ByteWriter()
    .uint32(1)
    .uint32(world.last.id)
    .bytes(Uint8Array.from(announced(1)))
    .finish()
  expect(world.manager.incomingPacketFromHost(answer)).toBe(true)
  expect(requester.log).toEqual(['response'])
  expect(requester.ips).toEqual([null])
})

test('trackers that do not go through the SOCKS5 proxy are looked up here', () => {
  const world = new Udp({ proxyType: ProxyType.socks5, proxyHostnames: true, proxyTrackerConnections: false })
  world.ask()
  expect(world.lookups).toEqual([{ host: 't', cacheOnly: false }])
  expect(world.last.to).not.toContain('by name')
})
