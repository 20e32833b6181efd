/** One file of a torrent to be created. */

/**
 * A file as `CreateTorrent` takes it.
 *
 * The filename is a path below the directory given to `setPieceHashes`, with `/` between its parts on
 * every system. Its first part is the name of the torrent if there is more than one.
 */
export class CreateFileEntry {
  readonly filename: string
  /** In bytes. */
  readonly size: number
  /** Combination of `FileFlags`. */
  readonly flags: number
  /** Seconds since 1970; 0 to leave it out. */
  readonly mtime: number
  /** Target below the root of the torrent; counts only with `FileFlags.flagSymlink`. */
  readonly symlink: string

  constructor(filename: string, size: number, flags = 0, mtime = 0, symlink = '') {
    this.filename = filename
    this.size = size
    this.flags = flags
    this.mtime = mtime
    this.symlink = symlink
  }
}

/**
 * The parts of a path, up to the first empty one; a leading slash is skipped.
 *
 * @internal
 */
export function pathElements(path: string): string[] {
  const parts = (path.startsWith('/') ? path.slice(1) : path).split('/')
  const empty = parts.indexOf('')
  return empty < 0 ? parts : parts.slice(0, empty)
}
