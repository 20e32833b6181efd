/** Work on whole files: stat, create, link, move, rename, delete, allocate. Blocking; runs in a worker. */

import * as fs from 'node:fs'
import * as path from 'node:path'
import { MoveFlags, Operation } from '../../core/enums.ts'
import { errnoError } from '../../core/error-code.ts'
import { DiskFailure, diskFailure, PART_FILE_INDEX } from '../disk-error.ts'
import { type FileTask, SliceFlags } from '../worker-protocol.ts'
import { copyFile } from './copy-file.ts'
import { copyPart, makeHardLinks, placeCopy } from './link-files.ts'
import { makeDirectories } from './make-directories.ts'
import { readFully, type WorkerFiles, writeFully, writePartEntries } from './worker-files.ts'

/** Bytes copied or zeroed between two looks at anything else. */
const STEP = 1 << 20

type Task<K extends FileTask['kind']> = Extract<FileTask, { kind: K }>

/**
 * Does one task.
 *
 * @returns what the task is asked for: `stat` sizes or `-errno`; `readHeader` the bytes; `move` 1 if a full
 *   check is needed; `allocate` the bytes still to do; what `FileTask` says of the others; else nothing
 * @throws DiskFailure
 */
export function runFileTask(task: FileTask, storage: number, files: WorkerFiles): number[] | Uint8Array | null {
  switch (task.kind) {
    case 'stat':
      return lookUp(task)
    case 'readHeader':
      return readHeader(task)
    case 'create':
      return createEmpty(task, storage, files)
    case 'symlink':
      return makeSymlinks(task)
    case 'hardLink':
      return makeHardLinks(task)
    case 'copyPart':
      return copyPart(task)
    case 'placeCopy':
      return [placeCopy(task) ? 1 : 0]
    case 'move':
      return [moveAll(task) ? 1 : 0]
    case 'rename':
      return renameOne(task)
    case 'delete':
      return deleteAll(task)
    case 'exportPart':
      return exportPart(task, storage, files)
    case 'allocate':
      return [allocateStep(task, storage, files)]
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code)
}

function exists(name: string): boolean {
  return fs.lstatSync(name, { throwIfNoEntry: false }) !== undefined
}

/** Sizes or `-errno`; then, if asked for, whether there are other names. */
function lookUp(task: Task<'stat'>): number[] {
  const sizes: number[] = []
  const names: number[] = []
  for (const name of task.paths) {
    let size: number
    let links = 1
    try {
      const found = fs.statSync(name, { throwIfNoEntry: false })
      size = found?.size ?? -errnoError('ENOENT').value()
      if (found?.isFile() === true) links = found.nlink
    } catch (error) {
      if (codeOf(error) === 'ENOTDIR') size = -errnoError('ENOENT').value()
      else size = -diskFailure(error, Operation.fileStat, -1).code.value()
    }
    sizes.push(size)
    names.push(links > 1 ? 1 : 0)
  }
  return task.names === true ? [...sizes, ...names] : sizes
}

function readHeader(task: Task<'readHeader'>): Uint8Array | null {
  let fd: number
  try {
    fd = fs.openSync(task.path, 'r')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null
    throw diskFailure(error, Operation.partfileRead, PART_FILE_INDEX)
  }
  try {
    if (fs.fstatSync(fd).size < task.length) return null
    const header = new Uint8Array(task.length)
    readFully(fd, header, 0, Operation.partfileRead, PART_FILE_INDEX)
    return header
  } catch (error) {
    throw diskFailure(error, Operation.partfileRead, PART_FILE_INDEX)
  } finally {
    fs.closeSync(fd)
  }
}

function createEmpty(task: Task<'create'>, storage: number, files: WorkerFiles): null {
  for (let i = 0; i < task.files.length; i++) {
    files.openForWrite(storage, task.files[i]!, task.paths[i]!, task.flags[i]!, 0)
  }
  files.closeStorage(storage)
  return null
}

function makeDirectory(name: string, file: number): void {
  try {
    makeDirectories(name)
  } catch (error) {
    throw diskFailure(error, Operation.mkdir, file)
  }
}

