import { expect, test } from 'vitest'
import {
  formatBytes,
  formatDuration,
  formatElapsed,
  formatPercent,
  formatRanges,
  formatRate,
  formatTable,
  printable,
  shorten,
} from '../../../src/cli/format.ts'

test('sizes have three digits that matter', () => {
  const sizes = [0, 1, 999, 1000, 1536, 10 * 1024, 1024 * 1024, 157 * 1024 * 1024, 2 ** 40 * 1.25, 2 ** 60]
  expect(sizes.map(formatBytes)).toEqual([
    '0 B',
    '1 B',
    '999 B',
    '0.98 KiB',
    '1.5 KiB',
    '10 KiB',
    '1 MiB',
    '157 MiB',
    '1.25 TiB',
    '1024 PiB',
  ])
  expect(formatRate(2048)).toBe('2 KiB/s')
})

test('durations are clock-like, and without an end a dash', () => {
  expect([0, 0.2, 59, 75, 3615, 200_000].map(formatDuration)).toEqual([
    '0:00',
    '0:01',
    '0:59',
    '1:15',
    '1:00:15',
    '2 d',
  ])
  expect(formatDuration(Number.POSITIVE_INFINITY)).toBe('-')
  expect(formatElapsed(0.44)).toBe('0.4 s')
  expect(formatElapsed(61)).toBe('1:01')
})

test('100 % is said only when all is there', () => {
  expect([0, 0.4567, 0.99999, 1].map(formatPercent)).toEqual(['0.0 %', '45.6 %', '99.9 %', '100.0 %'])
})

test('indices that follow each other are a range', () => {
  expect(formatRanges([])).toBe('')
  expect(formatRanges([1, 2, 3, 7, 9, 10])).toBe('1-3, 7, 9-10')
})

test('names from torrents cannot drive the terminal', () => {
  expect(printable('a\u001b[31mb\r\nc\u009bd\u202ee')).toBe('a\ufffd[31mb\ufffd\ufffdc\ufffdd\ufffde')
  expect(printable('Größe 漢字 🎉')).toBe('Größe 漢字 🎉')
})

test('text is cut between characters', () => {
  expect(shorten('short', 5)).toBe('short')
  expect(shorten('🎉🎉🎉🎉', 3)).toBe('🎉🎉…')
  expect(shorten('something', 5, '...')).toBe('so...')
  expect(shorten('something', 1)).toBe('')
})

test('a table leaves out what has no value', () => {
  const rows = [
    ['Name', 'x'],
    ['Comment', ''],
    ['Trackers', ['one', 'two']],
    ['Web seeds', []],
  ] as const
  expect(formatTable(rows)).toBe('Name:      x\nTrackers:  one\n           two')
})
