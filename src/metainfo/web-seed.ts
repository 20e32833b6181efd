/** Web seeds of a torrent (BEP 19). */

/** One web seed. */
export interface WebSeedEntry {
  readonly url: string
  /** `user:password` for HTTP's basic authentication; empty for none. */
  readonly auth: string
  /** Sent with each request. */
  readonly extraHeaders: readonly (readonly [name: string, value: string])[]
  /** 0 for BEP 19, the only kind there is. */
  readonly type: number
}

/** A web seed without authentication. */
export function webSeedEntry(url: string): WebSeedEntry {
  return { url, auth: '', extraHeaders: [], type: 0 }
}
