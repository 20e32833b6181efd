/** Which network devices lead to the internet, where the system lets us read that: on Linux. */

import { readFileSync } from 'node:fs'
import { addressFromBytes, isGlobal, isUnspecified } from '../core/endpoint.ts'

/** Names of devices with a route to some public address, by family. */
export interface InternetDevices {
  readonly v4: ReadonlySet<string>
  readonly v6: ReadonlySet<string>
}

const REJECT = 0x200
const POINT_TO_POINT = 0x10

/** @returns `null` if it is not known, or if nothing leads there: the routes may come later than the network */
export function internetDevices(read: (path: string) => string | null = readSystemFile): InternetDevices | null {
  const v4 = new Set<string>()
  const v6 = new Set<string>()
  for (const line of linesOf(read('/proc/net/route')).slice(1)) {
    const [name, destination, , flags] = line
    // in the byte order of the machine; all that Node runs on is little-endian
    const bytes = Buffer.from(destination ?? '', 'hex').reverse()
    if (bytes.length === 4 && leadsOut(addressFromBytes(bytes, 0, 4), flags)) v4.add(name!)
  }
  for (const line of linesOf(read('/proc/net/ipv6_route'))) {
    const bytes = Buffer.from(line[0] ?? '', 'hex')
    if (bytes.length === 16 && leadsOut(addressFromBytes(bytes, 0, 16), line[8])) v6.add(line[9]!)
  }
  return v4.size + v6.size === 0 ? null : { v4, v6 }
}

/** Two ends of a wire: what is on the other one may be anything. */
export function isPointToPoint(device: string, read: (path: string) => string | null = readSystemFile): boolean {
  if (device === '' || device.includes('/') || device.startsWith('.')) return false
  return (Number(read(`/sys/class/net/${device}/flags`) ?? 0) & POINT_TO_POINT) !== 0
}

function leadsOut(destination: string, flags: string | undefined): boolean {
  if ((Number.parseInt(flags ?? '', 16) & REJECT) !== 0) return false
  return isUnspecified(destination) || isGlobal(destination)
}

function linesOf(text: string | null): string[][] {
  return (text ?? '')
    .split('\n')
    .filter(line => line !== '')
    .map(line => line.trim().split(/\s+/))
}

function readSystemFile(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // not Linux, or not allowed
    return null
  }
}
