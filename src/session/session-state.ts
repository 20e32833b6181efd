/** What is kept of a session from one run to the next: settings, IP filter and the DHT's nodes, in libtorrent's format. */

import { bdecode, bdecodeNode } from '../bencode/bdecode.ts'
import { bencode } from '../bencode/bencode.ts'
import type { Entry } from '../bencode/entry.ts'
import { bytesToText } from '../core/bytes.ts'
import { addressBytes, addressFromBytes } from '../core/endpoint.ts'
import { SaveStateFlags } from '../core/enums.ts'
import { readDhtState, saveDhtState } from '../dht/dht-state.ts'
import type { IpFilter, IpRange } from '../net/ip-filter.ts'
import type { SettingsPack } from '../settings/pack-type.ts'
import { ALL_SETTINGS, type SettingValue } from '../settings/settings-pack.ts'
import { SessionParams } from './session-params.ts'

/** `save_ip_filter`: the binding does not list it among `SaveStateFlags`. */
export const SAVE_IP_FILTER = 1 << 12

/** `session_params` as a dictionary that can be bencoded. */
export interface SessionParamsDict {
  [key: string]: Entry
}

/**
 * Reads what `writeSessionParams` or libtorrent wrote. What is missing or not understood is left at its default:
 * the state of extensions is passed over.
 *
 * @param from bencoded bytes, or the dictionary
 * @param flags which parts to read: `SaveStateFlags`, `Session.saveIpFilter`
 * @throws LibtorrentError if bytes are not bencoded
 */
export function readSessionParams(
  from: Uint8Array | SessionParamsDict,
  flags: SaveStateFlags = SaveStateFlags.all,
): SessionParams {
  const params = new SessionParams()
  const root = dictionary(from instanceof Uint8Array ? bdecode(from) : from)
  if (root === null) return params
  const settings = dictionary(root['settings'])
  if ((flags & SaveStateFlags.saveSettings) !== 0 && settings !== null) params.settings = readSettings(settings)
  const dhtState = dictionary(root['dht state'])
  if ((flags & SaveStateFlags.saveDhtState) !== 0 && dhtState !== null) {
    params.dhtState = readDhtState(bdecodeNode(bencode(dhtState)))
  }
  if ((flags & SAVE_IP_FILTER) !== 0) {
    readRanges(root['ip_filter4'], 4, params.ipFilter)
    readRanges(root['ip_filter6'], 16, params.ipFilter)
  }
  return params
}

/**
 * The dictionary that is saved of a session. Settings are those that `params` has.
 *
 * @param flags which parts: `SaveStateFlags`, `Session.saveIpFilter`
 */
export function writeSessionParams(
  params: SessionParams,
  flags: SaveStateFlags = SaveStateFlags.all,
): SessionParamsDict {
  const out: SessionParamsDict = {}
  if ((flags & SaveStateFlags.saveSettings) !== 0) {
    const settings: Record<string, Entry> = {}
    for (const [name, value] of Object.entries(params.settings)) {
      settings[name] = typeof value === 'boolean' ? Number(value) : value
    }
    out['settings'] = settings
  }
  if ((flags & SaveStateFlags.saveDhtState) !== 0) out['dht state'] = saveDhtState(params.dhtState)
  if ((flags & SAVE_IP_FILTER) !== 0) {
    const { v4, v6 } = params.ipFilter.exportRanges()
    // one range of all addresses without flags says nothing, but libtorrent writes it too
    out['ip_filter4'] = v4.map(writeRange)
    out['ip_filter6'] = v6.map(writeRange)
  }
  return out
}

/** As {@link writeSessionParams}, bencoded: fit to be written to a file. */
export function writeSessionParamsBuf(params: SessionParams, flags: SaveStateFlags = SaveStateFlags.all): Uint8Array {
  return bencode(writeSessionParams(params, flags))
}

function dictionary(value: Entry | undefined): Record<string, Entry> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) return null
  return value as Record<string, Entry>
}

function readSettings(from: Record<string, Entry>): SettingsPack {
  const pack: Record<string, SettingValue> = {}
  for (const { name, initial } of ALL_SETTINGS) {
    if (!Object.hasOwn(from, name)) continue
    const value = from[name]!
    if (typeof initial === 'string') {
      if (typeof value === 'string') pack[name] = value
      else if (value instanceof Uint8Array) pack[name] = bytesToText(value)
    } else if (typeof value === 'number' || typeof value === 'bigint') {
      const number = Number(BigInt.asIntN(32, BigInt(value)))
      pack[name] = typeof initial === 'boolean' ? number !== 0 : number
    }
  }
  return pack as SettingsPack
}

function readRanges(list: Entry | undefined, length: 4 | 16, filter: IpFilter): void {
  if (!Array.isArray(list)) return
  for (const item of list) {
    if (!(item instanceof Uint8Array) || item.length < 2 * length + 4) continue
    if (compare(item, 0, length, length) > 0) continue
    const flags = new DataView(item.buffer, item.byteOffset + 2 * length, 4).getUint32(0)
    filter.addRule(rangeEnd(item, 0, length), rangeEnd(item, length, length), flags)
  }
}

/** In the filter, IPv4-mapped addresses are IPv6. */
function rangeEnd(bytes: Uint8Array, at: number, length: 4 | 16): string {
  const text = addressFromBytes(bytes, at, length)
  return length === 16 && !text.includes(':') ? `::ffff:${text}` : text
}

function compare(bytes: Uint8Array, a: number, b: number, length: number): number {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return bytes[a + i]! - bytes[b + i]!
  return 0
}

function writeRange(range: IpRange): Uint8Array {
  const first = addressBytes(range.first)
  const last = addressBytes(range.last)
  const out = new Uint8Array(first.length + last.length + 4)
  out.set(first)
  out.set(last, first.length)
  new DataView(out.buffer).setUint32(first.length + last.length, range.flags)
  return out
}
