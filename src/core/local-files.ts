/**
 * The synchronous file reads behind the functions of the API that answer at once: `loadTorrentFile`,
 * `new TorrentInfo(path)`, `listFiles`. Never called inside an engine turn.
 */

import {
  closeSync,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'

/** What `listFiles` needs to know about a path. */
export interface FileStatus {
  readonly size: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly isDirectory: boolean
  readonly isSymlink: boolean
  /** The owner may execute it. */
  readonly isExecutable: boolean
}

/** @returns what the path is, or the error of the operating system as Node throws it */
export function statPath(path: string, followLinks: boolean): FileStatus | NodeJS.ErrnoException {
  let stats: Stats
  try {
    stats = followLinks ? statSync(path) : lstatSync(path)
  } catch (error) {
    return error as NodeJS.ErrnoException
  }
  return {
    size: stats.size,
    mtime: Math.floor(stats.mtimeMs / 1000),
    isDirectory: stats.isDirectory(),
    isSymlink: stats.isSymbolicLink(),
    isExecutable: (stats.mode & 0o100) !== 0,
  }
}

/**
 * The names in a directory, in the order in which the file system gives them: the file order of a torrent
 * made by libtorrent is that order too, and not the alphabet's.
 */
export function directoryNames(path: string): string[] | NodeJS.ErrnoException {
  const names: string[] = []
  try {
    const directory = opendirSync(path, { bufferSize: 1024 })
    try {
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) names.push(entry.name)
    } finally {
      directory.closeSync()
    }
  } catch (error) {
    return error as NodeJS.ErrnoException
  }
  return names
}

/** Where a symbolic link points, as stored in it. */
export function linkTarget(path: string): string | NodeJS.ErrnoException {
  try {
    return readlinkSync(path)
  } catch (error) {
    return error as NodeJS.ErrnoException
  }
}

/** The working directory, which relative paths start from. */
export function workingDirectory(): string {
  return process.cwd()
}

/** Seconds since 1970, for the creation date of a torrent. */
export function wallClockSeconds(): number {
  return Math.floor(Date.now() / 1000)
}

/**
 * The content of a file.
 *
 * @returns `null` if it is longer than `limit` bytes, or the error of the operating system as Node throws it
 */
export function readWholeFile(path: string, limit: number): Uint8Array | null | NodeJS.ErrnoException {
  try {
    const fd = openSync(path, 'r')
    try {
      const size = fstatSync(fd).size
      if (size > limit) return null
      const content = new Uint8Array(size)
      let at = 0
      while (at < size) {
        const count = readSync(fd, content, at, size - at, at)
        // it was cut while being read
        if (count === 0) break
        at += count
      }
      return content.subarray(0, at)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    return error as NodeJS.ErrnoException
  }
}
