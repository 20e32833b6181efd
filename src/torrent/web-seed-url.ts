/** Which URL a file of a torrent has on a web seed. @see BEP 19 */

import { escapePath, parseUrl, type UrlParts } from '../core/url.ts'
import type { FileStorage } from '../metainfo/file-storage.ts'

/**
 * The URL of a file. Files are named as in the torrent, whatever they are called here.
 *
 * The URL of a torrent of one file is that file's, unless it ends with a slash; that of a torrent of several is the
 * directory in which the torrent's own directory lies, also if its slash was forgotten.
 */
export function fileUrl(seedUrl: string, files: FileStorage, file: number): string {
  const path = () => escapePath(files.filePath(file))
  if (hasSeveralFiles(files)) return withSlash(seedUrl) + path()
  const parts = parseUrl(seedUrl)
  const bare = typeof parts === 'object' && parts.path === '/' && !seedUrl.endsWith('/')
  return bare || seedUrl.endsWith('/') ? withSlash(seedUrl) + path() : seedUrl
}

/**
 * Whether URLs are of a directory.
 *
 * Deviation: libtorrent counts the padding behind the only file of a v2 torrent as another file, and so never finds it at
 * its URL.
 */
export function hasSeveralFiles(files: Pick<FileStorage, 'numFiles' | 'padFileAt' | 'filePath'>): boolean {
  const count = files.numFiles()
  return count > 1 && !(count === 2 && files.padFileAt(1) && !files.filePath(0).includes('/'))
}

export function withSlash(url: string): string {
  return url.endsWith('/') ? url : `${url}/`
}

/** The port of a URL, or that of its protocol. */
export function portOf(parts: UrlParts): number {
  return parts.port >= 0 ? parts.port : parts.protocol.toLowerCase() === 'https' ? 443 : 80
}

/**
 * Where a server sends us.
 *
 * @param from the URL that was asked for
 * @returns `null` if that is no place to go to
 */
export function redirectTarget(location: string, from: string): string | null {
  if (location === '' || !URL.canParse(location, from)) return null
  const { protocol, href } = new URL(location, from)
  return protocol === 'http:' || protocol === 'https:' ? href : null
}

/** Protocol, host and port of a URL, and the slash behind them. Without a password. */
export function originOf(url: string): string {
  return `${new URL(url).origin}/`
}
