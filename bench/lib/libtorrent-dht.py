"""A DHT node of libtorrent with the limits of the DHT lifted. Speaks the lines of our-dht.mjs."""
import json
import sys
import time

import libtorrent as lt

session = lt.session(
    dict(
        listen_interfaces="127.0.0.1:0",
        enable_dht=True,
        enable_lsd=False,
        enable_upnp=False,
        enable_natpmp=False,
        dht_bootstrap_nodes="",
        dht_upload_rate_limit=1_000_000_000,
        dht_block_ratelimit=10_000_000,
        dht_block_timeout=1,
        dht_restrict_routing_ips=False,
        dht_restrict_search_ips=False,
        dht_ignore_dark_internet=False,
        dht_enforce_node_id=False,
        recv_socket_buffer_size=4 << 20,
        send_socket_buffer_size=4 << 20,
        alert_mask=0,
    )
)
while not session.is_dht_running():
    time.sleep(0.02)
time.sleep(0.5)
print(json.dumps(dict(event="ready", port=session.listen_port())), flush=True)
sys.stdin.read()
