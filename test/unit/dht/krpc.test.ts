import { describe, expect, test } from 'vitest'
import { TOKEN_DICT, TOKEN_INTEGER, TOKEN_LIST, TOKEN_STRING } from '../../../src/bencode/token-table.ts'
import { bytesToHex } from '../../../src/core/bytes.ts'
import { SeededRng } from '../../../src/core/rng.ts'
import {
  isKrpcPacket,
  type KeyRule,
  KrpcDecoder,
  type KrpcMessage,
  KrpcMethod,
  KrpcType,
  MAX_PACKET_SIZE,
  verifyKeys,
} from '../../../src/dht/krpc.ts'

function bytes(binary: string): Uint8Array {
  return Uint8Array.from(binary, c => c.charCodeAt(0))
}

function decode(binary: string): KrpcMessage {
  const message = new KrpcDecoder().decode(bytes(binary))
  if (message === null) throw new Error('not decoded')
  return message
}

function string(message: KrpcMessage, token: number): string {
  return String.fromCharCode(...message.table.string(token))
}

/** The example packets of BEP 5. */
const BEP5 = {
  ping: 'd1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe',
  pong: 'd1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re',
  findNode: 'd1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe',
  foundNode: 'd1:rd2:id20:0123456789abcdefghij5:nodes9:def456...e1:t2:aa1:y1:re',
  getPeers: 'd1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe',
  peers: 'd1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re',
  closer: 'd1:rd2:id20:abcdefghij01234567895:nodes9:def456...5:token8:aoeusnthe1:t2:aa1:y1:re',
  announce:
    'd1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe',
  error: 'd1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee',
}

describe('the packets of BEP 5', () => {
  test('queries', () => {
    for (const [name, method] of [
      ['ping', KrpcMethod.ping],
      ['findNode', KrpcMethod.findNode],
      ['getPeers', KrpcMethod.getPeers],
      ['announce', KrpcMethod.announcePeer],
    ] as const) {
      const message = decode(BEP5[name])
      expect(message.type).toBe(KrpcType.query)
      expect(message.method()).toBe(method)
      expect(message.checkQuery()).toBe('')
      expect(message.senderId()?.toBytes()).toEqual(bytes('abcdefghij0123456789'))
      expect(message.transactionId()).toBe(0x6161)
      expect(string(message, message.transactionToken)).toBe('aa')
      expect(message.responseToken).toBe(-1)
      expect(message.readOnly).toBe(false)
    }
    const find = decode(BEP5.findNode)
    const target = find.table.findKind(find.argumentsToken, 'target', TOKEN_STRING)
    expect(string(find, target)).toBe('mnopqrstuvwxyz123456')
    expect(find.queryName()).toBe('find_node')
  })

  test('responses', () => {
    for (const name of ['pong', 'foundNode', 'peers', 'closer'] as const) {
      const message = decode(BEP5[name])
      expect(message.type).toBe(KrpcType.response)
      expect(message.responseToken).toBeGreaterThan(0)
      expect(message.senderId()).not.toBeNull()
      expect(message.argumentsToken).toBe(-1)
      expect(message.queryToken).toBe(-1)
    }
    expect(decode(BEP5.pong).senderId()?.toBytes()).toEqual(bytes('mnopqrstuvwxyz123456'))
  })

  test('an error', () => {
    const message = decode(BEP5.error)
    expect(message.type).toBe(KrpcType.error)
    expect(message.errorText()).toEqual({ code: 201, text: 'A Generic Error Ocurred' })
    expect(message.senderId()).toBeNull()
  })

  test('one cut anywhere is none', () => {
    const decoder = new KrpcDecoder()
    for (const packet of Object.values(BEP5)) {
      const whole = bytes(packet)
      for (let cut = 0; cut < whole.length; cut++) {
        expect(decoder.decode(whole.subarray(0, cut)), `${packet} cut at ${cut}`).toBeNull()
      }
      expect(decoder.decode(whole)).not.toBeNull()
    }
  })
})

