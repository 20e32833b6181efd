/** Alerts about the session as a whole: its sockets, its address, its errors. */

import { type Endpoint, endpointToString } from '../core/endpoint.ts'
import { AlertCategory, AlertPriority, type Operation, type SocketType } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { operationName } from '../core/operation.ts'
import type { TorrentStatus } from '../torrent/torrent-status.ts'
import { Alert, socketTypeName } from './alert.ts'
import { ALERT_NAMES } from './alert-names.ts'

/** A UDP socket failed, or a packet could not be delivered. */
export class UdpErrorAlert extends Alert {
  static override readonly alertType = 46
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** Who it was sent to or came from. */
  readonly endpoint: Endpoint
  /** What was being done. */
  readonly operation: Operation
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(endpoint: Endpoint, operation: Operation, error: ErrorCode) {
    super()
    this.endpoint = endpoint
    this.operation = operation
    this.error = error
  }

  override message(): string {
    return `UDP error: ${this.error.message()} from: ${this.endpoint[0]} op: ${operationName(this.operation)}`
  }
}

/** Others see this machine under an address that was not known before. */
export class ExternalIpAlert extends Alert {
  static override readonly alertType = 47
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly externalAddress: string

  constructor(externalAddress: string) {
    super()
    this.externalAddress = externalAddress
  }

  override message(): string {
    return `external IP received: ${this.externalAddress}`
  }
}

/** A listen socket could not be opened. */
export class ListenFailedAlert extends Alert {
  static override readonly alertType = 48
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly address: string
  readonly port: number
  /** What was being done. */
  readonly op: Operation
  /** What went wrong. */
  readonly error: ErrorCode
  readonly socketType: SocketType
  readonly #listenInterface: string

  constructor(
    listenInterface: string,
    address: string,
    port: number,
    op: Operation,
    error: ErrorCode,
    socketType: SocketType,
  ) {
    super()
    this.#listenInterface = listenInterface
    this.address = address
    this.port = port
    this.op = op
    this.error = error
    this.socketType = socketType
  }

  /** The device or address as the setting names it. */
  listenInterface(): string {
    return this.#listenInterface
  }

  override message(): string {
    return `listening on ${endpointToString([this.address, this.port])} (device: ${this.#listenInterface}) failed: [${operationName(this.op)}] [${socketTypeName(this.socketType)}] ${this.error.message()}`
  }
}

/** A listen socket is open. */
export class ListenSucceededAlert extends Alert {
  static override readonly alertType = 49
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.critical
  readonly address: string
  /** The port that was really opened. */
  readonly port: number
  readonly socketType: SocketType

  constructor(address: string, port: number, socketType: SocketType) {
    super()
    this.address = address
    this.port = port
    this.socketType = socketType
  }

  override message(): string {
    return `successfully listening on [${socketTypeName(this.socketType)}] ${endpointToString([this.address, this.port])}`
  }
}

/** Somebody connected to a listen socket. It is not known yet for which torrent. */
export class IncomingConnectionAlert extends Alert {
  static override readonly alertType = 66
  static override readonly staticCategory: number = AlertCategory.peer
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly socketType: SocketType
  /** Where the connection comes from. */
  readonly endpoint: Endpoint

  constructor(socketType: SocketType, endpoint: Endpoint) {
    super()
    this.socketType = socketType
    this.endpoint = endpoint
  }

  override message(): string {
    return `incoming connection from ${endpointToString(this.endpoint)} (${socketTypeName(this.socketType)})`
  }
}

/** Answers `postTorrentUpdates()`. */
export class StateUpdateAlert extends Alert {
  static override readonly alertType = 68
  static override readonly staticCategory: number = AlertCategory.status
  static override readonly priority: AlertPriority = AlertPriority.high
  /** The torrents whose status has changed since the last time. */
  readonly status: readonly TorrentStatus[]

  constructor(status: readonly TorrentStatus[]) {
    super()
    this.status = status
  }

  override message(): string {
    return `state updates for ${this.status.length} torrents`
  }
}

/** The session cannot go on. */
export class SessionErrorAlert extends Alert {
  static override readonly alertType = 90
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** What went wrong. */
  readonly error: ErrorCode
  readonly #detail: string

  constructor(error: ErrorCode, detail: string) {
    super()
    this.error = error
    this.#detail = detail
  }

  override message(): string {
    const code = this.error.failed() ? `(${this.error.value()} ${this.error.message()}) ` : ''
    return `session error: ${code}${this.#detail}`
  }
}

/** Alerts were dropped because the queue was full. The last of those that `popAlerts()` returns. */
export class AlertsDroppedAlert extends Alert {
  static override readonly alertType = 95
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.meta
  /** By `Alert.type()`: whether any of that type was dropped. */
  readonly droppedAlerts: readonly boolean[]

  constructor(droppedAlerts: readonly boolean[]) {
    super()
    this.droppedAlerts = droppedAlerts
  }

  override message(): string {
    let text = 'dropped alerts: '
    for (let type = 0; type < ALERT_NAMES.length; type++) if (this.droppedAlerts[type]) text += `${ALERT_NAMES[type]} `
    return text
  }
}

/** A SOCKS5 proxy did not do what it was asked. */
export class Socks5Alert extends Alert {
  static override readonly alertType = 96
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** The proxy. */
  readonly ip: Endpoint
  /** What was being done. */
  readonly op: Operation
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(ip: Endpoint, op: Operation, error: ErrorCode) {
    super()
    this.ip = ip
    this.op = op
    this.error = error
  }

  override message(): string {
    return `SOCKS5 error. op: ${operationName(this.op)} ec: ${this.error.message()} ep: ${endpointToString(this.ip)}`
  }
}

/** The I2P router cannot be used. */
export class I2pAlert extends Alert {
  static override readonly alertType = 77
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(error: ErrorCode) {
    super()
    this.error = error
  }

  override message(): string {
    return `i2p_error: [${this.error.category().name()}] ${this.error.message()}`
  }
}

/** Local service discovery could not be started. */
export class LsdErrorAlert extends Alert {
  static override readonly alertType = 82
  static override readonly staticCategory: number = AlertCategory.error
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** The interface it was to run on. */
  readonly localAddress: string
  /** What went wrong. */
  readonly error: ErrorCode

  constructor(localAddress: string, error: ErrorCode) {
    super()
    this.localAddress = localAddress
    this.error = error
  }

  override message(): string {
    return `Local Service Discovery startup error [${this.localAddress}]: ${this.error.message()}`
  }
}
