/** Which libtorrent this library speaks like, and its own version. */

/** Version of libtorrent whose API and behaviour this is. */
export const version = '2.1.0.0'
/** The same as `version`. */
export const versionStr = version
export const versionMajor = 2
export const versionMinor = 1
export const versionTiny = 0
/** Revision of libtorrent's source that the tables were made from. */
export const versionRevision = '0x75a08775b'
/** libtorrent's ABI number; 100 means that nothing deprecated is in it. */
export const apiVersion = 100
/** Version of this package. */
export const packageVersion = '0.1.0'
/** Bytes of a block, the unit in which pieces are requested. */
export const defaultBlockSize = 16384
