/** Bencoded values as text for people: logs and error reports. */

import { bytesToHex, bytesToText } from '../core/bytes.ts'
import { BdecodeNode } from './bdecode-node.ts'

/** A list or dictionary is written on one line if it fits in so many characters. */
const LINE_LENGTH = 200
/** Longer text is shortened where only one line is to be filled. */
const LONG_TEXT = 30
const LONG_BYTES = 32

/**
 * A value in a notation that resembles JSON; bytes that are not printable ASCII as hex.
 *
 * @param singleLine nothing but one line, long strings shortened
 * @param indent     columns before continuation lines
 */
export function printEntry(e: BdecodeNode, singleLine = false, indent = 0): string {
  const { noneT, intT, stringT, listT } = BdecodeNode.Type
  switch (e.type()) {
    case noneT:
      return 'none'
    case intT:
      return String(e.bigIntValue())
    case stringT:
      return quoted(e.stringValue(), singleLine)
  }
  const isList = e.type() === listT
  const size = isList ? e.listSize() : e.dictSize()
  const oneLine = singleLine || lineLength(e, LINE_LENGTH) !== null
  const lineBreak = `\n${' '.repeat(Math.max(0, indent))}`
  let out = isList ? '[' : '{'
  if (!oneLine) out += lineBreak
  else if (size > 0) out += ' '
  for (let i = 0; i < size; i++) {
    if (isList) out += printEntry(e.listAt(i), singleLine, indent + 2)
    else {
      const [key, value] = e.dictAtNode(i)
      out += `${quoted(key.stringValue(), true)}: ${printEntry(value, singleLine, indent + 2)}`
    }
    if (i < size - 1) out += oneLine ? ', ' : `,${lineBreak}`
    else out += oneLine ? ' ' : lineBreak
  }
  return out + (isList ? ']' : '}')
}

/** Rough length of a value on one line, `null` if that is more than `limit`. */
function lineLength(e: BdecodeNode, limit: number): number | null {
  const { noneT, intT, stringT, listT } = BdecodeNode.Type
  let length = 4
  switch (e.type()) {
    case noneT:
      break
    case intT:
      length = String(e.bigIntValue()).length + 2
      break
    case stringT:
      length = e.stringLength() + 3
      break
    default: {
      const isList = e.type() === listT
      const size = isList ? e.listSize() : e.dictSize()
      for (let i = 0; i < size; i++) {
        if (length > limit) return null
        if (isList) {
          const item = lineLength(e.listAt(i), limit - length)
          if (item === null) return null
          length += item + 2
        } else {
          const [key, value] = e.dictAtNode(i)
          length += key.stringLength() + 4
          const item = lineLength(value, limit - length)
          if (item === null) return null
          length += item + 1
        }
      }
    }
  }
  return length > limit ? null : length
}

function quoted(bytes: Uint8Array, short: boolean): string {
  const { length } = bytes
  if (bytes.every(c => c >= 32 && c < 127)) {
    const text = bytesToText(bytes)
    return short && length > LONG_TEXT ? `'${text.slice(0, 14)}...${text.slice(-14)}'` : `'${text}'`
  }
  if (!short || length <= LONG_BYTES) return `'${bytesToHex(bytes)}'`
  return `'${bytesToHex(bytes.subarray(0, 25))}...${bytesToHex(bytes.subarray(-4))}'`
}
