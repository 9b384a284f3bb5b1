import io

import pytest
import requests
import t2cred


@pytest.fixture
def session(places):
    with requests.Session() as s:
        s.auth = t2cred.Auth(places.server)
        yield s


def test_the_token_is_sent(places, session):
    assert session.get(places.server + "/collections/scenes").json()["id"] == "scenes"
    assert requests.get(places.server + "/collections/scenes", auth=t2cred.Auth(places.server)).status_code == 200
    assert places.log() == ["GET /collections/scenes: alice"] * 2


def test_it_is_what_requests_calls_authentication(places, session):
    """eodag takes no other object for its requests."""
    assert isinstance(session.auth, requests.auth.AuthBase) and isinstance(session.auth, t2cred.Auth)
    assert type(session.auth) is t2cred.Auth


def test_one_more_try_after_a_401(places, session):
    session.get(places.server + "/")
    assert places.refuse_seen_tokens() > 0
    places.log()
    answer = session.put(places.server + "/files/a", data=b"content")
    assert answer.status_code == 200 and [r.status_code for r in answer.history] == [401]
    assert places.log() == ["PUT /files/a: refused", "PUT /files/a: alice"]
    assert session.get(places.server + "/files/a").content == b"content"


def test_a_file_is_sent_from_its_start_again(places, session):
    session.get(places.server + "/")
    places.refuse_seen_tokens()
    body = io.BytesIO(b"head and content")
    body.seek(9)
    assert session.put(places.server + "/files/b", data=body).status_code == 200
    assert session.get(places.server + "/files/b").content == b"content"


def test_a_stream_is_not_sent_in_part(places, session):
    session.get(places.server + "/")
    places.refuse_seen_tokens()
    places.log()
    assert session.put(places.server + "/files/c", data=iter([b"con", b"tent"])).status_code == 401
    assert places.log() == ["PUT /files/c: refused"]
    # The caller's own second try has the new token.
    assert session.put(places.server + "/files/c", data=iter([b"con", b"tent"])).status_code == 200
    assert session.get(places.server + "/files/c").content == b"content"


def test_a_server_that_refuses_everything_is_asked_twice(places, session, monkeypatch):
    monkeypatch.setattr(t2cred._auth.Auth, "_header", lambda self, token: "Bearer k3vQ9xWm7Zt2")
    before = places.refreshes()
    assert session.get(places.server + "/").status_code == 401
    assert places.log() == ["GET /: refused"] * 2
    assert places.refreshes() == before + 1


def test_no_token_elsewhere(places, session):
    assert session.get(places.stranger + "/direct").status_code == 401
    assert session.get(places.server + "/redirect", params={"to": places.stranger + "/redirected"}).status_code == 401
    localhost = places.server.replace("127.0.0.1", "localhost")
    assert session.get(localhost + "/").status_code == 401
    assert session.get(places.server + "/redirect", params={"to": localhost + "/"}).status_code == 401
    assert session.post(places.server + "/redirect", params={"to": places.stranger + "/posted"}, data=b"x").status_code == 401
    assert places.strangers_log() == ["GET /direct", "GET /redirected", "POST /posted"]
    assert [line for line in places.log() if "/redirect" not in line] == ["GET /: none"] * 2


def test_a_redirect_at_home_keeps_the_token(places, session):
    assert session.get(places.server + "/redirect", params={"to": "/collections/scenes"}).json()["id"] == "scenes"
    assert places.log() == ["GET /redirect: alice", "GET /collections/scenes: alice"]


def test_back_from_a_stranger_without_the_token(places, session):
    """A stranger cannot make us send our token to our own server."""
    localhost = places.server.replace("127.0.0.1", "localhost")
    back = localhost + "/open/redirect?" + requests.compat.urlencode({"to": places.server + "/files/secret"})
    assert session.get(places.server + "/redirect", params={"to": back}).status_code == 401
    assert places.log() == ["GET /redirect: alice", "GET /open/redirect: none", "GET /files/secret: none"]


def test_longer_than_tokens_live(places, session, short_lives):
    import time

    t2cred.get(fresh=True)
    before, end, rounds = places.refreshes(), time.monotonic() + 9, 0
    while time.monotonic() < end:
        assert session.get(places.server + "/").status_code == 200
        rounds += 1
        time.sleep(0.1)
    assert rounds > 8  # more than there were tokens, also on a busy machine
    assert set(places.log()) == {"GET /: alice"}
    assert 2 <= places.refreshes() - before <= 6


def test_nothing_stored(places):
    with pytest.raises(t2cred.Error) as caught:
        requests.get(places.server + "/", auth=t2cred.Auth(places.server, account="nobody"))
    assert caught.value.exit == 4
    assert places.log() == []


@pytest.mark.parametrize("more, method", [({"see-other": ""}, "GET"), ({}, "PUT")])
def test_what_was_carried_out_before_a_redirect_is_not_sent_again(places, more, method):
    auth = t2cred.Auth(places.server)
    requests.put(places.server + "/files/job", data=b"result", auth=auth).raise_for_status()
    places.refuse_seen_tokens()
    places.log()
    answer = requests.put(places.server + "/open/redirect", params={"to": "/files/job", **more}, data=b"result", auth=auth)
    assert answer.status_code == 200
    assert places.log() == ["PUT /open/redirect: refused", f"{method} /files/job: refused", f"{method} /files/job: alice"]
