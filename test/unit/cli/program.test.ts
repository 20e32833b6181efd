import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../../src/cli/program.ts'
import { CreateFileEntry, CreateTorrent, loadTorrentFile } from '../../../src/index.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'))
  mkdirSync(join(folder, 'album/sub'), { recursive: true })
  writeFileSync(join(folder, 'album/a.bin'), Buffer.alloc(100_000, 7))
  writeFileSync(join(folder, 'album/sub/b.txt'), 'hello')
  writeFileSync(join(folder, 'album/empty'), '')
})
afterAll(() => rmSync(folder, { recursive: true }))

async function cli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const code = await run(args, { stdout, stderr, interrupt: new AbortController().signal, env: {} })
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') }
}

const album = () => join(folder, 'album')
const at = (name: string) => join(folder, name)

describe('wrong usage ends with 2 and says what is wrong', () => {
  test.each([
    [[], 'Usage'],
    [['nonsense'], 'unknown command'],
    [['info'], 'missing required argument'],
    [['info', 'a', 'b'], 'too many arguments'],
    [['info', 'a', '--nonsense'], 'unknown option'],
    [['create', 'x'], "'-o, --output <file>' not specified"],
    [['create', 'x', '-o', 'y', '--v1-only', '--v2-only'], 'cannot be used with'],
    [['create', 'x', '-o', 'y', '--piece-size', 'big'], 'Expected a number of bytes'],
    [['create', 'x', '-o', 'y', '--tracker', 'nowhere'], 'Expected a URL'],
    [['seed', 'x'], "'--save-path <dir>' not specified"],
    [['verify', 'x'], "'--save-path <dir>' not specified"],
    [['download', 'x', '--peer', 'nowhere'], 'Expected HOST:PORT'],
    [['download', 'x', '--listen', '::1:1'], 'Expected HOST:PORT'],
    [['download', 'x', '--set', 'nonsense'], 'Expected NAME=VALUE'],
    [['download', 'x', '--set', 'nonsense=1'], 'unknown name in settings_pack: nonsense'],
    [['download', 'x', '--set', 'enable_dht=maybe'], 'setting enable_dht must be true or false, not "maybe"'],
    [['download', 'x', '--set', 'connections_limit=many'], 'setting connections_limit must be an integer'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await cli(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
  })

  test('a piece size that no torrent can have', async () => {
    for (const size of ['1000', '48K', '512M']) {
      const { code, stderr } = await cli('create', album(), '-o', at('x.torrent'), '--piece-size', size)
      expect(code).toBe(2)
      expect(stderr).toContain('power of two')
    }
    expect(existsSync(at('x.torrent'))).toBe(false)
  })
})

describe('help', () => {
  test.each(['download', 'seed', 'create', 'info', 'magnet', 'verify', 'demo'])(
    '%s --help is no failure and names the exit codes',
    async name => {
      const { code, stdout } = await cli(name, '--help')
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: libtorrent-ts ${name}`)
      expect(stdout).toContain('--json')
      expect(stdout).toContain('Exit codes: 0 done, 1 failed, 2 wrong usage.')
    },
  )

  test('the version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
    expect(await cli('--version')).toMatchObject({ code: 0, stdout: `${version}\n` })
  })
})

describe('create, info and magnet', () => {
  test('a torrent is made with all that was asked for', async () => {
    const args = [
      '--tracker',
      'http://one.example/a',
      '--tracker',
      'udp://two.example:1',
      '--comment',
      'why',
      '--private',
    ]
    const file = at('all.torrent')
    const made = await cli(
      'create',
      album(),
      '-o',
      file,
      ...args,
      '--web-seed',
      'http://w.example/',
      '--piece-size',
      '32K',
    )
    expect(made.code).toBe(0)
    expect(made.stdout).toContain(`wrote ${file}`)

    const params = loadTorrentFile(file)
    expect(params.trackers).toEqual(['http://one.example/a', 'udp://two.example:1'])
    expect(params.trackerTiers).toEqual([0, 1])
    expect(params.urlSeeds).toEqual(['http://w.example/'])
    expect(params.comment).toBe('why')
    expect(params.createdBy).toMatch(/^libtorrent-ts \d/)
    expect(params.ti!.priv()).toBe(true)
    expect(params.ti!.pieceLength()).toBe(32768)
    expect([params.ti!.v1(), params.ti!.v2()]).toEqual([true, true])

    const { stdout } = await cli('info', file, '--json')
    const info = JSON.parse(stdout)
    expect(info).toMatchObject({
      name: 'album',
      versions: ['v1', 'v2'],
      infoHash: params.infoHashes.v1.toString(),
      infoHashes: { v1: params.infoHashes.v1.toString(), v2: params.infoHashes.v2.toString() },
      totalSize: 100_005,
      pieceLength: 32768,
      private: true,
      comment: 'why',
      trackers: [
        { url: 'http://one.example/a', tier: 0 },
        { url: 'udp://two.example:1', tier: 1 },
      ],
      webSeeds: ['http://w.example/'],
    })
    const files = info.files.filter((f: { pad?: boolean }) => !f.pad)
    expect(files.map((f: { path: string; size: number }) => [f.path, f.size])).toEqual([
      ['album/a.bin', 100_000],
      ['album/empty', 0],
      ['album/sub/b.txt', 5],
    ])
    expect(files[0].root).toMatch(/^[0-9a-f]{64}$/)

    const text = (await cli('info', file)).stdout
    expect(text).toContain('Kind:          hybrid (v1 and v2)')
    expect(text).toMatch(/Files: +3\n/)
    expect(text).toContain('album/sub/b.txt')
    expect(text).not.toContain('.pad')
  })

  test.each([
    ['--v1-only', true, false],
    ['--v2-only', false, true],
  ])('%s', async (option, v1, v2) => {
    const file = at(`only${option}.torrent`)
    const { code, stdout } = await cli('create', album(), '-o', file, option, '--json')
    expect(code).toBe(0)
    const events = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    const created = events.at(-1)
    const ti = loadTorrentFile(file).ti!
    expect([ti.v1(), ti.v2()]).toEqual([v1, v2])
    expect(created).toMatchObject({ event: 'created', file, name: 'album', numPieces: ti.numPieces() })
    expect(created.infoHash).toBe(v1 ? ti.infoHashes().v1.toString() : ti.infoHashes().v2.toString())
  })

  test('a magnet link says of the torrent what there is room for', async () => {
    const file = at('magnet.torrent')
    await cli('create', album(), '-o', file, '--v1-only', '--tracker', 'http://one.example/a')
    const { stdout } = await cli('magnet', file)
    const hash = loadTorrentFile(file).infoHashes.v1.toString()
    expect(stdout).toBe(`magnet:?xt=urn:btih:${hash}&dn=album&tr=http%3a%2f%2fone.example%2fa\n`)
    expect(JSON.parse((await cli('magnet', file, '--json')).stdout)).toMatchObject({
      magnet: stdout.trim(),
      infoHash: hash,
    })

    const info = JSON.parse((await cli('info', stdout.trim(), '--json', '--no-fetch')).stdout)
    expect(info).toMatchObject({ name: 'album', infoHash: hash, files: null, totalSize: null })
    expect((await cli('info', stdout.trim(), '--no-fetch')).stdout).toContain('not known before the metadata is there')
  })

  test('an earlier result inside the directory is no part of the new one', async () => {
    const inside = join(album(), 'result.torrent')
    await cli('create', album(), '-o', inside)
    const first = loadTorrentFile(inside).infoHashes
    expect((await cli('create', album(), '-o', inside)).code).toBe(0)
    expect(loadTorrentFile(inside).infoHashes.equals(first)).toBe(true)
    rmSync(inside)
  })

  test.runIf(process.platform === 'linux')('names that will not stay as they are are told', async () => {
    mkdirSync(at('names'))
    for (const name of ['Same', 'same', 'new\nline', 'plain']) writeFileSync(join(at('names'), name), name)
    for (const kind of [[], ['--v1-only'], ['--v2-only']]) {
      const { code, stdout } = await cli('create', at('names'), '-o', at('names.torrent'), '--json', ...kind)
      expect(code).toBe(0)
      const { event, changedNames } = JSON.parse(stdout.trim().split('\n').at(-1)!)
      // which of the two keeps its name is up to the order of the files
      expect([event, changedNames.length]).toEqual(['warning', 2])
      expect(changedNames).toContain('names/new\nline')
    }
    const { stdout } = await cli('create', at('names'), '-o', at('names.torrent'))
    expect(stdout).toContain('2 names are changed wherever the torrent is loaded; rename them')
    expect(stdout).toContain('  names/new\ufffdline\n')
    expect((await cli('create', album(), '-o', at('names.torrent'))).stdout).not.toContain('rename')
  })

  test('of a size that the library does not load unless told to', async () => {
    const name = 'x'.repeat(230)
    const files = Array.from({ length: 45_000 }, (_, i) => new CreateFileEntry(`long/${name}${i}`, 1))
    const torrent = new CreateTorrent(files, 0, CreateTorrent.v1Only)
    for (let i = 0; i < torrent.numPieces(); i++) torrent.setHash(i, new Uint8Array(20).fill(1))
    writeFileSync(at('long.torrent'), torrent.generateBuf())
    expect(() => loadTorrentFile(at('long.torrent'))).toThrow('metadata too large')
    const { code, stdout } = await cli('magnet', at('long.torrent'))
    expect([code, stdout]).toEqual([0, expect.stringContaining('dn=long')])
  })
})

describe('failures end with 1 and name what failed', () => {
  test.each([
    ['info', '/nowhere/x.torrent'],
    ['magnet', '/nowhere/x.torrent'],
    ['verify', '/nowhere/x.torrent', '--save-path', '.'],
    ['download', '/nowhere/x.torrent'],
    ['create', '/nowhere/x.torrent', '-o', '/nowhere/y'],
  ])('%s of what is not there', async (...args) => {
    const { code, stdout, stderr } = await cli(...args)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^error: \/nowhere\/x\.torrent: .*o such file or directory/)
    const json = await cli(...args, '--json')
    expect([json.code, json.stderr]).toEqual([1, ''])
    expect(JSON.parse(json.stdout)).toMatchObject({ event: 'error' })
  })

  test('a file that is no torrent', async () => {
    const { code, stderr } = await cli('info', join(album(), 'a.bin'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .*a\.bin: /)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  test('nothing to share', async () => {
    expect((await cli('create', join(album(), 'empty'), '-o', at('e.torrent'))).stderr).toContain('there is nothing in')
    mkdirSync(at('bare'), { recursive: true })
    expect((await cli('create', at('bare'), '-o', at('e.torrent'))).stderr).toContain('there are no files in it')
    expect(existsSync(at('e.torrent'))).toBe(false)
  })

  test('a place where no torrent can be written is found out before the data is looked at', async () => {
    const away = at('nowhere/x.torrent')
    const { code, stderr } = await cli('create', at('bare'), '-o', away)
    expect([code, stderr]).toEqual([1, expect.stringContaining(`error: ${away}: ENOENT`)])
    expect((await cli('create', album(), '-o', folder)).stderr).toBe(`error: -o ${folder}: that is a directory\n`)
  })

  test('a file that is no torrent is not replaced by one', async () => {
    const own = join(album(), 'a.bin')
    const before = readFileSync(own)
    const { code, stderr } = await cli('create', album(), '-o', own)
    expect([code, stderr]).toEqual([2, `error: -o ${own}: that file is there, and is no torrent to be replaced\n`])
    expect(readFileSync(own).equals(before)).toBe(true)
  })

  test('more pieces than clients take', async () => {
    writeFileSync(at('huge'), '')
    truncateSync(at('huge'), 2 ** 35 + 1)
    const { code, stderr } = await cli('create', at('huge'), '-o', at('x.torrent'), '--piece-size', '16K')
    expect(code).toBe(2)
    expect(stderr).toContain('too many pieces for most clients, it takes 32 KiB at the least')
  })

  test('a magnet link where a file is needed', async () => {
    const link = `magnet:?xt=urn:btih:${'12'.repeat(20)}&tr=http://127.0.0.1:1/announce`
    expect((await cli('verify', link, '--save-path', folder)).stderr).toContain('give the .torrent file')
    expect((await cli('info', 'magnet:?dn=x')).stderr).toContain('error: magnet link: ')
  })
})
