/** Links and copies, with a link call that fails as those of other file systems do. */

import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { errnoError } from '../../../src/core/error-code.ts'
import { copyPart, makeHardLinks, placeCopy } from '../../../src/storage/node/link-files.ts'
import { LinkOutcome } from '../../../src/storage/worker-protocol.ts'

let root: string

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'links-'))
})

afterEach(() => {
  fs.rmSync(root, { recursive: true, force: true })
})

function at(name: string): string {
  return path.join(root, name)
}

function failing(code: string): (target: string, name: string) => void {
  return () => {
    throw Object.assign(new Error(code), { code, errno: -errnoError(code).value() })
  }
}

function linkTask(name: string, size: number) {
  return { kind: 'hardLink', files: [7], targets: [at('source')], sizes: [size], paths: [at(name)] } as const
}

function copyTask(offset: number, step: number, size = 10) {
  return { kind: 'copyPart', file: 7, from: at('source'), to: at('dir/copy'), offset, step, size } as const
}

function placeTask(to: string, replace: boolean) {
  return { kind: 'placeCopy', file: 7, from: at('copy'), to: at(to), replace } as const
}

describe('a link', () => {
  beforeEach(() => fs.writeFileSync(at('source'), '0123456789'))

  test('is made, with the directories it needs; what exists is left alone', () => {
    expect(makeHardLinks(linkTask('a/b/c', 10))).toEqual([LinkOutcome.linked])
    expect(fs.statSync(at('a/b/c')).ino).toBe(fs.statSync(at('source')).ino)
    fs.writeFileSync(at('there'), 'mine')
    expect(makeHardLinks(linkTask('there', 10))).toEqual([LinkOutcome.exists])
    expect(fs.readFileSync(at('there'), 'utf8')).toBe('mine')
    fs.symlinkSync('nowhere', at('dangling'))
    expect(makeHardLinks(linkTask('dangling', 10))).toEqual([LinkOutcome.exists])
  })

  test.each(['EXDEV', 'EMLINK', 'EPERM', 'ENOTSUP', 'ENOSYS'])('that fails with %s calls for a copy', code => {
    expect(makeHardLinks(linkTask('x', 10), failing(code))).toEqual([LinkOutcome.mustCopy])
  })

  test.each(['EACCES', 'EROFS', 'ENOSPC', 'EIO'])('that fails with %s is an error', code => {
    expect(makeHardLinks(linkTask('x', 10), failing(code))).toEqual([-errnoError(code).value()])
  })

  test('to a file that is missing, or not what it was, is not made', () => {
    expect(makeHardLinks(linkTask('x', 11))).toEqual([LinkOutcome.changed])
    fs.rmSync(at('source'))
    expect(makeHardLinks(linkTask('x', 10))).toEqual([-errnoError('ENOENT').value()])
    fs.mkdirSync(at('source'))
    expect(makeHardLinks(linkTask('x', fs.statSync(at('source')).size))).toEqual([LinkOutcome.changed])
    expect(fs.readdirSync(root)).toEqual(['source'])
  })

  test('in a place that cannot be is an error', () => {
    fs.writeFileSync(at('file'), '')
    expect(makeHardLinks(linkTask('file/x', 10))).toEqual([-errnoError('ENOTDIR').value()])
  })
})

describe('a copy', () => {
  test('is made in steps, at its full size from the first on', () => {
    fs.writeFileSync(at('source'), '0123456789', { mode: 0o440 })
    const first = copyPart(copyTask(0, 4))
    // where the file system shares content, one step is all there is
    if (first[0] < 10) {
      expect(first).toEqual([4, 10])
      expect(fs.readFileSync(at('dir/copy'), 'latin1')).toBe('0123\0\0\0\0\0\0')
      expect(copyPart(copyTask(4, 4))).toEqual([8, 10])
      expect(copyPart(copyTask(8, 4))).toEqual([10, 10])
    }
    expect(fs.readFileSync(at('dir/copy'), 'latin1')).toBe('0123456789')
    expect(fs.statSync(at('dir/copy')).mode & 0o777).toBe(0o640)
  })

  test('of an empty file is whole at once', () => {
    fs.writeFileSync(at('source'), '')
    expect(copyPart(copyTask(0, 4, -1))).toEqual([0, 0])
    expect(fs.statSync(at('dir/copy')).size).toBe(0)
  })

  test('ends if the source has another size than it should, at the start or on the way', () => {
    fs.writeFileSync(at('source'), '0123456789')
    expect(() => copyPart(copyTask(0, 4, 11))).toThrow('mismatching file size')
    expect(fs.existsSync(at('dir'))).toBe(false)
    copyPart(copyTask(0, 4))
    fs.truncateSync(at('source'), 5)
    expect(() => copyPart(copyTask(4, 4))).toThrow('mismatching file size')
    fs.rmSync(at('source'))
    expect(() => copyPart(copyTask(4, 4))).toThrow('No such file or directory')
  })

  test('does not follow what is in the place of its target', () => {
    fs.writeFileSync(at('source'), '0123456789')
    fs.writeFileSync(at('precious'), 'precious')
    fs.mkdirSync(at('dir'))
    fs.symlinkSync(at('precious'), at('dir/copy'))
    copyPart(copyTask(0, 100))
    expect(fs.lstatSync(at('dir/copy')).isFile()).toBe(true)
    expect(fs.readFileSync(at('precious'), 'utf8')).toBe('precious')
  })

  test.each([
    ['', fs.linkSync],
    [' where there are no links', failing('EPERM')],
  ])('takes its place unless there is a file%s', (_where, link) => {
    fs.writeFileSync(at('copy'), 'copy')
    expect(placeCopy(placeTask('name', false), link)).toBe(true)
    expect(fs.readdirSync(root)).toEqual(['name'])
    expect(fs.statSync(at('name')).nlink).toBe(1)
    fs.writeFileSync(at('copy'), 'another')
    expect(placeCopy(placeTask('name', false), link)).toBe(false)
    expect(fs.readdirSync(root)).toEqual(['name'])
    expect(fs.readFileSync(at('name'), 'utf8')).toBe('copy')
  })

  test('takes the place of a file if it is to', () => {
    fs.writeFileSync(at('copy'), 'copy')
    fs.writeFileSync(at('name'), 'old')
    expect(placeCopy(placeTask('name', true))).toBe(true)
    expect(fs.readdirSync(root)).toEqual(['name'])
    expect(fs.readFileSync(at('name'), 'utf8')).toBe('copy')
  })
})
