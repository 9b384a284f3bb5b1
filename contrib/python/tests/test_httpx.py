import functools

import anyio
import httpx
import pytest
import t2cred


class Sync:
    def __init__(self, auth):
        self.client = httpx.Client(auth=auth, follow_redirects=True)

    def send(self, method, url, **options):
        return self.client.request(method, url, **options)


class Async:
    def __init__(self, auth, backend):
        self.auth, self.backend = auth, backend

    def send(self, method, url, **options):
        async def task():
            async with httpx.AsyncClient(auth=self.auth, follow_redirects=True) as client:
                return await client.request(method, url, **options)

        return anyio.run(task, backend=self.backend)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def client(request, places):
    auth = t2cred.Auth(places.server)
    return Sync(auth) if request.param == "sync" else Async(auth, request.param)


def test_the_token_is_sent(places, client):
    assert client.send("GET", places.server + "/collections/scenes").json()["id"] == "scenes"
    assert places.log() == ["GET /collections/scenes: alice"]


def test_one_more_try_after_a_401(places, client):
    client.send("GET", places.server + "/")
    assert places.refuse_seen_tokens() > 0
    places.log()
    assert client.send("PUT", places.server + "/files/a", content=b"content").status_code == 200
    assert places.log() == ["PUT /files/a: refused", "PUT /files/a: alice"]
    assert client.send("GET", places.server + "/files/a").content == b"content"


def test_a_stream_is_not_sent_in_part(places, client):
    client.send("GET", places.server + "/")
    places.refuse_seen_tokens()
    places.log()

    async def parts():
        yield b"con"
        yield b"tent"

    make = parts if isinstance(client, Async) else functools.partial(iter, [b"con", b"tent"])
    assert client.send("PUT", places.server + "/files/c", content=make()).status_code == 401
    assert places.log() == ["PUT /files/c: refused"]
    assert client.send("PUT", places.server + "/files/c", content=make()).status_code == 200


def test_a_server_that_refuses_everything_is_asked_twice(places, client, monkeypatch):
    monkeypatch.setattr(t2cred._auth.Auth, "_header", lambda self, token: "Bearer k3vQ9xWm7Zt2")
    assert client.send("GET", places.server + "/").status_code == 401
    assert places.log() == ["GET /: refused"] * 2


def test_no_token_elsewhere(places, client):
    localhost = places.server.replace("127.0.0.1", "localhost")
    assert client.send("GET", places.stranger + "/direct").status_code == 401
    assert client.send("GET", places.server + "/redirect", params={"to": places.stranger + "/redirected"}).status_code == 401
    assert client.send("GET", places.server + "/redirect", params={"to": localhost + "/"}).status_code == 401
    assert client.send("GET", localhost + "/").status_code == 401
    assert places.strangers_log() == ["GET /direct", "GET /redirected"]
    assert [line for line in places.log() if "/redirect" not in line] == ["GET /: none"] * 2


def test_back_from_a_stranger_without_the_token(places, client):
    localhost = places.server.replace("127.0.0.1", "localhost")
    back = str(httpx.URL(localhost + "/open/redirect", params={"to": places.server + "/files/secret"}))
    assert client.send("GET", places.server + "/redirect", params={"to": back}).status_code == 401
    assert places.log() == ["GET /redirect: alice", "GET /open/redirect: none", "GET /files/secret: none"]


def test_a_redirect_at_home_keeps_the_token(places, client):
    assert client.send("GET", places.server + "/redirect", params={"to": "/collections/scenes"}).json()["id"] == "scenes"
    assert places.log() == ["GET /redirect: alice", "GET /collections/scenes: alice"]


@pytest.mark.parametrize("more, method", [({"see-other": ""}, "GET"), ({}, "PUT")])
def test_what_was_carried_out_before_a_redirect_is_not_sent_again(places, client, more, method):
    client.send("PUT", places.server + "/files/job", content=b"result")
    places.refuse_seen_tokens()
    places.log()
    answer = client.send("PUT", places.server + "/open/redirect", params={"to": "/files/job", **more}, content=b"result")
    assert answer.status_code == 200
    assert places.log() == ["PUT /open/redirect: refused", f"{method} /files/job: refused", f"{method} /files/job: alice"]


def test_many_tasks_cause_one_refresh(places):
    auth = t2cred.Auth(places.server)
    auth.header()

    async def task():
        async with httpx.AsyncClient(auth=auth) as client:
            await client.get(places.server + "/")
            places.refuse_seen_tokens()
            before = places.refreshes()
            codes = []

            async def one():
                codes.append((await client.get(places.server + "/")).status_code)

            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(one)
            return codes, places.refreshes() - before

    assert anyio.run(task) == ([200] * 20, 1)


def test_nothing_stored(places):
    with pytest.raises(t2cred.Error) as caught:
        httpx.get(places.server + "/", auth=t2cred.Auth(places.server, account="nobody"))
    assert caught.value.exit == 4


def test_it_is_what_httpx_calls_authentication(places):
    auth = t2cred.Auth(places.server)
    assert isinstance(auth, httpx.Auth) and isinstance(auth, t2cred.Auth)
    assert type(auth) is t2cred.Auth
