"""A backend of Python's keyring: poetry, hatch, twine and pdm get tokens for the hosts
of a profile. It is in use as soon as it is installed beside keyring.

It only reads. Set and delete go to the next backend. What is not for a host of a
profile gets no answer, so the next backend is asked.
"""

import json
import os
import warnings
from typing import Any, Dict, Iterator, List, Optional
from urllib.parse import urlsplit

from keyring.backend import KeyringBackend, by_priority, get_all_keyring
from keyring.backends.chainer import ChainerBackend
from keyring.compat import properties
from keyring.credentials import Credential, SimpleCredential
from keyring.errors import PasswordDeleteError, PasswordSetError

from ._auth import ambiguous
from ._command import Error, call, parse, program, reported, run, silent

# Exit code of `t2-cred keyring` for what is not ours.
NOT_OURS = 1


class Keyring(KeyringBackend):
    """The access token as a password."""

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805
        try:
            program()
        except Error as error:
            raise RuntimeError(str(error)) from None  # keyring then leaves this backend out
        return 0.1  # below each real keyring, so that it never comes first in the choice

    def get_password(self, service: str, username: str) -> Optional[str]:
        answer = _ask(service, username)
        return None if answer is None else answer["password"]

    def get_credential(self, service: str, username: Optional[str]) -> Optional[Credential]:
        answer = _ask(service, username)
        return None if answer is None else SimpleCredential(answer["username"], answer["password"])

    def set_password(self, service: str, username: str, password: str) -> None:
        for backend in self._next():
            return backend.set_password(service, username, password)
        raise PasswordSetError("t2-cred keeps no passwords, and there is no other keyring")

    def delete_password(self, service: str, username: str) -> None:
        for backend in self._next():
            return backend.delete_password(service, username)
        raise PasswordDeleteError("t2-cred keeps no passwords, and there is no other keyring")

    def _next(self) -> Iterator[KeyringBackend]:
        for backend in sorted(get_all_keyring(), key=by_priority, reverse=True):
            if not isinstance(backend, (Keyring, ChainerBackend)) and backend.priority > 0:
                yield backend


def _ask(service: str, username: Optional[str]) -> Optional[Dict[str, str]]:
    """The answer of `t2-cred keyring`, or None where the service is not ours."""
    if not _may_be_ours(service) or (username or "").startswith("-"):
        return None
    service = _without_user(service)
    command = ["keyring", "get", "--mode=creds", "--output=json", service]
    try:
        code, out, err = call([program(), *command, *([username] if username else [])], env=_environment())
        if code == NOT_OURS:
            return None
        if code != 0:
            raise _told(code, err)
        answer = parse(out)
        return {"username": str(answer["username"]), "password": str(answer["password"])}
    except Error as error:
        # The tools that call expect None where there is no password; some end with a
        # traceback when a backend raises.
        warnings.warn(f"t2-cred: {error}", stacklevel=3)
        return None


def _without_user(service: str) -> str:
    """A URL without a user and a password, which must not travel in an argv."""
    if "://" not in service:
        return service
    parts = urlsplit(service)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _may_be_ours(service: str) -> bool:
    """Whether t2-cred is asked at all.

    Any program may name a service as it likes. A name without a scheme is ours only
    if it is a host of a profile to the letter; a pattern is not enough.
    """
    if ambiguous(service):
        return False
    if "://" in service:
        try:
            parts = urlsplit(service)
        except ValueError:
            return False
        return parts.scheme in ("https", "http") and bool(parts.hostname)
    if not service or service.startswith("-"):
        return False
    try:
        hosts = _hosts()
    except (Error, ValueError, TypeError, KeyError):
        return False  # there is no configuration, or the program is another one
    return service.lower() in hosts


def _hosts() -> List[str]:
    profiles: Any = json.loads(run(["profile", "list"], None, None, None))
    chosen = os.environ.get("T2_CRED_PROFILE")
    return [host.lower() for p in profiles if chosen in (None, "", p["name"]) for host in p["hosts"] if "*" not in host]


def _environment() -> Dict[str, str]:
    """The environment in which t2-cred asks no other keyring command.

    It would hand on what is not for it to the next `keyring` on PATH, and that one
    would load this backend again.
    """
    name = "keyring.exe" if os.name == "nt" else "keyring"
    tried = [os.path.join(place, name) for place in os.get_exec_path()]
    tried.append(os.environ.get("T2_CRED_KEYRING_TRIED", ""))
    return {**os.environ, "T2_CRED_KEYRING_TRIED": os.pathsep.join(path for path in tried if path)}


def _told(code: int, err: str) -> Error:
    """A hook reports in words, on two lines."""
    lines = dict(line.split(": ", 1) for line in err.splitlines() if ": " in line)
    if "t2-cred" in lines:
        return Error(code, "hook", lines["t2-cred"], lines.get("hint", ""))
    return reported(err) or silent(code)
