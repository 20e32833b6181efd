import { describe, expect, test } from 'vitest'
import { LibtorrentErrors } from '../../../src/core/error-table.ts'
import type { HttpHead } from '../../../src/core/runtime.ts'
import { contentRange, judgeAnswer, retryAfter } from '../../../src/peer/web-seed-answer.ts'

function head(status: number, headers: Record<string, string> = {}): HttpHead {
  return { status, statusText: '', headers, url: 'http://a/', remoteAddress: '' }
}

describe('the answer to a request for bytes 100 to 199', () => {
  const cases: readonly (readonly [string, number, Record<string, string>, unknown])[] = [
    ['is the range', 206, { 'content-range': 'bytes 100-199/1000' }, { kind: 'body' }],
    ['is the range of a file of unknown length', 206, { 'content-range': 'bytes 100-199/*' }, { kind: 'body' }],
    ['says so as some servers do', 206, { 'content-range': 'bytes=100-199' }, { kind: 'body' }],
    [
      'is not compressed',
      206,
      { 'content-range': 'bytes 100-199/*', 'content-encoding': ' Identity' },
      { kind: 'body' },
    ],
    ['begins elsewhere', 206, { 'content-range': 'bytes 101-199/1000' }, wrong(LibtorrentErrors.invalidRange, false)],
    ['ends elsewhere', 206, { 'content-range': 'bytes 100-200/1000' }, wrong(LibtorrentErrors.invalidRange, false)],
    ['has no range', 206, {}, wrong(LibtorrentErrors.invalidRange, true)],
    [
      'has no range that is one',
      206,
      { 'content-range': 'bytes 199-100/1000' },
      wrong(LibtorrentErrors.invalidRange, true),
    ],
    ['is in other units', 206, { 'content-range': 'lines 100-199/1000' }, wrong(LibtorrentErrors.invalidRange, true)],
    [
      'is compressed',
      206,
      { 'content-range': 'bytes 100-199/1000', 'content-encoding': 'gzip' },
      wrong(LibtorrentErrors.invalidRange, true),
    ],
    ['is the whole file', 200, { 'content-length': '1000' }, wrong(LibtorrentErrors.invalidRange, false)],
    ['is a file of unknown length', 200, {}, wrong(LibtorrentErrors.noContentLength, true)],
    ['is a file of a strange length', 200, { 'content-length': '-1' }, wrong(LibtorrentErrors.noContentLength, true)],
    ['is elsewhere', 302, { location: '/x' }, { kind: 'redirect', location: '/x' }],
    ['is elsewhere, it does not say where', 308, {}, { kind: 'redirect', location: '' }],
    ['is not there', 404, {}, { kind: 'refused' }],
    ['is out of range', 416, {}, { kind: 'refused' }],
    ['is nothing', 204, {}, { kind: 'refused' }],
    ['is not now', 503, {}, { kind: 'refused' }],
  ]
  for (const [what, status, headers, verdict] of cases) {
    test(what, () => expect(judgeAnswer(head(status, headers), 100, 200)).toEqual(verdict))
  }

  test('is the whole file, if that is what was asked for', () => {
    expect(judgeAnswer(head(200, { 'content-length': '200' }), 0, 200)).toEqual({ kind: 'body' })
  })
})

function wrong(error: LibtorrentErrors, fatal: boolean) {
  return { kind: 'wrong', error, fatal }
}

test('a content range is read strictly', () => {
  expect(contentRange('bytes 0-0/1')).toEqual({ start: 0, end: 1 })
  expect(contentRange('  Bytes  7 - 9 / 100')).toEqual({ start: 7, end: 10 })
  for (const text of [
    undefined,
    '',
    'bytes',
    'bytes -',
    'bytes 1-',
    'bytes -1',
    'bytes */100',
    'bytes 1-2x',
    '1-2/3',
  ]) {
    expect(contentRange(text), text).toBeNull()
  }
  expect(contentRange(`bytes 0-${'9'.repeat(30)}/1`)).toBeNull()
})

test('a time to come back is taken in seconds, and not for ever', () => {
  expect(retryAfter(head(503, { 'retry-after': '120' }))).toBe(120)
  expect(retryAfter(head(503, { 'retry-after': '99999999999' }))).toBe(86_400)
  for (const value of ['0', '-5', 'soon', 'Fri, 31 Dec 1999 23:59:59 GMT', '']) {
    expect(retryAfter(head(503, { 'retry-after': value })), value).toBeNull()
  }
  expect(retryAfter(head(503))).toBeNull()
})
