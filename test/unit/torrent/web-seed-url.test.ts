import { expect, test } from 'vitest'
import { FileStorage } from '../../../src/metainfo/file-storage.ts'
import { fileUrl, originOf, redirectTarget } from '../../../src/torrent/web-seed-url.ts'

function files(...paths: string[]): FileStorage {
  const storage = new FileStorage()
  storage.setPieceLength(16_384)
  for (const path of paths) storage.addFile(path, 100)
  return storage
}

test('the URL of a torrent of one file is that file, unless it is a directory', () => {
  const one = files('a file.bin')
  expect(fileUrl('http://h/some/other%20name', one, 0)).toBe('http://h/some/other%20name')
  expect(fileUrl('http://h/get?id=1', one, 0)).toBe('http://h/get?id=1')
  expect(fileUrl('http://h/dir/', one, 0)).toBe('http://h/dir/a%20file.bin')
  expect(fileUrl('http://h', one, 0)).toBe('http://h/a%20file.bin')
  expect(fileUrl('http://h:8080', one, 0)).toBe('http://h:8080/a%20file.bin')
})

test('padding is no file', () => {
  const one = files('a file.bin')
  one.addFile('a file.bin/.pad/16284', 16_284, FileStorage.flagPadFile)
  expect(fileUrl('http://h/some/other%20name', one, 0)).toBe('http://h/some/other%20name')
  expect(fileUrl('http://h/dir/', one, 0)).toBe('http://h/dir/a%20file.bin')
  const deep = files('dir/file')
  deep.addFile('dir/.pad/16284', 16_284, FileStorage.flagPadFile)
  expect(fileUrl('http://h/x', deep, 0)).toBe('http://h/x/dir/file')
})

test('the URL of a torrent of several files is the directory of its directory, slash or not', () => {
  const several = files('torrent/sub dir/ä?#%.bin', 'torrent/(b)_~!.txt')
  for (const url of ['http://h/x/', 'http://h/x']) {
    expect(fileUrl(url, several, 0)).toBe('http://h/x/torrent/sub%20dir/%c3%a4%3f%23%25.bin')
    expect(fileUrl(url, several, 1)).toBe('http://h/x/torrent/(b)_~!.txt')
  }
})

test('an escaped path leads to the file when it is taken apart again', () => {
  const name = 'torrent/%41 &=+,;:@$\'"<>[]{}|^`.bin'
  const url = new URL(fileUrl('http://h/', files(name, 'torrent/x'), 0))
  expect(decodeURIComponent(url.pathname)).toBe(`/${name}`)
  expect(url.search + url.hash).toBe('')
})

test('redirects are relative to what was asked for, and lead to web servers only', () => {
  expect(redirectTarget('/c', 'http://h/a/b')).toBe('http://h/c')
  expect(redirectTarget('c d', 'http://h/a/b')).toBe('http://h/a/c%20d')
  expect(redirectTarget('//g/x', 'https://h/a/b')).toBe('https://g/x')
  expect(redirectTarget('https://g:81/x?y=z', 'http://h/a/b')).toBe('https://g:81/x?y=z')
  for (const bad of ['', 'ftp://h/', 'file:///etc/passwd', 'javascript:0', 'http://']) {
    expect(redirectTarget(bad, 'http://h/a/b'), bad).toBeNull()
  }
})

test('an origin is without path and password', () => {
  expect(originOf('http://me:pw@h:80/a/b?c')).toBe('http://h/')
  expect(originOf('https://h:81')).toBe('https://h:81/')
})
