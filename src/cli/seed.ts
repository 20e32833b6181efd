/** `seed`: gives data that is there to others, until the user stops it. */

import type { CommandContext } from './io.ts'
import { settingsOf } from './setting-options.ts'
import { transfer } from './transfer.ts'
import type { TransferOptions } from './transfer-params.ts'

/** @returns the exit code */
export async function seed(source: string, options: TransferOptions, ctx: CommandContext): Promise<number> {
  return transfer([source], options, settingsOf(options.set), 'seed', ctx)
}
