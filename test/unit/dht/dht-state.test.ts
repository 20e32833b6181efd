import { expect, test } from 'vitest'
import { bdecodeNode } from '../../../src/bencode/bdecode.ts'
import { BdecodeNode } from '../../../src/bencode/bdecode-node.ts'
import { bencode } from '../../../src/bencode/bencode.ts'
import type { Entry } from '../../../src/bencode/entry.ts'
import { DhtState, extractNodeIds, readDhtState, saveDhtState } from '../../../src/dht/dht-state.ts'
import { hash } from './node-samples.ts'

const ONE = hash('0000000000000000000000000000000000000001')
const TWO = hash('0000000000000000000000000000000000000002')
const read = (value: Entry) => readDhtState(bdecodeNode(bencode(value)))

test('what was saved is read again', () => {
  const state = new DhtState()
  state.nids = [
    ['1.1.1.1', ONE],
    ['1::1', TWO],
  ]
  state.nodes = [
    ['1.1.1.1', 1],
    ['2.2.2.2', 2],
  ]
  state.nodes6 = [
    ['1::1', 3],
    ['2::2', 4],
  ]
  expect(read(saveDhtState(state))).toEqual(state)
  state.clear()
  expect(state).toEqual(new DhtState())
})

test('the form is libtorrent’s', () => {
  const state = new DhtState()
  state.nids = [['1.2.3.4', ONE]]
  state.nodes = [['5.6.7.8', 0x0102]]
  expect(Buffer.from(bencode(saveDhtState(state))).toString('latin1')).toBe(
    `d7:node-idl24:${'\0'.repeat(19)}\x01\x01\x02\x03\x04e5:nodesl6:\x05\x06\x07\x08\x01\x02ee`,
  )
  expect(Object.keys(saveDhtState(new DhtState()))).toEqual(['node-id'])
})

test('nothing at all is an empty state', () => {
  expect(readDhtState(new BdecodeNode())).toEqual(new DhtState())
  expect(read([1, 2])).toEqual(new DhtState())
  expect(read({})).toEqual(new DhtState())
  expect(read({ 'node-id': 5, nodes: 'x', nodes6: {} })).toEqual(new DhtState())
  expect(extractNodeIds(new BdecodeNode(), 'node-id')).toEqual([])
})

test('one id without an address, as old versions saved it', () => {
  expect(read({ 'node-id': ONE.toBytes() }).nids).toEqual([['0.0.0.0', ONE]])
  expect(read({ 'node-id': ONE.toBytes().subarray(1) }).nids).toEqual([])
})

test('what is malformed is left out', () => {
  const good = new Uint8Array(24)
  good.set(TWO.view())
  const state = read({
    'node-id': [1, new Uint8Array(19), new Uint8Array(20), new Uint8Array(25), {}, good, new Uint8Array(37)],
    nodes: [new Uint8Array(5), Uint8Array.of(1, 2, 3, 4, 0, 5), new Uint8Array(7), 3, Uint8Array.of(1, 2, 3, 4, 0, 6)],
    nodes6: [Uint8Array.of(9, 9, 9, 9, 0, 9)],
  })
  expect(state.nids).toEqual([['0.0.0.0', TWO]])
  // a list ends at what is no string
  expect(state.nodes).toEqual([['1.2.3.4', 5]])
  expect(state.nodes6).toEqual([['9.9.9.9', 9]])
})
