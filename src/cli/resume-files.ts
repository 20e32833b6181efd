/**
 * Where the command line keeps how far a transfer is: `.<info-hash>.resume` beside the data, in libtorrent's
 * format. It moves with the data, and is removed when a download is complete. The hash is the one that the user gave
 * the torrent by: a magnet link may name only one of two.
 */

import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type AddTorrentParams, type InfoHash, readResumeData, writeResumeDataBuf } from '../index.ts'
import { hashName } from './torrent-source.ts'

/** The file for a torrent. @param name of `hashName` */
export function resumePath(savePath: string, name: string): string {
  return join(savePath, `.${name}.resume`)
}

/**
 * Reads what an earlier run has left.
 *
 * @returns `null` if there is nothing, or an `Error` if it is of no use
 */
export async function loadResume(savePath: string, infoHashes: InfoHash): Promise<AddTorrentParams | Error | null> {
  const path = resumePath(savePath, hashName(infoHashes))
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    return error as Error
  }
  try {
    const params = readResumeData(bytes)
    const { v1, v2 } = params.infoHashes
    const sameV1 = !infoHashes.hasV1() || v1.equals(infoHashes.v1)
    const sameV2 = !infoHashes.hasV2() || !params.infoHashes.hasV2() || v2.equals(infoHashes.v2)
    return sameV1 && sameV2 ? params : new Error(`${path}: it belongs to another torrent`)
  } catch (error) {
    return new Error(`${path}: ${(error as Error).message}`)
  }
}

/** Writes it in one step, so that a crash leaves the old file or the new one. */
export async function saveResume(savePath: string, name: string, params: AddTorrentParams): Promise<void> {
  const path = resumePath(savePath, name)
  const temporary = `${path}.tmp`
  try {
    await makeDirectory(savePath)
    await writeFile(temporary, writeResumeDataBuf(params))
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Not `recursive`: Node goes on for ever where a file system answers ENOENT to each new name, as automounters do. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const status = await stat(path).catch(() => null)
    if (status?.isDirectory()) return
    if (code !== 'ENOENT' || dirname(path) === path) throw error
    await makeDirectory(dirname(path))
    await mkdir(path)
  }
}

/** Removes it, if it is there. */
export async function removeResume(savePath: string, name: string): Promise<void> {
  await rm(resumePath(savePath, name), { force: true })
}
