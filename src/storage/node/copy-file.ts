/** Copies a file to another device, holes included. */

import * as fs from 'node:fs'
import { Operation } from '../../core/enums.ts'
import { diskFailure } from '../disk-error.ts'
import { readFully, writeFully } from './worker-files.ts'

const STEP = 64 * 1024
/** `stat` counts blocks of this many bytes whatever the file system's own are. */
const STAT_BLOCK = 512

/**
 * Copies content, mode and, if it was sparse, sparseness.
 *
 * @throws DiskFailure with operation `fileCopy`
 */
export function copyFile(from: string, to: string, file: number): void {
  try {
    const stat = fs.lstatSync(from)
    if (stat.isSymbolicLink()) {
      fs.symlinkSync(fs.readlinkSync(from), to)
    } else if (stat.blocks * STAT_BLOCK < stat.size) {
      copySparse(from, to, stat, file)
    } else {
      fs.copyFileSync(from, to, fs.constants.COPYFILE_FICLONE)
    }
  } catch (error) {
    throw diskFailure(error, Operation.fileCopy, file)
  }
}

/** Node has no way to ask where the holes are, so runs of zeros become holes. */
function copySparse(from: string, to: string, stat: fs.Stats, file: number): void {
  const source = fs.openSync(from, 'r')
  try {
    const target = fs.openSync(to, 'w', stat.mode & 0o777)
    try {
      fs.ftruncateSync(target, stat.size)
      const buffer = Buffer.alloc(STEP)
      const zeros = Buffer.alloc(STEP)
      for (let at = 0; at < stat.size; at += STEP) {
        const view = buffer.subarray(0, Math.min(STEP, stat.size - at))
        readFully(source, view, at, Operation.fileCopy, file)
        if (view.compare(zeros, 0, view.length) !== 0) writeFully(target, view, at, Operation.fileCopy, file)
      }
    } finally {
      fs.closeSync(target)
    }
  } finally {
    fs.closeSync(source)
  }
}
