/** `create`: makes a torrent of a file or a directory. */

import { access, constants, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import {
  type AddTorrentParams,
  type CreateFileEntry,
  CreateTorrent,
  defaultBlockSize,
  LibtorrentError,
  LibtorrentErrors,
  listFiles,
  loadTorrentBuffer,
  loadTorrentFile,
  packageVersion,
  setPieceHashes,
} from '../index.ts'
import { describeHashes, magnetOf } from './describe-torrent.ts'
import { formatBytes, formatElapsed, formatRate, printable } from './format.ts'
import { type CommandContext, CommandError, UsageError } from './io.ts'
import { LOCAL_LIMITS } from './torrent-source.ts'
import { createDisplay, type Display, type ProgressView } from './ui.ts'

/** Options of `create`. */
export interface CreateOptions {
  readonly output: string
  readonly v1Only?: boolean
  readonly v2Only?: boolean
  /** In bytes; chosen by the size of the data if not given. */
  readonly pieceSize?: number
  readonly tracker?: readonly string[]
  readonly webSeed?: readonly string[]
  readonly comment?: string
  readonly private?: boolean
}

/** More are not loaded by libtorrent and clients built on it: the default of `LoadTorrentLimits.maxPieces`. */
const MAX_PIECES = 0x200000

const MAX_LISTED_NAMES = 20

/** @returns the exit code */
export async function create(path: string, options: CreateOptions, ctx: CommandContext): Promise<number> {
  const kind = await kindOf(path)
  await checkOutput(options.output)
  const torrent = describe(resolve(path), options, kind)
  const display = await createDisplay(ctx)
  try {
    await hash(torrent, resolve(path), display, ctx.interrupt)
    const bytes = torrent.generateBuf()
    const params = loadTorrentBuffer(bytes, LOCAL_LIMITS)
    await writeWhole(options.output, bytes)
    display.note(
      'created',
      `wrote ${options.output}: ${torrent.numPieces()} pieces of ${formatBytes(torrent.pieceLength())}`,
      {
        file: options.output,
        name: params.ti?.name(),
        ...describeHashes(params),
        totalSize: params.ti?.sizeOnDisk(),
        pieceLength: torrent.pieceLength(),
        numPieces: torrent.numPieces(),
        magnet: magnetOf(params),
      },
    )
    if (!ctx.json) display.note('magnet', magnetOf(params))
    const changed = changedNames(torrent, params)
    if (changed.length > 0) display.note('warning', changedText(changed), { changedNames: changed })
  } finally {
    display.finish()
  }
  return 0
}

async function kindOf(path: string): Promise<'file' | 'directory'> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file'
  } catch (error) {
    throw new CommandError(`${path}: ${(error as Error).message}`)
  }
}

/** Names that are not safe everywhere, or differ in case alone, are changed by who loads the torrent, ourselves included. */
function changedNames(torrent: CreateTorrent, { ti }: AddTorrentParams): string[] {
  const files = ti!.files()
  const loaded = new Set(Array.from(files.fileRange(), file => files.filePath(file)))
  const made = Array.from(torrent.fileRange(), file => torrent.fileAt(file).filename)
  return made.filter(name => !loaded.has(name))
}

function changedText(names: readonly string[]): string {
  const one = names.length === 1
  const shown = names.slice(0, MAX_LISTED_NAMES).map(name => `\n  ${printable(name)}`)
  if (names.length > shown.length) shown.push(`\n  and ${names.length - shown.length} more`)
  const what = one ? '1 name is' : `${names.length} names are`
  return `${what} changed wherever the torrent is loaded; rename ${one ? 'it' : 'them'} to seed from here:${shown.join('')}`
}

/** Hashing may take hours: that the result has no place is found out before. */
async function checkOutput(output: string): Promise<void> {
  const status = await stat(output).catch(() => null)
  if (status?.isDirectory()) throw new UsageError(`-o ${output}: that is a directory`)
  if (status?.isFile() && status.size > 0 && !isTorrent(output)) {
    throw new UsageError(`-o ${output}: that file is there, and is no torrent to be replaced`)
  }
  try {
    await access(dirname(resolve(output)), constants.W_OK)
  } catch (error) {
    throw new CommandError(`${output}: ${(error as Error).message}`)
  }
}

