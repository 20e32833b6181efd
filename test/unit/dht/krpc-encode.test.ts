import baseline from 'bencode'
import { describe, expect, test } from 'vitest'
import { softError } from '../../../src/bencode/soft-error.ts'
import { Sha1Hash } from '../../../src/core/digest.ts'
import type { Endpoint } from '../../../src/core/endpoint.ts'
import { KrpcDecoder } from '../../../src/dht/krpc.ts'
import {
  type CompactNode,
  encodeError,
  encodeForeignReply,
  encodeQuery,
  encodeReply,
  type KrpcQuery,
  KrpcReply,
  type QueryEnvelope,
} from '../../../src/dht/krpc-encode.ts'
import { KrpcWriter } from '../../../src/dht/krpc-writer.ts'

const OURS = new Sha1Hash(bytes('abcdefghij0123456789'))
const TARGET = new Sha1Hash(bytes('mnopqrstuvwxyz123456'))
const V4: Endpoint = ['1.2.3.4', 6881]
const V6: Endpoint = ['2001:db8::1', 6881]

/** `v` of libtorrent 2.1.0: `LT`, 2, 1 << 4 | 0. */
const V = '1:v4:LT\x02\x10'

function bytes(binary: string): Uint8Array {
  return Uint8Array.from(binary, c => c.charCodeAt(0))
}

function binary(packet: Uint8Array): string {
  return Buffer.from(packet).toString('latin1')
}

function query(asked: KrpcQuery, more: Partial<QueryEnvelope> = {}): string {
  const out = new KrpcWriter()
  encodeQuery(out, asked, { transactionId: 0x6161, id: OURS, want: null, readOnly: false, ...more })
  return binary(canonical(out.view()))
}

/** Checks that a packet is what another encoder would make of it, and that its keys are in order. */
function canonical(packet: Uint8Array): Uint8Array {
  const message = new KrpcDecoder().decode(packet)
  expect(message).not.toBeNull()
  expect(softError(message!.table, 0)).toBe('')
  expect(message!.table.end(0)).toBe(packet.length)
  expect(binary(baseline.encode(baseline.decode(Buffer.from(packet))))).toBe(binary(packet))
  return packet
}

function asked(tid = 'aa') {
  return new KrpcDecoder().decode(bytes(`d1:ad2:id20:mnopqrstuvwxyz123456e1:q4:ping1:t${tid.length}:${tid}1:y1:qe`))!
}

function reply(fill: (reply: KrpcReply) => void = () => {}, to = V4, tid = 'aa'): string {
  const out = new KrpcWriter()
  const body = new KrpcReply()
  fill(body)
  encodeReply(out, asked(tid), to, OURS, body)
  return binary(canonical(out.view()))
}

function node(letter: string, size = 26): CompactNode {
  const compact = bytes(letter.repeat(size))
  return { compact: () => compact }
}

