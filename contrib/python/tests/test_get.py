import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import pytest
import t2cred


def same(one, other):
    """So that no assertion that fails shows a token."""
    return one.access_token == other.access_token


def test_a_token_and_what_is_known_of_it(places):
    token = t2cred.get()
    assert token.access_token.count(".") == 2
    assert token.token_type == "Bearer"
    assert token.authorization.partition(" ") == ("Bearer", " ", token.access_token)
    assert (token.profile, token.account, token.issuer) == ("gep", "default", places.issuer)
    assert "offline_access" in token.scope.split()
    assert len(token.subject) == 36
    assert timedelta(0) < token.expires_at - datetime.now(timezone.utc) <= timedelta(seconds=301)
    assert 0 < token.expires_in <= 301


def test_cached_fresh_and_min_valid(places):
    before = places.refreshes()
    first = t2cred.get()
    assert same(t2cred.get(profile="gep", account="default"), first)
    assert same(t2cred.get(min_valid=10), first)
    assert places.refreshes() == before
    fresh = t2cred.get(fresh=True)
    assert not same(fresh, first)
    assert places.refreshes() == before + 1
    # No token of this issuer lives an hour, so each such wish costs a refresh.
    assert not same(t2cred.get(min_valid=3600), fresh)
    assert places.refreshes() == before + 2


def test_a_token_does_not_show_itself():
    token = t2cred.get()
    for shown in (repr(token), str(token), f"{token}", repr([token]), repr({"t": token})):
        assert token.access_token not in shown
        assert "gep/default" in shown
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(token)


@pytest.mark.parametrize(
    "call, exit, code, words, hint",
    [
        (lambda: t2cred.get(account="nobody"), 4, "login_required", "nothing is stored for gep/nobody", "t2-cred exchange"),
        (lambda: t2cred.get(profile="none"), 3, "configuration", "none", "--profile gep"),
        (lambda: t2cred.get(account="--help"), 4, "login_required", "nothing is stored for gep/--help", "t2-cred exchange"),
        (lambda: t2cred.status(account="nobody"), 4, "login_required", "nothing is stored", "t2-cred"),
        (lambda: t2cred.exchange("x7Qk9wZr2mVt8bNc4LpY", account="nobody"), 7, "token_refused", "Invalid token", "look which file that was"),
    ],
)
def test_errors_carry_everything(call, exit, code, words, hint):
    with pytest.raises(t2cred.Error) as caught:
        call()
    error = caught.value
    assert (error.exit, error.code) == (exit, code), str(error)
    assert words in error.message and hint in error.hint
    assert error.message in str(error) and error.hint in str(error)
    assert "x7Qk9wZr2mVt8bNc4LpY" not in repr(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.exit, again.code, again.message, again.hint) == (error.exit, error.code, error.message, error.hint)


def test_the_issuer_is_away(places):
    places.issuer_down(True)
    try:
        with pytest.raises(t2cred.Error) as caught:
            t2cred.get(fresh=True, timeout=3)
    finally:
        places.issuer_down(False)
    assert (caught.value.exit, caught.value.code) == (6, "issuer_unreachable")
    t2cred.get(fresh=True)


def test_no_command(monkeypatch, tmp_path):
    monkeypatch.setattr(t2cred._command, "program", lambda: str(tmp_path / "t2-cred"))
    with pytest.raises(t2cred.Error) as caught:
        t2cred.get()
    assert (caught.value.exit, caught.value.code) == (127, "cannot_run")


def test_a_relative_path_is_not_searched(monkeypatch, tmp_path):
    planted = tmp_path / "t2-cred"
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}")
    monkeypatch.setattr("sysconfig.get_path", lambda *a: str(tmp_path / "none"))
    monkeypatch.setattr(t2cred._command, "__file__", str(tmp_path / "lib" / "t2cred" / "_command.py"))
    with pytest.raises(t2cred.Error, match="not found"):
        t2cred._command.program()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert t2cred._command.program() == str(planted)


