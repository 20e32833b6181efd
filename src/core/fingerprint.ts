/** The program and version that a peer id tells: making the beginning of ours, reading those of others. */

import { binaryToBytes, bytesToBinary } from './bytes.ts'
import { CLIENT_CODES, CLIENT_PATTERNS } from './client-names.ts'
import type { Sha1Hash } from './digest.ts'

/**
 * A program's code and version.
 *
 * @deprecated `generateFingerprint()` makes what the setting `peer_fingerprint` takes
 */
export class Fingerprint {
  /** Two characters, or one as older programs use. */
  readonly name: string
  readonly majorVersion: number
  readonly minorVersion: number
  readonly revisionVersion: number
  readonly tagVersion: number

  /** @throws RangeError if the name has not two characters or a number is negative */
  constructor(name: string, major: number, minor: number, revision: number, tag: number) {
    check(name.length, [major, minor, revision, tag])
    this.name = name
    this.majorVersion = major
    this.minorVersion = minor
    this.revisionVersion = revision
    this.tagVersion = tag
  }

  /** The beginning of a peer id: `-LT2100-`. */
  toString(): string {
    return encode(this.name, [this.majorVersion, this.minorVersion, this.revisionVersion, this.tagVersion])
  }
}

/**
 * The beginning of a peer id that names a program and its version, for the setting `peer_fingerprint`.
 *
 * @param name two characters; there is an informal register of those in use
 * @returns    eight characters, such as `-LT2100-`
 * @throws RangeError if the name has not two characters or a number is negative
 */
export function generateFingerprint(
  name: string | Uint8Array,
  major: number,
  minor = 0,
  revision = 0,
  tag = 0,
): string {
  const text = typeof name === 'string' ? name : bytesToBinary(name)
  const version = [major, minor, revision, tag]
  check(text.length, version)
  return encode(text, version)
}

/** The same as bytes. */
export function generateFingerprintBytes(
  name: string | Uint8Array,
  major: number,
  minor = 0,
  revision = 0,
  tag = 0,
): Uint8Array {
  return binaryToBytes(generateFingerprint(name, major, minor, revision, tag))
}

/**
 * Program and version as a peer id tells them, in one of the usual styles.
 *
 * @returns `null` if it is in none of them
 * @deprecated use `identifyClient()`, which knows further styles
 */
export function clientFingerprint(peerId: Sha1Hash): Fingerprint | null {
  const style = parseStyle(peerId.toBytes())
  if (style === null) return null
  // older styles have a name of one character, which the constructor does not let through
  const fingerprint = Object.create(Fingerprint.prototype) as Fingerprint
  const [majorVersion, minorVersion, revisionVersion, tagVersion] = style.version
  return Object.assign(fingerprint, { name: style.name, majorVersion, minorVersion, revisionVersion, tagVersion })
}

/**
 * Which program a peer id comes from, in words: `qBittorrent 4.5.2`.
 *
 * @deprecated `PeerInfo.client` has what the peer says itself, and else this
 */
export function identifyClient(peerId: Sha1Hash): string {
  if (peerId.isAllZeros()) return 'Unknown'
  const bytes = peerId.toBytes()
  const id = bytesToBinary(bytes)
  for (const [offset, text, client] of CLIENT_PATTERNS) if (id.startsWith(text, offset)) return client
  if (id.startsWith('-BOW') && id[7] === '-') return `Bits on Wheels ${id.slice(4, 7)}`
  if (id.startsWith('eX')) return `eXeem ('${id.slice(2, 14)}')`
  const zeros = id.startsWith('\0'.repeat(12))
  if (zeros && id[12] === '\x97') return 'Experimental 3.2.1b2'
  if (zeros && id[12] === '\0') return 'Experimental 3.1'
  const style = parseStyle(bytes)
  if (style !== null) return describeStyle(style)
  if (zeros) return 'Generic'
  return `Unknown [${id.replace(/[^\x20-\x7e]/g, '.')}]`
}

interface Style {
  readonly name: string
  readonly version: readonly [major: number, minor: number, revision: number, tag: number]
}

const MINUS = 0x2d
const ZERO = 0x30

function check(nameLength: number, version: readonly number[]): void {
  if (nameLength !== 2) throw new RangeError('fingerprint name must be 2 bytes')
  for (const number of version)
    if (!Number.isInteger(number) || number < 0) throw new RangeError('fingerprint version must be a positive integer')
}

function encode(name: string, version: readonly number[]): string {
  return `-${name}${version.map(encodeDigit).join('')}-`
}

/** 0 to 9, then A to Z, as Azureus does. */
function encodeDigit(value: number): string {
  return value < 10 ? String(value) : String.fromCharCode((value + 55) & 0xff)
}

function decodeDigit(code: number): number {
  return code >= 0x30 && code <= 0x39 ? code - 0x30 : code - 55
}

function isPrint(code: number): boolean {
  return code >= 0x20 && code < 0x7f
}

function parseStyle(id: Uint8Array): Style | null {
  return parseAzureus(id) ?? parseShadow(id) ?? parseMainline(id)
}

/** `-LT2100-` */
function parseAzureus(id: Uint8Array): Style | null {
  if (id[0] !== MINUS || !isPrint(id[1]!) || id[7] !== MINUS) return null
  for (let i = 2; i < 7; i++) if (id[i]! < ZERO) return null
  return {
    name: String.fromCharCode(id[1]!, id[2]!),
    version: [decodeDigit(id[3]!), decodeDigit(id[4]!), decodeDigit(id[5]!), decodeDigit(id[6]!)],
  }
}

/** `S123--`, or the version as bytes and a zero at 8. */
function parseShadow(id: Uint8Array): Style | null {
  const name = String.fromCharCode(id[0]!)
  if (!/[A-Za-z0-9]/.test(name)) return null
  if (id[4] === MINUS && id[5] === MINUS) {
    for (let i = 1; i < 4; i++) if (id[i]! < ZERO) return null
    return { name, version: [decodeDigit(id[1]!), decodeDigit(id[2]!), decodeDigit(id[3]!), 0] }
  }
  if (id[8] !== 0 || id[1]! > 127 || id[2]! > 127 || id[3]! > 127) return null
  return { name, version: [id[1]!, id[2]!, id[3]!, 0] }
}

// three columns a number, read as C's `scanf` does: a sign takes one of them
const NUMBER = String.raw`\s*([+-]\d{1,2}|\d{1,3})`
const MAINLINE = new RegExp(`^([ -~])${NUMBER}-${NUMBER}-${NUMBER}`)

/** `M7-10-3--` */
function parseMainline(id: Uint8Array): Style | null {
  const match = MAINLINE.exec(bytesToBinary(id))
  if (match === null) return null
  return { name: match[1]!, version: [Number(match[2]), Number(match[3]), Number(match[4]), 0] }
}

function describeStyle(style: Style): string {
  const name = Object.hasOwn(CLIENT_CODES, style.name) ? CLIENT_CODES[style.name]! : style.name
  const [major, minor, revision, tag] = style.version
  return `${name} ${major}.${minor}.${revision}${tag !== 0 ? `.${tag}` : ''}`
}
