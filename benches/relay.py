"""A TCP relay before a service. It delays what passes, and counts the exchanges that somebody waits for."""

import asyncio
import contextlib
import threading
import urllib.parse

from machine import HERE, free_port


class Exchanges:
    """The exchanges through some relays, one after the other: those that overlap are one."""

    def __init__(self):
        self.count = 0
        self.unanswered = set()

    def sent(self, connection):
        if not self.unanswered:
            self.count += 1
        self.unanswered.add(connection)

    def answered(self, connection):
        self.unanswered.discard(connection)


@contextlib.contextmanager
def relayed(url, there=0.0, back=0.0, exchanges=None):
    """The URL of a relay to that of a service, and the thread it runs on. Delays are in seconds."""
    address = urllib.parse.urlsplit(url)
    port, loop, exchanges = free_port(), asyncio.new_event_loop(), exchanges or Exchanges()

    async def forward(reader, writer, seconds, before, after):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                before()
                await asyncio.sleep(seconds)
                after()
                writer.write(data)
        writer.close()

    async def join(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(address.hostname, address.port)
        sent, answered = (lambda: exchanges.sent(writer)), (lambda: exchanges.answered(writer))
        await asyncio.gather(forward(reader, far_writer, there, sent, int), forward(far_reader, writer, back, int, answered))

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(join, HERE, port), loop).result()
    moved = address.netloc.replace(f"{address.hostname}:{address.port}", f"{HERE}:{port}")
    try:
        yield address._replace(netloc=moved).geturl(), thread
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
