import { createHash, randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Session, TorrentHandle } from '../../src/index.ts'
import { Command, DIST, LOCAL } from './lib/command.ts'

const SIZE = 24 * 1024 * 1024 + 1234
const SLOW = 6 * 1024 * 1024

let folder = ''
let torrent = ''
let infoHash = ''
const running: Command[] = []

function start(...args: string[]): Command {
  const command = new Command(args)
  running.push(command)
  return command
}

/** A command that has ended. */
async function cli(...args: string[]): Promise<{ code: number | null; command: Command }> {
  const command = start(...args)
  return { code: await command.exit, command }
}

const at = (name: string) => join(folder, name)
const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')
const transferArgs = (saveTo: string, ...rest: string[]) => [
  ...['--save-path', at(saveTo), '--listen', '127.0.0.1:0', '--json'],
  ...LOCAL,
  ...rest,
]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-transfer-'))
  mkdirSync(at('seed/set/sub'), { recursive: true })
  writeFileSync(at('seed/set/a.bin'), randomBytes(SIZE))
  writeFileSync(at('seed/set/sub/b.txt'), 'hello')
  writeFileSync(at('seed/set/empty'), '')
  torrent = at('set.torrent')
  const made = await cli('create', at('seed/set'), '-o', torrent, '--v1-only', '--piece-size', '256K', '--json')
  expect(made.code).toBe(0)
  infoHash = String(made.command.events.at(-1)!['infoHash'])
})

afterEach(async () => {
  for (const command of running.splice(0)) {
    command.child.kill('SIGKILL')
    await command.exit
  }
})

afterAll(() => rmSync(folder, { recursive: true }))

/** Starts a seed and waits for its port. */
async function seed(): Promise<{ command: Command; peer: string }> {
  const command = start('seed', torrent, ...transferArgs('seed'))
  const { port } = await command.until('listening')
  await command.until('seeding')
  return { command, peer: `127.0.0.1:${port}` }
}

test('what is seeded is downloaded, byte for byte, and a download ends when it is complete', async () => {
  const { command: seeder, peer } = await seed()
  const { code, command } = await cli('download', torrent, ...transferArgs('one', '--peer', peer, '--sequential'))
  expect(code, command.stdout + command.stderr).toBe(0)
  expect(command.events.at(-1)).toMatchObject({ event: 'complete', name: 'set', infoHash, receivedBytes: SIZE + 5 })
  expect(digest(at('one/set/a.bin'))).toBe(digest(at('seed/set/a.bin')))
  expect(readFileSync(at('one/set/sub/b.txt'), 'utf8')).toBe('hello')
  // nothing but the data is left
  expect(readdirSync(at('one'))).toEqual(['set'])

  seeder.child.kill('SIGINT')
  expect(await seeder.exit).toBe(0)
  expect(seeder.stderr).toBe('')
})

test('in a pipe there are lines of text', async () => {
  const { peer } = await seed()
  const args = transferArgs('text', '--peer', peer).filter(arg => arg !== '--json')
  const { code, command } = await cli('download', torrent, ...args)
  expect(code).toBe(0)
  expect(command.stdout).toMatch(/^set: 24 MiB\n/)
  expect(command.stdout).toMatch(/100\.0 % of 24 MiB.*\nset is complete: 24 MiB in [\d.]+ s, .*\/s\n$/)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: there are to be none
  expect(command.stdout).not.toMatch(/\u001b/)
})

test('--seed goes on when complete, until Ctrl-C', async () => {
  const { peer } = await seed()
  const second = start('download', torrent, ...transferArgs('two', '--peer', peer, '--seed'))
  const { port } = await second.until('listening')
  await second.until('complete')
  const { code } = await cli('download', torrent, ...transferArgs('three', '--peer', `127.0.0.1:${port}`))
  expect(code).toBe(0)
  second.child.kill('SIGTERM')
  expect(await second.exit).toBe(0)
  expect(readdirSync(at('two')).sort()).toEqual([`.${infoHash}.resume`, 'set'])
})

