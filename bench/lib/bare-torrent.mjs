/** What the bare peers need of a v1 torrent of one file, of whole pieces. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const BLOCK = 16384
export const HEADER = 13
export const REQUEST = 17

/** @returns where the file is, how long a piece, how many pieces, and their hashes */
export function bareTorrent(torrent, save) {
  const bytes = readFileSync(torrent)
  const text = bytes.toString('latin1')
  const number = key => Number(new RegExp(`${key}i(\\d+)e`).exec(text)[1])
  const name = /4:name\d+:([^:]+?)12:piece length/.exec(text)[1]
  const pieceLength = number('12:piece length')
  const [found, length] = /6:pieces(\d+):/.exec(text)
  const at = text.indexOf(found) + found.length
  return {
    file: join(save, name),
    pieceLength,
    numPieces: number('6:length') / pieceLength,
    hashes: new Uint8Array(bytes.subarray(at, at + Number(length))),
  }
}
