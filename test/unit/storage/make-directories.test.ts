import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Operation } from '../../../src/core/operation.ts'
import { DiskFailure } from '../../../src/storage/disk-error.ts'
import { makeDirectories } from '../../../src/storage/node/make-directories.ts'

let root: string

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'directories-'))
})

afterEach(() => {
  fs.rmSync(root, { recursive: true, force: true })
})

function failure(name: string): DiskFailure {
  try {
    makeDirectories(name, 3)
  } catch (error) {
    expect(error).toBeInstanceOf(DiskFailure)
    return error as DiskFailure
  }
  throw new Error('nothing was thrown')
}

describe('directories', () => {
  test('are made with all above them; those that are there stay', () => {
    makeDirectories(path.join(root, 'a/b/c'), 0)
    fs.writeFileSync(path.join(root, 'a/b/file'), 'x')
    makeDirectories(path.join(root, 'a/b'), 0)
    makeDirectories(path.join(root, 'a/b/d'), 0)
    expect(fs.readdirSync(path.join(root, 'a/b')).sort()).toEqual(['c', 'd', 'file'])
  })

  test('may lead through links', () => {
    fs.mkdirSync(path.join(root, 'real'))
    fs.symlinkSync('real', path.join(root, 'link'))
    makeDirectories(path.join(root, 'link/x'), 0)
    makeDirectories(path.join(root, 'link'), 0)
    expect(fs.readdirSync(path.join(root, 'real'))).toEqual(['x'])
  })

  test.each([
    ['where a file is', 'file', 'File exists'],
    ['below a file', 'file/x/y', 'Not a directory'],
    ['with a name that is too long', `${'n'.repeat(300)}/x`, 'File name too long'],
    ['below a link to itself', 'loop/x', 'Too many levels of symbolic links'],
  ])('%s are an error', (_, name, text) => {
    fs.writeFileSync(path.join(root, 'file'), '')
    fs.symlinkSync('loop', path.join(root, 'loop'))
    const error = failure(path.join(root, name))
    expect([error.code.message(), error.operation, error.file]).toEqual([text, Operation.mkdir, 3])
    expect(fs.readdirSync(root).sort()).toEqual(['file', 'loop'])
  })

  test.runIf(fs.existsSync('/proc/self'))('where the system makes none are an error, and not tried for ever', () => {
    expect(failure('/proc/nothing/here').code.message()).toBe('No such file or directory')
  })
})
