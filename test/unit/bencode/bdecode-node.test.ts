import { expect, test } from 'vitest'
import { bdecodeNode } from '../../../src/bencode/bdecode.ts'
import { BdecodeNode } from '../../../src/bencode/bdecode-node.ts'
import { printEntry } from '../../../src/bencode/print-entry.ts'
import { binaryToBytes } from '../../../src/core/bytes.ts'

const bytes = (text: string) => binaryToBytes(text)
const { noneT, dictT, listT, stringT, intT } = BdecodeNode.Type

test('an integer', () => {
  const e = bdecodeNode(bytes('i12453e'))
  expect([e.type(), e.intValue(), e.bigIntValue(), e.dataOffset()]).toEqual([intT, 12453, 12453n, 0])
  expect(e.dataSection()).toEqual(bytes('i12453e'))
})

test('a string is a view of the buffer, not a copy', () => {
  const buffer = bytes('26:abcdefghijklmnopqrstuvwxyz')
  const e = bdecodeNode(buffer)
  expect([e.type(), e.stringLength(), e.stringOffset()]).toEqual([stringT, 26, 3])
  expect(e.stringValue().buffer).toBe(buffer.buffer)
  expect(e.stringValue()).toEqual(bytes('abcdefghijklmnopqrstuvwxyz'))
})

test('items of a list in any order, and those of another type give the default', () => {
  const e = bdecodeNode(bytes('li12453e3:aaali1eei7ee'))
  expect([e.type(), e.listSize()]).toEqual([listT, 4])
  expect([3, 0, 2, 1].map(i => e.listAt(i).type())).toEqual([intT, intT, listT, stringT])
  expect(e.listIntValueAt(0)).toBe(12453)
  expect(e.listIntValueAt(1)).toBe(0)
  expect(e.listIntValueAt(1, -5)).toBe(-5)
  expect(e.listStringValueAt(1)).toEqual(bytes('aaa'))
  expect(e.listStringValueAt(0, bytes('none'))).toEqual(bytes('none'))
  expect(e.listAt(1).dataSection()).toEqual(bytes('3:aaa'))
  expect(e.listAt(2).dataOffset()).toBe(13)
  for (const i of [4, -1, 1.5]) expect(() => e.listAt(i)).toThrow(RangeError)
})

test('keys of a dictionary by name and by place; the wrong type counts as absent', () => {
  const e = bdecodeNode(bytes('d1:ai12453e1:b3:aaa1:cl1:xe1:X10:0123456789e'))
  expect([e.type(), e.dictSize()]).toEqual([dictT, 4])
  expect(e.dictFind('a').intValue()).toBe(12453)
  expect(e.dictFindInt('a').type()).toBe(intT)
  expect(e.dictFindString('a').type()).toBe(noneT)
  expect(e.dictFindList('c').listSize()).toBe(1)
  expect(e.dictFindDict('c').type()).toBe(noneT)
  expect(e.dictFind('missing').type()).toBe(noneT)
  expect(e.dictFindStringValue('b')).toEqual(bytes('aaa'))
  expect(e.dictFindStringValue('a', bytes('?'))).toEqual(bytes('?'))
  expect(e.dictFindIntValue('b', 42)).toBe(42)
  expect(e.dictAt(3)[0]).toBe('X')
  expect(e.dictAt(3)[1].stringValue()).toEqual(bytes('0123456789'))
  expect(e.dictAt(1)[0]).toBe('b')
  expect(e.dictAtNode(2)[0].stringValue()).toEqual(bytes('c'))
  expect(() => e.dictAt(4)).toThrow(RangeError)
})

test('keys are bytes: NUL and 255 are found, and prefixes are not', () => {
  const e = bdecodeNode(bytes('d3:a\x00bi1e2:\xff\xfei2ee'))
  expect(e.dictFindIntValue('a\x00b')).toBe(1)
  expect(e.dictFindIntValue('\xff\xfe')).toBe(2)
  expect(e.dictFind('a').type()).toBe(noneT)
  expect(e.dictFind('').type()).toBe(noneT)
})

test('the node of type none answers what can be asked of it', () => {
  const none = new BdecodeNode()
  expect([none.type(), none.dataOffset(), none.dataSection().length]).toEqual([noneT, -1, 0])
  const e = bdecodeNode(bytes('le'))
  e.clear()
  expect(e.type()).toBe(noneT)
})

test('asking a node for another type than it has is an error of the caller', () => {
  const list = bdecodeNode(bytes('le'))
  for (const ask of [
    () => list.dictFind('a'),
    () => list.dictSize(),
    () => list.intValue(),
    () => list.stringValue(),
    () => new BdecodeNode().listSize(),
  ]) {
    expect(ask).toThrow(TypeError)
  }
})

test('printEntry writes small values on one line and large ones on many', () => {
  const print = (text: string, single?: boolean) => printEntry(bdecodeNode(bytes(text)), single)
  expect(printEntry(new BdecodeNode())).toBe('none')
  expect(print('i-9e')).toBe('-9')
  expect(print('3:abc')).toBe("'abc'")
  expect(print('2:\x01\xff')).toBe("'01ff'")
  expect(print('le')).toBe('[]')
  expect(print('li1e1:ae')).toBe("[ 1, 'a' ]")
  expect(print('d1:ai1e1:bl1:xee')).toBe("{ 'a': 1, 'b': [ 'x' ] }")
  const long = `${'y'.repeat(120)}`
  expect(print(`l120:${long}120:${long}e`)).toBe(`[\n'${long}',\n'${long}'\n]`)
  expect(print(`l120:${long}120:${long}e`, true)).toBe(
    `[ '${'y'.repeat(14)}...${'y'.repeat(14)}', '${'y'.repeat(14)}...${'y'.repeat(14)}' ]`,
  )
  expect(print(`d1:al120:${long}120:${long}ee`)).toBe(`{\n'a': [\n  '${long}',\n  '${long}'\n  ]\n}`)
})
