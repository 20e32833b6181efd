"""What libtorrent keeps of merkle trees that resume data gives it.

Reads a JSON list of {info, trees} from stdin, adds each torrent with these trees and no piece layers, and prints the JSON list of the
trees it saves. Bytes are base64.
"""
import base64
import json
import sys
import tempfile
import time

import libtorrent as lt

session = lt.session({
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "alert_mask": lt.alert.category_t.storage_notification | lt.alert.category_t.status_notification,
})


def saved(handle):
    handle.save_resume_data(0)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        # not wait_for_alert(): the alert it hands to Python may move while its queue grows, which ends the process (2.0.8)
        time.sleep(0.001)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.save_resume_data_alert):
                return lt.bdecode(lt.write_resume_data_buf(alert.params))
            if isinstance(alert, lt.save_resume_data_failed_alert):
                raise RuntimeError(alert.message())
    raise TimeoutError()


def b64(data):
    return base64.b64encode(data).decode()


def carry(torrent, folder):
    info = lt.bdecode(base64.b64decode(torrent["info"]))
    trees = []
    for tree in torrent["trees"]:
        entry = {b"hashes": base64.b64decode(tree["hashes"])}
        for key in ("mask", "verified"):
            if tree[key]:
                entry[key.encode()] = tree[key].encode()
        trees.append(entry)
    resume = {
        b"file-format": b"libtorrent resume file",
        b"file-version": 1,
        b"info-hash2": lt.torrent_info({b"info": info}).info_hashes().v2.to_bytes(),
        b"info": info,
        b"trees": trees,
    }
    params = lt.read_resume_data(lt.bencode(resume))
    params.save_path = folder
    params.flags |= lt.torrent_flags.upload_mode
    params.flags &= ~lt.torrent_flags.auto_managed
    handle = session.add_torrent(params)
    out = [
        {
            "hashes": b64(tree[b"hashes"]),
            "mask": tree.get(b"mask", b"").decode(),
            "verified": tree.get(b"verified", b"").decode(),
        }
        for tree in saved(handle)[b"trees"]
    ]
    session.remove_torrent(handle)
    return out


with tempfile.TemporaryDirectory() as folder:
    json.dump([carry(torrent, folder) for torrent in json.load(sys.stdin)], sys.stdout)
