"""The delay proxy: no host needed, so no marker."""

import contextlib
import socket
import threading
import time

import pytest

from opstasks.sandbox.delay_proxy import DelayProxy, RoundTrips


@pytest.fixture
def echo():
    """A server that greets, then answers each message in capitals."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"hello")
            while data := connection.recv(65536):
                connection.sendall(data.upper())

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()
    listener.close()


def connect(proxy):
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    assert connection.recv(5) == b"hello"
    return connection


def ask(connection, text=b"x"):
    connection.sendall(text)
    return receive(connection, len(text))


def receive(connection, size):
    data = b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    return data


@pytest.mark.parametrize("delay_ms", [0, 20])
def test_each_answered_burst_is_one_round_trip(echo, delay_ms):
    with DelayProxy(echo, delay_ms) as proxy, connect(proxy) as connection:
        for _ in range(5):
            assert ask(connection) == b"X"
        assert proxy.round_trips() == 5


def test_requests_sent_without_waiting_are_one_round_trip(echo):
    with DelayProxy(echo, 300) as proxy, connect(proxy) as connection:
        for _ in range(10):
            connection.sendall(b"abc")
            time.sleep(0.005)
        assert receive(connection, 30) == b"ABC" * 10
        assert proxy.round_trips() == 1


def test_each_direction_is_delayed(echo):
    with DelayProxy(echo, 50) as proxy, connect(proxy) as connection:
        start = time.monotonic()
        ask(connection)
        assert time.monotonic() - start >= 0.1


def test_connecting_is_delayed_on_request(echo):
    with DelayProxy(echo, 30, delay_connect=True) as proxy:
        start = time.monotonic()
        with connect(proxy):
            # Three one-way delays until the server knows, and one for its greeting.
            assert time.monotonic() - start >= 0.12


def test_reset_counts_from_0(echo):
    with DelayProxy(echo) as proxy:
        with connect(proxy) as connection:
            ask(connection)
            proxy.reset()
            ask(connection)
            assert proxy.round_trips() == 1
        with connect(proxy) as connection:
            ask(connection)
            assert proxy.round_trips() == 2


@pytest.mark.parametrize("reacts", [False, True])
def test_a_reaction_before_the_reset_makes_the_next_question_no_cheaper(reacts):
    trips = RoundTrips()

    def passes(direction):
        trips.delivered(direction, trips.seen(direction))

    for direction in ("to_client", "to_server", "to_client"):
        passes(direction)
    if reacts:  # with a larger window, for example, which gets no answer
        passes("to_server")
    trips.reset()
    assert trips.count - trips.base == 0
    for direction in ("to_server", "to_client"):
        passes(direction)
    assert trips.count - trips.base == 1


def test_bytes_arrive_complete_and_in_order(echo):
    data = bytes(range(97, 123)) * 40_000
    with DelayProxy(echo, 5) as proxy, connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert receive(connection, len(data)) == data.upper()
        sender.join()


def test_the_end_of_one_direction_is_passed_on(echo):
    with DelayProxy(echo, 5) as proxy, connect(proxy) as connection:
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 4) == b"LAST"
        assert connection.recv(1) == b""


def test_cut_resets_open_connections_and_accepts_new_ones(echo):
    with DelayProxy(echo) as proxy:
        with connect(proxy) as connection:
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with connect(proxy) as connection:
            assert ask(connection) == b"X"


def test_cut_after_bytes_passes_no_more_than_that(echo):
    with DelayProxy(echo) as proxy, connect(proxy) as connection:
        proxy.cut_after_bytes(3, "to_client")
        connection.sendall(b"abcdef")
        received = b""
        with pytest.raises(ConnectionResetError):
            while True:
                received += connection.recv(1)
        # Data in flight at the reset may be lost at the receiver, but there is never more.
        assert b"ABC".startswith(received)


def test_frozen_keeps_the_connection_and_thaw_delivers(echo):
    with DelayProxy(echo) as proxy, connect(proxy) as connection:
        proxy.freeze()
        connection.sendall(b"late")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.thaw()
        assert receive(connection, 4) == b"LATE"


def test_a_dead_target_ends_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()
    with DelayProxy(nobody) as proxy:
        connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        with connection, contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_connections_are_counted_while_open(echo):
    with DelayProxy(echo) as proxy:
        with connect(proxy), connect(proxy):
            assert proxy.connections() == 2
        deadline = time.monotonic() + 5
        while proxy.connections() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert proxy.connections() == 0
