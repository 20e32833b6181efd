"""A libtorrent peer for bench/loopback.js. usage: libtorrent-peer.py seed|leech TORRENT SAVE default|high [NAME=VALUE]...

Speaks the lines of our-seed.mjs and our-leech.mjs. "high" is libtorrent's preset for fast seeds with larger send buffers,
request queues and socket buffers, the fastest found.
"""
import json
import os
import select
import sys
import time

import libtorrent as lt

role, torrent, save, profile = sys.argv[1:5]
categories = lt.alert.category_t
settings = dict(
    listen_interfaces="127.0.0.1:0",
    enable_dht=False,
    enable_lsd=False,
    enable_upnp=False,
    enable_natpmp=False,
    enable_outgoing_utp=False,
    enable_incoming_utp=False,
    in_enc_policy=2,
    out_enc_policy=2,
    allow_multiple_connections_per_ip=True,
    connection_speed=500,
    alert_mask=categories.status_notification | categories.error_notification,
)
if profile == "high":
    for name, value in lt.high_performance_seed().items():
        if name not in settings and name not in ("user_agent", "peer_fingerprint") and not name.startswith("enable_"):
            settings[name] = value
    settings.update(
        send_buffer_watermark=8 << 20,
        send_buffer_low_watermark=1 << 20,
        send_buffer_watermark_factor=200,
        max_out_request_queue=4000,
        max_allowed_in_request_queue=8000,
        request_queue_time=10,
        recv_socket_buffer_size=4 << 20,
        send_socket_buffer_size=4 << 20,
        hashing_threads=2,
        aio_threads=4,
    )
for pair in sys.argv[5:]:
    name, value = pair.split("=")
    settings[name] = {"true": True, "false": False}.get(value, int(value) if value.lstrip("-").isdigit() else value)

session = lt.session(settings)
# not wait_for_alert(): the alert it hands to Python may move while its queue grows, which ends the process (2.0.8)
alerts_ready, alerts_posted = os.pipe()
session.set_alert_fd(alerts_posted)
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = save
params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
handle = session.add_torrent(params)
handle.set_max_connections(1000)


def emit(**event):
    print(json.dumps(event), flush=True)


def until(kind):
    while True:
        if select.select([alerts_ready], [], [], 0.5)[0]:
            os.read(alerts_ready, 4096)
        for alert in session.pop_alerts():
            if alert.category() & categories.error_notification:
                print(alert, file=sys.stderr)
            if isinstance(alert, kind):
                return


until(lt.torrent_checked_alert)
emit(event="ready", port=session.listen_port(), progress=handle.status().progress)
for line in sys.stdin:
    ports = line.split()[1:]
    started = time.monotonic()
    for port in ports:
        handle.connect_peer(("127.0.0.1", int(port)))
    until(lt.torrent_finished_alert)
    emit(event="finished", seconds=time.monotonic() - started)
