/** What was being done when an error arose. */

import { Operation } from './enums.ts'

/** Indexed by `Operation`. */
const NAMES: readonly string[] = [
  'unknown',
  'bittorrent',
  'iocontrol',
  'getpeername',
  'getname',
  'alloc_recvbuf',
  'alloc_sndbuf',
  'file_write',
  'file_read',
  'file',
  'sock_write',
  'sock_read',
  'sock_open',
  'sock_bind',
  'available',
  'encryption',
  'connect',
  'ssl_handshake',
  'get_interface',
  'sock_listen',
  'sock_bind_to_device',
  'sock_accept',
  'parse_address',
  'enum_if',
  'file_stat',
  'file_copy',
  'file_fallocate',
  'file_hard_link',
  'file_remove',
  'file_rename',
  'file_open',
  'mkdir',
  'check_resume',
  'exception',
  'alloc_cache_piece',
  'partfile_move',
  'partfile_read',
  'partfile_write',
  'hostname_lookup',
  'symlink',
  'handshake',
  'sock_option',
  'enum_route',
  'file_seek',
  'timer',
  'file_mmap',
  'file_truncate',
]

/** The name libtorrent gives an operation, such as `sock_write`. */
export function operationName(operation: Operation): string {
  return NAMES[operation] ?? 'unknown operation'
}

export { Operation }
