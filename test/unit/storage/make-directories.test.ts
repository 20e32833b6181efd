import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeDirectories } from '../../../src/storage/node/make-directories.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'make-directories-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('all that are missing are made, and what is there is left', () => {
  const name = join(folder, 'a/b/c')
  makeDirectories(name)
  writeFileSync(join(name, 'file'), 'x')
  makeDirectories(name)
  makeDirectories(`${name}/`)
  expect(statSync(name).isDirectory()).toBe(true)
  expect(existsSync(join(name, 'file'))).toBe(true)
  makeDirectories('/')
  makeDirectories('.')
})

test('a link to a directory is one', () => {
  symlinkSync(folder, join(folder, 'link'))
  makeDirectories(join(folder, 'link/below'))
  makeDirectories(join(folder, 'link'))
  expect(existsSync(join(folder, 'below'))).toBe(true)
})

test('a file in the way is an error', () => {
  const file = join(folder, 'file')
  writeFileSync(file, 'x')
  expect(() => makeDirectories(file)).toThrow('EEXIST')
  expect(() => makeDirectories(join(file, 'below/it'))).toThrow('ENOTDIR')
  symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'))
  expect(() => makeDirectories(join(folder, 'dangling'))).toThrow('EEXIST')
  expect(() => makeDirectories('')).toThrow('ENOENT')
})

test.runIf(process.platform === 'linux')('a file system that knows no new names does not keep us for ever', () => {
  expect(() => makeDirectories('/proc/nowhere/a/b')).toThrow('ENOENT')
})
