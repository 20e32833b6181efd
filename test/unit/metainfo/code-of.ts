import { LibtorrentError } from '../../../src/core/error-code.ts'

/** Number of the `LibtorrentError` that a call throws; 0 if it throws nothing. Whatever else is thrown goes on. */
export function codeOf(call: () => unknown): number {
  try {
    call()
  } catch (error) {
    if (error instanceof LibtorrentError) return error.code.value()
    throw error
  }
  return 0
}
