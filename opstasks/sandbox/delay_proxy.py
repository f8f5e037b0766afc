"""A TCP proxy that delays data as distance does, counts round trips, and fails on request.

`round_trips` counts client bursts that answer a server burst. It counts by cause, not by order of
arrival: a client burst adds one if server data had *reached* the client after the client's
previous burst had reached the server. Data that crosses in flight counts once, even if the two
directions alternate here. So each question that waits for its answer counts one, and a client that
sends ten requests without waiting counts one.

The count includes more than a program's own questions: SSH's key exchange and login, and the
client's other reactions to server data, such as window adjustments during a long download, closing
a channel, keepalives and rekeying. It does not include TCP's handshake and the server's last data,
which gets no answer.

With `delay_connect`, a connection is delayed by the time of TCP's handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar

CHUNK_BYTES = 1 << 16
# Chunks in flight in one direction before the sender has to wait: enough for 100 ms.
QUEUE = 256
Direction = Literal["both", "to_server", "to_client"]
T = TypeVar("T")


@dataclass
class RoundTrips:
    """How deep the chain of questions and answers on one connection is."""

    count: int = 0
    base: int = 0
    reached_server: int = 0
    reached_client: int = -1

    def seen(self, direction: Direction) -> int:
        """The depth of data that passes the proxy now."""
        if direction == "to_client":
            return self.reached_server
        depth = self.reached_client + 1
        self.count = max(self.count, depth)
        return depth

    def reset(self) -> None:
        """Count from 0 again: what answers the data that the client has now is the first one.

        The client may have reacted to that data before; its next question still counts.
        """
        self.count = self.base = max(0, self.reached_client)

    def delivered(self, direction: Direction, depth: int) -> None:
        """Note that data of this depth has arrived."""
        if direction == "to_client":
            self.reached_client = max(self.reached_client, depth)
        else:
            self.reached_server = max(self.reached_server, depth)


@dataclass
class ProxiedConnection:
    """The two sockets of one proxied connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    trips: RoundTrips = field(default_factory=RoundTrips)

    def abort(self) -> None:
        """End both sides at once with a reset, as a firewall that lost its state would."""
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                with contextlib.suppress(OSError):
                    linger = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()


@dataclass
class ByteBudget:
    """How many more bytes may pass before every connection is reset."""

    left_bytes: int
    direction: Direction

    def allow(self, direction: Direction, size: int) -> int:
        """How many of these bytes may still pass."""
        if self.direction not in ("both", direction):
            return size
        allowed = min(size, self.left_bytes)
        self.left_bytes -= allowed
        return allowed

    @property
    def spent(self) -> bool:
        """Whether no more bytes may pass."""
        return self.left_bytes <= 0


class DelayProxy:
    """`with DelayProxy((host, port), delay_ms=50) as proxy:` then connect to `proxy.port`."""

    def __init__(
        self,
        target: tuple[str, int],
        delay_ms: float = 0,
        *,
        listen: str = "127.0.0.1",
        port: int = 0,
        delay_connect: bool = False,
    ) -> None:
        self.target = target
        self.delay_s = delay_ms / 1000
        self.listen, self.port = listen, port
        self.delay_connect = delay_connect
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._connections: list[ProxiedConnection] = []
        self._open: set[asyncio.Task[None]] = set()
        self._finished_trips = 0
        self._budget: ByteBudget | None = None

    def __enter__(self) -> Self:
        """Start to listen."""
        self._thread.start()
        self._ask(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        """Reset open connections and stop listening."""
        self._ask(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def round_trips(self) -> int:
        """Round trips since the start or the last reset, over all connections."""
        return self._call(self._count)

    def connections(self) -> int:
        """How many connections are open now."""
        return self._call(lambda: len(self._connections))

    def reset(self) -> None:
        """Count from 0 again; open connections continue."""
        self._call(self._reset)

    def cut(self) -> None:
        """Reset every open connection; new ones are accepted."""
        self._call(self._cut)

    def cut_after_bytes(self, size: int, direction: Direction = "both") -> None:
        """Let exactly this many more bytes pass, then reset every connection, once."""
        self._call(lambda: setattr(self, "_budget", ByteBudget(size, direction)))

    def freeze(self) -> None:
        """Deliver nothing and close nothing, as in a silent loss of the network."""
        self._call(self._flowing.clear)

    def thaw(self) -> None:
        """Deliver again, beginning with the data that was held back."""
        self._call(self._flowing.set)

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the proxy's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def _call(self, function: Callable[[], T]) -> T:
        """Call a plain function in the proxy's own thread."""

        async def call() -> T:
            return function()

        return self._ask(call())

    async def _start(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, self.listen, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
        self._cut()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _count(self) -> int:
        trips = (connection.trips for connection in self._connections)
        return self._finished_trips + sum(trip.count - trip.base for trip in trips)

    def _reset(self) -> None:
        self._finished_trips = 0
        for connection in self._connections:
            connection.trips.reset()

    def _cut(self) -> None:
        self._budget = None
        for connection in self._connections:
            connection.abort()

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Serve one connection until both sides are done."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if self.delay_connect:
                # SYN, SYN+ACK, ACK: the server sees a connection after three one-way delays.
                await asyncio.sleep(3 * self.delay_s)
            answers, server = await asyncio.open_connection(*self.target)
        except (OSError, asyncio.CancelledError):
            client.transport.abort()
            return
        finally:
            self._open.discard(task)
        await self._serve(ProxiedConnection(client, server), reader, answers)

    async def _serve(
        self,
        connection: ProxiedConnection,
        questions: asyncio.StreamReader,
        answers: asyncio.StreamReader,
    ) -> None:
        self._connections.append(connection)
        pumps = [
            asyncio.ensure_future(self._pump(connection, questions, "to_server")),
            asyncio.ensure_future(self._pump(connection, answers, "to_client")),
        ]
        self._open.update(pumps)
        try:
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._open.difference_update(pumps)
            self._connections.remove(connection)
            self._finished_trips += connection.trips.count - connection.trips.base
            connection.client.close()
            connection.server.close()

    async def _pump(
        self, connection: ProxiedConnection, reader: asyncio.StreamReader, direction: Direction
    ) -> None:
        """Read one direction and pass on each chunk after the delay."""
        queue: asyncio.Queue[tuple[float, int, bytes]] = asyncio.Queue(QUEUE)
        delivery = asyncio.ensure_future(self._deliver(connection, queue, direction))
        try:
            while True:
                data = await reader.read(CHUNK_BYTES)
                depth = connection.trips.seen(direction) if data else 0
                await queue.put((self._loop.time() + self.delay_s, depth, data))
                if not data:
                    break
            await delivery
        except (OSError, asyncio.CancelledError):
            delivery.cancel()
            connection.abort()

    async def _deliver(
        self,
        connection: ProxiedConnection,
        queue: asyncio.Queue[tuple[float, int, bytes]],
        direction: Direction,
    ) -> None:
        """Write chunks when they are due; an empty one is the end of the stream."""
        writer = connection.server if direction == "to_server" else connection.client
        while True:
            due, depth, data = await queue.get()
            if (wait_s := due - self._loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self._flowing.wait()
            if not data:
                writer.write_eof()
                return
            connection.trips.delivered(direction, depth)
            await self._write(writer, data, direction)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, direction: Direction) -> None:
        """Write as much as may still pass; reset every connection when the limit is reached."""
        budget = self._budget
        allowed = len(data) if budget is None else budget.allow(direction, len(data))
        with contextlib.suppress(OSError):
            writer.write(data[:allowed])
            await writer.drain()
        if budget is not None and budget.spent:
            self._cut()