function makeSymlinks(task: Task<'symlink'>): null {
  for (let i = 0; i < task.files.length; i++) {
    const file = task.files[i]!
    const name = task.paths[i]!
    makeDirectory(path.dirname(name), file)
    try {
      fs.symlinkSync(task.targets[i]!, name)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || linkTarget(name) !== task.targets[i]) {
        throw diskFailure(error, Operation.symlink, file)
      }
    }
  }
  return null
}

function linkTarget(name: string): string | null {
  try {
    return fs.readlinkSync(name)
  } catch {
    return null // not a link: the caller reports that the name is taken
  }
}

/** Moves what is there; on failure what was moved is moved back. @returns whether a full check is needed */
function moveAll(task: Task<'move'>): boolean {
  if (task.flags === MoveFlags.failIfExist) refuseExisting(task)
  try {
    makeDirectories(task.to)
  } catch (error) {
    throw diskFailure(error, Operation.mkdir, -1)
  }
  if (task.flags === MoveFlags.resetSavePath) return true
  if (task.flags === MoveFlags.resetSavePathUnchecked) return false

  let needCheck = false
  const renamed: string[] = []
  const copied: string[] = []
  try {
    for (let i = 0; i < task.files.length; i++) {
      const name = task.paths[i]!
      const from = path.join(task.from, name)
      const to = path.join(task.to, name)
      if (task.flags === MoveFlags.dontReplace && exists(to)) {
        needCheck = true
        continue
      }
      const how = moveOne(from, to, task.files[i]!)
      if (how === 'renamed') renamed.push(name)
      else if (how === 'copied') copied.push(name)
    }
    movePart(task)
  } catch (error) {
    // Copies stay where they are: their originals were not touched.
    for (const name of renamed.reverse()) {
      try {
        fs.renameSync(path.join(task.to, name), path.join(task.from, name))
      } catch {
        // The first error is the one to report.
      }
    }
    throw error
  }
  for (const name of copied) removeQuietly(path.join(task.from, name))
  removeEmptyParents(task.from, task.paths)
  return needCheck
}

function refuseExisting(task: Task<'move'>): void {
  if (!exists(task.to)) return
  for (let i = 0; i < task.files.length; i++) {
    if (exists(path.join(task.to, task.paths[i]!))) {
      throw new DiskFailure(errnoError('EEXIST'), Operation.fileStat, task.files[i]!)
    }
  }
}

function moveOne(from: string, to: string, file: number): 'renamed' | 'copied' | 'missing' {
  try {
    if (!exists(from)) return 'missing'
  } catch (error) {
    if (codeOf(error) === 'ENOTDIR') return 'missing'
    throw diskFailure(error, Operation.fileStat, file)
  }
  if (from === to) return 'missing'
  makeDirectory(path.dirname(to), file)
  try {
    fs.renameSync(from, to)
    return 'renamed'
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EINVAL' || code === 'EACCES') throw diskFailure(error, Operation.fileRename, file)
  }
  copyFile(from, to, file)
  return 'copied'
}

function movePart(task: Task<'move'>): void {
  if (task.partFrom === '' || task.partFrom === task.partTo) return
  try {
    if (!exists(task.partFrom)) return
    makeDirectories(path.dirname(task.partTo))
    try {
      fs.renameSync(task.partFrom, task.partTo)
    } catch {
      copyFile(task.partFrom, task.partTo, PART_FILE_INDEX)
      fs.unlinkSync(task.partFrom)
    }
  } catch (error) {
    const failure = diskFailure(error, Operation.partfileMove, PART_FILE_INDEX)
    throw new DiskFailure(failure.code, Operation.partfileMove, PART_FILE_INDEX)
  }
}

function removeQuietly(name: string): void {
  try {
    fs.unlinkSync(name)
  } catch {
    // The move itself is done; a leftover original is no reason to call it failed.
  }
}

/** Removes the directories that the moved files leave empty, innermost first, the save path itself never. */
function removeEmptyParents(root: string, names: readonly string[]): void {
  const directories = new Set<string>()
  for (const name of names) {
    for (let d = path.dirname(name); d !== '.' && d !== '' && !directories.has(d); d = path.dirname(d)) {
      directories.add(d)
    }
  }
  for (const d of [...directories].sort((a, b) => b.length - a.length)) {
    try {
      fs.rmdirSync(path.join(root, d))
    } catch {
      // Something else is in it: it stays.
    }
  }
}

