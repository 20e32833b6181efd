/** What is in a torrent, for people and for programs. */

import { type AddTorrentParams, FileFlags, makeMagnetUri, type TorrentInfo } from '../index.ts'
import { formatBytes, formatTable, printable } from './format.ts'
import { hashName } from './torrent-source.ts'

/** One file as `info --json` shows it. */
export interface FileDescription {
  readonly index: number
  readonly path: string
  readonly size: number
  readonly pad?: true
  readonly executable?: true
  readonly hidden?: true
  /** Where a symbolic link points. */
  readonly symlink?: string
  /** Merkle root, in v2 and hybrid torrents. */
  readonly root?: string
}

/** The magnet link of a loaded torrent, with its name, trackers and web seeds. */
export function magnetOf(params: AddTorrentParams): string {
  if (params.name === '' && params.ti !== null) params.name = params.ti.name()
  return makeMagnetUri(params)
}

/** The hashes there are, in hex. */
export function describeHashes({ infoHashes }: AddTorrentParams): { infoHash: string; infoHashes: object } {
  return {
    infoHash: hashName(infoHashes),
    infoHashes: {
      v1: infoHashes.hasV1() ? infoHashes.v1.toString() : null,
      v2: infoHashes.hasV2() ? infoHashes.v2.toString() : null,
    },
  }
}

/** All of it as one object. What is not known of a magnet link is `null`. */
export function describeTorrent(params: AddTorrentParams): object {
  const { ti, infoHashes } = params
  return {
    name: params.name || ti?.name() || '',
    ...describeHashes(params),
    versions: [...(infoHashes.hasV1() ? ['v1'] : []), ...(infoHashes.hasV2() ? ['v2'] : [])],
    totalSize: ti?.sizeOnDisk() ?? null,
    pieceLength: ti?.pieceLength() ?? null,
    numPieces: ti?.numPieces() ?? null,
    private: ti?.priv() ?? null,
    comment: params.comment,
    createdBy: params.createdBy,
    creationDate: params.creationDate === 0 ? null : params.creationDate,
    trackers: params.trackers.map((url, index) => ({ url, tier: tierOf(params, index) })),
    webSeeds: params.urlSeeds,
    dhtNodes: params.dhtNodes,
    peers: params.peers,
    similarTorrents: ti?.similarTorrents().map(String) ?? [],
    collections: ti?.collections() ?? [],
    files: ti === null ? null : describeFiles(ti),
    magnet: magnetOf(params),
  }
}

function describeFiles(ti: TorrentInfo): FileDescription[] {
  // with the names that files of the same name were given
  const files = ti.files()
  const out: FileDescription[] = []
  for (let index = 0; index < files.numFiles(); index++) {
    const flags = files.fileFlags(index)
    const pad = (flags & FileFlags.flagPadFile) !== 0
    const hasRoot = ti.v2() && !pad && files.fileSize(index) > 0
    out.push({
      index,
      path: files.filePath(index),
      size: files.fileSize(index),
      ...(pad && { pad }),
      ...((flags & FileFlags.flagExecutable) !== 0 && { executable: true }),
      ...((flags & FileFlags.flagHidden) !== 0 && { hidden: true }),
      ...((flags & FileFlags.flagSymlink) !== 0 && { symlink: files.symlink(index) }),
      ...(hasRoot && { root: files.root(index).toString() }),
    })
  }
  return out
}

function tierOf({ trackerTiers }: AddTorrentParams, index: number): number {
  return trackerTiers[index] ?? trackerTiers.at(-1) ?? 0
}

/** All of it as text. */
export function describeAsText(params: AddTorrentParams): string {
  const { ti, infoHashes } = params
  const listed = ti === null ? [] : describeFiles(ti).filter(file => file.pad === undefined)
  const kinds = [infoHashes.hasV1() ? 'v1' : '', infoHashes.hasV2() ? 'v2' : ''].filter(kind => kind !== '')
  const created = params.creationDate === 0 ? '' : timeText(params.creationDate)
  const table = formatTable([
    ['Name', printable(params.name || ti?.name() || '')],
    ['Kind', kinds.length === 2 ? 'hybrid (v1 and v2)' : (kinds[0] ?? '')],
    ['Info-hash v1', infoHashes.hasV1() ? infoHashes.v1.toString() : ''],
    ['Info-hash v2', infoHashes.hasV2() ? infoHashes.v2.toString() : ''],
    ['Size', ti === null ? '' : sizeText(ti.sizeOnDisk())],
    ['Pieces', ti === null ? '' : `${ti.numPieces()} of ${formatBytes(ti.pieceLength())}`],
    ['Private', ti?.priv() ? 'yes' : ''],
    ['Comment', printable(params.comment)],
    ['Created by', printable(params.createdBy)],
    ['Created', created],
    ['Trackers', params.trackers.map((url, index) => `${tierOf(params, index)}  ${printable(url)}`)],
    ['Web seeds', params.urlSeeds.map(printable)],
    ['DHT nodes', params.dhtNodes.map(([host, port]) => `${printable(host)}:${port}`)],
    ['Peers', params.peers.map(([host, port]) => `${host}:${port}`)],
    ['Collections', ti?.collections().map(printable) ?? []],
    ['Similar', ti?.similarTorrents().map(String) ?? []],
    ['Magnet link', printable(magnetOf(params))],
    ['Files', ti === null ? 'not known before the metadata is there' : String(listed.length)],
  ])
  return [table, ...fileLines(listed)].join('\n')
}

function fileLines(files: readonly FileDescription[]): string[] {
  const sizes = files.map(file => formatBytes(file.size))
  // as wide as a root, in torrents that have them
  const rootWidth = Math.max(0, ...files.slice(0, 10_000).map(({ root }) => root?.length ?? 0))
  const width = Math.max(8, ...sizes.slice(0, 10_000).map(size => size.length))
  return files.map((file, index) => {
    const marks = [file.executable && 'executable', file.hidden && 'hidden'].filter(mark => mark)
    const link = file.symlink === undefined ? '' : ` -> ${printable(file.symlink)}`
    const note = marks.length > 0 ? ` (${marks.join(', ')})` : ''
    const root = rootWidth === 0 ? '' : `${(file.root ?? '').padEnd(rootWidth)}  `
    return `  ${sizes[index]!.padStart(width)}  ${root}${printable(file.path)}${link}${note}`
  })
}

function sizeText(bytes: number): string {
  return bytes < 1000 ? `${bytes} bytes` : `${formatBytes(bytes)} (${bytes} bytes)`
}

function timeText(seconds: number): string {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? String(seconds) : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
