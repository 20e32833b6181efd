/** Which addresses may be talked to. */

import { addressBytes, addressFromBytes, isV4, parseAddress, parseV4 } from '../core/endpoint.ts'
import { errnoError, LibtorrentError } from '../core/error-code.ts'
import { type Range, RangeMap } from './range-map.ts'

const AccessFlags = Object.freeze({
  /** Addresses in this range are neither connected to nor accepted. */
  blocked: 1,
} as const)

const MAX_V4 = 0xffffffff
const MAX_V6 = (1n << 128n) - 1n

/**
 * Flags for every address there is, IPv4 and IPv6 apart: 0 unless a rule says otherwise.
 *
 * Also maps addresses to peer classes; the flags are then a mask of 32 classes.
 */
export class IpFilter {
  static readonly AccessFlags: typeof AccessFlags = AccessFlags

  #v4: RangeMap<number>
  #v6: RangeMap<bigint>

  constructor() {
    this.#v4 = new RangeMap<number>(
      0,
      MAX_V4,
      k => k + 1,
      k => k - 1,
    )
    this.#v6 = new RangeMap<bigint>(
      0n,
      MAX_V6,
      k => k + 1n,
      k => k - 1n,
    )
  }

  /** True if no rule has an effect. */
  empty(): boolean {
    return this.#v4.empty() && this.#v6.empty()
  }

  /**
   * Gives all addresses from `first` to `last`, both included, these flags. Of overlapping rules the last added counts.
   *
   * @param flags 0 for allowed or `AccessFlags.blocked`; any 32 bits are kept
   * @throws LibtorrentError (`EINVAL`) if one is not an address
   * @throws RangeError if they are of different families or in the wrong order
   */
  addRule(first: string, last: string, flags: number): void {
    const from = parse(first)
    const to = parse(last)
    if (typeof from !== typeof to) throw new RangeError('IpFilter.addRule: expected addresses of one family')
    if (from > to) throw new RangeError('IpFilter.addRule: first is after last')
    if (typeof from === 'number') this.#v4.set(from, to as number, flags >>> 0)
    else this.#v6.set(from, to as bigint, flags >>> 0)
  }

  /**
   * The flags of an address.
   *
   * @throws LibtorrentError (`EINVAL`) if it is not an address
   */
  access(address: string): number {
    const key = parse(address)
    return typeof key === 'number' ? this.#v4.get(key) : this.#v6.get(key)
  }

  /** The fewest ranges that say the same, in order, for IPv4 and for IPv6. {@link exportRanges} also has their flags. */
  exportFilter(): [v4: [first: string, last: string][], v6: [first: string, last: string][]] {
    const { v4, v6 } = this.exportRanges()
    return [v4.map(r => [r.first, r.last]), v6.map(r => [r.first, r.last])]
  }

  /** As {@link exportFilter}, with the flags of each range. */
  exportRanges(): { v4: IpRange[]; v6: IpRange[] } {
    return { v4: this.#v4.ranges().map(named(formatV4)), v6: this.#v6.ranges().map(named(formatV6)) }
  }

  /** A filter that changes independently of this one. @internal */
  clone(): IpFilter {
    const copy = new IpFilter()
    copy.#v4 = this.#v4.clone()
    copy.#v6 = this.#v6.clone()
    return copy
  }
}

/** A range of addresses, both ends included. */
export interface IpRange {
  readonly first: string
  readonly last: string
  readonly flags: number
}

function named<K extends number | bigint>(format: (key: K) => string): (range: Range<K>) => IpRange {
  return range => ({ first: format(range.first), last: format(range.last), flags: range.flags })
}

/** A number for IPv4, a bigint for IPv6. */
function parse(text: string): number | bigint {
  const v4 = parseV4(text)
  if (v4 >= 0) return v4
  // IPv4-mapped addresses stay IPv6 here, so that a range can begin or end with one.
  if (parseAddress(text) === null || isV4(text)) throw new LibtorrentError(errnoError('EINVAL'))
  let key = 0n
  for (const byte of addressBytes(text)) key = (key << 8n) | BigInt(byte)
  return key
}

function formatV4(key: number): string {
  return addressFromBytes(Uint8Array.of(key >>> 24, key >>> 16, key >>> 8, key), 0, 4)
}

function formatV6(key: bigint): string {
  const bytes = new Uint8Array(16)
  for (let i = 15; i >= 0; i--) {
    bytes[i] = Number(key & 0xffn)
    key >>= 8n
  }
  const text = addressFromBytes(bytes, 0, 16)
  return isV4(text) ? `::ffff:${text}` : text
}
