import { describe, expect, test } from 'vitest'
import { SocketType } from '../../../src/core/enums.ts'
import { countClosed, countConnected, countOpened, type GaugedPeer } from '../../../src/peer/peer-gauges.ts'
import { Counters } from '../../../src/stats/counters.ts'
import { sessionStatsMetrics } from '../../../src/stats/metric-table.ts'

const NEW: GaugedPeer = {
  socketType: SocketType.tcp,
  connecting: false,
  endgame: false,
  amInterested: false,
  peerInterested: false,
  amChoking: true,
  peerChoking: true,
  ignoresUnchokeSlots: false,
}

function values(counters: Counters): Record<string, number> {
  const found: Record<string, number> = {}
  for (const { name, valueIndex } of sessionStatsMetrics()) {
    if (counters.get(valueIndex) !== 0) found[name] = counters.get(valueIndex)
  }
  return found
}

describe('a connection', () => {
  test('is half open until it is connected, and in no gauge when it has ended', () => {
    const counters = new Counters()
    countOpened(counters, { ...NEW, connecting: true })
    expect(values(counters)).toEqual({ 'peer.num_tcp_peers': 1, 'peer.num_peers_half_open': 1 })
    countConnected(counters)
    expect(values(counters)).toEqual({ 'peer.num_tcp_peers': 1, 'peer.num_peers_connected': 1 })
    countClosed(counters, NEW)
    expect(values(counters)).toEqual({})
  })

  test('that ends before it is connected leaves no trace', () => {
    const counters = new Counters()
    const peer = { ...NEW, connecting: true, socketType: SocketType.socks5 }
    countOpened(counters, peer)
    countClosed(counters, peer)
    expect(values(counters)).toEqual({})
  })

  test.each([
    [{ endgame: true }, ['num_peers_end_game']],
    [{ amInterested: true }, ['num_peers_down_interested']],
    [{ peerInterested: true }, ['num_peers_up_interested']],
    [{ peerChoking: false }, ['num_peers_down_unchoked']],
    [{ amChoking: false }, ['num_peers_up_unchoked', 'num_peers_up_unchoked_all']],
    [{ amChoking: false, ignoresUnchokeSlots: true }, ['num_peers_up_unchoked_all']],
  ])('with %o leaves what that counted', (state, gauges) => {
    const counters = new Counters()
    countOpened(counters, NEW)
    countClosed(counters, { ...NEW, ...state })
    expect(values(counters)).toEqual(Object.fromEntries(gauges.map(name => [`peer.${name}`, -1])))
  })
})
