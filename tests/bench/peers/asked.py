"""What every peer here is asked for, on its command line: TLS, compression, and echo or fan-out."""

from __future__ import annotations

import argparse
import ssl

parser = argparse.ArgumentParser()
parser.add_argument("--tls", help="the PEM file of certificate and key: serve wss")
parser.add_argument("--deflate", action="store_true", help="accept permessage-deflate")
parser.add_argument("--fanout", action="store_true", help="send each message to every connection")
parser.add_argument("--uvloop", action="store_true", help="on uvloop, instead of asyncio's own loop")

asked = parser.parse_args()

LARGEST = 32 * 1024 * 1024
"""Bytes of a message that are taken."""
BACKLOG = 4096


def context() -> ssl.SSLContext | None:
    """What TLS is served with, None without it."""
    if asked.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(asked.tls)
    return context


def listening(port: int) -> None:
    """Say where."""
    print(f"listening {port}", flush=True)


def run(serve: object) -> None:
    """Run an asynchronous function until the process is ended, on the loop that was asked for."""
    if asked.uvloop:
        import uvloop

        uvloop.run(serve)
    else:
        import asyncio

        asyncio.run(serve)
