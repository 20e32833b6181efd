import { describe, expect, test } from 'vitest'
import { SeededRng } from '../../../src/core/rng.ts'
import { IpSource, IpVoter } from '../../../src/net/ip-voter.ts'

const rng = new SeededRng(1)
const randomV4 = () => `${1 + rng.below(9)}.${rng.below(256)}.${rng.below(256)}.${1 + rng.below(250)}`
const randomV6 = () => `2001:db8:${(1 + rng.below(0xfffe)).toString(16)}::${(1 + rng.below(0xfffe)).toString(16)}`
const A = '51.41.61.132'
const B = '53.12.91.100'

function voter(): IpVoter {
  return new IpVoter(new SeededRng(2), 0)
}
const vote = (v: IpVoter, ip: string, source = randomV4(), now = 0) => v.castVote(ip, IpSource.dht, source, now)

describe('external address votes', () => {
  test('the first statement is taken at once', () => {
    const v = voter()
    expect(v.externalAddress()).toBe(null)
    expect(vote(v, A)).toBe(true)
    expect(v.externalAddress()).toBe(A)
    expect(vote(v, A)).toBe(false)
  })

  test('random statements do not unsettle what many agree on', () => {
    const v = voter()
    expect(vote(v, A)).toBe(true)
    for (let i = 0; i < 1000; i++) expect(vote(v, randomV4())).toBe(false)
    expect(v.externalAddress()).toBe(A)
  })

  test('two addresses that get the same number of votes do not alternate', () => {
    const v = voter()
    vote(v, A)
    let changes = 0
    for (let i = 0; i < 500; i++) {
      if (vote(v, B)) changes++
      if (vote(v, randomV4())) changes++
      if (vote(v, A)) changes++
    }
    expect(changes).toBe(0)
    expect(v.externalAddress()).toBe(A)
  })

  test('an address that most agree on replaces the first one', () => {
    const v = voter()
    vote(v, B)
    let changes = 0
    for (let i = 0; i < 100; i++) {
      if (vote(v, A)) changes++
      if (vote(v, randomV4())) changes++
    }
    expect(changes).toBe(1)
    expect(v.externalAddress()).toBe(A)
  })

  test('one source cannot outvote others, whatever it repeats', () => {
    for (const random of [randomV4, randomV6]) {
      const v = voter()
      const real = random()
      const liar = random()
      const lie = random()
      for (let i = 0; i < 50; i++) {
        vote(v, real, random())
        vote(v, lie, liar)
        vote(v, random(), liar)
      }
      expect(v.externalAddress()).toBe(real)
    }
  })

  test('once settled, an address stays until 50 votes or five minutes later', () => {
    const v = voter()
    vote(v, A)
    vote(v, A)
    for (let i = 0; i < 49; i++) expect(vote(v, B)).toBe(false)
    expect(vote(v, B)).toBe(true)
    expect(v.externalAddress()).toBe(B)
    vote(v, A, randomV4(), 1000)
    vote(v, A, randomV4(), 2000)
    expect(v.externalAddress()).toBe(B)
    expect(vote(v, A, randomV4(), 5 * 60_000 + 1)).toBe(true)
    expect(v.externalAddress()).toBe(A)
  })

  test('addresses that cannot be seen from outside, and sources of the other family, do not count', () => {
    const v = voter()
    for (const ip of ['0.0.0.0', '127.0.0.1', '10.1.2.3', '192.168.0.1', '169.254.1.1']) expect(vote(v, ip)).toBe(false)
    for (const ip of ['::', '::1', 'fe80::1', 'fd00::1']) expect(vote(v, ip, randomV6())).toBe(false)
    expect(vote(v, A, '2001:db8::1')).toBe(false)
    expect(vote(v, '2001:db8::2', '1.2.3.4')).toBe(false)
    expect(v.externalAddress()).toBe(null)
  })
})
