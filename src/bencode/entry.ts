/** The values that bencoding can express, as plain JavaScript. */

/**
 * A bencoded value (BEP 3).
 *
 * `bdecode` gives strings as `Uint8Array` always, integers as `number` and beyond 2^53 as `bigint`, and
 * dictionaries as objects without a prototype. Keys of dictionaries are binary strings, one character
 * (0-255) per byte, in both directions, so that keys that are no text are kept exactly. A `string`
 * *value* given to `bencode` is text and is written as UTF-8.
 */
export type Entry = number | bigint | Uint8Array | string | Entry[] | { [key: string]: Entry }

/** Bytes that are bencoded already and go into the output as they are, such as a kept `info` dictionary. */
export class Preformatted {
  readonly bytes: Uint8Array

  /** @param bytes one whole bencoded value; not checked, not copied */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

/** What `bencode` takes: an {@link Entry} that may also hold `Map`s and parts that are encoded already. */
export type BencodeInput =
  | Entry
  | Preformatted
  | readonly BencodeInput[]
  | ReadonlyMap<string | Uint8Array, BencodeInput>
  | { readonly [key: string]: BencodeInput }
