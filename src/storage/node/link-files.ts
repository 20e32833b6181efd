/** Hard links, and copies a part at a time where there can be none. Blocking; runs in a worker. */

import * as fs from 'node:fs'
import * as path from 'node:path'
import { Operation } from '../../core/enums.ts'
import { errnoError, libtorrentError } from '../../core/error-code.ts'
import { LibtorrentErrors } from '../../core/error-table.ts'
import { DiskFailure, diskFailure } from '../disk-error.ts'
import { type FileTask, LinkOutcome } from '../worker-protocol.ts'
import { makeDirectories } from './make-directories.ts'
import { readFully, writeFully } from './worker-files.ts'

type Task<K extends FileTask['kind']> = Extract<FileTask, { kind: K }>

/** Bytes read at a time; as many zeros become a hole. */
const BUFFER = 256 * 1024

/**
 * There can be no link, but a copy: another device, no more links to that file, a file system or an owner that
 * allows none. Windows says EISDIR for a file system without links.
 */
const NO_LINK_HERE = new Set(['EXDEV', 'EMLINK', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EISDIR'])

/** @param link what makes a link: throws as `fs.linkSync` does. @returns a `LinkOutcome` per file, or `-errno` */
export function makeHardLinks(
  task: Task<'hardLink'>,
  link: (target: string, name: string) => void = fs.linkSync,
): number[] {
  return task.files.map((file, i) => {
    const name = task.paths[i]!
    try {
      // a link to a symbolic link would be one more symbolic link
      const target = fs.realpathSync(task.targets[i]!)
      const found = fs.statSync(target)
      if (!found.isFile() || found.size !== task.sizes[i]) return LinkOutcome.changed
      return makeLink(target, name, file, link)
    } catch (error) {
      return -diskFailure(error, Operation.fileHardLink, file).code.value()
    }
  })
}

function makeLink(target: string, name: string, file: number, link: (target: string, name: string) => void): number {
  for (let attempt = 0; ; attempt++) {
    try {
      link(target, name)
      return LinkOutcome.linked
    } catch (error) {
      const code = codeOf(error)
      if (code === 'EEXIST') return LinkOutcome.exists
      if (NO_LINK_HERE.has(code)) return LinkOutcome.mustCopy
      if (code !== 'ENOENT' || attempt > 0) throw error
      makeDirectory(path.dirname(name), file)
    }
  }
}

/**
 * Copies a step's worth. The first step makes the target, in its full size; where the file system can share content
 * between files, it is the only one.
 *
 * @returns where the next step begins, and the size
 */
export function copyPart(task: Task<'copyPart'>): [next: number, size: number] {
  try {
    const source = fs.openSync(task.from, 'r')
    try {
      const { size, mode } = fs.fstatSync(source)
      if (task.size >= 0 && size !== task.size) {
        throw new DiskFailure(libtorrentError(LibtorrentErrors.mismatchingFileSize), Operation.fileCopy, task.file)
      }
      if (task.offset === 0) {
        if (beginCopy(task, size, (mode & 0o777) | 0o600)) return [size, size]
      } else if (task.offset > size) return [size, size]
      const target = fs.openSync(task.to, 'r+')
      try {
        return [copyRange(task, source, target, Math.min(size, task.offset + task.step)), size]
      } finally {
        fs.closeSync(target)
      }
    } finally {
      fs.closeSync(source)
    }
  } catch (error) {
    throw diskFailure(error, Operation.fileCopy, task.file)
  }
}

/** Makes the target. @returns true if it is whole at once */
function beginCopy(task: Task<'copyPart'>, size: number, mode: number): boolean {
  const directory = path.dirname(task.to)
  makeDirectory(directory, task.file)
  fs.rmSync(task.to, { force: true })
  if (cloned(task.from, task.to)) {
    fs.chmodSync(task.to, mode)
    return true
  }
  const room = fs.statfsSync(directory)
  if (room.bavail * room.bsize < size) throw new DiskFailure(errnoError('ENOSPC'), Operation.fileCopy, task.file)
  const target = fs.openSync(task.to, 'wx', mode)
  try {
    fs.ftruncateSync(target, size)
  } finally {
    fs.closeSync(target)
  }
  return size === 0
}

function cloned(from: string, to: string): boolean {
  try {
    fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch {
    // there are as many reasons as file systems; the copy that follows has the same ones, if they matter
    fs.rmSync(to, { force: true })
    return false
  }
}

/** @returns `end` */
function copyRange(task: Task<'copyPart'>, source: number, target: number, end: number): number {
  const buffer = Buffer.allocUnsafe(BUFFER)
  const zeros = Buffer.alloc(BUFFER)
  for (let at = task.offset; at < end; at += BUFFER) {
    const view = buffer.subarray(0, Math.min(BUFFER, end - at))
    readFully(source, view, at, Operation.fileCopy, task.file)
    // Node has no way to ask where the holes are
    if (view.compare(zeros, 0, view.length) !== 0) writeFully(target, view, at, Operation.fileCopy, task.file)
  }
  return end
}

/** @returns false if there is such a file, and it is not to be replaced: the copy is deleted then */
export function placeCopy(
  task: Task<'placeCopy'>,
  link: (target: string, name: string) => void = fs.linkSync,
): boolean {
  try {
    if (task.replace) {
      fs.renameSync(task.from, task.to)
      return true
    }
    // a link does not replace what is there, a rename does
    const outcome = makeLink(task.from, task.to, task.file, link)
    if (outcome === LinkOutcome.mustCopy && fs.lstatSync(task.to, { throwIfNoEntry: false }) === undefined) {
      fs.renameSync(task.from, task.to)
      return true
    }
    fs.unlinkSync(task.from)
    return outcome === LinkOutcome.linked
  } catch (error) {
    throw diskFailure(error, Operation.fileRename, task.file)
  }
}

function makeDirectory(name: string, file: number): void {
  try {
    makeDirectories(name)
  } catch (error) {
    throw diskFailure(error, Operation.mkdir, file)
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code)
}
