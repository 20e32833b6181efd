/** How lines of the logs name errors. */

import type { ErrorCode } from './error-code.ts'

/** `ERROR: (category:number) text`; empty if it is none. */
export function errorText(error: ErrorCode): string {
  return error.failed() ? `ERROR: (${error.category().name()}:${error.value()}) ${error.message()}` : ''
}
