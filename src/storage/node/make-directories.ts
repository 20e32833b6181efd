/** Makes directories, with those above them. */

import * as fs from 'node:fs'
import * as path from 'node:path'
import { Operation } from '../../core/enums.ts'
import { diskFailure } from '../disk-error.ts'

/**
 * Makes the directory and all above it that are missing. Others may make them at the same time.
 *
 * Node's own `recursive` turns most errors into ENOENT, a read-only file system's too, and tries for ever
 * where a directory cannot be made because the system says ENOENT: below a mount point of autofs, in /proc.
 *
 * @param file the file that the error is about
 * @throws DiskFailure with operation `mkdir`
 */
export function makeDirectories(name: string, file: number): void {
  try {
    const missing = missingDirectories(name)
    for (const directory of missing) makeUnlessThere(directory)
    // what is there and no directory: the system has the right error for it
    if (missing.length === 0 && !fs.statSync(name).isDirectory()) fs.mkdirSync(name)
  } catch (error) {
    throw diskFailure(error, Operation.mkdir, file)
  }
}

/** Outermost first. */
function missingDirectories(name: string): string[] {
  const missing: string[] = []
  for (let at = name; fs.statSync(at, { throwIfNoEntry: false }) === undefined; at = path.dirname(at)) {
    missing.push(at)
    if (path.dirname(at) === at) break
  }
  return missing.reverse()
}

function makeUnlessThere(name: string): void {
  try {
    fs.mkdirSync(name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