describe('what is taken for a packet of the DHT', () => {
  test('one longer than 20 bytes that begins and ends as a dictionary does', () => {
    for (const packet of Object.values(BEP5)) expect(isKrpcPacket(bytes(packet))).toBe(true)
    expect(isKrpcPacket(bytes(`d1:t${'x'.repeat(15)}e`))).toBe(false)
    expect(isKrpcPacket(bytes(`d1:t${'x'.repeat(16)}e`))).toBe(true)
    expect(isKrpcPacket(bytes(`l1:t${'x'.repeat(16)}e`))).toBe(false)
    expect(isKrpcPacket(bytes(`d1:t${'x'.repeat(17)}`))).toBe(false)
    expect(isKrpcPacket(new Uint8Array(0))).toBe(false)
  })

  test('1500 bytes are the most', () => {
    const pad = (size: number) => {
      const head = 'd1:rd2:id20:mnopqrstuvwxyz1234566:values'
      const tail = 'e1:t2:aa1:y1:re'
      const length = size - head.length - tail.length - 5
      return bytes(`${head}${length}:${'x'.repeat(length)}${tail}`)
    }
    const decoder = new KrpcDecoder()
    expect(pad(MAX_PACKET_SIZE)).toHaveLength(1500)
    expect(decoder.decode(pad(MAX_PACKET_SIZE))).not.toBeNull()
    expect(decoder.decode(pad(MAX_PACKET_SIZE + 1))).toBeNull()
  })

  test('ten levels and 500 tokens are the most', () => {
    const decoder = new KrpcDecoder()
    const nested = (levels: number) => bytes(`d1:a${'l'.repeat(levels)}${'e'.repeat(levels)}1:y1:qe`)
    expect(decoder.decode(nested(8))).not.toBeNull()
    expect(decoder.decode(nested(10))).toBeNull()
    const many = (items: number) => bytes(`d1:al${'0:'.repeat(items)}e1:y1:qe`)
    expect(decoder.decode(many(490))).not.toBeNull()
    expect(decoder.decode(many(500))).toBeNull()
    // and it goes on as if nothing had been
    expect(decoder.decode(bytes(BEP5.ping))?.method()).toBe(KrpcMethod.ping)
  })

  test('only a dictionary', () => {
    const decoder = new KrpcDecoder()
    for (const packet of ['le', 'l1:y1:qe', 'i1e', '1:a', 'e', '', 'd', 'de1']) {
      const message = decoder.decode(bytes(packet))
      if (packet === 'de1') expect(message?.type).toBe(KrpcType.none)
      else expect(message, packet).toBeNull()
    }
  })
})

