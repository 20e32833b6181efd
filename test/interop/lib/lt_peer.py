"""A libtorrent peer with one torrent, or none for a mere node of the DHT. usage: lt_peer.py CONFIG

CONFIG is JSON: torrent (path) or magnet, save, and if wanted listen ("address:port"), settings, resume (path of resume
data to start from), seed_mode, connect (list of [address, port]), nodes (the same, of the DHT), download_limit,
upload_limit.

Prints one JSON object a line; takes one JSON object a line from stdin; ends when stdin does.
"""
import base64
import json
import os
import queue
import select
import sys
import threading

import libtorrent as lt

config = json.loads(sys.argv[1])
categories = lt.alert.category_t
mask = categories.status_notification | categories.error_notification | categories.storage_notification
mask |= categories.tracker_notification
if config.get("log"):
    mask = categories.all_categories

if config.get("settings", {}).get("enable_lsd"):
    mask |= categories.peer_notification  # where peers are found
if config.get("settings", {}).get("enable_dht"):
    mask |= categories.dht_notification | categories.dht_operation_notification

ENCRYPTION_DISABLED = 2
settings = {
    "listen_interfaces": config.get("listen", "127.0.0.1:0"),
    "enable_dht": False,
    "dht_bootstrap_nodes": "",
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": ENCRYPTION_DISABLED,
    "out_enc_policy": ENCRYPTION_DISABLED,
    "allow_multiple_connections_per_ip": True,
    "min_reconnect_time": 1,
    "peer_connect_timeout": 5,
    "alert_mask": mask,
}
settings.update(config.get("settings", {}))


