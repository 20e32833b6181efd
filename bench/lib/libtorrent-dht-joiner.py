"""As our-dht-joiner.mjs, with libtorrent. usage: libtorrent-dht-joiner.py ADDRESS BOOTSTRAP NAME=VALUE..."""
import json
import sys
import time

import libtorrent as lt

address, bootstrap = sys.argv[1:3]
settings = dict(
    listen_interfaces=address + ":0",
    enable_dht=True,
    enable_lsd=False,
    enable_upnp=False,
    enable_natpmp=False,
    dht_bootstrap_nodes=bootstrap,
    alert_mask=0,
)
for pair in sys.argv[3:]:
    name, value = pair.split("=")
    settings[name] = json.loads(value)
session = lt.session(settings)
while not session.is_dht_running():
    time.sleep(0.02)
print(json.dumps(dict(event="ready")), flush=True)
for line in sys.stdin:
    session.dht_get_peers(lt.sha1_hash(bytes.fromhex(line.strip())))
