/** A web seed as `TorrentInfo.webSeeds()` gives it (BEP 19). */

/** What a web seed is. */
export const WebSeedType = Object.freeze({ urlSeed: 0, httpSeed: 1 })
export type WebSeedType = (typeof WebSeedType)[keyof typeof WebSeedType]

export interface WebSeedEntry {
  readonly url: string
  readonly type: WebSeedType
  /** Content of an `Authorization` header, or empty. */
  readonly auth: string
  /** Names and values of further headers. */
  readonly extraHeaders: readonly (readonly [name: string, value: string])[]
}
