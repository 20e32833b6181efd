/** Numbers and names as people read them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1536` is `1.5 KiB`: three digits that matter at most, and none behind the point for bytes. */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes)
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${trimZeros(value.toFixed(digits))} ${UNITS[unit]}`
}

/** @param bytesPerSecond as `TorrentStatus` has it */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

/** `75` is `1:15`, an hour and more `1:00:15`, two days and more `3 d`. Without an end in sight `-`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-'
  const whole = Math.ceil(Math.max(0, seconds))
  if (whole >= 2 * 86400) return `${Math.floor(whole / 86400)} d`
  const two = (n: number) => String(n).padStart(2, '0')
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`
}

/** How long something took: `0.4 s`, and from a minute on as {@link formatDuration}. */
export function formatElapsed(seconds: number): string {
  return seconds < 60 ? `${seconds.toFixed(1)} s` : formatDuration(seconds)
}

/** `0.4567` is `45.6 %`. Rounded down, so that it is 100 only when all is there. */
export function formatPercent(fraction: number): string {
  return `${(Math.floor(Math.min(1, Math.max(0, fraction)) * 1000) / 10).toFixed(1)} %`
}

/** `[1, 2, 3, 7]` is `1-3, 7`. The list is ascending. */
export function formatRanges(indices: readonly number[]): string {
  const parts: string[] = []
  for (let i = 0; i < indices.length; i++) {
    const first = indices[i]!
    while (i + 1 < indices.length && indices[i + 1] === indices[i]! + 1) i++
    parts.push(first === indices[i] ? `${first}` : `${first}-${indices[i]}`)
  }
  return parts.join(', ')
}

/**
 * Text from a torrent, made fit for a terminal: what moves its cursor or turns its direction becomes a
 * replacement character.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd')
}

/** Cuts text that is longer than `width` characters. */
export function shorten(text: string, width: number, ellipsis = '…'): string {
  const characters = Array.from(text)
  if (characters.length <= width) return text
  return width <= ellipsis.length ? '' : characters.slice(0, width - ellipsis.length).join('') + ellipsis
}

/** Rows of label and value; a value of many lines goes on below itself. Rows without one are left out. */
export function formatTable(rows: readonly (readonly [label: string, value: string | readonly string[]])[]): string {
  const shown = rows.filter(([, value]) => value.length > 0)
  const width = Math.max(...shown.map(([label]) => label.length)) + 3
  const lines: string[] = []
  for (const [label, value] of shown) {
    const [first, ...rest] = typeof value === 'string' ? [value] : value
    lines.push(`${label}:`.padEnd(width) + first)
    for (const line of rest) lines.push(' '.repeat(width) + line)
  }
  return lines.join('\n')
}

function trimZeros(number: string): string {
  return number.includes('.') ? number.replace(/\.?0+$/, '') : number
}

/** `1.2.3.4:80`, `[::1]:80`, `host.example:80`. */
export function formatEndpoint([host, port]: readonly [host: string, port: number]): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
