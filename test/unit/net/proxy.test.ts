import { describe, expect, test } from 'vitest'
import { ProxyType } from '../../../src/core/enums.ts'
import {
  acceptsIncoming,
  type ProxySettings,
  proxyFor,
  proxyResolves,
  udpOnlyByProxy,
  udpRoute,
} from '../../../src/net/proxy.ts'

function settings(changes: Partial<ProxySettings>): ProxySettings {
  return {
    proxyType: ProxyType.none,
    proxyHostname: 'proxy.test',
    proxyPort: 1080,
    proxyUsername: 'me',
    proxyPassword: 'secret',
    proxyHostnames: true,
    proxyPeerConnections: true,
    proxyTrackerConnections: true,
    ...changes,
  }
}

const USES = ['peer', 'tracker', 'other'] as const

describe('proxy', () => {
  test('without one everything goes straight', () => {
    const s = settings({})
    for (const use of USES) {
      expect(proxyFor(s, use)).toBe(null)
      expect(udpRoute(s, use)).toBe('direct')
      expect(proxyResolves(s, use)).toBe(false)
    }
    expect(acceptsIncoming(s)).toBe(true)
  })

  test('credentials are given to the kinds that take them', () => {
    const of = (proxyType: number) => {
      const { username, password } = proxyFor(settings({ proxyType }), 'peer')!
      return `${username}:${password}`
    }
    expect(of(ProxyType.socks5)).toBe(':')
    expect(of(ProxyType.http)).toBe(':')
    expect(of(ProxyType.socks5Pw)).toBe('me:secret')
    expect(of(ProxyType.httpPw)).toBe('me:secret')
    expect(of(ProxyType.socks4)).toBe('me:')
  })

  test('peers and trackers can be exempted, the rest cannot', () => {
    const s = settings({ proxyType: ProxyType.socks5, proxyPeerConnections: false })
    expect(USES.map(use => proxyFor(s, use) !== null)).toEqual([false, true, true])
    expect(acceptsIncoming(s)).toBe(true)
    const t = settings({ proxyType: ProxyType.socks5, proxyTrackerConnections: false })
    expect(USES.map(use => proxyFor(t, use) !== null)).toEqual([true, false, true])
    expect(acceptsIncoming(t)).toBe(false)
  })

  test('only SOCKS5 carries datagrams; with another proxy they must not leave', () => {
    expect(udpRoute(settings({ proxyType: ProxyType.socks5 }), 'other')).toBe('proxy')
    expect(udpRoute(settings({ proxyType: ProxyType.socks5Pw }), 'tracker')).toBe('proxy')
    for (const proxyType of [ProxyType.socks4, ProxyType.http, ProxyType.httpPw]) {
      expect(udpRoute(settings({ proxyType }), 'other')).toBe('blocked')
      expect(udpRoute(settings({ proxyType, proxyTrackerConnections: false }), 'tracker')).toBe('direct')
    }
  })

  test('datagrams have no reason to go past it if peers and trackers both use it', () => {
    expect(udpOnlyByProxy(settings({}))).toBe(false)
    for (const proxyType of [ProxyType.socks5, ProxyType.http]) {
      expect(udpOnlyByProxy(settings({ proxyType }))).toBe(true)
      expect(udpOnlyByProxy(settings({ proxyType, proxyPeerConnections: false }))).toBe(false)
      expect(udpOnlyByProxy(settings({ proxyType, proxyTrackerConnections: false }))).toBe(false)
    }
  })

  test('host names are left to the proxy if it is used, can do it and is to do it', () => {
    expect(proxyFor(settings({ proxyType: ProxyType.socks5 }), 'tracker')!.proxyHostnames).toBe(true)
    expect(proxyFor(settings({ proxyType: ProxyType.http }), 'tracker')!.proxyHostnames).toBe(true)
    expect(proxyFor(settings({ proxyType: ProxyType.socks4 }), 'tracker')!.proxyHostnames).toBe(false)
    expect(proxyResolves(settings({ proxyType: ProxyType.socks5, proxyHostnames: false }), 'tracker')).toBe(false)
    expect(proxyResolves(settings({ proxyType: ProxyType.socks5, proxyPeerConnections: false }), 'peer')).toBe(false)
  })

  test('an I2P router is no proxy for connections of the internet', () => {
    expect(proxyFor(settings({ proxyType: ProxyType.i2pProxy }), 'peer')).toBe(null)
  })
})
