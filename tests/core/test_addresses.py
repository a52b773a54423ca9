"""No address is shown with what lets somebody in."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.addresses import flaw, shown, without

SHOWN = {
    "redis://localhost:6379/0": "redis://localhost:6379/0",
    "rediss://user:hunter2@redis.example.com:6380/1": "rediss://redis.example.com:6380/1",
    "redis://:hunter2@[::1]:6379": "redis://[::1]:6379",
    "redis://host/0?password=hunter2&username=me": "redis://host/0",
    "redis://me@host/0?password=hun@ter2": "redis://***",
    "redis://:hun/ter2@host:1/0": "redis://host:1/0",
    "redis://:hun@ter2@host:1/0": "redis://host:1/0",
    "redis://:hun#ter2@host:1/0": "redis://***",
    "redis://:hun?ter2@host:1/0": "redis://***",
    "redis://:hunter2": "redis://***",
    "unix:///run/redis.sock?password=hunter2": "unix:///run/redis.sock",
    "https://user:hunter2@collector.example.com/v1/traces": "https://collector.example.com/v1/traces",
    "hunter2": "***",
    "hunter2://x": "hunter2://x",
    "": "***",
}


@pytest.mark.parametrize(("url", "told"), SHOWN.items(), ids=SHOWN)
def test_an_address_is_shown_without_login_and_query(url: str, told: str) -> None:
    assert shown(url) == told


ODD = st.text(alphabet="/#@%:?[]&= \\\"'äł\u202e😀a1", max_size=6)


@given(before=ODD, after=ODD, user=ODD)
def test_no_password_is_ever_shown_however_it_is_written(before: str, after: str, user: str) -> None:
    secret = f"{before}hunter2{after}"
    for written in (secret, quote(secret, safe="")):
        for url in (
            f"redis://{user}:{written}@host:6379/0",
            f"redis://host:6379/0?password={written}",
            f"redis://{user}@host/0?username=me&password={written}",
        ):
            assert "hunter2" not in shown(url)
            assert "hunter2" not in (flaw(url, ("redis",)) or "")


@given(secret=st.text(alphabet="/#@:?[]%\\äł😀a1", min_size=1, max_size=8))
def test_a_login_that_is_encoded_is_no_flaw_and_one_that_moves_the_host_is(secret: str) -> None:
    assert flaw(f"redis://me:{quote(secret, safe='')}@host:6379/0", ("redis",)) is None
    if set(secret) & set("/#?"):
        assert flaw(f"redis://me:{secret}@host:6379/0", ("redis",))


@pytest.mark.parametrize(
    "url", ["redis://h:port", "redis://h:99999", "redis://[::1", "http://h", "h:6379", ""]
)
def test_what_is_no_address_of_a_server_is_said_so(url: str) -> None:
    assert flaw(url, ("redis", "rediss"))


def test_texts_of_others_are_cleaned_of_the_longest_first() -> None:
    assert without("key 'hunter22' and hunter2", ["hunter2", "hunter22", ""]) == "key '***' and ***"
