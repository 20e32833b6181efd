"""Idle torrents in a session of libtorrent. usage: libtorrent-idle.py COUNT leech|seed|paused [TRACKER]

Prints one JSON line of what they cost, measured as idle-torrents.mjs does. Environment: SETTLE and MEASURE, seconds.
"""
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time

import libtorrent as lt

count, mode = int(sys.argv[1]), sys.argv[2]
tracker = sys.argv[3] if len(sys.argv) > 3 else None
settle, measure = float(os.environ.get("SETTLE", 8)), float(os.environ.get("MEASURE", 8))
pieces, piece_length = 100, 1 << 18


def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu():
    t = os.times()
    return t.user + t.system


save = tempfile.mkdtemp(prefix="bench-scale-")
infos = []
for i in range(count):
    info = {
        b"name": b"t%06d" % i,
        b"piece length": piece_length,
        b"length": pieces * piece_length,
        b"pieces": hashlib.sha1(b"%d" % i).digest() * pieces,
    }
    infos.append(lt.torrent_info({b"info": info}))
    if mode == "seed":
        with open(os.path.join(save, "t%06d" % i), "w") as f:
            f.truncate(pieces * piece_length)
session = lt.session(
    dict(
        listen_interfaces="127.0.0.1:0",
        enable_dht=False,
        enable_lsd=False,
        enable_upnp=False,
        enable_natpmp=False,
        active_limit=-1,
        active_downloads=-1,
        active_seeds=-1,
        alert_mask=lt.alert.category_t.error_notification,
    )
)
time.sleep(0.6)
flags = {"leech": lt.torrent_flags_t(0) if hasattr(lt, "torrent_flags_t") else 0, "seed": lt.torrent_flags.seed_mode, "paused": lt.torrent_flags.paused}[mode]
rss_before, cpu_before, started = rss(), cpu(), time.monotonic()
handles = []
for info in infos:
    params = lt.add_torrent_params()
    params.ti = info
    params.save_path = save
    params.flags = flags
    if tracker:
        params.trackers = [tracker]
    handles.append(session.add_torrent(params))
add_seconds = time.monotonic() - started
for handle in handles:
    while handle.status().state == lt.torrent_status.states.checking_resume_data:
        time.sleep(0.02)
ready_seconds = time.monotonic() - started
add_cpu = cpu() - cpu_before
time.sleep(settle)
rss_after, idle_cpu, idle_from = rss(), cpu(), time.monotonic()
time.sleep(measure)
idle = (cpu() - idle_cpu) / (time.monotonic() - idle_from) * 100
print(
    json.dumps(
        dict(
            who="libtorrent",
            mode=mode,
            tracker=tracker is not None,
            count=count,
            addPerSecond=count / add_seconds,
            readyPerSecond=count / ready_seconds,
            addCpuSeconds=add_cpu,
            kibEach=(rss_after - rss_before) / 1024 / count,
            idlePercent=idle,
        )
    ),
    flush=True,
)
shutil.rmtree(save, ignore_errors=True)
os._exit(0)