def test_a_service_begins_looks_and_ends(places):
    user = places.user_token("bob")
    kept = t2cred.exchange(user, account="job-4711")
    places.logout("bob")
    assert (kept["account"], kept["username"], kept["kind"], kept["state"]) == ("job-4711", "bob", "offline", "ok")
    assert t2cred.status(account="job-4711") == kept
    token = t2cred.get(account="job-4711", fresh=True)
    assert token.access_token != user and token.subject == kept["subject"]
    t2cred.erase(account="job-4711")
    with pytest.raises(t2cred.Error) as caught:
        t2cred.status(account="job-4711")
    assert caught.value.exit == 4


def test_erase_here_only(places):
    t2cred.exchange(places.user_token("bob"), account="job-4712")
    t2cred.erase(account="job-4712", local_only=True)
    with pytest.raises(t2cred.Error, match="nothing is stored"):
        t2cred.get(account="job-4712")


def test_the_users_token_is_in_no_argv(places, tmp_path, monkeypatch):
    """Each argv is written down by a script that stands in for t2-cred and calls it."""
    log = tmp_path / "argv"
    stand_in = tmp_path / "t2-cred"
    stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{log}\nenv >>{log}\nexec {t2cred._command.program()} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr(t2cred._command, "program", lambda: str(stand_in))
    user = places.user_token("bob")
    t2cred.exchange(user, account="job-4713")
    token = t2cred.get(account="job-4713")
    t2cred.erase(account="job-4713")
    said = log.read_text()
    assert "--token-file=-" in said and "--account=job-4713" in said
    assert user not in said and token.access_token not in said


def test_ctrl_c_lets_the_refresh_end(tmp_path):
    """A kill in the middle of a refresh could lose the refresh token: t2-cred is asked to end."""
    stand_in = tmp_path / "t2-cred"
    stand_in.write_text(f"#!/bin/sh\ntrap 'sleep 1; echo whole >{tmp_path}/end; exit 130' TERM INT\ntouch {tmp_path}/began\nwhile :; do sleep 0.1; done\n")
    stand_in.chmod(0o755)
    script = f"import t2cred; t2cred._command.program = lambda: {str(stand_in)!r}\nt2cred.get()"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "began")
    process.send_signal(signal.SIGINT)  # to Python alone, as from a debugger or a notebook
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    wait_for(tmp_path / "end")


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.05)


def test_the_command_is_on_path():
    found = shutil.which("t2-cred")
    assert found == t2cred._command.program() and os.path.dirname(found) == os.path.dirname(sys.executable)
    said = subprocess.run([sys.executable, "-m", "t2cred", "version"], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert said.startswith("t2-cred ")
    failed = subprocess.run([sys.executable, "-m", "t2cred", "get", "--account", "nobody"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (failed.returncode, failed.stdout) == (4, b"")


def test_importing_it_imports_no_library():
    script = "import sys, t2cred, json; print(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout))
    assert "t2cred" in loaded
    assert not loaded & {"requests", "httpx", "boto3", "botocore", "obstore", "rasterio", "pystac_client", "keyring", "anyio"}
    assert t2cred.__version__ == "0.9.0"


def mypy(tmp_path, *args):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), *args]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True)


def test_the_module_is_typed(tmp_path, request):
    top = request.config.rootpath
    found = mypy(tmp_path, "--config-file", str(top / "pyproject.toml"), str(top / "src" / "t2cred"), str(top / "build_wheels.py"))
    assert found.returncode == 0, found.stdout


def test_types(tmp_path):
    """mypy, with a user's eyes."""
    code = tmp_path / "user.py"
    code.write_text(
        "import httpx, requests, t2cred\n"
        "from datetime import datetime\n"
        "token = t2cred.get(profile='gep', min_valid=60)\n"
        "name: str = token.subject\n"
        "end: 'datetime | None' = token.expires_at\n"
        "requests.get('https://a.example', auth=t2cred.Auth('https://a.example'))\n"
        "httpx.Client(auth=t2cred.Auth('https://a.example'))\n"
        "httpx.AsyncClient(auth=t2cred.Auth('https://a.example'))\n"
        "t2cred.status()['username'].upper()\n"
    )
    good = mypy(tmp_path, str(code))
    assert good.returncode == 0, good.stdout
    code.write_text("import t2cred\nt2cred.get('gep')\nt2cred.get().nothing\nt2cred.status()['nothing']\n")
    bad = mypy(tmp_path, str(code))
    assert bad.stdout.count("error:") == 3, bad.stdout
