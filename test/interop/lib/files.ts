/** Sample content, and its comparison. */

import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'

export const KIB = 1024
export const MIB = 1024 * 1024
export const BLOCK = 16 * KIB

/** Directories that go when the test file is done. */
export class Workspace {
  readonly root = mkdtempSync(join(tmpdir(), 'libtorrent-ts-interop-'))
  #next = 0

  dir(name = 'dir'): string {
    const path = join(this.root, `${name}-${this.#next++}`)
    mkdirSync(path, { recursive: true })
    return path
  }

  file(name: string, content: Uint8Array | string): string {
    const path = join(this.dir('file'), name)
    writeFileSync(path, content)
    return path
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

/** Bytes that differ from place to place and from seed to seed, the same in every run. */
export function noise(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let x = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return new Uint8Array(words.buffer, 0, length)
}

/** Files of a torrent: path relative to its root and length. One with an empty path is a single file. */
export type Shape = readonly (readonly [path: string, length: number])[]

/** Writes the files of `shape` as `name` below `parent`. */
export function writeShape(parent: string, name: string, shape: Shape): void {
  shape.forEach(([path, length], i) => {
    const full = join(parent, name, path)
    mkdirSync(dirname(full), { recursive: true })
    writeFileSync(full, noise(length, i + name.length * 100))
  })
}

/** The digest of each file below `path`, by relative path. */
export function digests(path: string): Record<string, string> {
  const out: Record<string, string> = {}
  const visit = (at: string) => {
    if (lstatSync(at).isDirectory()) for (const name of readdirSync(at).sort()) visit(join(at, name))
    else out[relative(path, at)] = createHash('sha256').update(readFileSync(at)).digest('hex')
  }
  visit(path)
  return out
}
