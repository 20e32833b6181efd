/** `verify`: checks every piece of a torrent on disk, and looks closer at those that are bad. */

import { type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  type AddTorrentParams,
  AlertCategory,
  DownloadPriority,
  defaultBlockSize,
  FileFlags,
  Session,
  TorrentFlags,
  TorrentHandle,
  type TorrentInfo,
  TorrentStatus,
} from '../index.ts'
import { type BlockState, type Damage, type DamagedRange, findDamage, sumDamage } from './damage.ts'
import { formatBytes, formatRanges, printable } from './format.ts'
import { type CommandContext, CommandError } from './io.ts'
import { hashName, loadSource } from './torrent-source.ts'
import { createDisplay, type Display } from './ui.ts'

/** Options of `verify`. */
export interface VerifyOptions {
  readonly savePath: string
}

/** What is wrong with a file, apart from what is in it. */
interface FileFault {
  readonly index: number
  readonly path: string
  readonly fault: 'missing' | 'too short' | 'too long' | 'not a file'
}

/** Bad files that are named one by one, and ranges of each state that are of each. */
const MAX_LISTED_FILES = 100
const MAX_LISTED_RANGES = 20

/** What states of blocks are called, in the order they are told. */
const WORDS: readonly (readonly [BlockState, string])[] = [
  ['bad', 'bad'],
  ['suspect', 'in bad pieces'],
  ['empty', 'empty'],
  ['missing', 'missing'],
]

/** @returns the exit code: 1 if not all of it is there and right */
export async function verify(source: string, options: VerifyOptions, ctx: CommandContext): Promise<number> {
  const params = await loadSource(source, ctx.interrupt)
  const { ti } = params
  if (ti === null) throw new CommandError('a magnet link does not say what is in the torrent: give the .torrent file')
  const faults = findFaults(ti, options.savePath)
  const display = await createDisplay(ctx)
  let bad: number[]
  let damage: Damage
  try {
    const pieces = await check(params, ti, options.savePath, display, ctx.interrupt)
    bad = Array.from({ length: ti.numPieces() }, (_, piece) => piece).filter(piece => pieces[piece] !== true)
    damage = await findDamage(ti, options.savePath, bad, ctx.interrupt)
    if (ctx.interrupt.aborted) throw new CommandError('stopped')
  } finally {
    display.finish()
  }
  return report(ti, bad, damage, faults, display)
}

function findFaults(ti: TorrentInfo, savePath: string): FileFault[] {
  const files = ti.files()
  const faults: FileFault[] = []
  for (let index = 0; index < files.numFiles(); index++) {
    if ((files.fileFlags(index) & (FileFlags.flagPadFile | FileFlags.flagSymlink)) !== 0) continue
    const path = files.filePath(index)
    const size = files.fileSize(index)
    const fault = faultOf(statOf(join(savePath, path)), size)
    if (fault !== null) faults.push({ index, path, fault })
  }
  return faults
}

function statOf(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null
}

function faultOf(stat: Stats | null, size: number): FileFault['fault'] | null {
  if (stat === null) return 'missing'
  if (!stat.isFile()) return 'not a file'
  if (stat.size < size) return 'too short'
  return stat.size > size ? 'too long' : null
}

/** Lets a session that talks to nobody check the files. @returns which pieces are right */
async function check(
  params: AddTorrentParams,
  ti: TorrentInfo,
  savePath: string,
  display: Display,
  interrupt: AbortSignal,
): Promise<boolean[]> {
  const session = new Session({
    listen_interfaces: '',
    enable_dht: false,
    enable_lsd: false,
    enable_upnp: false,
    enable_natpmp: false,
    alert_mask: AlertCategory.error | AlertCategory.status | AlertCategory.storage,
  })
  params.savePath = savePath
  params.trackers = []
  params.urlSeeds = []
  params.dhtNodes = []
  // a session makes what has no data, empty files and links, unless it is not wanted
  params.filePriorities = Array.from(ti.files().fileRange(), file =>
    ti.files().fileSize(file) === 0 ? DownloadPriority.dontDownload : DownloadPriority.defaultPriority,
  )
  params.flags =
    (TorrentFlags.defaultFlags & ~(TorrentFlags.paused | TorrentFlags.autoManaged)) | TorrentFlags.stopWhenReady
  try {
    const checked = new Promise<void>((resolve, reject) => {
      session.on('torrent_checked', () => resolve())
      session.on('torrent_error', alert => reject(new CommandError(alert.message())))
      session.on('file_error', alert => reject(new CommandError(alert.message())))
      interrupt.addEventListener('abort', () => reject(new CommandError('stopped')))
    })
    const handle = session.addTorrent(params)
    const startedAt = performance.now()
    const timer = setInterval(() => showProgress(handle, ti, startedAt, display), display.intervalMs)
    try {
      await checked
    } finally {
      clearInterval(timer)
    }
    return handle.status(TorrentHandle.queryPieces).pieces
  } finally {
    await session.close()
  }
}

