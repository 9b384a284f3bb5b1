"""Programs that fork, cancel, ignore signals or print their variables. A script stands in
for t2-cred, so that it answers as slowly and as oddly as a test wants."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from datetime import datetime, timedelta, timezone

import anyio
import httpx
import keyring.backends.fail  # noqa: F401
import pytest
import requests
import t2cred
import t2cred.keyring

TOKEN = "Xk7pQ2vRm9Lw4TzN8bYcD3fGhJ6sA1eU"
SERVER = "https://api.example.org"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program that does what the test says, and how often it was asked."""

    class StandIn:
        calls = tmp_path / "calls"

        def does(self, script, **later):
            program = tmp_path / "t2-cred"
            (tmp_path / "answer").write_text(json.dumps(answer(**later)) + "\n")
            program.write_text(f'#!/bin/sh\necho "$@" >>{self.calls}\nanswer={tmp_path}/answer\n{script}\n')
            program.chmod(0o755)
            monkeypatch.setattr(t2cred._command, "program", lambda: str(program))
            monkeypatch.setattr(t2cred.keyring, "program", lambda: str(program))

        def asked(self):
            return self.calls.read_text().splitlines() if self.calls.exists() else []

    return StandIn()


def answer(seconds=300):
    end = (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"access_token": TOKEN, "token_type": "Bearer", "expires_at": end, "profile": "gep", "account": "default"}


REFUSED = """echo '{"error":{"code":"login_required","exit":4,"message":"nothing is stored","hint":"t2-cred exchange"}}' >&2; exit 4"""


@pytest.mark.parametrize("server, other", [
    ("https://fass.example", "https://fa\u00df.example"),  # IDNA 2003 reads the letter as "ss"
    ("https://\u03c3.example", "https://\u03c2.example"),  # a sigma at the end of a word
    ("https://nbar.example", "https://n\u200dbar.example"),
    ("https://api.example.org", "https://api.example.org./"),
    ("https://api.example.org", "https://api\uff0eexample\uff0eorg/"),
    ("https://api.example.org", "https://\uff41pi.example.org/"),
    ("https://api.example.org", "https://api%2eexample.org/"),
    ("https://api.example.org", "https://api.example.org:0443x/"),
])  # fmt: skip
def test_a_host_that_only_looks_the_same(server, other):
    assert not t2cred.Auth(server).serves(other)


def test_a_host_of_other_letters():
    auth = t2cred.Auth("https://B\u00fccher.example")
    assert auth.server == "https://xn--bcher-kva.example:443"
    assert auth.serves("https://b\u00fccher.example/") and auth.serves("https://xn--bcher-kva.example/")
    with pytest.raises(ValueError):
        t2cred.Auth("https://fa\u00df.example")  # which of two hosts is meant?


@pytest.mark.skipif(os.name != "posix", reason="there is no fork")
def test_a_fork_while_a_thread_asks(stand_in):
    """The child has the lock as it was, and not the thread that would give it back."""
    stand_in.does('[ -e "$answer.slow" ] && sleep 3; cat "$answer"')
    auth = t2cred.Auth(SERVER)
    slow = stand_in.calls.with_name("answer.slow")
    slow.touch()
    asking = threading.Thread(target=auth.header)
    asking.start()
    wait_for(stand_in.asked)
    slow.unlink()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # its end, if it hangs
        os._exit(0 if auth.header() == f"Bearer {TOKEN}" else 1)
    assert os.waitpid(child, 0)[1] == 0
    asking.join()


def test_other_threads_do_not_wait_for_a_renewal(stand_in, monkeypatch):
    stand_in.does('cat "$answer"')
    auth = t2cred.Auth(SERVER)
    first = auth.token()
    monkeypatch.setattr(auth, "_half_life", 400.0)  # so that it is due
    stand_in.does('sleep 4; cat "$answer"')
    renewing = threading.Thread(target=auth.token)
    renewing.start()
    wait_for(lambda: len(stand_in.asked()) == 2)
    began = time.monotonic()
    assert auth.token() is first and time.monotonic() - began < 2
    renewing.join()
    assert auth.token() is not first and len(stand_in.asked()) == 2


