/** Making directories, without Node's `recursive`: where a file system says ENOENT to every new name, that never returns. */

import * as fs from 'node:fs'
import * as path from 'node:path'

/**
 * Makes a directory, and those above it that are missing. One that is there is left as it is.
 *
 * Deviation from `fs.mkdirSync(name, { recursive: true })`: that makes the parent and tries again for as long as it is
 * told ENOENT. Automounters answer so for hosts that do not exist, `/proc` does always; a worker would never come back.
 *
 * @throws what `fs.mkdirSync` throws
 */
export function makeDirectories(name: string): void {
  try {
    fs.mkdirSync(name)
    return
  } catch (error) {
    if (isDirectory(name)) return
    const parent = path.dirname(name)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === name) throw error
    makeDirectories(parent)
  }
  try {
    fs.mkdirSync(name)
  } catch (error) {
    if (!isDirectory(name)) throw error
  }
}

function isDirectory(name: string): boolean {
  try {
    return fs.statSync(name, { throwIfNoEntry: false })?.isDirectory() === true
  } catch {
    return false // the caller has an error of its own to report
  }
}
