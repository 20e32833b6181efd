/** The setting `dht_bootstrap_nodes`. */

/**
 * Reads a comma-separated list such as `dht.libtorrent.org:25401, [2001:db8::1]:6881`.
 *
 * What has no port is passed over.
 */
export function parseHostPorts(text: string): [host: string, port: number][] {
  const out: [string, number][] = []
  for (const part of text.split(',')) {
    const colon = part.lastIndexOf(':')
    if (colon < 0) continue
    const host = part.slice(0, colon).trim().replace(/^\[/, '').replace(/\]$/, '')
    const port = Number.parseInt(part.slice(colon + 1), 10)
    if (host !== '' && port > 0 && port < 65536) out.push([host, port])
  }
  return out
}