describe('Ctrl-C', () => {
  let session: Session
  let handle: TorrentHandle
  let peer = ''

  beforeAll(async () => {
    const library: typeof import('../../src/index.ts') = await import(pathToFileURL(join(DIST, 'index.js')).href)
    session = new library.Session({ listen_interfaces: '127.0.0.1:0', enable_dht: false, enable_lsd: false })
    const params = library.loadTorrentFile(torrent)
    params.savePath = at('seed')
    params.uploadLimit = SLOW
    params.flags &= ~(library.TorrentFlags.autoManaged | library.TorrentFlags.paused)
    handle = session.addTorrent(params)
    while (!handle.status().isSeeding) await session.waitForAlert(1000)
    peer = `127.0.0.1:${session.listenPort()}`
  })

  afterAll(() => session.close())

  test('saves what is there, and the next run goes on without checking it', async () => {
    const args = ['download', torrent, ...transferArgs('resumed', '--peer', peer)]
    const first = start(...args)
    const { doneBytes } = await first.until('progress', e => Number(e['doneBytes']) > SIZE / 8)
    first.child.kill('SIGINT')
    expect(await first.exit).toBe(1)
    expect(first.events.map(e => e.event)).toContain('stopped')
    expect(existsSync(at(`resumed/.${infoHash}.resume`))).toBe(true)

    handle.setUploadLimit(-1)
    const { code, command } = await cli(...args)
    expect(code, command.stdout).toBe(0)
    const { receivedBytes } = command.events.at(-1)!
    expect(Number(receivedBytes)).toBeLessThanOrEqual(SIZE + 5 - Number(doneBytes))
    expect(digest(at('resumed/set/a.bin'))).toBe(digest(at('seed/set/a.bin')))
    expect(readdirSync(at('resumed'))).toEqual(['set'])
  })

  test('saves all that was received, also of pieces that are not complete', async () => {
    const library: typeof import('../../src/index.ts') = await import(pathToFileURL(join(DIST, 'index.js')).href)
    const [size, pieceSize] = [160 * 2 ** 20, 4 * 2 ** 20]
    writeFileSync(at('seed/large'), '')
    truncateSync(at('seed/large'), size)
    const made = await cli(
      'create',
      at('seed/large'),
      '-o',
      at('large.torrent'),
      '--piece-size',
      `${pieceSize}`,
      '--json',
    )
    const params = library.loadTorrentFile(at('large.torrent'))
    Object.assign(params, { savePath: at('seed'), uploadLimit: size / 3, flags: library.TorrentFlags.seedMode })
    session.addTorrent(params)

    const command = start('download', at('large.torrent'), ...transferArgs('half', '--peer', peer))
    await command.until('progress', e => Number(e['doneBytes']) > 0)
    command.child.kill('SIGINT')
    expect(await command.exit).toBe(1)
    const hash = String(made.command.events.at(-1)!['infoHash'])
    const { havePieces, unfinishedPieces } = library.readResumeData(readFileSync(at(`half/.${hash}.resume`)))
    const set = (bits: Iterable<boolean>) => [...bits].filter(bit => bit).length
    const blocks = Object.values(unfinishedPieces).reduce((sum, bits) => sum + set(bits), 0)
    const { progress } = command.events.find(e => e.event === 'stopped')!
    // progress is in whole millionths
    const received = set(havePieces) * pieceSize + blocks * 16384
    expect(Math.floor((received * 1_000_000) / size)).toBe(Math.round(Number(progress) * 1_000_000))
  })

  test('when nobody reads what is written, a download is saved and ends too', async () => {
    handle.setUploadLimit(SLOW)
    const command = start('download', torrent, ...transferArgs('unread', '--peer', peer))
    await command.until('progress', e => Number(e['doneBytes']) > 0)
    command.child.stdout!.destroy()
    expect(await command.exit).toBe(1)
    expect(command.stderr).toBe('')
    expect(existsSync(at(`unread/.${infoHash}.resume`))).toBe(true)
  })

  // links in /proc lead round in circles for ever
  test.runIf(process.platform === 'linux')('ends what only looks at files', async () => {
    const command = start('create', '/proc', '-o', at('proc.torrent'))
    await new Promise(done => setTimeout(done, 1500))
    command.child.kill('SIGINT')
    await command.exit
    expect(command.child.signalCode).toBe('SIGINT')
  })

  test('a second one ends at once', async () => {
    const command = start('download', torrent, ...transferArgs('twice', '--peer', '127.0.0.1:1'))
    await command.until('progress')
    command.child.kill('SIGINT')
    command.child.kill('SIGTERM')
    expect(await command.exit).toBe(1)
  })

  test('resume data of no use is told, and the files are checked', async () => {
    const { peer } = await seed()
    mkdirSync(at('odd'), { recursive: true })
    writeFileSync(at(`odd/.${infoHash}.resume`), 'nonsense')
    const { code, command } = await cli('download', torrent, ...transferArgs('odd', '--peer', peer))
    expect(code).toBe(0)
    expect(command.events.find(e => e.event === 'warning')?.message).toContain('starting over with a check')
  })
})

