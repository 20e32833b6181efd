import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import type { CommandContext } from '../../../src/cli/io.ts'
import { pieceMap, speaksUnicode } from '../../../src/cli/piece-map.ts'
import { createDisplay, type ProgressView, renderRow } from '../../../src/cli/ui.ts'

const VIEW: ProgressView = {
  name: 'sample\u001b',
  state: 'downloading',
  progress: 0.5,
  doneBytes: 512 * 1024,
  totalBytes: 1024 * 1024,
  rate: 128 * 1024,
  swarm: { infoHash: 'ab'.repeat(20), uploadRate: 0, uploadedBytes: 0, peers: 1, seeds: 1 },
  pieces: [true, true, false, false],
}

function context(json: boolean): { ctx: CommandContext; output: () => string } {
  const stdout = new PassThrough()
  const interrupt = new AbortController().signal
  const ctx = { stdout, stderr: new PassThrough(), interrupt, env: {}, json }
  return { ctx, output: () => String(stdout.read() ?? '') }
}

test('in a pipe progress is a line of text', async () => {
  const { ctx, output } = context(false)
  const display = await createDisplay(ctx)
  display.update([VIEW])
  display.note('added', 'two\nlines\u001b')
  display.update([VIEW, { ...VIEW, name: 'other', doneBytes: VIEW.totalBytes, progress: 1, state: 'seeding' }])
  display.finish()
  expect(output().split('\n')).toEqual([
    'downloading 50.0 % of 1 MiB, 128 KiB/s, ETA 0:04, 1 peer',
    'two',
    'lines\ufffd',
    'sample\ufffd: downloading 50.0 % of 1 MiB, 128 KiB/s, ETA 0:04, 1 peer',
    'other: seeding 100.0 % of 1 MiB, up 0 B/s, 1 peer',
    '',
  ])
})

test('a torrent of which nothing is known yet has no size', async () => {
  const unknown: ProgressView = {
    ...VIEW,
    name: 'x',
    state: 'waiting for metadata',
    progress: 0,
    doneBytes: 0,
    totalBytes: 0,
  }
  const { ctx, output } = context(false)
  const display = await createDisplay(ctx)
  display.update([unknown])
  expect(output()).toBe('waiting for metadata from 1 peer\n')
  const row = renderRow({}, { maxWidth: 80 }, { view: unknown, kind: 'bar', hidden: 0, unicode: false })
  expect(row).toMatch(/^x {2}-+ {2}waiting for metadata {2}1 peer$/)
})

test('with --json everything is an object a line', async () => {
  const { ctx, output } = context(true)
  const display = await createDisplay(ctx)
  display.update([VIEW, { ...VIEW, rate: 0 }])
  display.note('complete', 'text', { seconds: 1 })
  const lines = output()
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(lines[0]).toEqual({
    event: 'progress',
    name: 'sample\u001b',
    infoHash: 'ab'.repeat(20),
    state: 'downloading',
    progress: 0.5,
    doneBytes: 524288,
    totalBytes: 1048576,
    rate: 131072,
    etaSeconds: 4,
    uploadRate: 0,
    uploadedBytes: 0,
    peers: 1,
    seeds: 1,
  })
  expect(lines[1].etaSeconds).toBeNull()
  expect(lines[2]).toEqual({ event: 'complete', message: 'text', seconds: 1 })
})

describe('on a terminal', () => {
  const row = { view: VIEW, kind: 'bar' as const, hidden: 0, unicode: true }

  test('the bar takes what name and figures leave, and goes when there is no room', () => {
    const wide = renderRow({}, { maxWidth: 120 }, row)
    expect(wide).toBe(`sample\ufffd  ${'━'.repeat(20)}${'─'.repeat(20)}   50.0 %  1 MiB  128 KiB/s  ETA 0:04  1 peer`)
    expect(renderRow({}, { maxWidth: 120 }, { ...row, unicode: false })).toContain('####----')
    for (const maxWidth of [10, 40, 60, 80]) {
      expect(Array.from(renderRow({}, { maxWidth }, row)).length).toBeLessThan(maxWidth)
    }
  })

  test('a row below it shows the pieces', () => {
    expect(renderRow({}, { maxWidth: 13 }, { ...row, kind: 'pieces' })).toBe('  ████····')
  })

  test('rows that do not fit are counted', () => {
    expect(renderRow({}, {}, { ...row, view: null, kind: 'rest', hidden: 3 })).toBe('and 3 more')
  })

  test('what is said in between is not drawn over', async () => {
    const { ctx, output } = context(false)
    Object.assign(ctx.stdout, { isTTY: true, columns: 80, rows: 24 })
    const display = await createDisplay(ctx)
    display.note('added', 'before')
    display.update([VIEW])
    display.note('warning', 'between')
    display.note('warning', 'x'.repeat(100))
    display.finish()
    const text = output()
    expect(text.startsWith('before\n')).toBe(true)
    expect(text).toContain('between\u001b[K\n')
    expect(text).toContain(`${'x'.repeat(79)}\u001b[K\n${'x'.repeat(21)}\u001b[K\n`)
    expect(text.endsWith('\n')).toBe(true)
  })
})

test('what will come is not known before the metadata is there', async () => {
  const { ctx, output } = context(true)
  const display = await createDisplay(ctx)
  display.update([{ ...VIEW, doneBytes: 0, totalBytes: 0, progress: 0 }])
  display.update([{ ...VIEW, doneBytes: 0, totalBytes: 0, progress: 1 }])
  const lines = output()
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).etaSeconds)
  expect(lines).toEqual([null, 0])
})

test('a terminal that does not know its size is taken for one of 80 columns', async () => {
  const { ctx, output } = context(false)
  Object.assign(ctx.stdout, { isTTY: true, columns: 0, rows: 0 })
  const display = await createDisplay(ctx)
  display.update([VIEW])
  display.note('warning', 'x'.repeat(100))
  display.finish()
  expect(output()).toContain(`${'x'.repeat(79)}\u001b[K\n${'x'.repeat(21)}\u001b[K\n`)
})

describe('the map of pieces', () => {
  test('shades are between none and all, never either', () => {
    const pieces = Array.from({ length: 100 }, (_, piece) => piece > 0 && piece < 60)
    expect(pieceMap(pieces, 10, true)).toBe('▓█████····')
    expect(pieceMap([true, false, false, false], 1, false)).toBe(':')
    expect(pieceMap([true, true, true, false], 1, false)).toBe('*')
  })

  test('few pieces are drawn wide', () => {
    expect(pieceMap([true, false], 6, false)).toBe('###...')
    expect(pieceMap([], 6, false)).toBe('')
  })

  test('the locale decides about characters beyond ASCII', () => {
    if (process.platform === 'win32') return
    expect(speaksUnicode({ LANG: 'en_US.UTF-8' })).toBe(true)
    expect(speaksUnicode({ LANG: 'en_US.UTF-8', LC_ALL: 'C' })).toBe(false)
    expect(speaksUnicode({ LANG: 'C.UTF-8', TERM: 'linux' })).toBe(false)
    expect(speaksUnicode({})).toBe(false)
  })
})
