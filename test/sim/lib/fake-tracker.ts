/** A tracker in virtual time, over HTTP and UDP, that remembers who announced what and can be told to misbehave. */

import { bytesToHex } from '../../../src/core/bytes.ts'
import { endpointToCompact, isV6 } from '../../../src/core/endpoint.ts'
import type { Datagram } from '../../../src/core/runtime.ts'
import type { ServedRequest, ServedResponse } from './sim-http.ts'
import type { SimRuntime } from './sim-runtime.ts'
import type { Simulation } from './simulation.ts'

/** One announce, as the tracker got it. */
export interface Announce {
  readonly atMs: number
  readonly over: 'http' | 'udp'
  /** Hexadecimal. */
  readonly infoHash: string
  readonly peerId: string
  readonly from: string
  readonly port: number
  /** `started`, `completed`, `stopped`, `paused` or empty. */
  readonly event: string
  readonly uploaded: number
  readonly downloaded: number
  readonly left: number
}

interface Member {
  readonly address: string
  readonly port: number
  left: number
}

const EVENTS = ['', 'completed', 'started', 'stopped', 'paused']
const UDP_MAGIC = 0x41727101980n
const CONNECTION_ID = 0x1122334455667788n

export interface FakeTrackerOptions {
  readonly port?: number
  /** Name under which the hosts find it. */
  readonly name?: string
  readonly intervalSeconds?: number
  readonly minIntervalSeconds?: number
}

export class FakeTracker {
  readonly announces: Announce[] = []
  readonly scrapes: string[] = []
  /** True: it does not answer. */
  silent = false
  /** Set: announces fail with this text. */
  failure: string | null = null
  /** Instead of its usual answer over HTTP; `null` gives the usual one. */
  respond: ((announce: Announce) => ServedResponse | null) | null = null
  readonly httpUrl: string
  readonly udpUrl: string
  readonly #sim: Simulation
  readonly #swarms = new Map<string, Map<string, Member>>()
  readonly #interval: number
  readonly #minInterval: number
  readonly #sockets: Datagram[] = []

  constructor(sim: Simulation, runtime: SimRuntime, options: FakeTrackerOptions = {}) {
    this.#sim = sim
    this.#interval = options.intervalSeconds ?? 1800
    this.#minInterval = options.minIntervalSeconds ?? 0
    const port = options.port ?? 6969
    const name = options.name ?? 'tracker.test'
    this.httpUrl = `http://${name}:${port}/announce`
    this.udpUrl = `udp://${name}:${port}/announce`
    sim.names.set(name, { addresses: runtime.host.addresses })
    sim.http.listen(runtime.host, port, request => this.#serve(request))
    for (const address of ['0.0.0.0', '::']) {
      runtime.bindDatagram(
        [address, port],
        { onPacket: (packet, from) => this.#packet(packet, from, address === '::'), onError() {}, onWritable() {} },
        (error, socket) => {
          if (socket === null) throw new Error(`tracker: ${error?.message()}`)
          this.#sockets[address === '::' ? 1 : 0] = socket
        },
      )
    }
  }

  /** Peers of a torrent that have not said `stopped`. */
  members(infoHash: string): number {
    return this.#swarms.get(infoHash)?.size ?? 0
  }

  /** Puts a peer in without an announce. */
  addPeer(infoHash: string, address: string, port: number): void {
    this.#swarm(infoHash).set(`${address} ${port}`, { address, port, left: 1 })
  }

  #swarm(infoHash: string): Map<string, Member> {
    let swarm = this.#swarms.get(infoHash)
    if (swarm === undefined) {
      swarm = new Map()
      this.#swarms.set(infoHash, swarm)
    }
    return swarm
  }

  #note(announce: Announce): void {
    this.announces.push(announce)
    const swarm = this.#swarm(announce.infoHash)
    const key = `${announce.from} ${announce.port}`
    if (announce.event === 'stopped') swarm.delete(key)
    else swarm.set(key, { address: announce.from, port: announce.port, left: announce.left })
  }