test('seeding what is not there fails, and downloads nothing', async () => {
  const { peer } = await seed()
  const { code, command } = await cli('seed', torrent, ...transferArgs('nothing', '--peer', peer))
  expect(code).toBe(1)
  expect(command.events.find(e => e.event === 'error')?.message).toContain('24 MiB of 24 MiB are not in')
  expect(existsSync(at('nothing/set/a.bin'))).toBe(false)
  expect(existsSync(at(`nothing/.${infoHash}.resume`))).toBe(false)
})

test('a torrent given twice is one torrent', async () => {
  const { peer } = await seed()
  const { code, command } = await cli('download', torrent, torrent, ...transferArgs('same', '--peer', peer))
  expect(code).toBe(0)
  expect(command.events.filter(e => e.event === 'complete')).toHaveLength(1)
})

describe('verify', () => {
  test('data that is whole', async () => {
    const { code, command } = await cli('verify', torrent, '--save-path', at('seed'), '--json')
    expect(code).toBe(0)
    expect(command.events.at(-1)).toMatchObject({ event: 'verified', ok: true, badPieces: [], badFiles: [] })
  })

  test('bad pieces and missing files are listed, and nothing is changed', async () => {
    mkdirSync(at('bad/set'), { recursive: true })
    const data = readFileSync(at('seed/set/a.bin'))
    data[3 * 262144 + 5]! ^= 1
    writeFileSync(at('bad/set/a.bin'), data)
    const { code, command } = await cli('verify', torrent, '--save-path', at('bad'), '--json')
    expect(code).toBe(1)
    const last = Math.ceil((SIZE + 5) / 262144) - 1
    expect(command.events.at(-1)).toMatchObject({
      ok: false,
      badPieces: [3, last],
      badFiles: [
        { path: 'set/a.bin', fault: 'in a bad piece' },
        { path: 'set/empty', fault: 'missing' },
        { path: 'set/sub/b.txt', fault: 'missing' },
      ],
    })
    expect(readdirSync(at('bad/set'))).toEqual(['a.bin'])
    const text = await cli('verify', torrent, '--save-path', at('bad'))
    expect(text.command.stdout).toContain(`set is not whole: 2 of ${last + 1} pieces are bad\n`)
    expect(text.command.stdout).toContain(`bad pieces: 3, ${last}\n`)
  })

  test('a file that was cut, and no data at all', async () => {
    mkdirSync(at('cut/set/sub'), { recursive: true })
    for (const name of ['a.bin', 'empty', 'sub/b.txt'])
      writeFileSync(at(`cut/set/${name}`), readFileSync(at(`seed/set/${name}`)))
    truncateSync(at('cut/set/a.bin'), 1000)
    const cut = await cli('verify', torrent, '--save-path', at('cut'), '--json')
    expect(cut.code).toBe(1)
    expect(cut.command.events.at(-1)!['badFiles']).toContainEqual({
      index: 0,
      path: 'set/a.bin',
      fault: 'too short',
      ranges: [
        { from: 0, to: 1000, state: 'suspect' },
        { from: 1000, to: SIZE, state: 'missing' },
      ],
    })

    const none = await cli('verify', torrent, '--save-path', at('none'), '--json')
    expect(none.code).toBe(1)
    expect(none.command.events.at(-1)!['badPieces']).toHaveLength(Math.ceil((SIZE + 5) / 262144))
    expect(existsSync(at('none'))).toBe(false)
  })
})