describe('queries', () => {
  test('are those of BEP 5, with our version', () => {
    expect(query({ method: 'ping' })).toBe(`d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa${V}1:y1:qe`)
    expect(query({ method: 'find_node', target: TARGET })).toBe(
      `d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa${V}1:y1:qe`,
    )
    expect(query({ method: 'get_peers', infoHash: TARGET, noseed: false, bootstrap: false })).toBe(
      `d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa${V}1:y1:qe`,
    )
    expect(
      query({
        method: 'announce_peer',
        infoHash: TARGET,
        port: 6881,
        token: bytes('aoeusnth'),
        seed: true,
        impliedPort: true,
      }),
    ).toBe(
      'd1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e4:seedi1e' +
        `5:token8:aoeusnthe1:q13:announce_peer1:t2:aa${V}1:y1:qe`,
    )
  })

  test('an announce says `seed` always and `implied_port` only if it is so', () => {
    const announce = query({
      method: 'announce_peer',
      infoHash: TARGET,
      port: 0,
      token: new Uint8Array(0),
      seed: false,
      impliedPort: false,
    })
    expect(announce).toContain('4:porti0e4:seedi0e5:token0:e')
    expect(announce).not.toContain('implied_port')
  })

  test('get_peers may ask for no seeds, and say that we are new', () => {
    expect(query({ method: 'get_peers', infoHash: TARGET, noseed: true, bootstrap: true })).toContain(
      'd1:ad2:bsi1e2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234566:noseedi1ee1:q',
    )
  })

  test('get and sample_infohashes have a target', () => {
    for (const method of ['get', 'sample_infohashes'] as const) {
      expect(query({ method, target: TARGET })).toBe(
        'd1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e' +
          `1:q${method.length}:${method}1:t2:aa${V}1:y1:qe`,
      )
    }
  })

  test('a put has the value as it is, and of a mutable item all that is signed', () => {
    expect(query({ method: 'put', value: bytes('12:Hello World!'), token: bytes('tk'), signed: null })).toBe(
      `d1:ad2:id20:abcdefghij01234567895:token2:tk1:v12:Hello World!e1:q3:put1:t2:aa${V}1:y1:qe`,
    )
    const key = new Uint8Array(32).fill(0x6b)
    const signature = new Uint8Array(64).fill(0x73)
    const signed = { key, signature, seq: 4, salt: new Uint8Array(0) }
    const put = (more: object) =>
      query({ method: 'put', value: bytes('i1e'), token: bytes('tk'), signed: { ...signed, ...more } })
    expect(put({})).toContain(`1:k32:${'k'.repeat(32)}3:seqi4e3:sig64:${'s'.repeat(64)}5:token2:tk1:vi1ee1:q3:put`)
    expect(put({ salt: bytes('foobar') })).toContain(`1:k32:${'k'.repeat(32)}4:salt6:foobar3:seqi4e3:sig64:`)
  })

  test('a version beyond 2^53 is written exactly', () => {
    const out = new KrpcWriter()
    const signed = { key: OURS.view(), signature: OURS.view(), seq: 9223372036854775807n, salt: new Uint8Array(0) }
    const put = { method: 'put', value: bytes('i1e'), token: bytes('tk'), signed } as const
    encodeQuery(out, put, { transactionId: 1, id: OURS, want: null, readOnly: false })
    expect(binary(out.view())).toContain('3:seqi9223372036854775807e3:sig')
  })

  test('say which nodes are wanted, and that we are read-only', () => {
    expect(query({ method: 'ping' }, { want: 'n6' })).toContain('d2:id20:abcdefghij01234567894:wantl2:n6ee1:q')
    expect(query({ method: 'find_node', target: TARGET }, { want: 'n4' })).toContain('z1234564:wantl2:n4ee1:q')
    expect(query({ method: 'ping' }, { readOnly: true })).toContain('1:q4:ping2:roi1e1:t2:aa')
  })

  test('of the user are sent with what is ours put in', () => {
    const entry = { q: 'test_good', a: { id: 'forged', x: 1 }, y: 'z', t: 'mine', v: 'XX', ro: 0 }
    expect(query({ method: 'direct', entry })).toBe(
      `d1:ad2:id20:abcdefghij01234567891:xi1ee1:q9:test_good2:roi0e1:t2:aa${V}1:y1:qe`,
    )
    expect(query({ method: 'direct', entry: { q: 'x' } }, { readOnly: true, want: 'n4' })).toBe(
      `d1:ad2:id20:abcdefghij01234567894:wantl2:n4ee1:q1:x2:roi1e1:t2:aa${V}1:y1:qe`,
    )
    expect(query({ method: 'direct', entry: { q: 'x', a: { want: ['n6'] } } }, { want: 'n4' })).toContain(
      '4:wantl2:n62:n4ee1:q',
    )
    // what stands for the arguments must be a dictionary
    for (const a of [1, 'text', bytes('text'), [1]]) {
      expect(query({ method: 'direct', entry: { q: 'x', a } })).toContain('d1:ad2:id20:abcdefghij0123456789e1:q1:x')
    }
  })

  test('keep the transaction id of 16 bits', () => {
    expect(query({ method: 'ping' }, { transactionId: 0 })).toContain('1:t2:\0\0')
    expect(query({ method: 'ping' }, { transactionId: 0xff01 })).toContain('1:t2:\xff\x01')
    expect(query({ method: 'direct', entry: { q: 'x' } }, { transactionId: 0xff01 })).toContain('1:t2:\xff\x01')
  })
})

