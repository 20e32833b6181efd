/** Alerts about port mappings in routers (UPnP, NAT-PMP, PCP). */

import { AlertCategory, AlertPriority, type PortmapProtocol, type PortmapTransport } from '../core/enums.ts'
import type { ErrorCode } from '../core/error-code.ts'
import { Alert } from './alert.ts'

const TRANSPORTS: readonly string[] = ['NAT-PMP', 'UPnP']
const PROTOCOLS: readonly string[] = ['none', 'TCP', 'UDP']

/** A port could not be mapped. */
export class PortmapErrorAlert extends Alert {
  static override readonly alertType = 50
  static override readonly staticCategory: number = AlertCategory.error | AlertCategory.portMapping
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** As `addPortMapping()` returned it. */
  readonly mapping: number
  readonly mapTransport: PortmapTransport
  /** What went wrong. */
  readonly error: ErrorCode
  /** The interface it was tried on. */
  readonly localAddress: string

  constructor(mapping: number, mapTransport: PortmapTransport, error: ErrorCode, localAddress: string) {
    super()
    this.mapping = mapping
    this.mapTransport = mapTransport
    this.error = error
    this.localAddress = localAddress
  }

  override message(): string {
    return `could not map port using ${TRANSPORTS[this.mapTransport]}[${this.localAddress}]: ${this.error.message()}`
  }
}

/** A port is mapped. */
export class PortmapAlert extends Alert {
  static override readonly alertType = 51
  static override readonly staticCategory: number = AlertCategory.portMapping
  static override readonly priority: AlertPriority = AlertPriority.normal
  /** As `addPortMapping()` returned it. */
  readonly mapping: number
  readonly externalPort: number
  readonly mapTransport: PortmapTransport
  readonly mapProtocol: PortmapProtocol
  readonly localAddress: string

  constructor(
    mapping: number,
    externalPort: number,
    mapTransport: PortmapTransport,
    mapProtocol: PortmapProtocol,
    localAddress: string,
  ) {
    super()
    this.mapping = mapping
    this.externalPort = externalPort
    this.mapTransport = mapTransport
    this.mapProtocol = mapProtocol
    this.localAddress = localAddress
  }

  override message(): string {
    return `successfully mapped port using ${TRANSPORTS[this.mapTransport]}. local: ${this.localAddress} external port: ${PROTOCOLS[this.mapProtocol]}/${this.externalPort}`
  }
}

/** What happens between us and a router. */
export class PortmapLogAlert extends Alert {
  static override readonly alertType = 52
  static override readonly staticCategory: number = AlertCategory.portMappingLog
  static override readonly priority: AlertPriority = AlertPriority.normal
  readonly mapTransport: PortmapTransport
  readonly localAddress: string
  readonly #logMessage: string

  constructor(mapTransport: PortmapTransport, logMessage: string, localAddress: string) {
    super()
    this.mapTransport = mapTransport
    this.#logMessage = logMessage
    this.localAddress = localAddress
  }

  logMessage(): string {
    return this.#logMessage
  }

  override message(): string {
    return `${TRANSPORTS[this.mapTransport]} [${this.localAddress}]: ${this.#logMessage}`
  }
}
