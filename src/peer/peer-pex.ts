/**
 * Peer exchange with one peer: a message a minute each way, the first one as soon as both are there for it.
 *
 * What is told to peers is made once for all connections of a torrent, by its {@link PexHost}.
 *
 * @see BEP 11
 */

import type { Endpoint } from '../core/endpoint.ts'
import { isLocal } from '../core/endpoint.ts'
import { PexFlags, SocketType } from '../core/enums.ts'
import { libtorrentError } from '../core/error-code.ts'
import { LibtorrentErrors } from '../core/error-table.ts'
import { Operation } from '../core/operation.ts'
import * as C from '../stats/counter-ids.ts'
import { MessageId } from '../wire/messages.ts'
import { decodePex, MAX_PEX_LENGTH, type PexPeers, pexKey } from '../wire/ut-pex.ts'
import type { PeerConnection } from './peer-connection.ts'
import { Severity } from './peer-host.ts'

/** A message for peers. */
export interface PexOutgoing {
  readonly payload: Uint8Array
  readonly numAdded: number
  readonly numDropped: number
}

/** The torrent's part in peer exchange. Calls come inside a turn. */
export interface PexHost {
  /** The torrent is not private, as far as is known. */
  readonly allowed: boolean
  /** It is allowed, and the user has not turned it off. */
  readonly enabled: boolean
  /** All peers that may be told of, for somebody who is new. */
  full(): PexOutgoing
  /** What has changed in the last minute. `null`: nothing. */
  changes(): PexOutgoing | null
  /** A peer was told of. @param flags `PexFlags` */
  found(endpoint: Endpoint, flags: number): void
  /** All that a message had to tell was told, and there was something new. */
  foundAll(): void
}

/** Between messages, ours; and the time in which a peer may send as many as {@link BURST}. */
const INTERVAL_MS = 60_000
/** A line that was slow may bring together what was sent minutes apart. */
const BURST = 6
/** Flags that others may set: the rest are for use among ourselves. */
const PUBLIC_FLAGS = 0xff & ~PexFlags.pexLtV2

export class PeerPex {
  readonly #peer: PeerConnection
  #offered = false
  /** The id the peer gave to the message; 0: it does not take it. */
  #id = 0
  /** The port the peer says it listens on; 0 if it does not say. */
  #listenPort = 0
  #sentFull = false
  #lastSent = Number.NEGATIVE_INFINITY
  /** When the last messages came, oldest first; at most {@link BURST}. */
  readonly #received: number[] = []
  /** Whom the peer claims to be connected to, by {@link pexKey}; made with the first message. */
  #claimed4: Set<string> | null = null
  #claimed6: Set<string> | null = null

  constructor(peer: PeerConnection) {
    this.#peer = peer
  }

  /** Whether to name the message in the extended handshake. */
  offer(): boolean {
    const { allowed } = this.#peer.host!.pex
    // what was offered once may come, also when a later handshake does not offer it again
    if (allowed) this.#offered = true
    return allowed
  }

  /**
   * The peer's extended handshake came.
   *
   * @param id         for the message; 0: it takes none
   * @param listenPort 0 if it does not say
   */
  onHandshake(id: number, listenPort: number): void {
    this.#id = id
    if (listenPort > 0) this.#listenPort = listenPort
  }

  /** Where others may connect to this peer; `null` if that is not known, or nobody is there. */
  endpoint(): Endpoint | null {
    const peer = this.#peer
    if (peer.connecting || peer.inHandshake || peer.disconnecting || peer.isWebSeed) return null
    if (peer.outgoing) return peer.endpoint
    return this.#listenPort === 0 ? null : [peer.endpoint[0], this.#listenPort]
  }

  /** `PexFlags` of this peer, for others. */
  flags(): number {
    const { isSeed, socketType } = this.#peer
    const utp = socketType === SocketType.utp || socketType === SocketType.utpSsl
    return (isSeed ? PexFlags.pexSeed : 0) | (utp ? PexFlags.pexUtp : 0)
  }

  /** Whether the peer claims to be connected to somebody. @see BEP 55 */
  introduced(endpoint: Endpoint): boolean {
    const key = pexKey(endpoint)
    return this.#claimed4?.has(key) === true || this.#claimed6?.has(key) === true
  }

