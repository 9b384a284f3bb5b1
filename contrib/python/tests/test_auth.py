"""What holds for Auth without any library."""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import t2cred


@pytest.mark.parametrize(
    "server, same, other",
    [
        ("https://api.example.org", ["https://api.example.org/a?b#c", "https://API.example.org:443/", "HTTPS://api.example.org"],
         ["http://api.example.org/", "https://api.example.org:8443/", "https://example.org/", "https://api.example.org.evil.example/",
          "https://api.example.org@evil.example/", "https://evil.example/api.example.org", "//api.example.org/", "api.example.org", "",
          "https://evil.example/?https://api.example.org", "https://evil.example#@api.example.org/", "https://api.example.org:x/",
          # urllib3 reads the host before the backslash, urllib.parse the one behind the @.
          "https://evil.example\\@api.example.org/", "https://evil.example\t@api.example.org/", "https://api.example.org\n.evil.example/"]),
        ("https://api.example.org:8443/path/", ["https://api.example.org:8443/else"], ["https://api.example.org/", "https://api.example.org:443/"]),
        ("http://127.0.0.1:80", ["http://127.0.0.1/"], ["https://127.0.0.1/", "http://localhost/"]),
        ("http://[::1]:8080", ["http://[::1]:8080/x"], ["http://[::1]/", "http://127.0.0.1:8080/"]),
        ("https://user@api.example.org", ["https://api.example.org/"], ["https://user/"]),
    ],
)
def test_origins(server, same, other):
    auth = t2cred.Auth(server)
    assert [url for url in same if not auth.serves(url)] == []
    assert [url for url in other if auth.serves(url)] == []
    assert t2cred.Auth(auth.server).server == auth.server


@pytest.mark.parametrize("server", ["http://api.example.org", "http://10.0.0.1:8080", "ftp://api.example.org", "api.example.org", "", "https://",
                                    "http://user:Zq8vT4nLw7@api.example.org", "http://localhost.evil.example"])
def test_servers_that_are_refused(server):
    with pytest.raises(ValueError) as caught:
        t2cred.Auth(server)
    assert "Zq8vT4nLw7" not in str(caught.value)


def test_it_shows_and_pickles_no_token(places):
    auth = t2cred.Auth(places.server, account="default", prefix="oidc/x/")
    token = auth.token().access_token
    import httpx  # noqa: F401

    packed = pickle.dumps(auth)
    assert token.encode() not in packed and token not in repr(auth)
    again = pickle.loads(packed)
    assert again.server == auth.server and again._token is None
    assert again.header().startswith("Bearer oidc/x/ey")


def test_half_of_a_life(places, short_lives):
    """A token is renewed at half of its life, and not earlier."""
    t2cred.get(fresh=True)
    auth = t2cred.Auth(places.server)
    first, before = auth.token(), places.refreshes()
    half = first.expires_in / 2
    while first.expires_in > half + 0.2:
        assert auth.token() is first
        time.sleep(0.05)
    assert first.expires_in > 0.5, "this shows nothing: the first token is at its end"
    time.sleep(0.4)
    assert auth.token() is not first
    assert places.refreshes() == before + 1


def test_the_old_token_serves_while_the_issuer_is_away(places, short_lives):
    t2cred.get(fresh=True)
    auth = t2cred.Auth(places.server)
    first = auth.token()
    places.issuer_down(True)
    try:
        time.sleep(first.expires_in / 2 + 0.2)
        assert auth.token().expires_at == first.expires_at
        time.sleep(max(first.expires_in, 0) + 1.2)
        with pytest.raises(t2cred.Error) as caught:
            auth.token()
        assert caught.value.exit == 6
    finally:
        places.issuer_down(False)
    assert auth.token().expires_in > 1


def test_many_threads_cause_one_refresh(places):
    auth = t2cred.Auth(places.server)
    sent, before = auth.header(), places.refreshes()
    with ThreadPoolExecutor(20) as pool:
        got = set(pool.map(lambda _: auth._replace(sent), range(20)))
    assert len(got) == 1 and sent not in got
    assert places.refreshes() == before + 1
