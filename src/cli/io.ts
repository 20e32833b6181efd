/** What a command gets from its surroundings, so that tests can give it something else than the process. */

/** Where text goes; a terminal has a width. */
export interface OutputStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** The surroundings of one run of the command line. */
export interface CliIo {
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  /** Aborted by the first Ctrl-C. Until it is asked for, Ctrl-C ends the process: there is nothing to be saved. */
  readonly interrupt: AbortSignal
  /** Environment variables. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** One run of one command. */
export interface CommandContext extends CliIo {
  /** One JSON object a line, and nothing else, goes to `stdout`. */
  readonly json: boolean
}

/** The command could not do what it was asked to: exit code 1. */
export class CommandError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'CommandError'
  }
}

/** The command was not asked in the right way: exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}

/** Writes one line of text. */
export function printLine(ctx: CliIo, text: string): void {
  ctx.stdout.write(`${text}\n`)
}

/** Writes one line of JSON. */
export function printJson(ctx: CliIo, value: object): void {
  ctx.stdout.write(`${JSON.stringify(value)}\n`)
}
