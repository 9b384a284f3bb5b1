"""The keyring backend, as keyring finds and chooses it. The tools are in e2e/pytools_test.go."""

import importlib.metadata
import subprocess
import warnings
from urllib.parse import urlsplit

import keyring
import keyring.backend
import pytest
import t2cred
from keyring.backends import chainer, fail
from keyring.compat import properties
from keyring.errors import PasswordDeleteError, PasswordSetError
from t2cred.keyring import Keyring


class Other(keyring.backend.KeyringBackend):
    """A keyring as an operating system has one."""

    here = False
    kept = {}

    @properties.classproperty
    def priority(cls):
        if not cls.here:  # keyring counts every class that it has seen
            raise RuntimeError("not in this test")
        return 5

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


@pytest.fixture
def other(monkeypatch):
    """keyring with such a one, and ours."""
    Other.kept = {}
    monkeypatch.setattr(Other, "here", True)
    backends = [fail.Keyring(), chainer.ChainerBackend(), Other(), Keyring()]
    monkeypatch.setattr(keyring.backend, "get_all_keyring", lambda: backends)
    monkeypatch.setattr(t2cred.keyring, "get_all_keyring", lambda: backends)
    return Other


def token():
    return t2cred.get().access_token


def host(places):
    return urlsplit(places.server).netloc


def test_keyring_finds_it_and_chooses_it_where_there_is_no_other():
    points = importlib.metadata.entry_points(group="keyring.backends")
    assert "t2cred.keyring" in [p.value for p in points]
    assert any(isinstance(backend, Keyring) for backend in keyring.backend.get_all_keyring())
    assert Keyring.priority < 1 and Keyring.viable
    assert isinstance(keyring.get_keyring(), Keyring)


def test_it_never_comes_first(places, other):
    chain = [type(backend) for backend in chainer.ChainerBackend.backends]
    assert chain == [Other, Keyring]
    url = places.server + "/simple/"
    other().set_password(url, "oauth2", "p4Rw7Yk2Mx9Tb5Qz")
    both = chainer.ChainerBackend()
    assert both.get_password(url, "oauth2") == "p4Rw7Yk2Mx9Tb5Qz"
    assert both.get_password(url, "somebody") == token()


def test_a_token_for_a_host_of_a_profile(places):
    for service in (places.server, places.server + "/simple/", host(places)):
        assert keyring.get_password(service, "me") == token(), service
        got = keyring.get_credential(service, None)
        assert (got.username, got.password) == ("oauth2", token()), service
        assert keyring.get_credential(service, "me").username == "me"


@pytest.mark.parametrize(
    "service",
    ["python-poetry-check", "poetry-repository-example", "pdm-repository-__unknown__", "pdm-example", "", "-h", "--disable",
     "https://packages.example.net/simple/", "https://127.0.0.1:1/", "127.0.0.1", "127.0.0.1:1", "https://", "https://[", "ftp://127.0.0.1:1/",
     "a\nb", "a\0b", "file:///etc/passwd", "127.0.0.1:1/simple"],
)
def test_no_answer_and_no_word_for_the_rest(places, service):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keyring.get_password(service, "me") is None
        assert keyring.get_credential(service, None) is None
        assert keyring.get_password(service, "-x") is None


def test_no_answer_where_parsers_differ_about_the_host(places):
    """urllib3 sends the request for the first one to packages.example.net."""
    name = host(places)
    for service in (f"https://packages.example.net\\@{name}/simple/", f"https://{name[:3]}\n{name[3:]}/", f"\thttps://{name}/", f"https://{name}\\.packages.example.net/"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert keyring.get_password(service, "me") is None, service
            assert keyring.get_credential(service, None) is None, service
    assert keyring.get_password(f"https://me@{name}/simple/", "me") == token()


def test_a_name_without_a_scheme_is_an_exact_host(places):
    subprocess.run(["t2-cred", "profile", "add", "wide", "--issuer", places.issuer, "--client-id", places.client_id,
                    "--host", "*.wide.example", "--host", "exact.wide.example"], check=True, stderr=subprocess.PIPE)
    try:
        said = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for service in ("other.wide.example", "https://other.wide.example/", "exact.wide.example", "Exact.Wide.Example"):
                assert keyring.get_password(service, "me") is None  # nothing is stored for that profile
                said.append(len(caught))
        assert said == [0, 1, 2, 3], [str(w.message) for w in caught]
        assert "nothing is stored for wide/default" in str(caught[0].message) and "t2-cred exchange" in str(caught[0].message)
    finally:
        subprocess.run(["t2-cred", "profile", "remove", "wide"], check=True, stderr=subprocess.PIPE)


def test_set_and_delete_go_to_the_next(places, other):
    url = places.server + "/simple/"
    Keyring().set_password(url, "me", "h8Nq3Vz6Lk1Wd7Xs")
    assert other.kept == {(url, "me"): "h8Nq3Vz6Lk1Wd7Xs"}
    Keyring().delete_password(url, "me")
    assert other.kept == {}
    assert keyring.get_password(url, "me") == token()


def test_set_and_delete_without_a_next(places):
    with pytest.raises(PasswordSetError, match="keeps no passwords"):
        keyring.set_password(places.server, "me", "c5Tg9Bn2Jm4Fv8Ry")
    with pytest.raises(PasswordDeleteError, match="keeps no passwords"):
        keyring.delete_password(places.server, "me")


def test_no_other_keyring_command_is_asked(places, tmp_path, monkeypatch):
    """t2-cred hands on what is not for it, and the next one would load this backend again."""
    import os

    asked = tmp_path / "asked"
    next_one = tmp_path / "keyring"
    next_one.write_text(f"#!/bin/sh\ntouch {asked}\necho of-another\n")
    next_one.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    handed_on = subprocess.run(["t2-cred", "keyring", "get", "https://packages.example.net/", "me"], stdout=subprocess.PIPE)
    assert handed_on.stdout == b"of-another\n" and asked.exists(), "this shows nothing"
    asked.unlink()
    assert keyring.get_password("https://packages.example.net/", "me") is None
    assert not asked.exists()


def test_without_the_command_it_is_not_viable(monkeypatch):
    def missing():
        raise t2cred.Error(127, "not_installed", "t2-cred: command not found", "pip install t2-cred")

    monkeypatch.setattr(t2cred.keyring, "program", missing)
    assert not Keyring.viable
    with pytest.raises(RuntimeError, match="not found"):
        Keyring.priority