  /** The other members, of the family of the one who asks. */
  #others(announce: Announce): Member[] {
    const v6 = isV6(announce.from)
    return [...this.#swarm(announce.infoHash).values()].filter(
      member => isV6(member.address) === v6 && (member.address !== announce.from || member.port !== announce.port),
    )
  }

  #counts(infoHash: string): { complete: number; incomplete: number } {
    const members = [...this.#swarm(infoHash).values()]
    const complete = members.filter(member => member.left === 0).length
    return { complete, incomplete: members.length - complete }
  }

  #serve(request: ServedRequest): ServedResponse {
    if (this.silent) return { fault: 'silence' }
    const query = rawQuery(request.url.search)
    if (request.url.pathname.includes('scrape')) return this.#scrape(query.get('info_hash') ?? '')
    const announce: Announce = {
      atMs: this.#sim.clock.now(),
      over: 'http',
      infoHash: query.get('info_hash') ?? '',
      peerId: query.get('peer_id') ?? '',
      from: request.from,
      port: Number(text(query.get('port'))),
      event: text(query.get('event')),
      uploaded: Number(text(query.get('uploaded'))),
      downloaded: Number(text(query.get('downloaded'))),
      left: Number(text(query.get('left'))),
    }
    this.#note(announce)
    const special = this.respond?.(announce) ?? null
    if (special !== null) return special
    if (this.failure !== null) return { body: `d14:failure reason${this.failure.length}:${this.failure}e` }
    const peers = this.#others(announce).map(({ address, port }) => endpointToCompact([address, port]))
    const packed = Buffer.concat(peers)
    const { complete, incomplete } = this.#counts(announce.infoHash)
    const head = `d8:completei${complete}e10:incompletei${incomplete}e8:intervali${this.#interval}e`
    const minimum = this.#minInterval > 0 ? `12:min intervali${this.#minInterval}e` : ''
    const key = isV6(announce.from) ? '6:peers6' : '5:peers'
    return { body: Buffer.concat([Buffer.from(`${head}${minimum}${key}${packed.length}:`), packed, Buffer.from('e')]) }
  }

  #scrape(infoHash: string): ServedResponse {
    this.scrapes.push(infoHash)
    const { complete, incomplete } = this.#counts(infoHash)
    const stats = `d8:completei${complete}e10:downloadedi0e10:incompletei${incomplete}ee`
    return {
      body: Buffer.concat([Buffer.from('d5:filesd20:'), Buffer.from(infoHash, 'hex'), Buffer.from(`${stats}ee`)]),
    }
  }

  #packet(packet: Uint8Array, from: readonly [string, number], v6: boolean): void {
    if (this.silent || packet.length < 16) return
    const socket = this.#sockets[v6 ? 1 : 0]!
    const input = Buffer.from(packet)
    const action = input.readUInt32BE(8)
    const transaction = input.subarray(12, 16)
    const answer = (code: number, ...parts: Uint8Array[]) =>
      socket.send(Buffer.concat([u32(code), transaction, ...parts]), from)
    if (action === 0 && input.readBigUInt64BE(0) === UDP_MAGIC) {
      const id = Buffer.alloc(8)
      id.writeBigUInt64BE(CONNECTION_ID)
      answer(0, id)
      return
    }
    if (input.readBigUInt64BE(0) !== CONNECTION_ID) {
      answer(3, Buffer.from('Connection ID missmatch.'))
      return
    }
    if (action === 1 && input.length >= 98) this.#udpAnnounce(input, from, answer)
    else if (action === 2 && input.length >= 36) {
      const infoHash = input.toString('hex', 16, 36)
      this.scrapes.push(infoHash)
      const { complete, incomplete } = this.#counts(infoHash)
      answer(2, u32(complete), u32(0), u32(incomplete))
    } else answer(3, Buffer.from('Invalid action'))
  }

  #udpAnnounce(
    input: Buffer,
    from: readonly [string, number],
    answer: (code: number, ...parts: Uint8Array[]) => void,
  ): void {
    const announce: Announce = {
      atMs: this.#sim.clock.now(),
      over: 'udp',
      infoHash: input.toString('hex', 16, 36),
      peerId: input.toString('hex', 36, 56),
      downloaded: Number(input.readBigUInt64BE(56)),
      left: Number(input.readBigUInt64BE(64)),
      uploaded: Number(input.readBigUInt64BE(72)),
      event: EVENTS[input.readUInt32BE(80)] ?? '',
      port: input.readUInt16BE(96),
      from: from[0],
    }
    this.#note(announce)
    if (this.failure !== null) {
      answer(3, Buffer.from(this.failure))
      return
    }
    const { complete, incomplete } = this.#counts(announce.infoHash)
    const peers = this.#others(announce).map(({ address, port }) => endpointToCompact([address, port]))
    answer(1, u32(this.#interval), u32(incomplete), u32(complete), ...peers)
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Values in hexadecimal: info-hashes are no text. */
function rawQuery(search: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const part of search.slice(1).split('&')) {
    const equals = part.indexOf('=')
    if (equals < 0) continue
    const raw = part
      .slice(equals + 1)
      .replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    values.set(part.slice(0, equals), bytesToHex(Buffer.from(raw, 'latin1')))
  }
  return values
}

function text(hex: string | undefined): string {
  return hex === undefined ? '' : Buffer.from(hex, 'hex').toString()
}