describe('torrents from the network', () => {
  let server: Server
  let base = ''

  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === '/moved') response.writeHead(302, { location: '/set.torrent' }).end()
      else if (request.url === '/set.torrent') response.end(readFileSync(torrent))
      else if (request.url === '/page') response.end('<html>')
      else if (request.url === '/endless') {
        const send = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65536, 'd')));
        }
        response.on('drain', send)
        send()
      } else response.writeHead(404).end()
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })

  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  test('an address is fetched, redirects followed', async () => {
    const { code, command } = await cli('info', `${base}/moved`, '--json')
    expect(code).toBe(0)
    expect(JSON.parse(command.stdout)).toMatchObject({ infoHash, name: 'set' })
  })

  test.each([
    ['/nothing', 'the server answered 404'],
    ['/page', 'expected value'],
    ['/endless', 'it is larger than 10000000 bytes'],
  ])('%s fails', async (path, message) => {
    const { code, command } = await cli('info', base + path)
    expect(code).toBe(1)
    expect(command.stderr).toContain(`error: ${base}${path}: `)
    expect(command.stderr).toContain(message)
  })

  test('a magnet link that names an address for the torrent can be downloaded', async () => {
    const { peer } = await seed()
    const link = `magnet:?xt=urn:btih:${infoHash}&xs=${encodeURIComponent(`${base}/set.torrent`)}`
    const { code } = await cli('download', link, ...transferArgs('magnet', '--peer', peer))
    expect(code).toBe(0)
  })

  test('an address that has another torrent is told of, and peers are asked instead', async () => {
    const { peer } = await seed()
    const link = `magnet:?xt=urn:btih:${infoHash}&xs=${encodeURIComponent(`${base}/page`)}`
    const { code, command } = await cli('download', link, ...transferArgs('other', '--peer', peer))
    expect(code, command.stdout).toBe(0)
    expect(command.events[0]!).toMatchObject({ event: 'warning' })
    expect(command.events[0]!.message).toContain('/page: ')
  })
})

describe('a magnet link', () => {
  const link = () => `magnet:?xt=urn:btih:${infoHash}`

  test('is downloaded from peers that tell what is in it', async () => {
    const { peer } = await seed()
    const { code, command } = await cli('download', link(), ...transferArgs('bare', '--peer', peer))
    expect(code, command.stdout + command.stderr).toBe(0)
    const named = command.events.map(({ event, name }) => `${event} ${name}`)
    expect(named).toContain(`added ${infoHash}`)
    expect(named).toContain('metadata set')
    expect(command.events.at(-1)).toMatchObject({ event: 'complete', name: 'set', infoHash })
    expect(digest(at('bare/set/a.bin'))).toBe(digest(at('seed/set/a.bin')))
    expect(readdirSync(at('bare'))).toEqual(['set'])
  })

  test('that was stopped goes on from its resume data, metadata included', async () => {
    const { command: seeder, peer } = await seed()
    const slow = ['--set', 'download_rate_limit=2000000', '--peer', peer]
    const first = start('download', link(), ...transferArgs('again', ...slow))
    await first.until('metadata')
    first.child.kill('SIGINT')
    await first.exit
    seeder.child.kill('SIGKILL')
    await seeder.exit
    const second = start('download', link(), ...transferArgs('again'))
    const { message } = await second.until('added')
    expect(message).toMatch(/^set: 24 MiB/)
    second.child.kill('SIGKILL')
  })

  test('that selects files gets these, whatever an earlier one has selected', async () => {
    const { peer } = await seed()
    const args = transferArgs('some', '--peer', peer)
    const first = start('download', `${link()}&so=2`, ...args, '--seed')
    const { totalBytes } = await first.until('complete')
    // all of its piece, which has the end of the other file
    expect(totalBytes).toBe(1234 + 5)
    first.child.kill('SIGINT')
    await first.exit
    expect(readFileSync(at('some/set/sub/b.txt'), 'utf8')).toBe('hello')
    expect(existsSync(at('some/set/a.bin'))).toBe(false)
    expect(existsSync(at(`some/.${infoHash}.resume`))).toBe(true)
    const { command } = await cli('download', `${link()}&so=0`, ...args)
    expect(command.events.at(-1)).toMatchObject({ event: 'complete', totalBytes: SIZE + 5 })
    expect(digest(at('some/set/a.bin'))).toBe(digest(at('seed/set/a.bin')))
  })

  test('info asks peers for what is in it', async () => {
    const { peer } = await seed()
    const { code, command } = await cli('info', link(), '--json', '--peer', peer, ...LOCAL)
    expect(code, command.stdout + command.stderr).toBe(0)
    expect(command.events.at(-1)).toMatchObject({ name: 'set', infoHash, totalSize: SIZE + 5 })
    const files = command.events.at(-1)!['files'] as { path: string }[]
    expect(files.map(file => file.path).sort()).toEqual(['set/a.bin', 'set/empty', 'set/sub/b.txt'])
  })

  test('info gives up in time, or does not ask at all', async () => {
    const { code, command } = await cli('info', link(), '--timeout', '1', ...LOCAL)
    expect(code).toBe(1)
    expect(command.stderr).toBe('error: no metadata after 1 s: no peer was found\n')
    const bare = await cli('info', link(), '--no-fetch')
    expect(bare.code).toBe(0)
    expect(bare.command.stdout).toContain('not known before the metadata is there')
    expect((await cli('info', link(), '--timeout', '0')).code).toBe(2)
  })
})
