/** `info`: what is in a torrent. */

import { describeAsText, describeTorrent } from './describe-torrent.ts'
import { type CommandContext, printJson, printLine } from './io.ts'
import { loadSource } from './torrent-source.ts'

/** @returns the exit code */
export async function info(source: string, ctx: CommandContext): Promise<number> {
  const params = await loadSource(source, ctx.interrupt)
  if (ctx.json) printJson(ctx, describeTorrent(params))
  else printLine(ctx, describeAsText(params))
  return 0
}
