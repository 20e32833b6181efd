import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Entry } from '../../src/index.ts'
import { Command, DIST, type Event, LOCAL } from './lib/command.ts'

type Library = typeof import('../../src/index.ts')

const BLOCK = 16384
const PIECE = 4 * BLOCK
/** Three and a half pieces, a block, less than a block, a piece, nothing. */
const FILES: Readonly<Record<string, number>> = {
  'long.bin': 3 * PIECE + PIECE / 2 + 100,
  'block.bin': BLOCK,
  'sub/tiny.txt': 5,
  'sub/piece.bin': PIECE,
  empty: 0,
}
const KINDS = ['v1', 'v2', 'hybrid'] as const

let folder = ''
const running: Command[] = []
const at = (name: string) => join(folder, name)
const torrentOf = (kind: string) => at(`${kind}.torrent`)
const made: Record<string, Event> = {}

async function cli(...args: string[]): Promise<{ code: number | null; command: Command; last: Event }> {
  const command = new Command(args)
  running.push(command)
  const code = await command.exit
  return { code, command, last: command.events.at(-1)! }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-v2-'))
  for (const [name, size] of Object.entries(FILES)) {
    mkdirSync(dirname(at(`seed/set/${name}`)), { recursive: true })
    // no block of it is zeros
    writeFileSync(at(`seed/set/${name}`), randomBytes(size))
  }
  for (const kind of KINDS) {
    const options = kind === 'hybrid' ? [] : [`--${kind}-only`]
    const { code, last } = await cli(
      ...['create', at('seed/set'), '-o', torrentOf(kind), '--piece-size', '64K', '--json'],
      ...options,
    )
    expect(code).toBe(0)
    made[kind] = last
  }
})
afterEach(async () => {
  for (const command of running.splice(0)) {
    command.child.kill('SIGKILL')
    await command.exit
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('create, info and magnet', () => {
  test.each(KINDS)('a %s torrent has the hashes and the link of its kind', async kind => {
    const hashes = made[kind]!['infoHashes'] as { v1: string | null; v2: string | null }
    expect(hashes.v1).toEqual(kind === 'v2' ? null : expect.stringMatching(/^[0-9a-f]{40}$/))
    expect(hashes.v2).toEqual(kind === 'v1' ? null : expect.stringMatching(/^[0-9a-f]{64}$/))
    expect(made[kind]!['infoHash']).toBe(hashes.v1 ?? hashes.v2)
    const topics = [
      ...(hashes.v1 === null ? [] : [`xt=urn:btih:${hashes.v1}`]),
      ...(hashes.v2 === null ? [] : [`xt=urn:btmh:1220${hashes.v2}`]),
    ]
    const link = `magnet:?${topics.join('&')}&dn=set`
    expect(made[kind]!['magnet']).toBe(link)
    expect((await cli('magnet', torrentOf(kind))).command.stdout).toBe(`${link}\n`)
    const info = JSON.parse((await cli('info', link, '--no-fetch', '--json')).command.stdout)
    expect(info).toMatchObject({ infoHashes: hashes, versions: kind === 'hybrid' ? ['v1', 'v2'] : [kind] })
  })

  test.each(KINDS)('info of a %s torrent', async kind => {
    const { command } = await cli('info', torrentOf(kind))
    const hashes = made[kind]!['infoHashes'] as { v1: string | null; v2: string | null }
    expect(command.stdout.includes('Info-hash v1:')).toBe(hashes.v1 !== null)
    expect(command.stdout.includes('Info-hash v2:')).toBe(hashes.v2 !== null)
    if (hashes.v2 !== null) expect(command.stdout).toContain(hashes.v2)

    const described = JSON.parse((await cli('info', torrentOf(kind), '--json')).command.stdout)
    const files = described.files.filter((file: { pad?: boolean }) => !file.pad)
    expect(files).toHaveLength(Object.keys(FILES).length)
    for (const { path, size, root } of files) {
      expect(size).toBe(FILES[path.slice('set/'.length)])
      const line = command.stdout.split('\n').find(each => each.endsWith(`  ${path}`))!
      if (kind === 'v1' || size === 0) {
        expect(root).toBeUndefined()
        expect(line).not.toMatch(/[0-9a-f]{64}/)
      } else {
        expect(root).toMatch(/^[0-9a-f]{64}$/)
        expect(line).toContain(`  ${root}  ${path}`)
      }
    }
  })

  test('the roots are the same in v2 and hybrid torrents', async () => {
    const rootsOf = async (kind: string) => {
      const { files } = JSON.parse((await cli('info', torrentOf(kind), '--json')).command.stdout)
      return files.flatMap((file: { path: string; root?: string }) =>
        file.root === undefined ? [] : [[file.path, file.root]],
      )
    }
    expect((await rootsOf('v2')).sort()).toEqual((await rootsOf('hybrid')).sort())
  })
})

/** A copy of the data, to be spoilt. */
function copy(to: string): void {
  for (const name of Object.keys(FILES)) {
    mkdirSync(dirname(at(`${to}/set/${name}`)), { recursive: true })
    copyFileSync(at(`seed/set/${name}`), at(`${to}/set/${name}`))
  }
}

/** Changes bytes. */
function spoil(path: string, change: (data: Buffer) => void): void {
  const data = readFileSync(path)
  change(data)
  writeFileSync(path, data)
}

describe('verify tells of v2 torrents', () => {
  test.each(KINDS)('that a %s torrent is whole', async kind => {
    const { code, last } = await cli('verify', torrentOf(kind), '--save-path', at('seed'), '--json')
    expect(code).toBe(0)
    expect(last).toMatchObject({
      ok: true,
      badPieces: [],
      badFiles: [],
      bytes: { missing: 0, empty: 0, bad: 0, suspect: 0 },
    })
  })

  test.each(['v2', 'hybrid'])('which blocks are bad, empty or missing (%s)', async kind => {
    const to = `spoilt-${kind}`
    copy(to)
    // the second piece: its first block is broken, the last one was never written
    spoil(at(`${to}/set/long.bin`), data => {
      data[PIECE]! ^= 1
      data.fill(0, PIECE + 3 * BLOCK, 2 * PIECE)
    })
    // one block behind the third piece is there
    truncateSync(at(`${to}/set/long.bin`), 3 * PIECE + BLOCK)
    spoil(at(`${to}/set/block.bin`), data => {
      data[7]! ^= 1
    })
    rmSync(at(`${to}/set/sub/tiny.txt`))
    const { code, last } = await cli('verify', torrentOf(kind), '--save-path', at(to), '--json')
    expect(code).toBe(1)
    const size = FILES['long.bin']!
    const found = last['badFiles'] as { path: string; fault: string; ranges: object[] }[]
    expect(Object.fromEntries(found.map(file => [file.path, [file.fault, file.ranges]]))).toEqual({
      'set/long.bin': [
        'too short',
        [
          { from: PIECE, to: PIECE + 3 * BLOCK, state: 'suspect' },
          { from: PIECE + 3 * BLOCK, to: 2 * PIECE, state: 'empty' },
          { from: 3 * PIECE, to: 3 * PIECE + BLOCK, state: 'suspect' },
          { from: 3 * PIECE + BLOCK, to: size, state: 'missing' },
        ],
      ],
      'set/block.bin': ['damaged', [{ from: 0, to: BLOCK, state: 'bad' }]],
      'set/sub/tiny.txt': ['missing', [{ from: 0, to: 5, state: 'missing' }]],
    })
    expect(last['badPieces']).toHaveLength(4)
    expect(last['bytes']).toEqual({
      good: 2 * PIECE + FILES['sub/piece.bin']!,
      bad: BLOCK,
      suspect: 4 * BLOCK,
      empty: BLOCK,
      missing: size - 3 * PIECE - BLOCK + 5,
    })
    const text = (await cli('verify', torrentOf(kind), '--save-path', at(to))).command.stdout
    expect(text).toContain('good: 192 KiB, bad: 16 KiB, in bad pieces: 64 KiB, empty: 16 KiB, missing: 16.1 KiB')
    expect(text).toContain('set/long.bin: too short; blocks in bad pieces: 4-6, 12; empty: 7; missing: 13-14\n')
    expect(text).toContain('set/block.bin: damaged; blocks bad: 0\n')
    expect(text).toContain('set/sub/tiny.txt: missing\n')
  })

  test('every block by itself, if pieces are blocks', async () => {
    const torrent = at('blocks.torrent')
    await cli('create', at('seed/set'), '-o', torrent, '--piece-size', '16K', '--v2-only', '--json')
    copy('blocks')
    spoil(at('blocks/set/long.bin'), data => {
      data[2 * BLOCK]! ^= 1
      data[5 * BLOCK]! ^= 1
    })
    const { last } = await cli('verify', torrent, '--save-path', at('blocks'), '--json')
    expect(last['badFiles']).toMatchObject([
      {
        path: 'set/long.bin',
        fault: 'damaged',
        ranges: [
          { from: 2 * BLOCK, to: 3 * BLOCK, state: 'bad' },
          { from: 5 * BLOCK, to: 6 * BLOCK, state: 'bad' },
        ],
      },
    ])
    const text = (await cli('verify', torrent, '--save-path', at('blocks'))).command.stdout
    expect(text).toContain('set/long.bin: damaged; blocks bad: 2, 5\n')
  })

  test('that nothing is there', async () => {
    const { code, last } = await cli('verify', torrentOf('v2'), '--save-path', at('nowhere'), '--json')
    expect(code).toBe(1)
    const total = Object.values(FILES).reduce((a, b) => a + b)
    expect(last['bytes']).toEqual({ good: 0, bad: 0, suspect: 0, empty: 0, missing: total })
    expect((last['badFiles'] as { fault: string }[]).map(({ fault }) => fault)).toEqual(Array(5).fill('missing'))
  })

  test('what is right of a file whose piece hashes are not known: all of it, or nothing', async () => {
    const { bdecode, bencode } = (await import(pathToFileURL(join(DIST, 'index.js')).href)) as Library
    const { 'piece layers': _, ...rest } = bdecode(readFileSync(torrentOf('v2'))) as { [key: string]: Entry }
    writeFileSync(at('bare.torrent'), bencode(rest))
    const whole = await cli('verify', at('bare.torrent'), '--save-path', at('seed'), '--json')
    expect(whole.last).toMatchObject({ ok: true, badPieces: [] })
    copy('bare')
    spoil(at('bare/set/long.bin'), data => {
      data[5]! ^= 1
    })
    const { last } = await cli('verify', at('bare.torrent'), '--save-path', at('bare'), '--json')
    expect(last).toMatchObject({
      ok: false,
      badFiles: [{ path: 'set/long.bin', fault: 'in a bad piece', ranges: [{ from: 0, to: FILES['long.bin'] }] }],
    })
  })

  test('bytes instead of blocks of a v1 torrent, whose files begin anywhere', async () => {
    copy('spoilt-v1')
    truncateSync(at('spoilt-v1/set/long.bin'), 3 * PIECE)
    const { command } = await cli('verify', torrentOf('v1'), '--save-path', at('spoilt-v1'))
    expect(command.stdout).toMatch(/set\/long\.bin: too short; bytes .*missing: 196608-229475\n/)
  })
})

describe('a v2 torrent between two commands', () => {
  test.each([
    ['v2', 'v2'],
    ['hybrid', 'v1'],
    ['hybrid', 'v2'],
  ] as const)(
    'a %s torrent is downloaded by a link with its %s hash, and can be verified and seeded then',
    async (kind, name) => {
      const local = ['--listen', '127.0.0.1:0', '--json', ...LOCAL]
      const seed = new Command(['seed', torrentOf(kind), '--save-path', at('seed'), ...local])
      running.push(seed)
      const { port } = await seed.until('listening')
      const hashes = made[kind]!['infoHashes'] as { v1: string; v2: string }
      const link = `magnet:?xt=urn:${name === 'v1' ? `btih:${hashes.v1}` : `btmh:1220${hashes.v2}`}`
      const to = at(`by-link-${kind}-${name}`)
      const { code } = await cli('download', link, '--save-path', to, '--peer', `127.0.0.1:${port}`, ...local)
      expect(code).toBe(0)
      const { last } = await cli('verify', torrentOf(kind), '--save-path', to, '--json')
      expect(last).toMatchObject({ ok: true, badPieces: [] })
    },
  )

  test.each(['v2', 'hybrid'])('a %s torrent is downloaded, and seeded by a file', async kind => {
    const local = ['--listen', '127.0.0.1:0', '--json', ...LOCAL]
    const seed = new Command(['seed', torrentOf(kind), '--save-path', at('seed'), ...local])
    running.push(seed)
    const listening = await seed.until('listening')
    const port = String(listening['port'] ?? String(listening['address']).split(':').at(-1))
    const to = at(`got-${kind}`)
    const { code } = await cli('download', torrentOf(kind), '--save-path', to, '--peer', `127.0.0.1:${port}`, ...local)
    expect(code).toBe(0)
    for (const name of Object.keys(FILES)) {
      expect(readFileSync(join(to, 'set', name)).equals(readFileSync(at(`seed/set/${name}`)))).toBe(true)
    }
  })
})

describe('wrong arguments', () => {
  test.each([
    [['create', 'x', '-o', 'y', '--v2-only', '--v1-only'], "'--v1-only' cannot be used with option '--v2-only'"],
    [['create', 'x', '-o', 'y', '--v2'], 'unknown option'],
    [['download', 'magnet:?xt=urn:btmh:1220abcd'], 'magnet link'],
    [['download', `magnet:?xt=urn:btmh:1114${'ab'.repeat(32)}`], 'magnet link'],
  ])('%j', async (args, message) => {
    const { code, command } = await cli(...args, ...(args[0] === 'download' ? ['--save-path', at('none')] : []))
    expect(code).not.toBe(0)
    expect(command.stdout).toBe('')
    expect(command.stderr).toContain(message)
    expect(command.stderr).not.toContain('    at ')
  })
})
