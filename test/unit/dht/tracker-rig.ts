/** A DHT with sockets that write down what is sent, and a clock that the test moves. */

import { bdecode } from '../../../src/bencode/bdecode.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { BencodeInput } from '../../../src/bencode/entry.ts'
import type { Sha1Hash } from '../../../src/core/digest.ts'
import { type Endpoint, isV6 } from '../../../src/core/endpoint.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { dhtDefaultStorageConstructor } from '../../../src/dht/default-storage.ts'
import type { DhtNode } from '../../../src/dht/dht-node.ts'
import type { DhtObserver } from '../../../src/dht/dht-observer.ts'
import type { DhtPacketSocket } from '../../../src/dht/dht-socket.ts'
import { DhtState } from '../../../src/dht/dht-state.ts'
import { DhtTracker } from '../../../src/dht/dht-tracker.ts'
import { SecretIds } from '../../../src/dht/secret-id.ts'
import type { DhtStorageInterface } from '../../../src/dht/storage.ts'
import type { SettingsPack } from '../../../src/settings/pack-type.ts'
import { SessionSettings } from '../../../src/settings/session-settings.ts'
import { Counters } from '../../../src/stats/counters.ts'

export type Dictionary = { [key: string]: BencodeInput }

/** An answer: of what is in `r`, tests know the types. */
export interface Answer extends Record<string, unknown> {
  // biome-ignore lint/suspicious/noExplicitAny: values of any kind that tests compare
  readonly r: Record<string, any>
}

export interface Packet {
  readonly socket: RigSocket
  readonly to: Endpoint
  readonly bytes: Uint8Array
  /** Strings as text, one character a byte. */
  readonly message: Record<string, unknown>
}

export class RigSocket implements DhtPacketSocket {
  readonly local: Endpoint
  external: string
  /** It sends nothing. */
  broken = false
  readonly #sent: Packet[]

  constructor(local: Endpoint, external: string, sent: Packet[]) {
    this.local = local
    this.external = external
    this.#sent = sent
  }

  externalAddress(): string {
    return this.external
  }

  sendDht(packet: Uint8Array, to: Endpoint): boolean {
    if (this.broken) return false
    const bytes = packet.slice()
    this.#sent.push({ socket: this, to, bytes, message: asText(bdecode(bytes)) as Record<string, unknown> })
    return true
  }
}

/** Strings of bytes as text. */
export function asText(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (Array.isArray(value)) return value.map(asText)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asText(item)]))
}

/** Text, one character a byte, as bytes. */
export function raw(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'))
}

export class Rig {
  now = 1_000_000
  readonly sent: Packet[] = []
  readonly events: string[] = []
  readonly logs: string[] = []
  readonly counters = new Counters()
  readonly settings: SessionSettings
  readonly storage: DhtStorageInterface
  readonly secretIds: SecretIds
  readonly tracker: DhtTracker
  readonly socket: RigSocket
  logging = false
  foreign: ((query: string) => Uint8Array | null) | null = null
  #timers: { at: number; fn: () => void }[] = []
  readonly #rng: SeededRng

  constructor(settings: SettingsPack = {}, state = new DhtState(), local: Endpoint = ['192.168.4.1', 6881]) {
    this.#rng = new SeededRng(1)
    this.settings = new SessionSettings({ ...UNLIMITED, ...settings })
    const now = () => this.now
    this.storage = dhtDefaultStorageConstructor(this.settings, { now, rng: this.#rng.fork('storage') })
    this.secretIds = new SecretIds(this.#rng.fork('secret'))
    this.tracker = new DhtTracker({
      settings: this.settings,
      counters: this.counters,
      observer: this.#observer(),
      storage: this.storage,
      rng: this.#rng,
      secretIds: this.secretIds,
      state,
      now,
      setTimer: (ms, fn) => {
        const timer = { at: this.now + ms, fn }
        this.#timers.push(timer)
        return { cancel: () => void (this.#timers = this.#timers.filter(each => each !== timer)) }
      },
    })
    this.socket = this.addSocket(local)
  }

  addSocket(local: Endpoint, external = isV6(local[0]) ? '2002::1' : '236.0.0.1'): RigSocket {
    const socket = new RigSocket(local, external, this.sent)
    this.tracker.newSocket(socket)
    return socket
  }

  get node(): DhtNode {
    return this.tracker.nodes[0]!
  }

  get timers(): number {
    return this.#timers.length
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > end) break
      this.#timers = this.#timers.filter(each => each !== next)
      this.now = next.at
      next.fn()
    }
    this.now = end
  }

  /** Gives a packet to the DHT. @returns whether it was taken */
  deliver(packet: Uint8Array | Dictionary, from: Endpoint, socket: RigSocket = this.socket): boolean {
    return this.tracker.incomingPacket(socket, from, packet instanceof Uint8Array ? packet : bencode(packet))
  }

  /** Sends a query to the DHT. @returns what was sent back, `null` if nothing was */
  ask(
    q: string,
    a: Dictionary,
    from: Endpoint = ['10.0.0.9', 20],
    rest: Dictionary = {},
    socket: RigSocket = this.socket,
  ): Answer | null {
    const before = this.sent.length
    this.deliver({ a: { id: ASKER, ...a }, q, t: '10', y: 'q', ...rest }, from, socket)
    const answers = this.sent.slice(before)
    if (answers.length > 1) throw new Error('more than one packet came back')
    const [answer] = answers
    if (answer === undefined) return null
    if (answer.to[0] !== from[0] || answer.to[1] !== from[1]) throw new Error('the answer went elsewhere')
    this.sent.length = before
    return answer.message as unknown as Answer
  }

  /** What a query is refused with, `[code, text]`. */
  refusal(q: string, a: Dictionary, from?: Endpoint, rest?: Dictionary): unknown {
    const answer = this.ask(q, a, from, rest)
    if (answer?.['y'] !== 'e') throw new Error(`not refused: ${JSON.stringify(answer)}`)
    return answer['e']
  }

  token(q: 'get' | 'get_peers', hash: Uint8Array, from?: Endpoint): Uint8Array {
    const answer = this.ask(q, q === 'get' ? { target: hash } : { info_hash: hash }, from)
    return raw(answer!['r'].token)
  }

  /** Answers a packet that was sent. */
  reply(to: Packet, r: Dictionary, rest: Dictionary = {}): boolean {
    return this.deliver({ r, t: raw(to.message['t'] as string), y: 'r', ...rest }, to.to, to.socket)
  }

  #observer(): DhtObserver {
    const rig = this
    return {
      get answersRequests() {
        return rig.foreign !== null
      },
      shouldLog: () => rig.logging,
      log: (_module, text) => void rig.logs.push(text),
      logPacket: () => {},
      setExternalAddress: (socket, address, source) =>
        void rig.events.push(`address ${address} says ${source} to ${socket.local[0]}`),
      getListenPort: ssl => (ssl ? 0 : 7777),
      getPeers: infoHash => void rig.events.push(`get_peers ${infoHash}`),
      outgoingGetPeers: (target: Sha1Hash, sent: Sha1Hash) => void rig.events.push(`out ${target} as ${sent}`),
      announce: (infoHash, address, port) => void rig.events.push(`announce ${infoHash} ${address}:${port}`),
      onDhtRequest: query => rig.foreign?.(query) ?? null,
    }
  }
}

/** One asker may ask as often as the test wants. */
const UNLIMITED: SettingsPack = { dht_block_ratelimit: 1_000_000, dht_upload_rate_limit: 100_000_000 }

/** The id of who asks, unless the arguments say another. */
export const ASKER = new Uint8Array(20).fill(0x41)
