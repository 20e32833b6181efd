/**
 * Paths as torrents have them: parts joined by `/`, on every system.
 *
 * Node's file calls take `/` on Windows too, so nothing here depends on the separator of the system; only
 * what counts as an absolute path does.
 */

const WINDOWS = process.platform === 'win32'

/** Whether `path` is absolute. */
export function isCompletePath(path: string): boolean {
  if (WINDOWS && /^(?:[a-z]+:[/\\]|\\\\)/i.test(path)) return true
  return path.startsWith('/')
}

/** Puts `leaf` under `branch`; an empty part, or a `.` as branch, adds nothing. */
export function joinPath(branch: string, leaf: string): string {
  if (branch === '' || branch === '.') return leaf
  if (leaf === '') return branch
  return branch.endsWith('/') ? branch + leaf : `${branch}/${leaf}`
}

/** The part before the first separator and what follows it; a separator in front is passed over. */
export function splitFirst(path: string): [first: string, rest: string] {
  const from = path.startsWith('/') ? 1 : 0
  const at = path.indexOf('/', from)
  return at < 0 ? [path.slice(from), ''] : [path.slice(from, at), path.slice(at + 1)]
}

/** What precedes the last separator and the part behind it; a separator at the end is passed over. */
export function splitLast(path: string): [branch: string, leaf: string] {
  const end = path.endsWith('/') ? path.length - 1 : path.length
  const at = end === 0 ? -1 : path.lastIndexOf('/', end - 1)
  return at < 0 ? ['', path.slice(0, end)] : [path.slice(0, at), path.slice(at + 1, end)]
}

/** From the last dot of the last part on, `''` if there is none. */
export function pathExtension(path: string): string {
  const dot = path.lastIndexOf('.')
  return dot < 0 || dot < path.lastIndexOf('/') ? '' : path.slice(dot)
}

/** `path` without its extension; a name that only consists of one keeps it. */
export function withoutExtension(path: string): string {
  const dot = path.lastIndexOf('.')
  return dot <= 0 || dot < path.lastIndexOf('/') ? path : path.slice(0, dot)
}

/** Lower case of the letters A to Z only, which is how names are compared. */
export function asciiLower(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, letters => letters.toLowerCase()) : text
}
