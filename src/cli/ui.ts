/** Progress: bars on a terminal, a line a second in a pipe, JSON lines for programs. */

import type { MultiBar, SingleBar } from 'cli-progress'
import { formatBytes, formatDuration, formatPercent, formatRate, printable, shorten } from './format.ts'
import { type CommandContext, printJson, printLine } from './io.ts'
import { pieceMap, speaksUnicode } from './piece-map.ts'

/** What is shown of something that takes time. */
export interface ProgressView {
  readonly name: string
  /** What it is doing: `downloading`, `checking`, `hashing`. */
  readonly state: string
  /** 0 to 1. */
  readonly progress: number
  readonly doneBytes: number
  /** 0 as long as it is not known what is in a torrent. */
  readonly totalBytes: number
  /** Bytes per second; of hashing when it hashes. */
  readonly rate: number
  /** What only transfers have. */
  readonly swarm?: SwarmView
  /** Which pieces are there; asked for on a terminal only. */
  readonly pieces?: ArrayLike<boolean>
}

/** The part of a transfer that has to do with others. */
export interface SwarmView {
  readonly infoHash: string
  readonly uploadRate: number
  readonly uploadedBytes: number
  readonly peers: number
  readonly seeds: number
}

/** Shows how far things are. */
export interface Display {
  /** How often `update` is worth calling. */
  readonly intervalMs: number
  /** Whether `ProgressView.pieces` is drawn. */
  readonly showsPieces: boolean
  /** Shows where things stand now. */
  update(views: readonly ProgressView[]): void
  /** Says something once. @param event its name for programs, with `fields` beside it */
  note(event: string, text: string, fields?: object): void
  /** Leaves the last state on the screen; nothing is shown after it. */
  finish(): void
}

/** The display that fits where `stdout` goes. What draws on terminals is loaded only for one. */
export async function createDisplay(ctx: CommandContext): Promise<Display> {
  if (ctx.json) return new JsonDisplay(ctx)
  if (ctx.stdout.isTTY !== true) return new LineDisplay(ctx)
  const { default: progress } = await import('cli-progress')
  const options = { stream: ctx.stdout, hideCursor: true, gracefulExit: false, emptyOnZero: true, fps: 10 }
  return new BarDisplay(ctx, new progress.MultiBar({ ...options, format: renderRow, forceRedraw: true }))
}

/** Seconds until all is there at the present rate. */
export function secondsLeft(view: ProgressView): number {
  const left = view.totalBytes - view.doneBytes
  // the size is not known before the metadata is there
  if (left <= 0) return view.totalBytes === 0 && view.progress < 1 ? Number.POSITIVE_INFINITY : 0
  return view.rate > 0 ? left / view.rate : Number.POSITIVE_INFINITY
}

class JsonDisplay implements Display {
  readonly intervalMs = 1000
  readonly showsPieces = false
  readonly #ctx: CommandContext

  constructor(ctx: CommandContext) {
    this.#ctx = ctx
  }

  update(views: readonly ProgressView[]): void {
    for (const view of views) {
      const { swarm } = view
      const left = secondsLeft(view)
      printJson(this.#ctx, {
        event: 'progress',
        name: view.name,
        ...(swarm && { infoHash: swarm.infoHash }),
        state: view.state,
        progress: view.progress,
        doneBytes: view.doneBytes,
        totalBytes: view.totalBytes,
        rate: Math.round(view.rate),
        etaSeconds: Number.isFinite(left) ? Math.ceil(left) : null,
        ...(swarm && {
          uploadRate: Math.round(swarm.uploadRate),
          uploadedBytes: swarm.uploadedBytes,
          peers: swarm.peers,
          seeds: swarm.seeds,
        }),
      })
    }
  }

  note(event: string, text: string, fields: object = {}): void {
    printJson(this.#ctx, { event, message: text, ...fields })
  }

  finish(): void {}
}

class LineDisplay implements Display {
  readonly intervalMs = 1000
  readonly showsPieces = false
  readonly #ctx: CommandContext

  constructor(ctx: CommandContext) {
    this.#ctx = ctx
  }

