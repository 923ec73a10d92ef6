"""The guard of conftest.py, which must not pass by guarding nothing."""

import socket

import pytest


def test_a_test_cannot_open_a_socket_to_a_network():
    for family in (socket.AF_INET, socket.AF_INET6):
        with pytest.raises(OSError, match="no network"):
            socket.socket(family)
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("127.0.0.1", 80))


def test_local_sockets_stay():
    for end in socket.socketpair():
        end.close()