def test_a_server_that_refuses_fresh_tokens_causes_one_refresh(stand_in):
    """Else each request to a server that never takes our tokens would be one."""
    stand_in.does('cat "$answer"')
    auth = t2cred.Auth(SERVER)
    sent = []

    def refuse(request):
        sent.append(request.headers["authorization"])
        return httpx.Response(401)

    with httpx.Client(auth=auth, transport=httpx.MockTransport(refuse)) as client:
        assert [client.get(SERVER).status_code for _ in range(5)] == [401] * 5
    # The stand-in always has the same token.
    assert len(sent) == 6 and [line for line in stand_in.asked() if "--fresh" in line] == stand_in.asked()[1:]
    assert len(stand_in.asked()) == 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_request_does_not_wait(stand_in, backend):
    stand_in.does('sleep 3; cat "$answer"')
    auth = t2cred.Auth(SERVER)

    async def task():
        transport = httpx.MockTransport(lambda request: httpx.Response(200))
        async with httpx.AsyncClient(auth=auth, transport=transport) as client:
            began = time.monotonic()
            with anyio.move_on_after(0.5) as scope:
                await client.get(SERVER)
            assert scope.cancelled_caught and time.monotonic() - began < 2
            # What was asked for is not lost.
            assert (await client.get(SERVER)).status_code == 200

    anyio.run(task, backend=backend)
    assert len(stand_in.asked()) == 1


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGCHLD")
@pytest.mark.parametrize("call", ["t2cred.erase()", "t2cred.get()", "t2cred.status()"])
def test_a_failure_is_one_where_children_are_not_waited_for(stand_in, call):
    """Daemons ignore SIGCHLD, and Python then takes each exit code for 0."""
    stand_in.does(REFUSED)
    path = str(stand_in.calls.with_name("t2-cred"))
    script = f"""
import signal, t2cred
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
t2cred._command.program = lambda: {path!r}
try:
    {call}
except t2cred.Error as error:
    print(error.exit, error.code)
"""
    said = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said == "4 login_required\n"


def shown(error):
    """A traceback with all variables, as error trackers send it, without the tests' own."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack = traceback.StackSummary.from_list([f for f in told.stack if "site-packages" in f.filename or "t2cred" in f.filename])
    return "".join(told.format())


def test_variables_in_a_traceback_have_no_token(stand_in):
    stand_in.does('cat "$answer"')
    auth = t2cred.Auth(SERVER)
    sent = auth.header()
    assert str(sent) == f"Bearer {TOKEN}" and TOKEN not in repr(sent)
    stand_in.does(REFUSED)
    for call in (lambda: t2cred.exchange(TOKEN), lambda: auth._replace(sent), lambda: t2cred.exchange(TOKEN.encode()), lambda: t2cred.exchange(TOKEN + "\u00e9")):
        with pytest.raises((t2cred.Error, ValueError)) as caught:
            call()
        told = shown(caught.value)
        assert "t2cred" in told and TOKEN not in told
    # What is no answer may be a token.
    stand_in.does(f"echo {TOKEN}")
    with pytest.raises(t2cred.Error) as caught:
        t2cred.get()
    assert TOKEN not in shown(caught.value) and TOKEN not in str(caught.value)


def test_a_hidden_string_is_sent_whole(stand_in):
    stand_in.does('cat "$answer"')
    prepared = requests.Request("GET", SERVER, auth=t2cred.Auth(SERVER)).prepare()
    assert prepared.headers["Authorization"].encode("latin-1") == f"Bearer {TOKEN}".encode()
    assert httpx.Headers({"a": t2cred.Auth(SERVER).header()}).raw == [(b"a", f"Bearer {TOKEN}".encode())]


@pytest.mark.parametrize("script", [
    'echo "a line of a wrapper"; cat "$answer"', 'cat "$answer" "$answer"', "echo '[]'", "true", "echo 1; exit 0", "printf '\\377'", "kill -9 $$",
])  # fmt: skip
def test_anything_but_one_object_is_an_error(stand_in, script):
    stand_in.does(script)
    with pytest.raises(t2cred.Error) as caught:
        t2cred.get()
    assert caught.value.code == "unexpected" and TOKEN not in str(caught.value)


def test_the_keyring_backend_passes_no_password_on(stand_in):
    stand_in.does("exit 1")
    backend = t2cred.keyring.Keyring()
    assert backend.get_password(f"https://alice:{TOKEN}@pypi.example.org/simple/", "alice") is None
    assert stand_in.asked() == ["keyring get --mode=creds --output=json https://pypi.example.org/simple/ alice"]


def test_the_keyring_backend_at_another_program(stand_in):
    for script in ("echo nothing", "echo '{}'", "echo '[1]'", "echo '[{}]'", "exit 3"):
        stand_in.does(script)
        assert t2cred.keyring.Keyring().get_password("poetry-repository-x", "alice") is None


def wait_for(met):
    end = time.monotonic() + 20
    while not met():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)
