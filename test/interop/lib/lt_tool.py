"""libtorrent's own opinion of torrents, magnet links and resume data.

Reads a JSON list of [operation, arguments] from stdin and prints the JSON list of the results. Bytes are base64.
"""
import base64
import hashlib
import json
import sys

import libtorrent as lt

CREATE_FLAGS = {
    "v1_only": lt.create_torrent.v1_only,
    "v2_only": lt.create_torrent.v2_only,
    "canonical_files": lt.create_torrent.canonical_files,
    "modification_time": lt.create_torrent.modification_time,
    "symlinks": lt.create_torrent.symlinks,
}


def b64(data):
    return base64.b64encode(data).decode()


def hashes(info_hashes):
    return {
        "v1": str(info_hashes.v1) if info_hashes.has_v1() else "",
        "v2": str(info_hashes.v2) if info_hashes.has_v2() else "",
    }


def load(torrent):
    return lt.torrent_info(lt.bdecode(base64.b64decode(torrent)))


def describe(torrent):
    ti = load(torrent)
    fs = ti.files()
    with_v1 = ti.info_hashes().has_v1()
    return {
        **hashes(ti.info_hashes()),
        "name": ti.name(),
        "pieceLength": ti.piece_length(),
        "numPieces": ti.num_pieces(),
        "totalSize": ti.total_size(),
        "files": [
            {
                "path": fs.file_path(i),
                "size": fs.file_size(i),
                "offset": fs.file_offset(i),
                "flags": int(fs.file_flags(i)),
                "root": fs.root(i).to_bytes().hex() if ti.info_hashes().has_v2() else "",
            }
            for i in range(fs.num_files())
        ],
        "pieces": [ti.hash_for_piece(i).hex() for i in range(ti.num_pieces())] if with_v1 else [],
        "comment": ti.comment(),
        "creator": ti.creator(),
        "trackers": sorted([t.url, t.tier] for t in ti.trackers()),
        "webSeeds": sorted(seed["url"] for seed in ti.web_seeds()),
        "nodes": sorted([host, port] for host, port in ti.nodes()),
        "private": ti.priv(),
        "info": hashlib.sha256(ti.info_section()).hexdigest(),
    }


def create(parent, files, pieceSize, flags, trackers=(), comment="", private=False):
    fs = lt.file_storage()
    for entry in files:
        fs.add_file(entry["path"], entry["size"], entry.get("flags", 0), entry.get("mtime", 0), entry.get("symlink", ""))
    bits = 0
    for flag in flags:
        bits |= CREATE_FLAGS[flag]
    ct = lt.create_torrent(fs, pieceSize, bits)
    for url, tier in trackers:
        ct.add_tracker(url, tier)
    if comment:
        ct.set_comment(comment)
    ct.set_priv(private)
    lt.set_piece_hashes(ct, parent)
    return b64(lt.bencode(ct.generate()))


def params(p):
    return {
        **hashes(p.info_hashes),
        "name": p.name,
        "savePath": p.save_path,
        "trackers": list(p.trackers),
        "tiers": list(p.tracker_tiers),
        "urlSeeds": list(p.url_seeds),
        "peers": [list(peer) for peer in p.peers],
        "dhtNodes": [list(node) for node in p.dht_nodes],
        "filePriorities": list(p.file_priorities),
        "piecePriorities": list(p.piece_priorities),
        "havePieces": list(p.have_pieces),
        "verifiedPieces": list(p.verified_pieces),
        "unfinishedPieces": {str(piece): list(blocks) for piece, blocks in p.unfinished_pieces.items()},
        "renamedFiles": {str(file): name for file, name in p.renamed_files.items()},
        "flags": int(p.flags),
        "storageMode": int(p.storage_mode),
        "uploadLimit": p.upload_limit,
        "downloadLimit": p.download_limit,
        "maxConnections": p.max_connections,
        "maxUploads": p.max_uploads,
        "totalUploaded": p.total_uploaded,
        "totalDownloaded": p.total_downloaded,
        "activeTime": p.active_time,
        "finishedTime": p.finished_time,
        "seedingTime": p.seeding_time,
        "addedTime": p.added_time,
        "completedTime": p.completed_time,
        "lastSeenComplete": p.last_seen_complete,
        "numComplete": p.num_complete,
        "numIncomplete": p.num_incomplete,
        "numDownloaded": p.num_downloaded,
        "lastDownload": p.last_download,
        "lastUpload": p.last_upload,
        "info": hashlib.sha256(p.ti.info_section()).hexdigest() if p.ti else "",
    }


def parse_magnet(uri):
    return params(lt.parse_magnet_uri(uri))


def make_magnet(torrent):
    return lt.make_magnet_uri(load(torrent))


def read_resume(data):
    return params(lt.read_resume_data(base64.b64decode(data)))


def write_resume(torrent, fields):
    p = lt.add_torrent_params()
    if torrent:
        p.ti = load(torrent)
        p.info_hashes = p.ti.info_hashes()
    for name, value in fields.items():
        if name in ("peers", "banned_peers", "dht_nodes"):
            value = [tuple(entry) for entry in value]
        if name in ("unfinished_pieces", "renamed_files"):
            value = {int(key): entry for key, entry in value.items()}
        if name == "storage_mode":
            value = lt.storage_mode_t(value)
        setattr(p, name, value)
    return b64(lt.write_resume_data_buf(p))


def version():
    return lt.__version__


OPERATIONS = {f.__name__: f for f in (describe, create, parse_magnet, make_magnet, read_resume, write_resume, version)}
json.dump([OPERATIONS[name](**arguments) for name, arguments in json.load(sys.stdin)], sys.stdout)
