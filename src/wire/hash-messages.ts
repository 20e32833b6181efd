/** Payloads of `hash request`, `hashes` and `hash reject`. @see BEP 52 */

import { readUint32, writeUint32 } from '../core/bytes.ts'
import { HASH_HEADER_LENGTH } from './messages.ts'

/** A range of a layer of one file's merkle tree, with the proof that ties it to the root. */
export interface HashRequest {
  /** 32 bytes: root of the file's tree. */
  readonly root: Uint8Array
  /** Layers above the leaves; 0 asks for leaf hashes. */
  readonly base: number
  /** First hash, counted in the base layer. */
  readonly index: number
  /** Number of hashes. */
  readonly count: number
  /** Ancestor layers that uncle hashes are wanted of. */
  readonly proofLayers: number
}

/** Most hashes in one message: the leaves of a 128 MiB piece. As libtorrent. */
export const MAX_HASHES = 8192
/** A tree over 2^53 bytes has no more layers than this. */
export const MAX_PROOF_LAYERS = 40

const ROOT_SIZE = 32
const HASH_SIZE = 32

/**
 * Reads the 48 bytes that all three messages begin with.
 *
 * @returns the numbers as they are; see {@link isPlausible}
 */
export function readHashRequest(bytes: Uint8Array, at: number): HashRequest {
  const numbers = at + ROOT_SIZE
  return {
    root: new Uint8Array(bytes.subarray(at, numbers)),
    base: readUint32(bytes, numbers),
    index: readUint32(bytes, numbers + 4),
    count: readUint32(bytes, numbers + 8),
    proofLayers: readUint32(bytes, numbers + 12),
  }
}

/** Writes the 48 bytes of a request at `at`. */
export function writeHashRequest(target: Uint8Array, at: number, request: HashRequest): void {
  const numbers = at + ROOT_SIZE
  target.set(request.root, at)
  writeUint32(target, numbers, request.base)
  writeUint32(target, numbers + 4, request.index)
  writeUint32(target, numbers + 8, request.count)
  writeUint32(target, numbers + 12, request.proofLayers)
}

/** The part of libtorrent's checks that needs no file: what can be asked of any tree at all. */
export function isPlausible(request: HashRequest): boolean {
  return (
    request.count >= 1 &&
    request.count <= MAX_HASHES &&
    request.index < 0x80000000 &&
    request.base <= MAX_PROOF_LAYERS &&
    request.proofLayers <= MAX_PROOF_LAYERS
  )
}

/**
 * Number of uncle hashes in the answer to a request.
 *
 * The layers that the asked-for hashes prove by themselves are counted in `proofLayers` but not sent.
 */
export function uncleCount(count: number, proofLayers: number): number {
  const ownLayers = count <= 1 ? 0 : 32 - Math.clz32(count - 1)
  return Math.max(0, proofLayers - ownLayers + 1)
}

/** Length of a `hashes` message, id included, that answers a plausible request. */
export function hashesLength(request: HashRequest): number {
  return HASH_HEADER_LENGTH + (request.count + uncleCount(request.count, request.proofLayers)) * HASH_SIZE
}
