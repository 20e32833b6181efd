/** Where outgoing connections start from. */

import { type Endpoint, isV6 } from '../core/endpoint.ts'
import type { Runtime } from '../core/runtime.ts'
import { parseInterfaceNames } from '../net/listen-interfaces.ts'
import type { SessionSettings } from '../settings/session-settings.ts'

/** Takes turns among `outgoing_interfaces`, and among the ports from `outgoing_port` on. */
export class OutgoingAddress {
  readonly #settings: SessionSettings
  readonly #runtime: Runtime
  #turn = 0
  #nextPort = 0

  constructor(settings: SessionSettings, runtime: Runtime) {
    this.#settings = settings
    this.#runtime = runtime
  }

  /** @returns where the next connection to that endpoint starts; `null` leaves it to the system */
  next(to: Endpoint): Endpoint | null {
    const address = this.#nextInterface(isV6(to[0]))
    const { outgoingPort, numOutgoingPorts } = this.#settings
    if (outgoingPort <= 0) return address === null ? null : [address, 0]
    const last = Math.min(65535, outgoingPort + Math.max(0, numOutgoingPorts))
    if (this.#nextPort < outgoingPort || this.#nextPort > last) this.#nextPort = outgoingPort
    return [address ?? (isV6(to[0]) ? '::' : '0.0.0.0'), this.#nextPort++]
  }

  /** One that fits the family. */
  #nextInterface(v6: boolean): string | null {
    const candidates: string[] = []
    for (const name of parseInterfaceNames(this.#settings.outgoingInterfaces)) {
      if (/^[\d.]+$/.test(name) || name.includes(':')) candidates.push(name)
      else for (const i of this.#runtime.interfaces()) if (i.name === name) candidates.push(i.address)
    }
    const fitting = candidates.filter(address => isV6(address) === v6)
    return fitting.length === 0 ? null : fitting[this.#turn++ % fitting.length]!
  }
}
