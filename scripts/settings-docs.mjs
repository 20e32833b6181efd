// What the inventory does not say about a setting: what a change of it touches, what it means, and
// whether it has its effect here yet. generate-tables.mjs and generate-docs.mjs read it.
import { readFileSync } from 'node:fs'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** This client's own names, instead of libtorrent's. */
export const IDENTITY = {
  user_agent: `libtorrent-ts/${version}`,
  peer_fingerprint: `-LS${version.split('.').join('')}0-`,
}

/** Setting -> tags of what has to be brought up to date when its value changes. */
export const EFFECTS = {
  outgoing_interfaces: ['outgoingInterfaces'],
  listen_interfaces: ['listenInterfaces'],
  proxy_hostname: ['proxy'],
  proxy_username: ['proxy'],
  proxy_password: ['proxy'],
  proxy_type: ['proxy', 'listenInterfaces'],
  proxy_port: ['proxy'],
  proxy_peer_connections: ['listenInterfaces'],
  i2p_hostname: ['i2pBridge'],
  i2p_port: ['i2pBridge'],
  dht_bootstrap_nodes: ['dhtBootstrapNodes'],
  dont_count_slow_torrents: ['countSlow'],
  report_web_seed_downloads: ['reportWebSeedDownloads'],
  no_connect_privileged_ports: ['privilegedPorts'],
  enable_upnp: ['upnp'],
  enable_natpmp: ['natpmp'],
  enable_lsd: ['lsd'],
  enable_dht: ['dht'],
  auto_sequential: ['autoSequential'],
  enable_ip_notifier: ['ipNotifier'],
  validate_https_trackers: ['validateHttps'],
  seeding_outgoing_connections: ['wantPeers'],
  enable_outgoing_tcp: ['wantPeers'],
  enable_outgoing_utp: ['wantPeers'],
  max_failcount: ['maxFailcount'],
  peer_dscp: ['peerDscp'],
  active_downloads: ['autoManage'],
  active_seeds: ['autoManage'],
  active_checking: ['autoManage'],
  active_limit: ['autoManage'],
  recv_socket_buffer_size: ['socketBufferSize'],
  send_socket_buffer_size: ['socketBufferSize'],
  dht_announce_interval: ['dhtAnnounceInterval'],
  upload_rate_limit: ['uploadRate'],
  download_rate_limit: ['downloadRate'],
  unchoke_slots_limit: ['unchokeLimit'],
  connections_limit: ['connectionsLimit'],
  alert_queue_size: ['alertQueueSize'],
  alert_mask: ['alertMask'],
  resolver_cache_timeout: ['resolverCacheTimeout'],
  aio_threads: ['disk'],
  hashing_threads: ['disk'],
  file_pool_size: ['disk'],
  max_queued_disk_bytes: ['disk'],
  disk_io_write_mode: ['disk'],
  disk_io_read_mode: ['disk'],
  disk_write_mode: ['disk'],
  mmap_file_size_cutoff: ['disk'],
  close_file_interval: ['disk'],
  checking_mem_usage: ['disk'],
}

const NO_MMAP = ['cannot', 'there is no memory mapping of files; all access is by positioned reads and writes']
const NO_WEBRTC = ['not yet', 'WebTorrent is not there yet']
const NO_I2P = ['not yet', 'I2P is not there yet']
const NO_UTP = ['not yet', 'uTP is not there yet']
const NO_UPNP = ['not yet', 'UPnP is not there yet']
const NO_NATPMP = ['not yet', 'NAT-PMP is not there yet']
const NO_ENCRYPTION = ['not yet', 'protocol encryption is not there yet']

/**
 * Every setting, by topic: name -> [meaning, status, reason].
 *
 * Status is 'yes' (has its effect), 'not yet' or 'cannot' (Node has no way to do it). Without one it is 'not yet'.
 */
