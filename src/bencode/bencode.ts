/** Encoder of bencoded values (BEP 3). */

import { ByteWriter } from '../core/byte-writer.ts'
import { bytesToBinary } from '../core/bytes.ts'
import { type BencodeInput, Preformatted } from './entry.ts'

/** Deeper values are taken for a cycle. */
const MAX_DEPTH = 1000

/**
 * Encodes a value; dictionaries come out sorted by the bytes of their keys.
 *
 * @param value numbers must be integers within 2^53 (beyond: `bigint`); text is written as UTF-8,
 *   keys as one byte per character
 * @throws TypeError for what bencoding cannot express (`undefined`, `null`, booleans, functions, keys with
 *   characters beyond 255), RangeError for fractions, NaN, infinities and unsafe integers, and for cycles
 * @see BEP 3
 */
export function bencode(value: BencodeInput): Uint8Array {
  const out = new ByteWriter()
  bencodeInto(out, value)
  return out.finish()
}

/** As {@link bencode}, appending to a buffer the caller has. */
export function bencodeInto(out: ByteWriter, value: BencodeInput): void {
  write(out, value, 0)
}

function write(out: ByteWriter, value: BencodeInput, depth: number): void {
  switch (typeof value) {
    case 'number':
      if (!Number.isSafeInteger(value)) {
        throw new RangeError(`bencode: expected an integer within 2^53 (use bigint beyond), not ${value}`)
      }
      // `+ 0` turns -0, which has no bencoding, into 0
      out.ascii(`i${value + 0}e`)
      return
    case 'bigint':
      out.ascii(`i${value}e`)
      return
    case 'string':
      writeText(out, value)
      return
    case 'object':
      if (value !== null) {
        writeObject(out, value, depth)
        return
      }
  }
  throw new TypeError(`bencode: expected an integer, string, bytes, list or dictionary, not ${String(value)}`)
}

function writeObject(out: ByteWriter, value: object, depth: number): void {
  if (value instanceof Uint8Array) {
    out.ascii(`${value.length}:`).bytes(value)
    return
  }
  if (value instanceof Preformatted) {
    out.bytes(value.bytes)
    return
  }
  if (depth >= MAX_DEPTH) throw new RangeError(`bencode: nested deeper than ${MAX_DEPTH}, or a cycle`)
  if (Array.isArray(value)) {
    out.ascii('l')
    // by index, so that a hole is reported like the `undefined` it reads as
    for (let i = 0; i < value.length; i++) write(out, value[i], depth + 1)
    out.ascii('e')
    return
  }
  if (value instanceof Map) {
    writeMap(out, value, depth)
    return
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new TypeError(`bencode: expected a plain object, not ${value.constructor?.name ?? 'an instance'}`)
  }
  const dictionary = value as { readonly [key: string]: BencodeInput }
  const keys = Object.keys(dictionary)
  keys.sort(compareKeys)
  out.ascii('d')
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!
    writeKey(out, key)
    write(out, dictionary[key]!, depth + 1)
  }
  out.ascii('e')
}

function writeMap(out: ByteWriter, map: ReadonlyMap<unknown, BencodeInput>, depth: number): void {
  const entries: [string, BencodeInput][] = []
  for (const [key, value] of map) {
    if (typeof key === 'string') entries.push([key, value])
    else if (key instanceof Uint8Array) entries.push([bytesToBinary(key), value])
    else throw new TypeError(`bencode: expected a key of text or bytes, not ${String(key)}`)
  }
  entries.sort((a, b) => compareKeys(a[0], b[0]))
  out.ascii('d')
  for (let i = 0; i < entries.length; i++) {
    const [key, value] = entries[i]!
    if (i > 0 && entries[i - 1]![0] === key) throw new TypeError(`bencode: key ${JSON.stringify(key)} is there twice`)
    writeKey(out, key)
    write(out, value, depth + 1)
  }
  out.ascii('e')
}

/** Characters stand for bytes, so the order of UTF-16 units is the order of bytes. */
function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function writeKey(out: ByteWriter, key: string): void {
  for (let i = 0; i < key.length; i++) {
    if (key.charCodeAt(i) > 255) {
      throw new TypeError(
        `bencode: key ${JSON.stringify(key)} has characters beyond 255 (keys are one byte a character)`,
      )
    }
  }
  out.ascii(`${key.length}:`).ascii(key)
}

function writeText(out: ByteWriter, text: string): void {
  // most text is ASCII, whose length in bytes is known without encoding it first
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) {
      out.ascii(`${Buffer.byteLength(text)}:`).text(text)
      return
    }
  }
  out.ascii(`${text.length}:`).ascii(text)
}