describe('responses', () => {
  test('say who we are and what the asker\u2019s address and port are', () => {
    expect(reply()).toBe(`d2:ip6:\x01\x02\x03\x04\x1a\xe11:rd2:id20:abcdefghij01234567891:pi6881ee1:t2:aa${V}1:y1:re`)
    expect(reply(() => {}, V6)).toContain(`d2:ip18:\x20\x01\x0d\xb8${'\0'.repeat(11)}\x01\x1a\xe11:rd`)
    expect(reply(() => {}, ['255.0.10.199', 65535])).toContain('2:ip6:\xff\x00\x0a\xc7\xff\xff')
  })

  test('give back the transaction id whatever its length', () => {
    for (const tid of ['', 'x', 'aa', 'x'.repeat(10), 'y'.repeat(200)]) {
      expect(reply(() => {}, V4, tid)).toContain(`e1:t${tid.length}:${tid}1:v4:LT`)
    }
    const out = new KrpcWriter()
    const none = new KrpcDecoder().decode(bytes('d1:q4:ping1:y1:qe'))!
    encodeReply(out, none, V4, OURS, new KrpcReply())
    expect(binary(out.view())).toContain('e1:t0:1:v4:LT')
  })

  test('list nodes of both families', () => {
    const nodes = [node('a'), node('b')]
    const nodes6 = [node('c', 38)]
    expect(reply(r => Object.assign(r, { nodes, nodes6 }))).toContain(
      `5:nodes52:${'a'.repeat(26)}${'b'.repeat(26)}6:nodes638:${'c'.repeat(38)}1:pi6881e`,
    )
    expect(reply(r => Object.assign(r, { nodes: [] }))).toContain('5:nodes0:1:p')
  })

  test('of get_peers', () => {
    const told = reply(r => {
      r.nodes = [node('a')]
      r.token = bytes('tokn')
      r.values = [bytes('axje.u'), bytes('idhtnm')]
      r.name = bytes('test')
    })
    expect(told).toContain(
      `01234567891:n4:test5:nodes26:${'a'.repeat(26)}1:pi6881e5:token4:tokn6:valuesl6:axje.u6:idhtnmee1:t2:aa`,
    )
    expect(reply(r => Object.assign(r, { values: [] }))).toContain('6:valueslee1:t')
  })

  test('of a scrape', () => {
    const told = reply(r => {
      r.downloaders = new Uint8Array(256).fill(0x64)
      r.seeds = new Uint8Array(256).fill(0x73)
    })
    expect(told).toContain(`1:rd4:BFpe256:${'d'.repeat(256)}4:BFsd256:${'s'.repeat(256)}2:id20:`)
  })

  test('of get', () => {
    const told = reply(r => {
      r.key = new Uint8Array(32).fill(0x6b)
      r.seq = 4
      r.signature = new Uint8Array(64).fill(0x73)
      r.token = bytes('tokn')
      r.value = bytes('l1:xe')
    })
    expect(told).toContain(
      `1:k32:${'k'.repeat(32)}1:pi6881e3:seqi4e3:sig64:${'s'.repeat(64)}5:token4:tokn1:vl1:xee1:t2:aa`,
    )
    expect(reply(r => Object.assign(r, { seq: 0 }))).toContain('3:seqi0e')
  })

  test('of sample_infohashes', () => {
    const told = reply(r => {
      r.interval = 21600
      r.num = 0
      r.samples = new Uint8Array(0)
    })
    expect(told).toContain('8:intervali21600e3:numi0e1:pi6881e7:samples0:e1:t')
    const two = reply(r => Object.assign(r, { samples: new Uint8Array(40).fill(0x68) }))
    expect(two).toContain(`7:samples40:${'h'.repeat(40)}`)
  })

  test('have nothing of the one before once that is cleared', () => {
    const body = new KrpcReply()
    Object.assign(body, { nodes: [node('a')], nodes6: [node('b', 38)], token: OURS.view(), values: [OURS.view()] })
    Object.assign(body, { name: OURS.view(), downloaders: OURS.view(), seeds: OURS.view(), value: bytes('i1e') })
    Object.assign(body, { key: OURS.view(), signature: OURS.view(), seq: 1, samples: OURS.view(), interval: 1, num: 1 })
    body.clear()
    const out = new KrpcWriter()
    encodeReply(out, asked(), V4, OURS, body)
    expect(binary(out.view())).toBe(reply())
  })

  test('made by others go out as they are', () => {
    const out = new KrpcWriter()
    encodeForeignReply(out, asked(), V4, bytes('d1:xi1ee'))
    expect(binary(canonical(out.view()))).toBe(`d2:ip6:\x01\x02\x03\x04\x1a\xe11:rd1:xi1ee1:t2:aa${V}1:y1:re`)
  })

  test('larger than the buffer make it grow', () => {
    const out = new KrpcWriter(8)
    const body = new KrpcReply()
    body.values = Array.from({ length: 100 }, () => bytes('axje.u'))
    encodeReply(out, asked(), V4, OURS, body)
    const first = binary(canonical(out.view()))
    expect(first).toContain(`6:valuesl${'6:axje.u'.repeat(100)}e`)
    out.clear()
    encodeReply(out, asked(), V4, OURS, body)
    expect(binary(out.view())).toBe(first)
  })
})

describe('errors', () => {
  const error = (to: Endpoint | null, id: Sha1Hash | null) => {
    const out = new KrpcWriter()
    encodeError(out, asked(), 203, 'invalid token', to, id)
    return binary(canonical(out.view()))
  }

  test('have a code and a text', () => {
    expect(error(null, null)).toBe(`d1:eli203e13:invalid tokene1:t2:aa${V}1:y1:ee`)
  })

  test('tell the asker its address, and who we are, as far as libtorrent has got with the response', () => {
    expect(error(V4, null)).toBe(`d1:eli203e13:invalid tokene2:ip6:\x01\x02\x03\x04\x1a\xe11:t2:aa${V}1:y1:ee`)
    expect(error(V4, OURS)).toBe(
      `d1:eli203e13:invalid tokene2:ip6:\x01\x02\x03\x04\x1a\xe11:rd2:id20:abcdefghij01234567891:pi6881ee1:t2:aa${V}1:y1:ee`,
    )
  })
})

test('numbers are written as bencoding has them', () => {
  const out = new KrpcWriter(4)
  const numbers = [0, 1, 9, 10, 99, 100, 65535, 2147483646, 2147483647, 2147483648, Number.MAX_SAFE_INTEGER, -1, -10]
  for (const n of numbers) {
    out.clear()
    out.int(n)
    expect(binary(out.view())).toBe(`i${n}e`)
  }
  out.clear()
  out.int(-(2n ** 63n))
  expect(binary(out.view())).toBe('i-9223372036854775808e')
  for (const length of [0, 9, 10, 208, 1000]) {
    out.clear()
    out.string(new Uint8Array(length).fill(0x78))
    expect(binary(out.view())).toBe(`${length}:${'x'.repeat(length)}`)
  }
})
