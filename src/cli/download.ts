/** `download`: gets torrents, and ends when they are complete. */

import type { CommandContext } from './io.ts'
import { settingsOf } from './setting-options.ts'
import { transfer } from './transfer.ts'
import type { TransferOptions } from './transfer-params.ts'

/** @returns the exit code */
export async function download(
  sources: readonly string[],
  options: TransferOptions,
  ctx: CommandContext,
): Promise<number> {
  return transfer(sources, options, settingsOf(options.set), 'download', ctx)
}