describe('a field', () => {
  test('of the wrong type is absent', () => {
    const message = decode('d1:a1:x1:e1:x2:ipi1e1:qi1e1:rle2:ro1:11:ti1e1:yi1ee')
    expect(message.type).toBe(KrpcType.none)
    for (const token of [
      message.argumentsToken,
      message.errorToken,
      message.ipToken,
      message.queryToken,
      message.responseToken,
      message.transactionToken,
    ]) {
      expect(token).toBe(-1)
    }
    expect(message.readOnly).toBe(false)
    expect(message.transactionId()).toBe(-1)
    expect(message.externalAddress()).toBeNull()
    expect(message.errorText()).toBeNull()
    expect(message.queryName()).toBe('')
  })

  test('of one packet does not stay for the next', () => {
    const decoder = new KrpcDecoder()
    decoder.decode(bytes('d1:ad2:id20:abcdefghij0123456789e1:eli1e1:xe2:ip4:abcd1:q4:ping1:rde2:roi1e1:t2:aa1:y1:qe'))
    const message = decoder.decode(bytes('d1:x1:ye'))!
    expect(message.type).toBe(KrpcType.none)
    expect([message.argumentsToken, message.errorToken, message.ipToken, message.queryToken]).toEqual([-1, -1, -1, -1])
    expect([message.responseToken, message.transactionToken]).toEqual([-1, -1])
    expect(message.readOnly).toBe(false)
  })

  test('that is there twice counts the first time, whatever its type', () => {
    expect(decode('d1:q4:ping1:q9:find_nodee').method()).toBe(KrpcMethod.ping)
    expect(decode('d1:qi1e1:q9:find_nodee').method()).toBe(KrpcMethod.unknown)
    expect(decode('d1:y1:q1:y1:re').type).toBe(KrpcType.query)
  })

  test('`y` must be one of three letters', () => {
    expect(decode('d1:y1:qe').type).toBe(KrpcType.query)
    expect(decode('d1:y1:re').type).toBe(KrpcType.response)
    expect(decode('d1:y1:ee').type).toBe(KrpcType.error)
    expect(decode('d1:y1:xe').type).toBe(KrpcType.none)
    expect(decode('d1:y2:qqe').type).toBe(KrpcType.none)
    expect(decode('d1:y0:e').type).toBe(KrpcType.none)
  })

  test('`ro` is any number but 0', () => {
    expect(decode('d2:roi1ee').readOnly).toBe(true)
    expect(decode('d2:roi-7ee').readOnly).toBe(true)
    expect(decode('d2:roi0ee').readOnly).toBe(false)
  })

  test('`ip` has an address of 4 or 16 bytes, and may have a port behind it', () => {
    const ip = (value: string) => decode(`d2:ip${value.length}:${value}1:y1:re`).externalAddress()
    expect(ip('\x01\x02\x03\x04')).toBe('1.2.3.4')
    expect(ip('\x01\x02\x03\x04\x1a\xe1')).toBe('1.2.3.4')
    expect(ip(`\x20\x01${'\0'.repeat(13)}\x01`)).toBe('2001::1')
    expect(ip(`\x20\x01${'\0'.repeat(13)}\x01\x1a\xe1`)).toBe('2001::1')
    expect(ip('\x01\x02\x03')).toBeNull()
    expect(ip('')).toBeNull()
  })

  test('`t` is ours only if it has two bytes', () => {
    expect(decode('d1:t2:\x00\x01e').transactionId()).toBe(1)
    expect(decode('d1:t2:\xff\xffe').transactionId()).toBe(0xffff)
    expect(decode('d1:t0:e').transactionId()).toBe(-1)
    expect(decode('d1:t1:xe').transactionId()).toBe(-1)
    expect(decode('d1:t3:xxxe').transactionId()).toBe(-1)
  })

  test('`e` must have a number and a text', () => {
    const error = (list: string) => decode(`d1:e${list}1:y1:ee`).errorText()
    expect(error('li203e5:helloe')).toEqual({ code: 203, text: 'hello' })
    expect(error('li203e5:hello1:xe')).toEqual({ code: 203, text: 'hello' })
    expect(error('l5:helloi203ee')).toBeNull()
    expect(error('li203ee')).toBeNull()
    expect(error('le')).toBeNull()
    expect(error('15:Malformed Error')).toBeNull()
  })
})

test('each word under `q` has its method', () => {
  const words = Object.entries({
    ping: KrpcMethod.ping,
    find_node: KrpcMethod.findNode,
    get_peers: KrpcMethod.getPeers,
    announce_peer: KrpcMethod.announcePeer,
    get: KrpcMethod.get,
    put: KrpcMethod.put,
    sample_infohashes: KrpcMethod.sampleInfohashes,
    pong: KrpcMethod.unknown,
    gut: KrpcMethod.unknown,
    find_nodes: KrpcMethod.unknown,
    find_nod_: KrpcMethod.unknown,
    announce_peex: KrpcMethod.unknown,
    sample_infohashez: KrpcMethod.unknown,
    '': KrpcMethod.unknown,
  })
  for (const [word, method] of words) {
    const message = decode(`d1:q${word.length}:${word}e`)
    expect(message.method(), word).toBe(method)
    expect(message.queryName()).toBe(word)
  }
  expect(decode('d1:y1:qe').method()).toBe(KrpcMethod.unknown)
})

test('a query must have a name, and arguments with an id', () => {
  const check = (packet: string) => decode(packet).checkQuery()
  const id = '2:id20:abcdefghij0123456789'
  expect(check(`d1:ad${id}e1:q4:pinge`)).toBe('')
  expect(check(`d1:ad${id}ee`)).toBe("missing 'q' key")
  expect(check(`d1:ad${id}e1:qi1ee`)).toBe("missing 'q' key")
  expect(check('d1:q4:pinge')).toBe("missing 'a' key")
  expect(check('d1:ale1:q4:pinge')).toBe("missing 'a' key")
  expect(check('d1:ade1:q4:pinge')).toBe("missing 'id' key")
  expect(check('d1:ad2:idi1ee1:q4:pinge')).toBe("missing 'id' key")
  expect(check('d1:ad2:id19:abcdefghij012345678e1:q4:pinge')).toBe("invalid value for 'id'")
  expect(check('d1:ad2:id21:abcdefghij01234567890e1:q4:pinge')).toBe("invalid value for 'id'")
})