function describe(path: string, options: CreateOptions, kind: 'file' | 'directory'): CreateTorrent {
  const output = resolve(options.output)
  if (kind === 'file' && output === path) throw new UsageError(`-o ${options.output}: that is the file to be shared`)
  const partial = temporaryFor(output)
  // an earlier result inside the directory is no part of the new one
  const files = listFiles(path, name => resolve(name) !== output && resolve(name) !== partial)
  if (files.length === 0) throw new CommandError(`${path}: there are no files in it`)
  if (files.every(file => file.size === 0)) throw new CommandError(`${path}: there is nothing in its files`)
  const torrent = newTorrent(files, options)
  options.tracker?.forEach((url, tier) => {
    torrent.addTracker(url, tier)
  })
  for (const url of options.webSeed ?? []) torrent.addUrlSeed(url)
  torrent.setCreator(`libtorrent-ts ${packageVersion}`)
  if (options.comment !== undefined) torrent.setComment(options.comment)
  if (options.private) torrent.setPriv(true)
  return torrent
}

function newTorrent(files: CreateFileEntry[], options: CreateOptions): CreateTorrent {
  const flags = (options.v1Only ? CreateTorrent.v1Only : 0) | (options.v2Only ? CreateTorrent.v2Only : 0)
  const { pieceSize = 0 } = options
  try {
    const torrent = new CreateTorrent(files, pieceSize, flags)
    if (torrent.numPieces() > MAX_PIECES) {
      const least = formatBytes(smallestPieceLength(torrent.totalSize()))
      throw new UsageError(
        `--piece-size ${pieceSize}: too many pieces for most clients, it takes ${least} at the least`,
      )
    }
    // sizes that are too small would be taken for the smallest
    if (pieceSize === 0 || torrent.pieceLength() === pieceSize) return torrent
  } catch (error) {
    const wrongSize = error instanceof LibtorrentError && error.code.value() === LibtorrentErrors.invalidPieceSize
    if (!wrongSize) throw error
  }
  throw new UsageError(`--piece-size ${pieceSize}: it must be a power of two between 16 KiB and 128 MiB`)
}

function isTorrent(path: string): boolean {
  try {
    loadTorrentFile(path, LOCAL_LIMITS)
    return true
  } catch {
    return false // whatever it is, it is not to be lost
  }
}

function smallestPieceLength(totalSize: number): number {
  let length = defaultBlockSize
  while (totalSize / length > MAX_PIECES) length *= 2
  return length
}

async function hash(torrent: CreateTorrent, path: string, display: Display, signal: AbortSignal): Promise<void> {
  const total = torrent.totalSize()
  const startedAt = performance.now()
  let done = 0
  const view = (): ProgressView => {
    const elapsed = (performance.now() - startedAt) / 1000
    const rate = elapsed > 0.1 ? done / elapsed : 0
    const progress = done / total
    return { name: basename(path), state: 'hashing', progress, doneBytes: done, totalBytes: total, rate }
  }
  const timer = setInterval(() => display.update([view()]), display.intervalMs)
  try {
    await setPieceHashes(
      torrent,
      dirname(path),
      piece => {
        done += torrent.pieceSize(piece)
      },
      { signal },
    )
  } catch (error) {
    if (signal.aborted) throw new CommandError('stopped; nothing was written')
    throw error
  } finally {
    clearInterval(timer)
  }
  const seconds = (performance.now() - startedAt) / 1000
  if (seconds > 1) {
    display.update([view()])
    display.note('hashed', `hashed ${formatBytes(total)} in ${formatElapsed(seconds)}, ${formatRate(total / seconds)}`)
  }
}

function temporaryFor(output: string): string {
  return resolve(dirname(output), `.${basename(output)}.part`)
}

/** A torrent file is there as a whole or not at all. */
async function writeWhole(output: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryFor(output)
  try {
    await writeFile(temporary, bytes)
    await rename(temporary, output)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new CommandError(`${output}: ${(error as Error).message}`)
  }
}
