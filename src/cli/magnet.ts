/** `magnet`: the magnet link of a torrent. */

import { describeHashes, magnetOf } from './describe-torrent.ts'
import { type CommandContext, printJson, printLine } from './io.ts'
import { loadSource } from './torrent-source.ts'

/** @returns the exit code */
export async function magnet(source: string, ctx: CommandContext): Promise<number> {
  const params = await loadSource(source, ctx.interrupt)
  const link = magnetOf(params)
  if (ctx.json) printJson(ctx, { magnet: link, name: params.name, ...describeHashes(params) })
  else printLine(ctx, link)
  return 0
}
