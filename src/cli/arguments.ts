/** Values of options, read from text. Each throws commander's error for a wrong one, which ends in exit code 2. */

import { InvalidArgumentError } from 'commander'

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 * 1024, g: 1024 * 1024 * 1024 }

/** An address and a port, the address without brackets. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** `127.0.0.1:6881`, `[::1]:6881`, `host.example:6881`. */
export function parseHostPort(text: string, lowestPort: number): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port < lowestPort || port > 65535) {
    throw new InvalidArgumentError('Expected HOST:PORT; an IPv6 address goes in brackets, as in [::1]:6881.')
  }
  return { host: match[1] ?? match[2]!, port }
}

/** The value of `--listen`; port 0 lets the system choose. @returns what `listen_interfaces` takes */
export function parseListen(text: string): string {
  const { host, port } = parseHostPort(text, 0)
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** One of many `--peer`. */
export function collectPeer(text: string, previous: readonly HostPort[] = []): HostPort[] {
  return [...previous, parseHostPort(text, 1)]
}

/** One of many addresses of trackers or web seeds. */
export function collectUrl(text: string, previous: readonly string[] = []): string[] {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/\s]/i.test(text)) throw new InvalidArgumentError('Expected a URL.')
  return [...previous, text]
}

/** `NAME=VALUE` of one of many `--set`; what they mean is looked up when the library is loaded. */
export function collectAssignment(text: string, previous: readonly string[] = []): string[] {
  if (!/^[^=]+=/.test(text)) throw new InvalidArgumentError('Expected NAME=VALUE.')
  return [...previous, text]
}

/** Bytes: `262144`, `256k`, `256KiB`, `1M`. */
export function parseSize(text: string): number {
  const match = /^(\d{1,12})\s*([kmg]?)(?:i?b)?$/i.exec(text)
  const size = match === null ? 0 : Number(match[1]) * SIZE_UNITS[match[2]!.toLowerCase()]!
  if (size === 0) throw new InvalidArgumentError('Expected a number of bytes, such as 262144, 256K or 1M.')
  return size
}

/** Seconds, 1 to a day. */
export function parseSeconds(text: string): number {
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (seconds < 1 || seconds > 86_400) throw new InvalidArgumentError('Expected a number of seconds, 1 to 86400.')
  return seconds
}
