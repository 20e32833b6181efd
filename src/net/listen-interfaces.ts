/** The settings `listen_interfaces` and `outgoing_interfaces`: lists of addresses and device names. */

/** One entry of `listen_interfaces`. */
export interface ListenInterface {
  /** Address, without brackets, or name of a network device. */
  readonly device: string
  /** 0 lets the system choose. */
  readonly port: number
  /** `s`: accepts TLS connections of SSL torrents. */
  readonly ssl: boolean
  /** `l`: for peers on the local network only; not announced. */
  readonly local: boolean
}

export interface ParsedInterfaces {
  readonly interfaces: readonly ListenInterface[]
  /** The entries that could not be read, as they were written. Each is a `listen_failed_alert` (`invalid_port`). */
  readonly errors: readonly string[]
}

/** Reads a comma-separated list such as `eth0:6881s,[::]:0l`. Entries may be in double quotes. */
export function parseListenInterfaces(text: string): ParsedInterfaces {
  const interfaces: ListenInterface[] = []
  const errors: string[] = []
  let rest = text
  while (rest.length > 0) {
    const end = entryEnd(rest)
    const entry = unquote(strip(rest.slice(0, end)))
    rest = rest.slice(end + 1)
    if (entry === '') continue
    const parsed = parseEntry(entry)
    if (parsed === null) errors.push(entry)
    else interfaces.push(parsed)
  }
  return { interfaces, errors }
}

/** Reads `outgoing_interfaces`, such as `eth0, 127.0.0.1`. */
export function parseInterfaceNames(text: string): string[] {
  const parts = text.split(',')
  // Nothing, or only space, after the last comma is no entry.
  if (text === '' || parts[parts.length - 1] === '') parts.pop()
  return parts.map(strip)
}

function parseEntry(entry: string): ListenInterface | null {
  let device: string
  let rest: string
  if (entry.startsWith('[')) {
    const close = entry.indexOf(']')
    if (close < 0 || entry[close + 1] !== ':') return null
    device = entry.slice(1, close)
    rest = entry.slice(close + 2)
  } else {
    const colon = entry.indexOf(':')
    if (colon < 0) return null
    device = entry.slice(0, colon)
    rest = entry.slice(colon + 1)
  }
  const match = /^(\d{1,5})(?!\d)(.*)$/s.exec(strip(rest))
  if (match === null) return null
  const port = Number(match[1])
  if (port > 65535) return null
  const flags = match[2]!
  return { device: strip(device), port, ssl: flags.includes('s'), local: flags.includes('l') }
}

/** Where the first entry ends: at a comma that is not inside quotes the entry begins with. */
function entryEnd(text: string): number {
  let from = 0
  if (text.startsWith('"')) {
    const close = text.indexOf('"', 1)
    from = close < 0 ? text.length : close
  }
  const comma = text.indexOf(',', from)
  return comma < 0 ? text.length : comma
}

function unquote(entry: string): string {
  return entry.length > 1 && entry.startsWith('"') && entry.endsWith('"') ? entry.slice(1, -1) : entry
}

/** Without the white space of C at both ends. */
function strip(text: string): string {
  return text.replace(/^[ \t\n\r\f\v]+|[ \t\n\r\f\v]+$/g, '')
}
