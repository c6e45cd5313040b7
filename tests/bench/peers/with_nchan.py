"""nchan in nginx, one worker: what one sends, everyone on the channel gets; nothing is stored."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

from asked import BACKLOG, listening

MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"
CONFIG = """
load_module {module};
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/pid;
error_log stderr warn;
events {{
    worker_connections 16384;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    server {{
        listen 127.0.0.1:{port} backlog={backlog};
        location = / {{
            nchan_pubsub websocket;
            nchan_channel_id bench;
            nchan_store_messages off;
        }}
    }}
}}
"""


def freePort() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


port, folder = freePort(), Path.cwd()
config = folder / "nginx.conf"
config.write_text(CONFIG.format(module=MODULE, folder=folder, port=port, backlog=BACKLOG), "utf-8")
server = subprocess.Popen(["nginx", "-p", folder, "-c", config])
signal.signal(signal.SIGTERM, lambda *_: server.terminate())
while server.poll() is None and not accepts(port):
    time.sleep(0.02)
listening(port)
server.wait()
