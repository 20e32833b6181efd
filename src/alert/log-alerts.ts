/** Alerts that say in words what the session, a torrent or a peer is doing. */

import type { Sha1Hash } from '../core/digest.ts'
import type { Endpoint } from '../core/endpoint.ts'
import { AlertCategory, AlertPriority, PickerFlags } from '../core/enums.ts'
import { Alert, type AlertTorrent, PeerAlert, TorrentAlert } from './alert.ts'
import { PEER_LOG_EVENT_NAMES, PeerLogEvent } from './peer-log-events.ts'

const DIRECTION = Object.freeze({
  incomingMessage: 0,
  outgoingMessage: 1,
  incoming: 2,
  outgoing: 3,
  info: 4,
} as const)

/** Indexed by direction. */
const ARROWS: readonly string[] = ['<==', '==>', '<<<', '>>>', '***']

/** Indexed by the bit of `PickerFlags`. */
const RULES: readonly string[] = [
  'partial_ratio',
  'prioritize_partials',
  'rarest_first_partials',
  'rarest_first',
  'reverse_rarest_first',
  'suggested_pieces',
  'prio_sequential_pieces',
  'sequential_pieces',
  'reverse_pieces',
  'time_critical',
  'random_pieces',
  'prefer_contiguous',
  'reverse_sequential',
  'backup1',
  'backup2',
  'end_game',
  'extent_affinity',
]

/** What the session is doing. */
export class LogAlert extends Alert {
  static override readonly alertType = 79
  static override readonly staticCategory: number = AlertCategory.sessionLog
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly #logMessage: string

  constructor(logMessage: string) {
    super()
    this.#logMessage = logMessage
  }

  logMessage(): string {
    return this.#logMessage
  }

  override message(): string {
    return this.#logMessage
  }
}

/** What a torrent is doing. */
export class TorrentLogAlert extends TorrentAlert {
  static override readonly alertType = 80
  static override readonly staticCategory: number = AlertCategory.torrentLog
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly #logMessage: string

  constructor(torrent: AlertTorrent, logMessage: string) {
    super(torrent)
    this.#logMessage = logMessage
  }

  logMessage(): string {
    return this.#logMessage
  }

  override message(): string {
    return `${super.message()}: ${this.#logMessage}`
  }
}

/** What a peer connection is doing, such as each message that goes over it. */
export class PeerLogAlert extends PeerAlert {
  static override readonly alertType = 81
  static override readonly staticCategory: number = AlertCategory.peerLog
  static override readonly priority: AlertPriority = AlertPriority.normal
  static readonly Direction = DIRECTION
  static readonly Event = PeerLogEvent
  readonly direction: PeerLogAlert.Direction
  /** What happened, as a number. */
  readonly eventType: PeerLogEvent
  readonly #logMessage: string

  constructor(
    torrent: AlertTorrent,
    ep: Endpoint,
    pid: Sha1Hash,
    direction: PeerLogAlert.Direction,
    eventType: PeerLogEvent,
    logMessage: string,
  ) {
    super(torrent, ep, pid)
    this.direction = direction
    this.eventType = eventType
    this.#logMessage = logMessage
  }

  /** The details. */
  logMessage(): string {
    return this.#logMessage
  }

  override message(): string {
    return `${super.message()} ${ARROWS[this.direction]} ${PEER_LOG_EVENT_NAMES[this.eventType]} [ ${this.#logMessage} ]`
  }
}

export declare namespace PeerLogAlert {
  type Direction = (typeof DIRECTION)[keyof typeof DIRECTION]
  type Event = PeerLogEvent
}

/** Which blocks were picked for a peer, and by what rules. */
export class PickerLogAlert extends PeerAlert {
  static override readonly alertType = 89
  static override readonly staticCategory: number = AlertCategory.pickerLog
  static override readonly priority: AlertPriority = AlertPriority.normal
  static readonly backup1 = PickerFlags.backup1
  static readonly backup2 = PickerFlags.backup2
  static readonly endGame = PickerFlags.endGame
  static readonly extentAffinity = PickerFlags.extentAffinity
  static readonly partialRatio = PickerFlags.partialRatio
  static readonly preferContiguous = PickerFlags.preferContiguous
  static readonly prioSequentialPieces = PickerFlags.prioSequentialPieces
  static readonly prioritizePartials = PickerFlags.prioritizePartials
  static readonly randomPieces = PickerFlags.randomPieces
  static readonly rarestFirst = PickerFlags.rarestFirst
  static readonly rarestFirstPartials = PickerFlags.rarestFirstPartials
  static readonly reversePieces = PickerFlags.reversePieces
  static readonly reverseRarestFirst = PickerFlags.reverseRarestFirst
  static readonly reverseSequential = PickerFlags.reverseSequential
  static readonly sequentialPieces = PickerFlags.sequentialPieces
  static readonly suggestedPieces = PickerFlags.suggestedPieces
  static readonly timeCritical = PickerFlags.timeCritical
  readonly pickerFlags: PickerFlags
  readonly #blocks: readonly (readonly [piece: number, block: number])[]

  constructor(
    torrent: AlertTorrent,
    ep: Endpoint,
    pid: Sha1Hash,
    pickerFlags: PickerFlags,
    blocks: readonly (readonly [piece: number, block: number])[],
  ) {
    super(torrent, ep, pid)
    this.pickerFlags = pickerFlags
    this.#blocks = blocks
  }

  /** The blocks that were picked. */
  blocks(): readonly (readonly [piece: number, block: number])[] {
    return this.#blocks
  }

  override message(): string {
    let text = `${super.message()} picker_log [ `
    for (let bit = 0; bit < RULES.length; bit++) if ((this.pickerFlags & (1 << bit)) !== 0) text += `${RULES[bit]} `
    text += '] '
    for (const [piece, block] of this.#blocks) text += `(${piece},${block}) `
    return text
  }
}
