import { describe, expect, test } from 'vitest'
import { AlertQueue } from '../../../src/alert/alert-queue.ts'
import { AlertCategory } from '../../../src/core/enums.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import { Turn } from '../../../src/core/turn.ts'
import { IpSource } from '../../../src/net/ip-voter.ts'
import { ExternalAddresses, type VotingSocket } from '../../../src/session/external-addresses.ts'
import { Simulation } from '../../sim/lib/simulation.ts'

const A = '51.41.61.132'
const B = '53.12.91.100'
const V6 = '2a00:1450::8'

function socket(address: string, proxied = false): VotingSocket {
  return { local: [address, 6881], proxied }
}

function make(...sockets: VotingSocket[]) {
  const sim = new Simulation(1)
  const runtime = sim.host('a')
  const turn = new Turn(
    () => sim.clock.now(),
    error => {
      throw error
    },
  )
  const alerts = new AlertQueue(runtime, AlertCategory.status, 100)
  const open = [...sockets]
  const external = new ExternalAddresses({ turn, rng: new SeededRng(3), alerts, sockets: () => open })
  const changes: string[] = []
  const stop = external.onChanged((of, address) => void changes.push(`${of.local[0]} ${address}`))
  const { peer } = IpSource
  let voter = 0
  const vote = (local: string, address: string, by = `8.${voter >> 8}.${voter++ & 255}.1`) =>
    external.vote([local, 50_000], address, peer, by)
  const messages = () => alerts.pop().map(alert => alert.message())
  return { external, changes, stop, vote, messages, open }
}

describe('external addresses', () => {
  test('are voted on for each listen socket', () => {
    const one = socket('192.168.1.2')
    const two = socket('10.0.0.2')
    const { external, changes, vote, messages } = make(one, two)
    expect(external.of(one)).toBeNull()
    vote('192.168.1.2', A)
    vote('10.0.0.2', B)
    vote('192.168.1.2', A)
    expect([external.of(one), external.of(two)]).toEqual([A, B])
    expect(changes).toEqual([`192.168.1.2 ${A}`, `10.0.0.2 ${B}`])
    expect(messages()).toEqual([`external IP received: ${A}`, `external IP received: ${B}`])
  })

  test('change when most say so, for that socket only', () => {
    const one = socket('192.168.1.2')
    const two = socket('10.0.0.2')
    const { external, changes, vote } = make(one, two)
    vote('192.168.1.2', A)
    vote('10.0.0.2', A)
    changes.length = 0
    for (let i = 0; i < 100; i++) vote('10.0.0.2', B)
    expect(changes).toEqual([`10.0.0.2 ${B}`])
    expect([external.of(one), external.of(two)]).toEqual([A, B])
  })

  test('count for no socket if the connection was not bound to one', () => {
    const one = socket('192.168.1.2')
    const { external, changes, vote } = make(one)
    vote('192.168.1.3', A)
    vote('fe80::1', V6, '2a00::1')
    expect(external.of(one)).toBeNull()
    expect(changes).toEqual([])
  })

  test('count for the socket on all addresses of the family, but not for one of a proxy', () => {
    const v6 = socket('::')
    const v4 = socket('0.0.0.0')
    const proxied = socket('0.0.0.0', true)
    const { external, vote, open } = make(v6, v4)
    vote('192.168.1.3', A)
    expect([external.of(v4), external.of(v6)]).toEqual([A, null])
    open.splice(0, 2, proxied)
    vote('192.168.1.3', B)
    expect(external.of(proxied)).toBeNull()
    // trackers are asked by the socket itself
    vote('0.0.0.0', B)
    expect(external.of(proxied)).toBe(B)
  })

  test.each([
    ['unspecified', '0.0.0.0'],
    ['loopback', '127.0.0.1'],
    ['private', '10.1.2.3'],
    ['link-local', '169.254.1.2'],
    ['multicast', '239.1.2.3'],
    ['of the other family', V6],
    ['no address', 'localhost'],
    ['empty', ''],
  ])('that are %s are refused', (_name, address) => {
    const one = socket('192.168.1.2')
    const { external, vote } = make(one)
    vote('192.168.1.2', address)
    expect(external.of(one)).toBeNull()
  })

  test.each(['::', '::1', 'fe80::1', 'fd00::1', 'ff02::1', A])('that are no public IPv6 (%s) are refused', address => {
    const one = socket('2001:db8::2')
    const { external, vote } = make(one)
    vote('2001:db8::2', address, '2a00::77')
    expect(external.of(one)).toBeNull()
    vote('2001:db8::2', V6, '2a00::77')
    expect(external.of(one)).toBe(V6)
  })

  test('from nobody in particular do not count', () => {
    const one = socket('192.168.1.2')
    const { external, vote } = make(one)
    for (const by of ['', '0.0.0.0', 'proxy.example', V6]) vote('192.168.1.2', A, by)
    expect(external.of(one)).toBeNull()
  })

  test('that are written in another way are the same', () => {
    const one = socket('2001:db8::2')
    const { external, changes } = make(one)
    external.voteFor(one, '2A00:1450:0::8', IpSource.dht, '2A00::77')
    external.voteFor(one, V6, IpSource.dht, '2a00::78')
    expect(changes).toEqual([`2001:db8::2 ${V6}`])
  })

  test('are told to all who listen, until they stop', () => {
    const one = socket('192.168.1.2')
    const { external, changes, stop, vote } = make(one)
    const also: string[] = []
    external.onChanged((_of, address) => void also.push(address))
    stop()
    vote('192.168.1.2', A)
    expect(changes).toEqual([])
    expect(also).toEqual([A])
  })
})

describe('our address towards a peer', () => {
  test('is not known at first', () => {
    const { external } = make()
    expect([external.towards('8.8.8.8'), external.towards('2a00::1'), external.towards('10.0.0.9')]).toEqual([
      '0.0.0.0',
      '::',
      '0.0.0.0',
    ])
  })

  test('is what others say, and on the local network the one we have there', () => {
    const { external, vote } = make(socket('127.0.0.1'), socket('192.168.1.2'), socket('fd00::2'))
    expect(external.towards('8.8.8.8')).toBe('0.0.0.0')
    vote('192.168.1.2', A)
    vote('fd00::2', V6, '2a00::77')
    expect(external.towards('8.8.8.8')).toBe(A)
    expect(external.towards('2a00::1')).toBe(V6)
    expect(external.towards('192.168.1.77')).toBe('192.168.1.2')
    expect(external.towards('127.0.0.1')).toBe('127.0.0.1')
    expect(external.towards('fe80::9')).toBe('fd00::2')
  })

  test('is a public one of ours while nobody has said anything', () => {
    const { external, vote } = make(socket('192.168.1.2'), socket('81.2.3.4'))
    expect(external.towards('8.8.8.8')).toBe('81.2.3.4')
    expect(external.towards('192.168.1.9')).toBe('192.168.1.2')
    vote('192.168.1.2', A)
    expect(external.towards('8.8.8.8')).toBe(A)
  })
})