  // ---- what we tell ------------------------------------------------------------------------------

  /** Once a second. */
  tick(now: number): void {
    const peer = this.#peer
    if (this.#id === 0 || now - this.#lastSent < INTERVAL_MS) return
    const { pex, numPeers } = peer.host!
    if (!pex.enabled || numPeers <= 1) return
    this.#lastSent = now
    if (this.#sentFull) this.#send(pex.changes(), 'pexDiff')
    else {
      this.#sentFull = true
      this.#send(pex.full(), 'pexFull')
    }
  }

  #send(message: PexOutgoing | null, event: 'pexFull' | 'pexDiff'): void {
    if (message === null) return
    const peer = this.#peer
    const { payload, numAdded, numDropped } = message
    const out = peer.link.out()
    out.uint32(2 + payload.length).uint8(MessageId.extended)
    out.uint8(this.#id).bytes(payload)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_EXTENDED)
    peer.session.counters.inc(C.SES_NUM_OUTGOING_PEX)
    const dropped = event === 'pexDiff' ? `dropped: ${numDropped} ` : ''
    const text = `${dropped}added: ${numAdded} msg_size: ${payload.length}`
    peer.host!.alert(peer, { kind: 'log', direction: 'outgoingMessage', event, text })
  }

  // ---- what we are told --------------------------------------------------------------------------

  /** @returns true to get the message */
  onHeader(length: number): boolean {
    if (!this.#offered || this.#id === 0) {
      this.#refuse(LibtorrentErrors.invalidMessage, Severity.peerError)
      return false
    }
    // the metadata or the user may have had a say since we offered it
    if (!this.#peer.host!.pex.enabled) return false
    if (length > MAX_PEX_LENGTH) {
      this.#refuse(LibtorrentErrors.pexMessageTooLarge, Severity.peerError)
      return false
    }
    return true
  }

  onMessage(payload: Uint8Array): void {
    const peer = this.#peer
    const { pex } = peer.host!
    if (!pex.enabled) return
    if (!this.#admit(peer.session.turn.now)) {
      this.#refuse(LibtorrentErrors.tooFrequentPex, Severity.normal)
      return
    }
    const message = decodePex(payload)
    if (message === null) {
      this.#refuse(LibtorrentErrors.invalidPexMessage, Severity.peerError)
      return
    }
    this.#claimed4 ??= new Set()
    this.#claimed6 ??= new Set()
    forget(this.#claimed4, message.dropped)
    const found4 = this.#take(this.#claimed4, message.added)
    forget(this.#claimed6, message.dropped6)
    const found6 = this.#take(this.#claimed6, message.added6)
    const text = `dropped: ${message.numDropped} added: ${message.numAdded}`
    peer.host!.alert(peer, { kind: 'log', direction: 'incomingMessage', event: 'pex', text })
    peer.session.counters.inc(C.SES_NUM_INCOMING_PEX)
    if (found4 || found6) pex.foundAll()
  }

  /** Notes that a message came. @returns false if there were too many of late */
  #admit(now: number): boolean {
    const times = this.#received
    if (times.length === BURST) {
      if (now - times[0]! < INTERVAL_MS) return false
      times.shift()
    }
    times.push(now)
    return true
  }

  /** @param claimed whom the peer claims to know, no more than `max_pex_peers` @returns whether one was new */
  #take(claimed: Set<string>, peers: PexPeers): boolean {
    const { host, local, session } = this.#peer
    let any = false
    for (let i = 0; i < peers.length && claimed.size < session.settings.maxPexPeers; i++) {
      const key = peers.key(i)
      if (claimed.has(key)) continue
      const endpoint = peers.endpoint(i)
      // only who is in our network can know who is there
      if (!local && isLocal(endpoint[0])) continue
      claimed.add(key)
      host!.pex.found(endpoint, peers.flags(i) & PUBLIC_FLAGS)
      any = true
    }
    return any
  }

  #refuse(error: LibtorrentErrors, severity: Severity): void {
    this.#peer.disconnect(libtorrentError(error), Operation.bittorrent, severity)
  }
}

function forget(claimed: Set<string>, peers: PexPeers): void {
  for (let i = 0; i < peers.length; i++) claimed.delete(peers.key(i))
}
