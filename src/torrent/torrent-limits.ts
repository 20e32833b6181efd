/** `max_connections` and `max_uploads` of a torrent without a limit of its own: libtorrent's 24 bits. */
export const UNLIMITED = (1 << 24) - 1