def emit(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


session = lt.session(settings)
# not wait_for_alert(): the alert it hands to Python may move while its queue grows, which ends the process (2.0.8)
alerts_ready, alerts_posted = os.pipe()
session.set_alert_fd(alerts_posted)


def load_params():
    if config.get("resume"):
        with open(config["resume"], "rb") as file:
            params = lt.read_resume_data(file.read())
    elif config.get("magnet"):
        params = lt.parse_magnet_uri(config["magnet"])
    else:
        params = lt.add_torrent_params()
    if config.get("torrent"):
        params.ti = lt.torrent_info(config["torrent"])
    params.save_path = config["save"]
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    if config.get("download_limit"):
        params.download_limit = config["download_limit"]
    if config.get("upload_limit"):
        params.upload_limit = config["upload_limit"]
    if config.get("seed_mode"):
        params.flags |= lt.torrent_flags.seed_mode
    return params


handle = None


def add():
    global handle
    handle = session.add_torrent(load_params())
    handle.set_max_connections(1000)


def connect():
    for peer in config.get("connect", []):
        handle.connect_peer((peer[0], peer[1]))


if any(config.get(key) for key in ("torrent", "magnet", "resume")):
    add()

# torrent_inconsistent_hashes
INCONSISTENT = 217
added_again = False


def lost_its_way(alert):
    """Of a hybrid torrent that it has by a link, 2.0.8 says now and then that the v1 and v2 hashes do not go together, and ends.

    The data is right: it does so too with a seed of its own kind, once in fifty times on a busy machine.
    """
    is_it = isinstance(alert, lt.torrent_error_alert) and alert.error.value() == INCONSISTENT
    return is_it and bool(config.get("magnet")) and not added_again

commands = queue.Queue()


def read_commands():
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put({"do": "end"})


threading.Thread(target=read_commands, daemon=True).start()


def status():
    s = handle.status()
    return {
        "state": str(s.state),
        "progress": s.progress,
        "done": s.total_done,
        "pieces": list(s.pieces),
        "peers": s.num_peers,
        "error": s.errc.message() if s.errc.value() else "",
        "downloaded": s.total_payload_download,
        "uploaded": s.total_payload_upload,
        "failed": s.total_failed_bytes,
    }


def found_value(alert):
    """Text, or None if nothing was found."""
    try:
        value = alert.item["value"]
    except RuntimeError:  # what Python is told of no item
        return None
    return value.decode() if isinstance(value, bytes) else value


flushing = False


def report(alert):
    global flushing, added_again
    if lost_its_way(alert):
        added_again = True
        session.remove_torrent(handle)
        add()
        connect()
    elif isinstance(alert, lt.listen_succeeded_alert):
        if str(alert.socket_type) == "tcp":
            emit(event="listening", port=alert.port)
    elif isinstance(alert, lt.state_changed_alert):
        emit(event="state", state=str(alert.state))
    elif isinstance(alert, lt.torrent_checked_alert):
        emit(event="checked", **status())
    elif isinstance(alert, lt.torrent_finished_alert):
        # pieces count as soon as they are hashed: what was downloaded is in the files once all is flushed
        flushing = True
        handle.flush_cache()
    elif isinstance(alert, lt.cache_flushed_alert):
        if flushing:
            flushing = False
            emit(event="finished", **status())
    elif isinstance(alert, lt.save_resume_data_alert):
        emit(event="resume", data=base64.b64encode(lt.write_resume_data_buf(alert.params)).decode())
    elif isinstance(alert, lt.session_stats_alert):
        emit(event="stats", values=alert.values)
    elif isinstance(alert, lt.fastresume_rejected_alert):
        emit(event="rejected", message=alert.message())
    elif isinstance(alert, lt.tracker_reply_alert):
        emit(event="announced", url=alert.url, peers=alert.num_peers)
    elif alert.what() in ("dht_bootstrap", "dht_announce"):
        emit(event=alert.what(), message=alert.message())
    elif isinstance(alert, lt.dht_get_peers_reply_alert):
        emit(event="dht_peers", hash=str(alert.info_hash), peers=[list(peer) for peer in alert.peers()])
    elif isinstance(alert, lt.dht_put_alert):
        emit(event="dht_put", stored=alert.num_success, seq=alert.seq)
    elif isinstance(alert, lt.dht_immutable_item_alert):
        emit(event="dht_immutable", value=found_value(alert))
    elif isinstance(alert, lt.dht_mutable_item_alert):
        emit(event="dht_mutable", value=found_value(alert), seq=alert.seq, authoritative=alert.authoritative)
    elif alert.what() == "lsd_peer":
        emit(event="lsd_peer", message=alert.message())
    elif isinstance(alert, lt.hash_failed_alert):
        emit(event="hash_failed", message=alert.message())
    elif alert.category() & categories.error_notification:
        emit(event="error", what=alert.what(), message=alert.message())
    if config.get("log"):
        print(alert.what(), alert.message(), file=sys.stderr, flush=True)


def sha1(text):
    return lt.sha1_hash(bytes.fromhex(text))


def announce(text):
    """By a torrent: session.dht_announce() of 2.0.8 wants flags that Python cannot make."""
    params = lt.parse_magnet_uri("magnet:?xt=urn:btih:" + text)
    params.save_path = config["save"]
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    session.add_torrent(params).force_dht_announce()


def obey_dht(do, command):
    if do == "dht_add":
        session.add_dht_node((command["node"][0], command["node"][1]))
    elif do == "dht_announce":
        announce(command["hash"])
    elif do == "dht_peers":
        session.dht_get_peers(sha1(command["hash"]))
    elif do == "dht_put":
        emit(event="dht_target", target=str(session.dht_put_immutable_item(command["value"])))
    elif do == "dht_get":
        session.dht_get_immutable_item(sha1(command["target"]))
    elif do == "dht_put_mutable":
        keys = [bytes.fromhex(command[key]) for key in ("secret", "public")]
        session.dht_put_mutable_item(*keys, command["value"], command["salt"])
    elif do == "dht_get_mutable":
        session.dht_get_mutable_item(bytes.fromhex(command["public"]), command["salt"])


def obey(command):
    do = command["do"]
    obey_dht(do, command)
    if do == "connect":
        handle.connect_peer((command["peer"][0], command["peer"][1]))
    elif do == "status":
        emit(event="status", **status())
    elif do == "save_resume":
        handle.save_resume_data(lt.torrent_handle.flush_disk_cache | lt.torrent_handle.save_info_dict)
    elif do == "stats":
        session.post_session_stats()
    elif do == "pause":
        handle.pause()
    elif do == "peers":
        emit(
            event="peers",
            peers=[{"ip": list(p.ip), "client": p.client.decode("latin1"), "progress": p.progress} for p in handle.get_peer_info()],
        )
    return do != "end"


for node in config.get("nodes", []):
    session.add_dht_node((node[0], node[1]))
connect()
running = True
while running:
    if select.select([alerts_ready], [], [], 0.05)[0]:
        os.read(alerts_ready, 4096)
    for alert in session.pop_alerts():
        report(alert)
    while running:
        try:
            running = obey(commands.get_nowait())
        except queue.Empty:
            break
