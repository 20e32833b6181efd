// What the source does not say about a metric: why it is not counted, or what is special about how it is.
// generate-metrics-docs.mjs reads it.

const NO_UTP = ['not yet', 'uTP is not there yet']
const NO_ENCRYPTION = ['not yet', 'protocol encryption is not there yet']
const NO_TLS = ['not yet', 'torrents over TLS are not there yet']
const NO_FENCE = ['cannot', 'such jobs never have a storage to themselves']
const NO_JOB = ['cannot', 'there is no such job']
const ALSO_COUNTED = ['yes', 'libtorrent leaves it at 0']
const LATENCY = ['yes', 'steps of 30 ms; libtorrent leaves it at 0 unless built for it']

/** Metrics by the part of their name before the dot, in the order of the page. */
export const GROUPS = {
  peer: 'Peers: why connections end, what is asked of us, how many connections there are of each kind.',
  picker: 'The choice of pieces: what made us choose, and how many pieces were looked at.',
  net: 'Bytes, and how often the session was woken.',
  ses: 'Torrents by state, pieces, messages by kind, and bytes that were received in vain.',
  disk: 'Disk jobs, open files, and the time that they take. Times are in microseconds.',
  tracker: 'Trackers.',
  dht: 'The DHT.',
  utp: 'uTP.',
  sock_bufs: 'Reads and writes of sockets of peers, by size: powers of two, from 2^3 bytes to 2^20 and more.',
}

/** Names, or beginnings of names with a `*`: [status, what there is to say]. All others are 'yes'. The first that fits counts. */
export const NOTES = {
  'peer.error_rc4_peers': NO_ENCRYPTION,
  'peer.error_encrypted_peers': NO_ENCRYPTION,
  'peer.error_utp_peers': NO_UTP,
  'peer.num_utp_peers': NO_UTP,
  'peer.num_i2p_peers': ['not yet', 'I2P is not there yet'],
  'peer.num_ssl_*': NO_TLS,
  'peer.connection_attempts': ['yes', 'also those of `boost_connection_attempts` and of `connectPeer()`'],
  'peer.connection_attempt_loops': ['yes', 'torrents that were asked for a peer; in libtorrent, peers looked at'],
  'peer.num_peers_up_disk': ['yes', 'read off the connections when the metrics are asked for'],
  'peer.num_peers_down_disk': ['yes', 'read off the connections when the metrics are asked for'],
  'picker.hash_fail_piece_picks': ['yes', 'all picks that follow from it; in libtorrent, second ones only'],
  'picker.piece_picker_sequential_loops': ALSO_COUNTED,
  'net.on_disk_counter': ALSO_COUNTED,
  'net.on_disk_queue_counter': ['cannot', 'disk jobs wake nobody to be queued; libtorrent leaves it at 0 too'],
  'disk.cached_blocks': ['yes', 'of the read cache'],
  'disk.num_unhashed': ['yes', 'in memory, until their piece is hashed and written'],
  'disk.request_latency': ['yes', 'of reads that are not answered from the read cache at once'],
  'disk.file_pool_thread_stall': ['cannot', 'each disk worker opens files for itself'],
  'disk.file_pool_race': ['cannot', 'each disk worker opens files for itself'],
  'disk.disk_read_latency*': LATENCY,
  'disk.num_fenced_read': NO_FENCE,
  'disk.num_fenced_write': NO_FENCE,
  'disk.num_fenced_hash': NO_FENCE,
  'disk.num_fenced_save_resume_data': NO_JOB,
  'disk.num_fenced_flush_*': NO_JOB,
  'disk.num_fenced_load_torrent': NO_JOB,
  'disk.num_fenced_clear_piece': NO_JOB,
  'disk.num_fenced_tick_storage': NO_JOB,
  'dht.dht_find_node_out': [
    'cannot',
    'lookups ask with `get_peers`, which brings nodes as well; libtorrent leaves it at 0 too',
  ],
  'utp.*': NO_UTP,
}
