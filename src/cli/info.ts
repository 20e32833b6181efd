/** `info`: what is in a torrent. */

import type { HostPort } from './arguments.ts'
import { describeAsText, describeTorrent } from './describe-torrent.ts'
import { fetchMetadata } from './fetch-metadata.ts'
import { type CommandContext, printJson, printLine } from './io.ts'
import { settingsOf } from './setting-options.ts'
import { isMagnet, loadExactSource, loadSource } from './torrent-source.ts'
import { resolvePeers } from './transfer-params.ts'

export interface InfoOptions {
  /** False: only what the link itself says. */
  readonly fetch: boolean
  /** Seconds. */
  readonly timeout: number
  readonly peer?: readonly HostPort[]
  readonly set?: readonly string[]
}

/** @returns the exit code */
export async function info(source: string, options: InfoOptions, ctx: CommandContext): Promise<number> {
  const settings = settingsOf(options.set)
  let params = await loadSource(source, ctx.interrupt)
  if (params.ti === null && options.fetch) {
    const exact = isMagnet(source) ? await loadExactSource(source, params, ctx.interrupt).catch(() => null) : null
    if (exact !== null) params = exact
    else {
      const peers = await resolvePeers(options.peer)
      if (!ctx.json && ctx.stderr.isTTY === true) ctx.stderr.write('asking peers for what is in the torrent ...\n')
      await fetchMetadata(params, { settings, peers, timeoutMs: options.timeout * 1000 }, ctx.interrupt)
    }
  }
  if (ctx.json) printJson(ctx, describeTorrent(params))
  else printLine(ctx, describeAsText(params))
  return 0
}
