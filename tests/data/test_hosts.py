"""What hosts ask of us is understood, and private addresses are told from public ones."""

import email.utils
import time

import pytest

from mlob.data import hosts


@pytest.mark.parametrize(("value", "low", "high"), [
    ("7", 7, 7), ("-7", 0, 0), ("", 0, 0), ("soon", 0, 0), ("9" * 5000, 0, 0), ("Fri, 99 Foo", 0, 0),
])  # fmt: skip
def test_retry_after_is_seconds(value, low, high):
    assert low <= hosts.retry_after(value) <= high


@pytest.mark.parametrize(("seconds", "low", "high"), [(1000, 900, 1000), (-1000, 0, 0)])
def test_retry_after_may_be_a_date(seconds, low, high):
    value = email.utils.formatdate(time.time() + seconds, usegmt=True)
    assert low <= hosts.retry_after(value) <= high


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1", "fec0::1",
    "::7f00:1",
])  # fmt: skip
def test_addresses_inside_are_not_public(address):
    assert not hosts.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_outside_are_public(address):
    assert hosts.is_public(address)
