import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FileFlags } from '../../../src/core/enums.ts'
import { CreateTorrent } from '../../../src/metainfo/create-torrent.ts'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { addFiles, listFiles } from '../../../src/metainfo/list-files.ts'

let folder = ''
beforeEach(() => {
  folder = join(realpathSync(mkdtempSync(join(tmpdir(), 'list-files-'))), 'root')
  mkdirSync(join(folder, 'sub/deep'), { recursive: true })
  writeFileSync(join(folder, 'a'), 'aaa')
  writeFileSync(join(folder, '.hidden'), 'h')
  writeFileSync(join(folder, 'sub/ü'), 'uu')
  writeFileSync(join(folder, 'sub/deep/x'), '')
  chmodSync(join(folder, 'a'), 0o755)
  chmodSync(join(folder, 'sub/ü'), 0o644)
  utimesSync(join(folder, 'a'), 1600000000.7, 1600000000.7)
})
afterEach(() => rmSync(join(folder, '..'), { recursive: true }))

const names = (files: { filename: string }[]) => files.map(file => file.filename).sort()
const ALL = ['root/.hidden', 'root/a', 'root/sub/deep/x', 'root/sub/ü']

test('a directory is listed with all it holds, under its own name', () => {
  const files = listFiles(folder)
  expect(names(files)).toEqual(ALL)
  expect(names(listFiles(`${folder}/`))).toEqual(ALL)
  const a = files.find(file => file.filename === 'root/a')!
  expect(a).toMatchObject({ size: 3, mtime: 1600000000, flags: FileFlags.flagExecutable, symlink: '' })
  expect(files.find(file => file.filename === 'root/sub/ü')!.flags).toBe(0)
})

test('attributes can be left out', () => {
  expect(listFiles(folder, CreateTorrent.noAttributes).every(file => file.flags === 0)).toBe(true)
})

test('a file is listed by its name alone', () => {
  expect(names(listFiles(join(folder, 'a')))).toEqual(['a'])
})

test('dots at the end of a path are resolved, for they are no names', () => {
  expect(names(listFiles(`${folder}/sub/..`))).toEqual(ALL)
  expect(names(listFiles(`${folder}/.`))).toEqual(ALL)
})

test('what is not there is left out', () => {
  expect(listFiles(join(folder, 'nothing'))).toEqual([])
})

test('a predicate sees full paths and leaves out whole directories', () => {
  const seen: string[] = []
  const files = listFiles(folder, path => {
    seen.push(path)
    return !path.endsWith('/sub')
  })
  expect(names(files)).toEqual(['root/.hidden', 'root/a'])
  expect(seen.sort()).toEqual([folder, `${folder}/.hidden`, `${folder}/a`, `${folder}/sub`])
})

test('links are followed unless they are to be kept', () => {
  symlinkSync('a', join(folder, 'to-a'))
  symlinkSync('sub', join(folder, 'to-sub'))
  const followed = names(listFiles(folder))
  expect(followed).toEqual([...ALL, 'root/to-a', 'root/to-sub/deep/x', 'root/to-sub/ü'].sort())
})

test('kept links point below the root of the torrent; those that leave it are dropped', () => {
  symlinkSync('../a', join(folder, 'sub/up'))
  symlinkSync('deep/../ü', join(folder, 'sub/round'))
  symlinkSync(join(folder, 'sub'), join(folder, 'absolute'))
  symlinkSync('/etc', join(folder, 'out1'))
  symlinkSync('../..', join(folder, 'out2'))
  symlinkSync('.', join(folder, 'self'))
  const files = listFiles(folder, CreateTorrent.symlinks)
  expect(names(files)).toEqual([...ALL, 'root/absolute', 'root/sub/round', 'root/sub/up'].sort())
  const target = (name: string) => files.find(file => file.filename === name)!.symlink
  expect(target('root/sub/up')).toBe('a')
  expect(target('root/sub/round')).toBe('sub/ü')
  expect(target('root/absolute')).toBe('sub')
  expect(files.find(file => file.filename === 'root/absolute')).toMatchObject({ size: 0 })
  const filtered = listFiles(folder, path => !path.endsWith('/a'), CreateTorrent.symlinks)
  expect(names(filtered)).not.toContain('root/sub/up')
})

test('a link that leads back up ends', () => {
  symlinkSync('..', join(folder, 'sub/loop'))
  expect(listFiles(folder).length).toBeGreaterThan(4)
})

test('a name that is not UTF-8 is an error', () => {
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/x`), Buffer.of(0xff)]), '')
  expect(() => listFiles(folder)).toThrow('illegal byte sequence')
})

test('the deprecated form fills a file storage', () => {
  const storage = new FileStorage()
  addFiles(storage, folder, path => !path.endsWith('ü'))
  expect(storage.numFiles()).toBe(3)
  expect(storage.name()).toBe('root')
  expect(storage.totalSize()).toBe(4)
})
