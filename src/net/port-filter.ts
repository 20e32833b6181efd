/** Which ports of peers may be connected to. */

import { RangeMap } from './range-map.ts'

const AccessFlags = Object.freeze({
  /** Ports in this range are not connected to. */
  blocked: 1,
} as const)

const MAX_PORT = 65535

/** Flags for every port: 0 unless a rule says otherwise. */
export class PortFilter {
  static readonly AccessFlags: typeof AccessFlags = AccessFlags

  readonly #map = new RangeMap<number>(
    0,
    MAX_PORT,
    k => k + 1,
    k => k - 1,
  )

  /**
   * Gives all ports from `first` to `last`, both included, these flags, whatever was said of them before.
   *
   * @throws RangeError if one is not a port, or they are in the wrong order
   */
  addRule(first: number, last: number, flags: number): void {
    if (!isPort(first) || !isPort(last) || first > last)
      throw new RangeError('PortFilter.addRule: expected ports 0 to 65535 in order')
    this.#map.set(first, last, flags >>> 0)
  }

  /** The flags of a port. @throws RangeError if it is not a port */
  access(port: number): number {
    if (!isPort(port)) throw new RangeError('PortFilter.access: expected a port 0 to 65535')
    return this.#map.get(port)
  }
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_PORT
}