export const TOPICS = [
  {
    title: 'Identity',
    settings: {
      user_agent: ['Name and version of the program, as trackers, web servers and peers get to see it.', 'yes'],
      handshake_client_version: ['Name and version that peers get to see; empty stands for `user_agent`.', 'yes'],
      peer_fingerprint: ['Beginning of our peer id; `generateFingerprint()` makes one. The rest is random.', 'yes'],
      anonymous_mode: [
        'Tells others less about this client: a plain user agent, no version, no local addresses.',
        'yes',
      ],
      always_send_user_agent: [
        'Sends the user agent with every web seed request instead of the first of a connection.',
        'not yet',
        'web seeds are not there yet',
      ],
    },
  },
  {
    title: 'Listening and interfaces',
    settings: {
      listen_interfaces: [
        'Where to listen: `address:port` or `device:port`, comma separated; `s` after the port is TLS, `l` local only. `0.0.0.0` and `::` are every address of their family, each with a socket of its own.',
        'yes',
      ],
      outgoing_interfaces: [
        'Addresses or devices that outgoing connections take turns to start from; empty leaves it to the system.',
        'yes',
      ],
      outgoing_port: ['First local port of outgoing connections; 0 is any.', 'yes'],
      num_outgoing_ports: ['How many local ports, from `outgoing_port` on, outgoing connections use.', 'yes'],
      listen_queue_size: ['How many connections may wait in the system to be accepted.'],
      listen_system_port_fallback: ['Listens on a port of the system’s choice if the wanted one cannot be had.', 'yes'],
      max_retry_port_bind: ['How many times to try the next higher port if one is taken.', 'yes'],
      enable_ip_notifier: [
        'Looks every ten seconds whether the networks of this machine have changed, and adapts the listen sockets.',
        'yes',
      ],
      enable_incoming_tcp: ['Accepts peers over TCP.', 'yes'],
      enable_outgoing_tcp: ['Connects to peers over TCP.', 'yes'],
      enable_incoming_utp: ['Accepts peers over uTP.', ...NO_UTP],
      enable_outgoing_utp: ['Connects to peers over uTP.', ...NO_UTP],
      peer_dscp: ['Traffic class that packets to peers are marked with.', 'cannot', 'sockets have no call for it'],
      recv_socket_buffer_size: [
        'Size of the receive buffers in the system; 0 leaves it.',
        'cannot',
        'TCP sockets have no call for it',
      ],
      send_socket_buffer_size: [
        'Size of the send buffers in the system; 0 leaves it.',
        'cannot',
        'TCP sockets have no call for it',
      ],
      send_not_sent_low_watermark: [
        'How much unsent data the system holds for a socket before it asks for more.',
        'cannot',
        'sockets have no call for it',
      ],
    },
  },
  {
    title: 'Connections',
    settings: {
      connections_limit: [
        'How many connections the session has at most; 0 or less stands for what the system allows.',
        'yes',
      ],
      connections_slack: [
        'How many incoming connections above the limit are accepted, to take the place of worse ones.',
        'yes',
      ],
      connection_speed: ['Connection attempts per second; negative stands for 200, 0 for none.', 'yes'],
      torrent_connect_boost: [
        'How many peers a torrent connects to at once when it gets its first peers; at most 255.',
        'yes',
      ],
      smooth_connects: ['Spreads connection attempts when the connection limit is near.'],
      connect_seed_every_n_download: ['Every so many connection attempts one goes to a finished torrent.'],
      seeding_outgoing_connections: ['Whether finished torrents connect to peers themselves.', 'yes'],
      peer_connect_timeout: ['Seconds until a connection attempt is given up.', 'yes'],
      handshake_timeout: ['Seconds a peer has for its handshake.', 'yes'],
      peer_timeout: ['Seconds of silence after which a peer is disconnected.', 'yes'],
      inactivity_timeout: [
        'Seconds after which a peer is disconnected if neither side wants anything of the other.',
        'yes',
      ],
      min_reconnect_time: ['Seconds to wait before connecting to a peer again, times its failures.', 'yes'],
      max_failcount: ['Failures in a row after which a peer is not connected to any more.', 'yes'],
      peer_turnover: ['Percent of the peers to disconnect in each turnover interval, to try others.', 'yes'],
      peer_turnover_cutoff: ['Percent of the connection limit from which on there is a turnover.', 'yes'],
      peer_turnover_interval: ['Seconds between turnovers.', 'yes'],
      close_redundant_connections: ['Closes connections on which neither side can have anything of the other.', 'yes'],
      allow_multiple_connections_per_ip: ['Whether one address may have several connections to a torrent.', 'yes'],
      allow_multiple_connections_per_pid: ['Whether one peer id may have several connections to a torrent.', 'yes'],
      no_connect_privileged_ports: [
        'Does not connect to peers on ports below 1024, so as not to be used for attacks.',
        'yes',
      ],
      max_peerlist_size: ['How many peers a torrent remembers; 0 is no limit.', 'yes'],
      max_paused_peerlist_size: ['How many peers a paused torrent remembers.', 'yes'],
      max_pex_peers: ['How many peers of one peer are taken from peer exchange, of IPv4 and of IPv6 each.', 'yes'],
    },
  },
  {
    title: 'Rate limits and choking',
    settings: {
      download_rate_limit: ['Bytes per second for all peers but local ones together; 0 is no limit.', 'yes'],
      upload_rate_limit: ['Bytes per second for all peers but local ones together; 0 is no limit.', 'yes'],
      rate_limit_ip_overhead: ['Counts the estimated TCP/IP headers against the rate limits.'],
      mixed_mode_algorithm: ['Whether TCP leaves room for uTP.', ...NO_UTP],
      unchoke_slots_limit: ['How many peers may download from us at a time; -1 is no limit.', 'yes'],
      num_optimistic_unchoke_slots: ['How many of these slots go to peers by chance; 0 stands for a fifth.', 'yes'],
      unchoke_interval: ['Seconds between decisions on who may download.', 'yes'],
      optimistic_unchoke_interval: ['Seconds between changes of the peers unchoked by chance.', 'yes'],
      choking_algorithm: ['How the number of upload slots is found: fixed, or from the rates that are reached.', 'yes'],
      rate_choker_initial_threshold: [
        'Bytes per second a peer must take for the rate based choker to open another slot.',
        'yes',
      ],
      seed_choking_algorithm: [
        'Who may download from a seed: all in turn, the fastest, or those at begin and end of their download.',
        'yes',
      ],
      seeding_piece_quota: ['How many pieces a peer gets from a seed before another one has its turn.', 'yes'],
      tick_interval: ['Milliseconds between the ticks in which rate limits are handed out.', 'yes'],
    },
  },
  {
    title: 'Requests and pieces',
    settings: {
      request_queue_time: ['How many seconds of transfer to keep requested from a peer.', 'yes'],
      max_out_request_queue: ['How many blocks to keep requested from a peer at most.', 'yes'],
      max_allowed_in_request_queue: ['How many requests a peer may have waiting with us; more are rejected.', 'yes'],
      request_timeout: ['Seconds after which a block is requested from another peer as well.', 'yes'],
      piece_timeout: ['Seconds without any block after which a peer counts as snubbed.', 'yes'],
      whole_pieces_threshold: [
        'A peer that sends a piece in fewer seconds than this gets whole pieces to itself.',
        'yes',
      ],
      initial_picker_threshold: ['How many pieces to pick at random before picking the rarest.', 'yes'],
      prioritize_partial_pieces: ['Completes begun pieces before it begins rarer ones.', 'yes'],
      piece_extent_affinity: ['Prefers pieces next to those being downloaded, in extents of 4 MiB.', 'yes'],
      auto_sequential: ['Downloads in order when nearly all peers are seeds.'],
      strict_end_game_mode: ['Requests a block twice only when every missing block is requested.', 'yes'],
      use_parole_mode: [
        'Has a peer that took part in a bad piece send whole pieces until it is known to be good or bad.',
        'yes',
      ],
      predictive_piece_announce: [
        'Announces a piece so many milliseconds before it is expected to be complete; 0 is off.',
      ],
      send_redundant_have: ['Tells also those peers about a new piece that have it.', 'yes'],
      allowed_fast_set_size: ['How many pieces a choked peer may download.', 'yes'],
      max_rejects: ['Rejected requests in a row after which a choked peer is disconnected.'],
      suggest_mode: ['Whether to suggest pieces to peers that are in the read cache.', 'yes'],
      max_suggest_pieces: ['How many suggestions of a peer are remembered.', 'yes'],
      disable_hash_checks: ['Takes all data as good without checking it; for tests only.', 'yes'],
      support_share_mode: ['Tells peers that this client knows share mode.', 'not yet', 'share mode is not there yet'],
      share_mode_target: [
        'How much more to upload than to download in share mode.',
        'not yet',
        'share mode is not there yet',
      ],
      max_metadata_size: ['Largest metadata, in bytes, that is accepted from peers.', 'yes'],
      max_piece_count: [
        'Largest number of pieces that metadata from peers may have, and that peers may claim to have before it.',
        'yes',
      ],
      metadata_token_limit: ['How many bencoded values metadata from peers may have.', 'yes'],
    },
  },
  {
    title: 'Send and receive buffers',
    settings: {
      send_buffer_watermark: ['Bytes to keep ready for sending to a fast peer.', 'yes'],
      send_buffer_low_watermark: ['Bytes to keep ready for sending to any peer.', 'yes'],
      send_buffer_watermark_factor: [
        'Percent of a peer’s rate per second to keep ready, between the two watermarks.',
        'yes',
      ],
      max_peer_recv_buffer_size: ['Largest receive buffer of a peer, in bytes.'],
    },
  },
  {
    title: 'Disk',
    settings: {
      aio_threads: ['Upper limit of worker threads for reading and writing.', 'yes'],
      hashing_threads: [
        'Worker threads of these for checking existing files.',
        'not yet',
        'sessions hash on the threads of `aio_threads`; `setPieceHashes` has an option of this name',
      ],
      max_queued_disk_bytes: ['Bytes that may wait to be written before peers are made to wait.', 'yes'],
      file_pool_size: ['How many files to keep open.', 'yes'],
      close_file_interval: ['Closes the file that has been open longest, every so many seconds; 0 is never.'],
      checking_mem_usage: ['How many blocks of 16 KiB checking may have in memory.', 'yes'],
      no_recheck_incomplete_resume: [
        'Does not check existing files when there is no resume data: takes them as empty.',
      ],
      optimistic_disk_retry: ['Seconds after a write error until downloading is tried again.', 'yes'],
      no_atime_storage: [
        'Does not have the access time of files changed, on Linux.',
        'cannot',
        'there is no call for it that works on every system',
      ],
      disk_io_read_mode: ['Whether the system caches what is read.', 'yes'],
      disk_io_write_mode: ['Whether the system caches what is written, or puts it through to the disk.', 'yes'],
      disk_write_mode: ['Whether files are written through memory mappings.', ...NO_MMAP],
      mmap_file_size_cutoff: ['Files with fewer blocks than this are not memory mapped.', ...NO_MMAP],
      disk_disable_copy_on_write: [
        'Turns off copy-on-write for new files, for btrfs.',
        'cannot',
        'there is no call for file attributes',
      ],
      enable_set_file_valid_data: ['Allocates without writing zeros on Windows.', 'cannot', 'there is no call for it'],
    },
  },
  {
    title: 'Trackers',
    settings: {
      announce_to_all_tiers: ['Announces to one tracker of each tier instead of the first tier that works.', 'yes'],
      announce_to_all_trackers: ['Announces to all trackers of a tier instead of the first that works.', 'yes'],
      prefer_udp_trackers: ['Tries a host’s UDP tracker before its HTTP tracker.', 'yes'],
      num_want: ['How many peers to ask a tracker for.', 'yes'],
      announce_ip: ['Address to give to trackers instead of the one they see.', 'yes'],
      announce_port: ['Port to give to trackers instead of the listen port; 0 is the listen port.', 'yes'],
      announce_crypto_support: ['Tells trackers that encrypted connections are accepted.', 'yes'],
      min_announce_interval: ['Seconds between announces that a tracker cannot go below.', 'yes'],
      tracker_backoff: ['How fast waiting times grow when a tracker keeps failing, in percent.', 'yes'],
      tracker_completion_timeout: ['Seconds for a whole tracker request.', 'yes'],
      tracker_receive_timeout: ['Seconds without an answer after which a tracker has failed.', 'yes'],
      stop_tracker_timeout: ['Seconds for the announce that we leave; 0 does not send it.', 'yes'],
      tracker_maximum_response_length: ['Largest answer of a tracker, in bytes after decompression.', 'yes'],
      max_http_recv_buffer_size: ['Largest answer of any HTTP server that is held in memory, in bytes.', 'yes'],
      max_concurrent_http_announces: ['How many HTTP announces run at a time.', 'yes'],
      udp_tracker_token_expiry: ['Seconds for which the connection id of a UDP tracker is used.', 'yes'],
      auto_scrape_interval: ['Seconds between scrapes of a torrent that waits in the queue.'],
      auto_scrape_min_interval: ['Seconds between any two automatic scrapes.'],
      validate_https_trackers: ['Checks the certificates of HTTPS trackers and web seeds.', 'yes'],
      ssrf_mitigation: ['Does not let a torrent send strange requests into the local network.', 'yes'],
      allow_idna: ['Allows host names with letters outside ASCII.', 'yes'],
      apply_ip_filter_to_trackers: ['Whether the IP filter is also for trackers.', 'yes'],
      resolver_cache_timeout: ['Seconds for which a looked up host name is remembered.', 'yes'],
      report_true_downloaded: ['Counts redundant bytes in what is reported as downloaded.', 'yes'],
      report_redundant_bytes: ['Reports how many bytes were redundant.', 'yes'],
      report_web_seed_downloads: [
        'Counts bytes from web seeds in what is reported.',
        'not yet',
        'web seeds are not there yet',
      ],
    },
  },
  {
    title: 'Web seeds',
    settings: {
      max_web_seed_connections: [
        'How many web seeds a torrent uses at a time.',
        'not yet',
        'web seeds are not there yet',
      ],
      urlseed_timeout: [
        'Seconds of silence after which a web seed is disconnected.',
        'not yet',
        'web seeds are not there yet',
      ],
      urlseed_pipeline_size: [
        'How many requests to keep outstanding at a web seed.',
        'not yet',
        'web seeds are not there yet',
      ],
      urlseed_wait_retry: [
        'Seconds to wait before a failed web seed is tried again.',
        'not yet',
        'web seeds are not there yet',
      ],
      urlseed_max_request_bytes: [
        'Largest range, in bytes, to ask a web seed for.',
        'not yet',
        'web seeds are not there yet',
      ],
      web_seed_name_lookup_retry: [
        'Seconds to wait before a host name that was not found is looked up again.',
        'not yet',
        'web seeds are not there yet',
      ],
      ban_web_seeds: [
        'Does not use a web seed again that has sent bad data.',
        'not yet',
        'web seeds are not there yet',
      ],
    },
  },
  {
    title: 'Queueing',
    settings: {
      active_downloads: ['How many torrents download at a time; -1 is no limit.', 'yes'],
      active_seeds: ['How many torrents seed at a time; -1 is no limit.', 'yes'],
      active_checking: ['How many torrents are checked at a time.', 'yes'],
      active_limit: ['How many torrents are active at a time in all; -1 is no limit.', 'yes'],
      active_tracker_limit: ['How many torrents announce to trackers.', 'yes'],
      active_dht_limit: ['How many torrents announce to the DHT.', 'yes'],
      active_lsd_limit: ['How many torrents announce on the local network.', 'yes'],
      auto_manage_interval: ['Seconds between decisions on which torrents are active.', 'yes'],
      auto_manage_startup: ['Seconds for which a torrent counts as active whatever its rate.', 'yes'],
      auto_manage_prefer_seeds: ['Gives seeding torrents the places first.', 'yes'],
      dont_count_slow_torrents: ['Does not count torrents against the limits that transfer next to nothing.', 'yes'],
      inactive_down_rate: ['Bytes per second below which a downloading torrent counts as slow.', 'yes'],
      inactive_up_rate: ['Bytes per second below which a seeding torrent counts as slow.', 'yes'],
      incoming_starts_queued_torrents: ['Starts a queued torrent when a peer connects for it.', 'yes'],
      share_ratio_limit: ['Percent of its size after whose upload a torrent has seeded enough.', 'yes'],
      seed_time_ratio_limit: ['Percent of its download time after which a torrent has seeded enough.', 'yes'],
      seed_time_limit: ['Seconds of seeding after which a torrent has seeded enough.', 'yes'],
    },
  },
  {
    title: 'Alerts',
    settings: {
      alert_mask: ['Which categories of alerts are posted: `AlertCategory` bits.', 'yes'],
      alert_queue_size: ['How many alerts wait at most before further ones are dropped.', 'yes'],
    },
  },
  {
    title: 'Proxy',
    settings: {
      proxy_type: ['What kind of proxy to use: none, SOCKS4, SOCKS5, HTTP, with or without password.', 'yes'],
      proxy_hostname: ['Host of the proxy.', 'yes'],
      proxy_port: ['Port of the proxy.', 'yes'],
      proxy_username: ['User name for the proxy.', 'yes'],
      proxy_password: ['Password for the proxy.', 'yes'],
      proxy_hostnames: ['Lets the proxy look up host names.', 'yes'],
      proxy_peer_connections: ['Uses the proxy for peers and web seeds.', 'yes'],
      proxy_tracker_connections: ['Uses the proxy for trackers.', 'yes'],
      proxy_send_host_in_connect: ['Gives an HTTP proxy host names instead of addresses.'],
      socks5_udp_send_local_ep: ['Tells a SOCKS5 proxy which local address our UDP packets come from.', 'yes'],
    },
  },
  {
    title: 'Encryption',
    settings: {
      in_enc_policy: [
        'Whether incoming connections may, must or cannot be encrypted.',
        'not yet',
        'protocol encryption is not there yet; only announced to trackers',
      ],
      out_enc_policy: ['Whether outgoing connections may, must or cannot be encrypted.', ...NO_ENCRYPTION],
      allowed_enc_level: ['Whether only the handshake is encrypted, everything, or either.', ...NO_ENCRYPTION],
      prefer_rc4: ['Encrypts everything where both ways are allowed.', ...NO_ENCRYPTION],
    },
  },
  {
    title: 'uTP',
    settings: {
      utp_target_delay: ['Milliseconds of delay that uTP may add to the line.', ...NO_UTP],
      utp_gain_factor: ['Bytes by which the window may grow in one round trip.', ...NO_UTP],
      utp_min_timeout: ['Shortest timeout, in milliseconds.', ...NO_UTP],
      utp_connect_timeout: ['Milliseconds to wait for an answer to a connection attempt.', ...NO_UTP],
      utp_syn_resends: ['How many times a connection attempt is sent again.', ...NO_UTP],
      utp_fin_resends: ['How many times the end of a connection is sent again.', ...NO_UTP],
      utp_num_resends: ['How many times a packet is sent again before the connection is given up.', ...NO_UTP],
      utp_loss_multiplier: ['Percent to which the window shrinks when a packet is lost.', ...NO_UTP],
      utp_cwnd_reduce_timer: ['Milliseconds after a loss in which further losses do not shrink the window.', ...NO_UTP],
    },
  },
  {
    title: 'DHT',
    settings: {
      enable_dht: ['Takes part in the DHT.', 'yes'],
      use_dht_as_fallback: ['Uses the DHT only for torrents whose trackers all fail.', 'yes'],
      dht_bootstrap_nodes: ['Nodes to begin with: `host:port`, comma separated.', 'yes'],
      dht_announce_interval: ['Seconds between announces of a torrent.', 'yes'],
      dht_upload_rate_limit: ['Bytes per second that the DHT may send.', 'yes'],
      dht_search_branching: ['How many nodes a lookup asks at a time.', 'yes'],
      dht_aggressive_lookups: [
        'Always asks the closest known nodes, for faster lookups at the cost of more packets.',
        'yes',
      ],
      dht_privacy_lookups: [
        'Does not show the nodes on the way what is looked for, at the cost of more packets.',
        'yes',
      ],
      dht_extended_routing_table: ['Keeps more nodes in the first buckets of the routing table.', 'yes'],
      dht_max_fail_count: ['Failures after which a node is dropped from the routing table.', 'yes'],
      dht_restrict_routing_ips: [
        'Takes only one node of an address, and few of a network, into the routing table.',
        'yes',
      ],
      dht_restrict_search_ips: ['Asks only one node of a network in a lookup.', 'yes'],
      dht_prefer_verified_node_ids: [
        'Prefers nodes whose id fits their address (BEP 42), in the routing table and in lookups.',
        'yes',
      ],
      dht_enforce_node_id: ['Ignores nodes whose id does not fit their address (BEP 42).', 'yes'],
      dht_ignore_dark_internet: ['Ignores packets from networks that should not send any.', 'yes'],
      dht_read_only: ['Asks others without answering them (BEP 43).', 'yes'],
      dht_block_ratelimit: ['Packets per second a node may send before it is blocked.', 'yes'],
      dht_block_timeout: ['Seconds for which such a node is blocked.', 'yes'],
      dht_max_torrents: ['How many torrents we keep peers of.', 'yes'],
      dht_max_peers: ['How many peers of a torrent we keep.', 'yes'],
      dht_max_peers_reply: ['How many peers an answer has at most.', 'yes'],
      dht_max_torrent_search_reply: [
        'How many torrents an answer has at most.',
        'cannot',
        'there is no such query (any more); libtorrent does not read it either',
      ],
      dht_max_dht_items: ['How many items of others we keep (BEP 44).', 'yes'],
      dht_item_lifetime: ['Seconds for which we keep an item; 0 is for ever.', 'yes'],
      dht_sample_infohashes_interval: ['Seconds for which a sample of our info-hashes is given out (BEP 51).', 'yes'],
      dht_max_infohashes_sample_count: ['How many info-hashes a sample has at most (BEP 51).', 'yes'],
    },
  },
  {
    title: 'Local network and routers',
    settings: {
      enable_lsd: [
        'Looks for peers on the local network: multicast packets tell it which torrents there are here.',
        'yes',
      ],
      local_service_announce_interval: ['Seconds between announces of a torrent on the local network.', 'yes'],
      enable_upnp: ['Has routers forward our port by UPnP.', ...NO_UPNP],
      upnp_ignore_nonrouters: ['Ignores UPnP devices that are not the default router.', ...NO_UPNP],
      upnp_lease_duration: ['Seconds for which a port is forwarded; 0 is for ever.', ...NO_UPNP],
      enable_natpmp: ['Has routers forward our port by NAT-PMP or PCP.', ...NO_NATPMP],
      natpmp_gateway: ['Router to ask instead of the default one.', ...NO_NATPMP],
      natpmp_lease_duration: ['Seconds for which a port is forwarded.', ...NO_NATPMP],
    },
  },
  {
    title: 'I2P',
    settings: {
      i2p_hostname: ['Host of the SAM bridge of the I2P router.', ...NO_I2P],
      i2p_port: ['Port of the SAM bridge.', ...NO_I2P],
      allow_i2p_mixed: ['Lets I2P torrents have ordinary peers too, which gives anonymity away.', ...NO_I2P],
      i2p_inbound_quantity: ['Number of incoming tunnels, 1 to 16.', ...NO_I2P],
      i2p_outbound_quantity: ['Number of outgoing tunnels, 1 to 16.', ...NO_I2P],
      i2p_inbound_length: ['Hops of an incoming tunnel, 0 to 7.', ...NO_I2P],
      i2p_outbound_length: ['Hops of an outgoing tunnel, 0 to 7.', ...NO_I2P],
      i2p_inbound_length_variance: ['By how much the hops of incoming tunnels differ, -7 to 7.', ...NO_I2P],
      i2p_outbound_length_variance: ['By how much the hops of outgoing tunnels differ, -7 to 7.', ...NO_I2P],
    },
  },
  {
    title: 'WebTorrent',
    settings: {
      webtorrent_stun_server: ['STUN server for WebRTC: `host:port`.', ...NO_WEBRTC],
      min_websocket_announce_interval: [
        'Seconds between announces to a WebSocket tracker that it cannot go below.',
        ...NO_WEBRTC,
      ],
      webtorrent_connection_timeout: ['Seconds until a WebRTC connection attempt is given up.', ...NO_WEBRTC],
    },
  },
]
