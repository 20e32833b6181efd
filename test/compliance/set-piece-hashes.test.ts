/** The worker threads of `setPieceHashes`, which only the built package has: `npm run build` comes first. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CreateFileEntry } from '../../src/metainfo/create-file-entry.ts'
import { CreateTorrent } from '../../src/metainfo/create-torrent.ts'
import { setPieceHashes as hashHere } from '../../src/node/set-piece-hashes.ts'

type SetPieceHashes = typeof hashHere

let folder = ''
let hashOnWorkers: SetPieceHashes
const files: CreateFileEntry[] = []

beforeAll(async () => {
  const built = new URL('../../build/node/set-piece-hashes.js', import.meta.url)
  if (!existsSync(built)) throw new Error('run `npm run build` first')
  hashOnWorkers = ((await import(built.href)) as { setPieceHashes: SetPieceHashes }).setPieceHashes
  folder = mkdtempSync(join(tmpdir(), 'set-piece-hashes-'))
  mkdirSync(join(folder, 'r'))
  // enough files that they go to the workers
  for (let i = 0; i < 300; i++) {
    const bytes = new Uint8Array(i * 117).fill(i)
    writeFileSync(join(folder, `r/${i}`), bytes)
    files.push(new CreateFileEntry(`r/${i}`, bytes.length))
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const make = (flags: number) => {
  const torrent = new CreateTorrent(files, 16384, flags)
  torrent.setCreationDate(0)
  return torrent
}

test.each([0, CreateTorrent.v1Only, CreateTorrent.v2Only])(
  'workers find the hashes that this thread finds, and report pieces in order, flags %i',
  async flags => {
    const here = make(flags)
    await hashHere(here, folder)
    for (const threads of [1, 2, 5]) {
      const torrent = make(flags)
      const seen: number[] = []
      await hashOnWorkers(torrent, folder, piece => seen.push(piece), { settings: { hashing_threads: threads } })
      expect(seen).toEqual([...torrent.pieceRange()])
      expect(torrent.generateBuf()).toEqual(here.generateBuf())
    }
  },
)

test('a missing file is an error that names it', async () => {
  const torrent = new CreateTorrent([...files, new CreateFileEntry('r/zzz', 5)], 16384)
  const error = await hashOnWorkers(torrent, folder).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ file: join(folder, 'r/zzz'), message: expect.stringContaining('No such file') })
})

test('progress and signals stop the workers', async () => {
  const seen: number[] = []
  const stopped = hashOnWorkers(make(0), folder, piece => seen.push(piece) < 5)
  await expect(stopped).rejects.toThrow('Operation canceled')
  expect(seen).toEqual([0, 1, 2, 3, 4])
  const controller = new AbortController()
  const aborted = hashOnWorkers(make(0), folder, { signal: controller.signal })
  controller.abort('enough')
  await expect(aborted).rejects.toBe('enough')
})
