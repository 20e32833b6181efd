/** A line that shows which pieces of a torrent are there. */

const BLOCKS = ['·', '░', '▒', '▓', '█']
const ASCII = ['.', ':', '+', '*', '#']

/**
 * Draws the pieces into `width` characters.
 *
 * Each character stands for a run of pieces, or a part of one: the darker, the more of it is there. The
 * first and the last step mean none and all, never almost.
 *
 * @param pieces which are there
 * @param unicode false for terminals that only know ASCII
 */
export function pieceMap(pieces: ArrayLike<boolean>, width: number, unicode: boolean): string {
  const steps = unicode ? BLOCKS : ASCII
  const count = pieces.length
  if (count === 0 || width <= 0) return ''
  let line = ''
  for (let cell = 0; cell < width; cell++) {
    const from = Math.floor((cell * count) / width)
    const to = Math.max(from + 1, Math.floor(((cell + 1) * count) / width))
    let have = 0
    for (let piece = from; piece < to; piece++) if (pieces[piece]) have++
    line += steps[step(have, to - from)]
  }
  return line
}

function step(have: number, total: number): number {
  if (have === 0) return 0
  if (have === total) return 4
  return 1 + Math.min(2, Math.floor((have * 3) / total))
}

/** Whether the locale of the environment takes characters beyond ASCII. */
export function speaksUnicode(env: Readonly<Record<string, string | undefined>>): boolean {
  if (env['TERM'] === 'linux' || env['TERM'] === 'dumb') return false
  if (process.platform === 'win32') return env['WT_SESSION'] !== undefined || env['TERM_PROGRAM'] === 'vscode'
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''
  return /utf-?8/i.test(locale)
}