function showProgress(handle: TorrentHandle, ti: TorrentInfo, startedAt: number, display: Display): void {
  const { progress, state } = handle.status(0)
  if (state !== TorrentStatus.checkingFiles) return
  const totalBytes = ti.totalSize()
  const doneBytes = Math.floor(totalBytes * progress)
  const rate = (doneBytes * 1000) / (performance.now() - startedAt)
  display.update([{ name: ti.name(), state: 'checking', progress, doneBytes, totalBytes, rate }])
}

interface BadFile {
  readonly index: number
  readonly path: string
  readonly fault: string
  /** Which bytes; none of a file that is only too long. */
  readonly ranges: readonly DamagedRange[]
}

function report(
  ti: TorrentInfo,
  bad: readonly number[],
  damage: Damage,
  faults: readonly FileFault[],
  display: Display,
): number {
  const files = badFiles(ti, damage, faults)
  const ok = bad.length === 0 && !faults.some(({ fault }) => fault !== 'too long')
  const name = ti.name()
  const text = ok
    ? `${name} is whole: ${ti.numPieces()} pieces, ${formatBytes(ti.sizeOnDisk())}`
    : `${name} is not whole: ${bad.length} of ${ti.numPieces()} pieces ${bad.length === 1 ? 'is' : 'are'} bad`
  const lines = [text]
  const sum = sumDamage(damage)
  const good = ti.sizeOnDisk() - sum.missing - sum.empty - sum.bad - sum.suspect
  if (bad.length > 0) lines.push(`bad pieces: ${formatRanges(bad)}`)
  if (bad.length > 0) lines.push(sumText(good, sum))
  for (const file of files.slice(0, MAX_LISTED_FILES)) lines.push(`  ${fileText(ti, file)}`)
  if (files.length > MAX_LISTED_FILES) lines.push(`  and ${files.length - MAX_LISTED_FILES} files more`)
  display.note('verified', lines.join('\n'), {
    ok,
    name,
    infoHash: hashName(ti.infoHashes()),
    numPieces: ti.numPieces(),
    badPieces: bad,
    bytes: { good, ...sum },
    badFiles: files,
  })
  return ok ? 0 : 1
}

/** `good: 1.2 GiB, missing: 36 KiB`. */
function sumText(good: number, sum: Readonly<Record<BlockState, number>>): string {
  const parts = [['good', good] as const, ...WORDS.map(([state, word]) => [word, sum[state]] as const)]
  const shown = parts.filter(([, bytes]) => bytes > 0)
  return shown.map(([word, bytes]) => `${word}: ${formatBytes(bytes)}`).join(', ')
}

/** Files that are not as they should be, in order. */
function badFiles(ti: TorrentInfo, damage: Damage, faults: readonly FileFault[]): BadFile[] {
  const found = new Map<number, string>(faults.map(({ index, fault }) => [index, fault]))
  for (const [index, ranges] of damage) {
    if (found.has(index)) continue
    const certain = ranges.every(({ state }) => state !== 'suspect')
    found.set(index, certain ? 'damaged' : 'in a bad piece')
  }
  const inOrder = [...found].sort(([a], [b]) => a - b)
  const files = ti.files()
  return inOrder.map(([index, fault]) => ({
    index,
    path: files.filePath(index),
    fault,
    ranges: damage.get(index) ?? [],
  }))
}

/** `dir/file: too short; blocks 0-3 suspect, 4-9 missing`. Files of v1 torrents do not begin with a block: theirs are bytes. */
function fileText(ti: TorrentInfo, { index, path, fault, ranges }: BadFile): string {
  const head = `${printable(path)}: ${fault}`
  const isAll = ranges.length === 1 && ranges[0]!.to - ranges[0]!.from === ti.files().fileSize(index)
  if (ranges.length === 0 || (isAll && ranges[0]!.state === 'missing')) return head
  const parts = WORDS.flatMap(([state, word]) => {
    const own = ranges.filter(range => range.state === state).slice(0, MAX_LISTED_RANGES + 1)
    const shown = own.slice(0, MAX_LISTED_RANGES).map(range => rangeText(range, ti.v2()))
    if (own.length > MAX_LISTED_RANGES) shown.push('...')
    return shown.length === 0 ? [] : [`${word}: ${shown.join(', ')}`]
  })
  return `${head}; ${ti.v2() ? 'blocks' : 'bytes'} ${parts.join('; ')}`
}

function rangeText({ from, to }: DamagedRange, inBlocks: boolean): string {
  const unit = inBlocks ? defaultBlockSize : 1
  const [first, last] = [Math.floor(from / unit), Math.floor((to - 1) / unit)]
  return first === last ? `${first}` : `${first}-${last}`
}
