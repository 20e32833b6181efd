/** Which connections go through the proxy. The SOCKS and HTTP handshakes are the runtime's. */

import { ProxyType } from '../core/enums.ts'
import type { ProxyOptions } from '../core/runtime.ts'

/** The settings that decide; `SessionSettings` has them. */
export interface ProxySettings {
  readonly proxyType: number
  readonly proxyHostname: string
  readonly proxyPort: number
  readonly proxyUsername: string
  readonly proxyPassword: string
  readonly proxyHostnames: boolean
  readonly proxyPeerConnections: boolean
  readonly proxyTrackerConnections: boolean
}

/** What a connection is for. Web seeds carry payload, so they count as peers; the DHT is `other`. */
export type ProxyUse = 'peer' | 'tracker' | 'other'

/** How a datagram leaves: not at all if the proxy, which must be used, carries none. */
export type UdpRoute = 'direct' | 'proxy' | 'blocked'

/** The proxy for a connection; `null` if it goes straight. */
export function proxyFor(settings: ProxySettings, use: ProxyUse): ProxyOptions | null {
  if (!applies(settings, use)) return null
  const type = settings.proxyType
  const withPassword = type === ProxyType.socks5Pw || type === ProxyType.httpPw
  return {
    type,
    hostname: settings.proxyHostname,
    port: settings.proxyPort,
    // SOCKS4 has a user name and no password.
    username: withPassword || type === ProxyType.socks4 ? settings.proxyUsername : '',
    password: withPassword ? settings.proxyPassword : '',
    proxyHostnames: proxyResolves(settings, use),
  }
}

/** True if host names are given to the proxy, so that no look-up of ours betrays them. SOCKS4 cannot. */
export function proxyResolves(settings: ProxySettings, use: ProxyUse): boolean {
  return settings.proxyHostnames && settings.proxyType !== ProxyType.socks4 && applies(settings, use)
}

/** @see RFC 1928 (UDP ASSOCIATE): only SOCKS5 carries datagrams */
export function udpRoute(settings: ProxySettings, use: ProxyUse): UdpRoute {
  if (!applies(settings, use)) return 'direct'
  return isSocks5(settings.proxyType) ? 'proxy' : 'blocked'
}

/** True if no datagram has a reason to come or go past the proxy. */
export function udpOnlyByProxy(settings: ProxySettings): boolean {
  return applies(settings, 'peer') && applies(settings, 'tracker')
}

/** False if peers come through the proxy only, so that listening here would give our address away. */
export function acceptsIncoming(settings: ProxySettings): boolean {
  return !applies(settings, 'peer')
}

/** I2P is a network of its own: its setting concerns I2P torrents, not these connections. */
function applies(settings: ProxySettings, use: ProxyUse): boolean {
  if (settings.proxyType === ProxyType.none || settings.proxyType === ProxyType.i2pProxy) return false
  if (use === 'peer') return settings.proxyPeerConnections
  if (use === 'tracker') return settings.proxyTrackerConnections
  return true
}

function isSocks5(type: number): boolean {
  return type === ProxyType.socks5 || type === ProxyType.socks5Pw
}