describe('rules for keys', () => {
  const RULES: readonly KeyRule[] = [
    { key: 'A', kind: TOKEN_STRING, size: 4, optional: false },
    { key: 'B', kind: TOKEN_DICT, size: 0, optional: true },
    { key: 'C', kind: TOKEN_INTEGER, size: 0, optional: true },
    { key: 'D', kind: TOKEN_STRING, size: 2, optional: true },
    { key: 'E', kind: 0, size: 0, optional: true },
    { key: 'F', kind: TOKEN_LIST, size: 0, optional: false },
  ]
  const verify = (packet: string) => {
    const message = decode(packet)
    const found = new Int32Array(RULES.length).fill(99)
    const error = verifyKeys(message.table, 0, RULES, found)
    const kinds = [...found].map(token => (token < 0 ? token : message.table.kind(token)))
    return { error, kinds }
  }

  test('give the values where all is well', () => {
    expect(verify('d1:A4:test1:Bde1:Ci1e1:D2:xx1:Ele1:Flee')).toEqual({
      error: '',
      kinds: [TOKEN_STRING, TOKEN_DICT, TOKEN_INTEGER, TOKEN_STRING, TOKEN_LIST, TOKEN_LIST],
    })
  })

  test('take what is of another kind or size for absent, if it may be', () => {
    expect(verify('d1:A4:test1:Bi1e1:C1:x1:D3:xxx1:Flee')).toEqual({
      error: '',
      kinds: [TOKEN_STRING, -1, -1, -1, -1, TOKEN_LIST],
    })
    expect(verify('d1:A4:test1:Flee').kinds).toEqual([TOKEN_STRING, -1, -1, -1, -1, TOKEN_LIST])
  })

  test('say what is wrong with the first that is broken', () => {
    expect(verify('d1:Bdee').error).toBe("missing 'A' key")
    expect(verify('d1:Ai1e1:Flee').error).toBe("missing 'A' key")
    expect(verify('d1:A6:foobare').error).toBe("invalid value for 'A'")
    expect(verify('d1:A4:teste').error).toBe("missing 'F' key")
  })
})

test('a node made of a packet stays when the next one comes', () => {
  const decoder = new KrpcDecoder()
  const buffer = Buffer.from(BEP5.pong, 'latin1')
  const node = decoder.decode(buffer)!.toNode()
  buffer.fill(0)
  decoder.decode(bytes(BEP5.ping))
  expect(bytesToHex(node.dictFindDict('r').dictFindStringValue('id'))).toBe(
    Buffer.from('mnopqrstuvwxyz123456').toString('hex'),
  )
  expect(Buffer.from(node.dataSection()).toString('latin1')).toBe(BEP5.pong)
})

test('garbage gives no message, or one that can be asked anything', () => {
  const rng = new SeededRng(5)
  const decoder = new KrpcDecoder()
  const found = new Int32Array(1)
  let decoded = 0
  for (let round = 0; round < 20_000; round++) {
    const list = Object.values(BEP5)
    const packet = bytes(list[rng.below(list.length)]!)
    const changes = 1 + rng.below(4)
    for (let i = 0; i < changes; i++) {
      // characters that mean something break more than others
      packet[rng.below(packet.length)] = rng.below(2) === 0 ? rng.below(256) : 'deil0123:9'.charCodeAt(rng.below(10))
    }
    const message = decoder.decode(packet)
    if (message === null) continue
    decoded++
    message.method()
    message.queryName()
    message.checkQuery()
    message.senderId()
    message.transactionId()
    message.externalAddress()
    message.errorText()
    message.toNode()
    for (const dict of [message.argumentsToken, message.responseToken]) {
      if (dict >= 0) verifyKeys(message.table, dict, [{ key: 'id', kind: 0, size: 0, optional: true }], found)
    }
  }
  expect(decoded).toBeGreaterThan(1000)
})
