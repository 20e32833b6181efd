/** Local service discovery on one network: tells what torrents we have, and hears what others have. @see BEP 14 */

import type { Sha1Hash } from '../core/digest.ts'
import { type Endpoint, isV6, sameNetwork, zoneOf } from '../core/endpoint.ts'
import type { ErrorCode } from '../core/error-code.ts'
import type { TimerHandle } from '../core/runtime.ts'
import { readLsdMessage, writeLsdMessage } from './lsd-message.ts'

/** The groups whose members look for each other. */
export const LSD_GROUP_V4: Endpoint = ['239.192.152.143', 6771]
export const LSD_GROUP_V6: Endpoint = ['ff15::efc0:988f', 6771]
/** Routers that an announce may pass. */
export const LSD_HOPS = 32

/** An announce is sent so many times: packets get lost. */
const SENDS = 3
/** Until the first repetition; the second one takes twice as long after it. */
const REPEAT_MS = 2000

/** What local service discovery needs of its owner. */
export interface LsdPort {
  /** Sends to the group. A packet for which there is no room is lost. */
  send(packet: Uint8Array, group: Endpoint): void
  setTimer(delayMs: number, fn: () => void): TimerHandle
  /** Somebody on this network has a torrent. */
  peerFound(peer: Endpoint, infoHash: Sha1Hash): void
  shouldLog(): boolean
  log(text: string): void
}

export interface LsdOptions {
  /** Our address on the network. */
  readonly address: string
  /** Its bits that all addresses of the network have: who has others is not listened to. */
  readonly prefixLength: number
  /** 0 to 2^31 - 1, random: messages with it are our own. */
  readonly cookie: number
}

export class Lsd {
  readonly group: Endpoint
  readonly #options: LsdOptions
  readonly #port: LsdPort
  #repeat: TimerHandle | null = null
  #mute = false
  #closed = false

  constructor(options: LsdOptions, port: LsdPort) {
    this.#options = options
    this.#port = port
    this.group = isV6(options.address) ? LSD_GROUP_V6 : LSD_GROUP_V4
  }

  /**
   * Tells that we have a torrent: now, two seconds and six seconds later. A next announce takes the place of
   * repetitions that are due: sessions with many torrents do not send more for it.
   *
   * Deviation: both hashes of a hybrid torrent are one announce. Libtorrent makes two of them, and so sends the first
   * one of them once only.
   */
  announce(infoHashes: readonly Sha1Hash[], listenPort: number): void {
    this.#repeat?.cancel()
    this.#repeat = null
    this.#send(infoHashes, listenPort, 1)
  }

  #send(infoHashes: readonly Sha1Hash[], listenPort: number, times: number): void {
    if (this.#closed || this.#mute) return
    const { address, cookie } = this.#options
    const host = isV6(address) ? `[${this.group[0]}]` : this.group[0]
    for (const infoHash of infoHashes) {
      if (this.#port.shouldLog()) this.#port.log(`==> LSD: ih: ${infoHash} port: ${listenPort} [iface: ${address}]`)
      this.#port.send(writeLsdMessage(host, listenPort, infoHash, cookie), this.group)
    }
    if (times >= SENDS) return
    this.#repeat = this.#port.setTimer(REPEAT_MS * times, () => {
      this.#repeat = null
      this.#send(infoHashes, listenPort, times + 1)
    })
  }

  /** A packet has come to the group. It may hold anything. */
  incoming(packet: Uint8Array, from: Endpoint): void {
    if (this.#closed) return
    const { address, prefixLength, cookie } = this.#options
    if (!sameNetwork(from[0], address, prefixLength) || zoneOf(from[0]) !== zoneOf(address)) {
      this.#ignored(`receive from out of network: ${from[0]}`)
      return
    }
    const message = readLsdMessage(packet)
    if (typeof message === 'string') {
      this.#ignored(message)
      return
    }
    if (message.cookie === cookie) {
      this.#ignored(`ignoring packet (cookie matched our own): ${cookie.toString(16)}`)
      return
    }
    for (const infoHash of message.infoHashes) {
      if (this.#port.shouldLog()) this.#port.log(`<== LSD: ${from[0]}:${message.port} ih: ${infoHash}`)
      this.#port.peerFound([from[0], message.port], infoHash)
    }
  }

  #ignored(why: string): void {
    if (this.#port.shouldLog()) this.#port.log(`<== LSD: ${why}`)
  }

  /** A packet could not be sent: the network is not fit for it, so no more is sent. */
  sendFailed(error: ErrorCode): void {
    if (this.#closed || this.#mute) return
    if (this.#port.shouldLog()) this.#port.log(`*** LSD: failed to send message: (${error.value()}) ${error.message()}`)
    this.#mute = true
    this.#repeat?.cancel()
    this.#repeat = null
  }

  close(): void {
    this.#closed = true
    this.#repeat?.cancel()
    this.#repeat = null
  }
}