  update(views: readonly ProgressView[]): void {
    for (const view of views) {
      const name = views.length > 1 ? `${shorten(printable(view.name), 40, '...')}: ` : ''
      printLine(this.#ctx, `${name}${view.state} ${figures(view).join(', ')}`)
    }
  }

  note(_event: string, text: string): void {
    printLines(this.#ctx, text)
  }

  finish(): void {}
}

function printLines(ctx: CommandContext, text: string): void {
  for (const line of text.split('\n')) printLine(ctx, printable(line))
}

/** `45.6 % of 1.2 GiB`, `12.3 MiB/s`, `ETA 1:15`, `8 peers`. */
function figures(view: ProgressView): string[] {
  const { swarm } = view
  if (view.totalBytes === 0 && swarm !== undefined && view.progress < 1) return [`from ${peersText(swarm)}`]
  const parts = [`${formatPercent(view.progress)} of ${formatBytes(view.totalBytes)}`]
  const done = view.doneBytes >= view.totalBytes
  if (swarm === undefined || !done) parts.push(formatRate(view.rate))
  if (swarm !== undefined && (done || swarm.uploadRate > 0)) parts.push(`up ${formatRate(swarm.uploadRate)}`)
  if (!done) parts.push(`ETA ${formatDuration(secondsLeft(view))}`)
  if (swarm !== undefined) parts.push(peersText(swarm))
  return parts
}

function peersText({ peers }: SwarmView): string {
  return `${peers} ${peers === 1 ? 'peer' : 'peers'}`
}

/** Rows kept free for the prompt and for what is said in between. */
const SPARE_ROWS = 2
/** Up to this many transfers each get a line for their pieces. */
const MAX_PIECE_MAPS = 4

/** What a row of the terminal shows: figures with a bar, or pieces. */
interface RowPayload {
  view: ProgressView | null
  kind: 'bar' | 'pieces' | 'rest'
  hidden: number
  unicode: boolean
}

class BarDisplay implements Display {
  readonly intervalMs = 250
  readonly showsPieces = true
  readonly #ctx: CommandContext
  readonly #bars: MultiBar
  readonly #unicode: boolean
  readonly #rows: { readonly bar: SingleBar; readonly payload: RowPayload }[] = []

  constructor(ctx: CommandContext, bars: MultiBar) {
    this.#ctx = ctx
    this.#bars = bars
    this.#unicode = speaksUnicode(ctx.env)
  }

  update(views: readonly ProgressView[]): void {
    const wanted = this.#layout(views)
    wanted.forEach((payload, index) => {
      const row = this.#rows[index]
      if (row !== undefined) Object.assign(row.payload, payload)
      else this.#rows.push({ bar: this.#bars.create(1, 0, payload), payload })
    })
    for (const row of this.#rows.slice(wanted.length)) row.payload.view = null
  }

  #layout(views: readonly ProgressView[]): RowPayload[] {
    const unicode = this.#unicode
    const space = Math.max(1, (this.#ctx.stdout.rows || 24) - SPARE_ROWS)
    const shown = views.length <= space ? views : views.slice(0, space - 1)
    const withPieces = views.length <= MAX_PIECE_MAPS && views.length * 2 <= space
    const rows: RowPayload[] = []
    for (const view of shown) {
      rows.push({ view, kind: 'bar', hidden: 0, unicode })
      if (withPieces && view.pieces !== undefined) rows.push({ view, kind: 'pieces', hidden: 0, unicode })
    }
    const hidden = views.length - shown.length
    if (hidden > 0) rows.push({ view: null, kind: 'rest', hidden, unicode })
    return rows
  }

  note(_event: string, text: string): void {
    if (this.#rows.length === 0) printLines(this.#ctx, text)
    // it goes over a row that was drawn before, of which nothing must stay
    else for (const line of this.#wrap(text)) this.#bars.log(`${line}\u001b[K\n`)
  }

  /** The terminal does not wrap lines while bars are drawn. */
  #wrap(text: string): string[] {
    // a terminal that was not told its size says 0
    const width = Math.max(1, (this.#ctx.stdout.columns || 80) - 1)
    return text.split('\n').flatMap(line => {
      const characters = Array.from(printable(line))
      const rows: string[] = []
      for (let at = 0; at === 0 || at < characters.length; at += width) {
        rows.push(characters.slice(at, at + width).join(''))
      }
      return rows
    })
  }

  finish(): void {
    if (this.#rows.length === 0) return
    // what was said since the last redraw would be lost else
    this.#bars.update()
    this.#bars.stop()
  }
}

/** Draws one row; the bar takes what the name and the figures leave. */
export function renderRow(_options: object, params: { maxWidth?: number }, payload: RowPayload): string {
  const { view, unicode } = payload
  const width = (params.maxWidth ?? 80) - 1
  if (payload.kind === 'rest') return `and ${payload.hidden} more`
  if (view === null) return ''
  if (payload.kind === 'pieces') return `  ${pieceMap(view.pieces ?? [], width - 4, unicode)}`
  const right = barFigures(view).join('  ')
  const ellipsis = unicode ? '…' : '...'
  const name = shorten(printable(view.name), Math.max(8, Math.min(28, Math.floor(width / 4))), ellipsis)
  const room = Math.min(40, width - Array.from(name).length - right.length - 4)
  const bar = room >= 5 ? `${drawBar(view.progress, room, unicode)}  ` : ''
  return shorten(`${name}  ${bar}${right}`, width, ellipsis)
}

function barFigures(view: ProgressView): string[] {
  const { swarm } = view
  if (view.totalBytes === 0 && swarm !== undefined && view.progress < 1) return [view.state, peersText(swarm)]
  const done = view.doneBytes >= view.totalBytes
  const parts = [formatPercent(view.progress).padStart(7), formatBytes(view.totalBytes)]
  if (view.state !== 'downloading') parts.push(view.state)
  if (!done) parts.push(formatRate(view.rate), `ETA ${formatDuration(secondsLeft(view))}`)
  if (swarm !== undefined) {
    if (done || swarm.uploadRate > 0) parts.push(`up ${formatRate(swarm.uploadRate)}`)
    parts.push(peersText(swarm))
  }
  return parts
}

function drawBar(progress: number, width: number, unicode: boolean): string {
  const full = Math.floor(Math.min(1, Math.max(0, progress)) * width)
  if (unicode) return '━'.repeat(full) + '─'.repeat(width - full)
  return `${'#'.repeat(full)}${'-'.repeat(width - full)}`
}