function renameOne(task: Task<'rename'>): null {
  try {
    if (!exists(task.from) || task.from === task.to) return null
    makeDirectories(path.dirname(task.to))
  } catch (error) {
    if (codeOf(error) === 'ENOTDIR') return null
    throw diskFailure(error, Operation.fileRename, task.file)
  }
  try {
    fs.renameSync(task.from, task.to)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    copyFile(task.from, task.to, task.file)
    removeQuietly(task.from)
  }
  return null
}

/** Deletes all it can, then reports the last thing that went wrong. */
function deleteAll(task: Task<'delete'>): null {
  let failure: DiskFailure | null = null
  const directories = new Set<string>()
  for (let i = 0; i < task.paths.length; i++) {
    const name = task.paths[i]!
    if (!path.isAbsolute(name)) {
      for (let d = path.dirname(name); d !== '.' && d !== '' && !directories.has(d); d = path.dirname(d)) {
        directories.add(d)
      }
    }
    failure = removeFile(path.resolve(task.root, name), task.files[i]!) ?? failure
  }
  for (const d of [...directories].sort((a, b) => b.length - a.length)) {
    try {
      fs.rmdirSync(path.join(task.root, d))
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') {
        failure ??= diskFailure(error, Operation.fileRemove, -1)
      }
    }
  }
  if (task.partPath !== '') failure = removeFile(task.partPath, -1) ?? failure
  if (failure !== null) throw failure
  return null
}

function removeFile(name: string, file: number): DiskFailure | null {
  try {
    fs.unlinkSync(name)
    return null
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null
    return diskFailure(error, Operation.fileRemove, file)
  }
}

/** Copies what the part file has of a file to where it belongs now that it is wanted. */
function exportPart(task: Task<'exportPart'>, storage: number, files: WorkerFiles): null {
  const { fd: target } = files.openForWrite(
    storage,
    task.file,
    task.path,
    task.flags | SliceFlags.truncate,
    task.fileSize,
  )
  if (task.ranges.length > 0) {
    const { fd: source } = files.openForWrite(storage, 0, task.part.path, SliceFlags.part, 0)
    const buffer = new Uint8Array(STEP)
    for (let i = 0; i < task.ranges.length; i += 3) {
      const length = task.ranges[i + 2]!
      for (let at = 0; at < length; at += STEP) {
        const view = buffer.subarray(0, Math.min(STEP, length - at))
        readFully(source, view, task.ranges[i]! + at, Operation.partfileRead, task.file)
        writeFully(target, view, task.ranges[i + 1]! + at, Operation.partfileWrite, task.file)
      }
    }
    writePartEntries(source, task.part)
  }
  if (task.removePart) {
    files.closeStorage(storage)
    const failure = removeFile(task.part.path, PART_FILE_INDEX)
    if (failure !== null) throw failure
  }
  return null
}

/** Writes zeros behind the file's end until it has its size, a step at a time. @returns bytes left to do */
function allocateStep(task: Task<'allocate'>, storage: number, files: WorkerFiles): number {
  const { fd } = files.openForWrite(storage, task.file, task.path, task.flags, task.fileSize)
  try {
    const size = fs.fstatSync(fd).size
    if (size > task.fileSize) {
      fs.ftruncateSync(fd, task.fileSize)
      return 0
    }
    if (size === task.fileSize) return 0
    const room = fs.statfsSync(path.dirname(task.path))
    if (room.bavail * room.bsize < task.fileSize - size) {
      throw new DiskFailure(errnoError('ENOSPC'), Operation.fileFallocate, task.file)
    }
    const zeros = new Uint8Array(STEP)
    const end = Math.min(task.fileSize, size + task.step)
    for (let at = size; at < end; at += STEP) {
      const view = zeros.subarray(0, Math.min(STEP, end - at))
      writeFully(fd, view, at, Operation.fileFallocate, task.file)
    }
    return task.fileSize - end
  } catch (error) {
    throw diskFailure(error, Operation.fileFallocate, task.file)
  }
}
