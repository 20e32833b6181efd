/** A session that downloads from an honest seed while scripted peers attack it. */

import { PeerDisconnectedAlert, PeerErrorAlert } from '../../../src/alert/peer-alerts.ts'
import type { ErrorCode } from '../../../src/core/error-code.ts'
import * as C from '../../../src/stats/counter-ids.ts'
import { FakePeer, type FakePeerOptions } from './fake-peer.ts'
import type { SimRuntime } from './sim-runtime.ts'
import { type Simulation, simulate } from './simulation.ts'
import { makeTorrent, type NodeOptions, type SimTorrent, Swarm, type SwarmNode } from './swarm.ts'

export const ARENA_PIECE = 64 * 1024
export const ARENA_PIECES = 32

export interface ArenaOptions {
  /** Pieces in the torrent. */
  readonly pieces?: number
  readonly pieceLength?: number
  /** Bytes per second of the honest seed: so slow that the attack comes in the middle of the download. */
  readonly seedRate?: number
  readonly victim?: NodeOptions
  /** Without an honest seed. */
  readonly alone?: boolean
}

export class Arena {
  readonly sim: Simulation
  readonly swarm: Swarm
  readonly torrent: SimTorrent
  readonly victim: SwarmNode
  readonly pieces: number
  readonly #attackers: FakePeer[] = []
  #hosts = 0

  constructor(sim: Simulation, options: ArenaOptions) {
    this.sim = sim
    this.pieces = options.pieces ?? ARENA_PIECES
    const pieceLength = options.pieceLength ?? ARENA_PIECE
    this.torrent = makeTorrent(this.pieces * pieceLength, pieceLength)
    this.swarm = new Swarm(sim, this.torrent)
    this.victim = this.swarm.add('victim', options.victim)
    if (options.alone !== true) {
      const rate = options.seedRate ?? 100_000
      const seed = this.swarm.add('seed', { has: 'all', host: { up: { bytesPerSecond: rate } } })
      seed.connectTo(this.victim)
    }
    sim.run(2000)
  }

  /** A machine for an attacker, outside of the local network, whose peers have privileges. */
  host(): SimRuntime {
    const n = ++this.#hosts
    return this.sim.host(`attacker ${n}`, { addresses: [`81.${n >> 8}.${n & 255}.1`] })
  }

  /** Connects to the victim, from a machine of its own by default. */
  attack(options: Partial<FakePeerOptions> = {}, from: SimRuntime = this.host()): FakePeer {
    const peer = FakePeer.connect(from, this.victim.endpoint, {
      infoHash: this.torrent.infoHash.toBytes(),
      peerId: Buffer.from(`-XX0000-${String(this.#attackers.length).padStart(12, '0')}`),
      ...options,
    })
    this.#attackers.push(peer)
    return peer
  }

  /** As {@link attack}, and waits until the handshake is done. */
  attackAfterHandshake(options: Partial<FakePeerOptions> = {}, from?: SimRuntime): FakePeer {
    const peer = this.attack(options, from)
    this.sim.runUntil(() => peer.handshake !== null || peer.closed !== null, 30_000, 'the handshake')
    this.sim.run(200)
    return peer
  }

  /** What the victim's alerts say about the end of the attackers' connections. */
  ends(): { readonly what: string; readonly error: ErrorCode }[] {
    const honest = this.swarm.nodes.map(node => node.endpoint[0])
    const found: { what: string; error: ErrorCode }[] = []
    for (const alert of this.victim.alerts) {
      if (!(alert instanceof PeerErrorAlert || alert instanceof PeerDisconnectedAlert)) continue
      if (!honest.includes(alert.ep[0])) found.push({ what: alert.what(), error: alert.error })
    }
    return found
  }

  get slotsInUse(): number {
    return this.victim.engine.disk.slots.inUse
  }

  /**
   * The honest transfer ends well, the attackers go, and nothing of them is left: no memory, no place in a
   * queue, no count.
   */
  finish(limitMs = 600_000): void {
    const { victim, sim } = this
    this.swarm.complete(limitMs)
    for (const peer of this.#attackers) peer.close()
    sim.run(1000)
    this.settled()
    this.swarm.close()
    for (const node of this.swarm.nodes) {
      if (!node.holds(this.torrent)) throw new Error(`${node.name} does not hold the torrent`)
    }
    if (victim.engine.connections.size !== 0) throw new Error('connections are left')
  }

  /** Nothing is held for the attackers, which have gone. */
  settled(): void {
    const { counters, disk } = this.victim.engine
    const honest = this.swarm.nodes.length - 1
    const gauges: [string, number, number][] = [
      ['slots in use', disk.slots.inUse, 0],
      ['half open', counters.get(C.PEER_NUM_PEERS_HALF_OPEN), 0],
      ['peers that are asked', counters.get(C.PEER_NUM_PEERS_DOWN_REQUESTS), 0],
      ['peers that ask', counters.get(C.PEER_NUM_PEERS_UP_REQUESTS), 0],
    ]
    for (const [what, value, expected] of gauges) {
      if (value !== expected) throw new Error(`${what}: ${value} instead of ${expected}`)
    }
    const open = counters.get(C.PEER_NUM_PEERS_CONNECTED)
    if (open < 0 || open > honest) throw new Error(`connected: ${open}, of ${honest}`)
    for (const gauge of [
      C.PEER_NUM_PEERS_UP_UNCHOKED_ALL,
      C.PEER_NUM_PEERS_DOWN_UNCHOKED,
      C.PEER_NUM_PEERS_UP_INTERESTED,
      C.PEER_NUM_PEERS_DOWN_INTERESTED,
    ]) {
      const value = counters.get(gauge)
      if (value < 0 || value > honest) throw new Error(`gauge ${gauge} is ${value}`)
    }
  }
}

/** Runs an attack in a world of its own. */
export function inArena(seed: number, options: ArenaOptions, attack: (arena: Arena) => void): void {
  simulate(seed, sim => attack(new Arena(sim, options)))
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (let i = 0; i < values.length; i++) bytes.writeUInt32BE(values[i]! >>> 0, i * 4)
  return bytes
}
