"""The token in requests to one server: for requests, httpx, and what is built on them."""

import inspect
import ipaddress
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, AsyncGenerator, Callable, Dict, Generator, Optional, Tuple, Type, TypeVar
from urllib.parse import urlsplit

from ._command import Seconds, get
from ._token import Hidden, Token

if TYPE_CHECKING:
    import httpx
    import requests

Origin = Tuple[str, str, int]
R = TypeVar("R")

DEFAULT_PORTS = {"https": 443, "http": 80}
# How long a token whose end nobody knows serves until t2-cred is asked again.
UNKNOWN_LIFE = 10.0
# For how long a token is good enough while another thread renews it.
STILL_GOOD = 30.0
# How long no further token is asked for after a server refused a fresh one.
REFUSED_PAUSE = 10.0


class Auth:
    """Puts the token into requests to one server, and into no others.

        requests.get(url, auth=t2cred.Auth("https://api.example.org"))
        httpx.AsyncClient(auth=t2cred.Auth("https://api.example.org"))
        pystac_client.Client.open(url, request_modifier=t2cred.Auth(url))

    The server is a URL, of which scheme, host and port count. Other origins get no
    token, also after a redirect or where a catalogue links to them. http is for
    loopback alone. requests and httpx take a redirect from port 80 there to https of the
    same host for one of the same origin.

    A token is renewed when it has lived half of its life. After a 401 a new one is
    asked for once, and the request is sent again if its body can be. prefix comes
    before the token (openEO wants "oidc/PROVIDER/").

    One object may serve many threads and tasks. A pickled one takes no token along.
    """

    def __init__(
        self,
        server: str,
        *,
        profile: Optional[str] = None,
        account: Optional[str] = None,
        min_valid: Optional[Seconds] = None,
        prefix: str = "",
    ) -> None:
        origin = _origin(server)
        if origin is None:
            raise ValueError(f"{_shown(server)} is not a URL of http or https")
        if origin[0] == "http" and not _loopback(origin[1]):
            raise ValueError(f"{_shown(server)} is not https, and the token must not travel in clear")
        self.server = "{}://{}:{}".format(origin[0], f"[{origin[1]}]" if ":" in origin[1] else origin[1], origin[2])
        self._origin, self._prefix = origin, prefix
        self._profile, self._account, self._min_valid = profile, account, min_valid
        self._reset()

    def _reset(self) -> None:
        self._lock, self._process = threading.Lock(), os.getpid()
        self._token: Optional[Token] = None
        self._half_life = 0.0
        self._not_before = 0.0  # by the monotonic clock; before it nothing is asked
        self._fresh_until = 0.0  # by the monotonic clock; before it a refusal brings no new token

    def _mutex(self) -> threading.Lock:
        if self._process != os.getpid():
            # After a fork. Another thread may have held the old lock, and it is not here.
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock

    def __repr__(self) -> str:
        return f"<t2cred.Auth for {self.server}>"

    def __reduce__(self) -> Tuple[Any, ...]:
        kept = {"profile": self._profile, "account": self._account, "min_valid": self._min_valid, "prefix": self._prefix}
        return _rebuild, (type(self), self.server, kept)

    def serves(self, url: str) -> bool:
        """Whether requests to this URL get the token."""
        return _origin(url) == self._origin

    def token(self) -> Token:
        """The token that a request would get now."""
        lock, kept = self._mutex(), self._token
        if kept is not None and kept.expires_in > max(STILL_GOOD, self._min_valid or 0.0):
            # A renewal may take as long as t2-cred waits for the issuer.
            if not lock.acquire(blocking=False):
                return kept
        else:
            lock.acquire()
        try:
            if self._due():
                self._renew()
            assert self._token is not None
            return self._token
        finally:
            lock.release()

    def _due(self) -> bool:
        if self._token is None:
            return True
        # Its age is told by the wall clock: the monotonic one stands while a machine sleeps.
        return time.monotonic() >= self._not_before and self._token.expires_in <= self._half_life

    def _renew(self) -> None:
        wanted = self._min_valid
        if self._token is not None and self._token.expires_at is not None:
            # Asked for explicitly, else t2-cred serves the cached token until its last 30
            # seconds. expires_at has whole seconds, so the end may be one second later.
            wanted = max(wanted or 0.0, self._half_life + 1)
        # While the issuer is away, t2-cred serves a token that is still valid.
        self._keep(get(profile=self._profile, account=self._account, min_valid=wanted))

    def _keep(self, token: Token) -> None:
        self._token, self._half_life = token, max(token.expires_in, 0.0) / 2
        # Of a token without an end only t2-cred knows more.
        self._not_before = time.monotonic() + (UNKNOWN_LIFE if token.expires_at is None else 0.0)

    def _replace(self, refused: str) -> Optional[str]:
        """The header with a token that the server has not refused yet, or None if it refuses fresh ones."""
        with self._mutex():
            # Another thread may have asked already.
            if self._token is None or self._header(self._token) == refused:
                if time.monotonic() < self._fresh_until:
                    return None  # else each request to such a server would be a refresh
                self._keep(get(profile=self._profile, account=self._account, min_valid=self._min_valid, fresh=True))
                self._fresh_until = time.monotonic() + REFUSED_PAUSE
            assert self._token is not None
            return self._header(self._token)

    def _header(self, token: Token) -> str:
        return Hidden(f"{token.token_type} {self._prefix}{token.access_token}")

    def header(self) -> str:
        """The value of Authorization that a request would get now."""
        return self._header(self.token())

    def renews_in(self) -> float:
        """In how many seconds the token of now will have lived half of its life."""
        token = self.token()
        return max(token.expires_in - self._half_life, 1.0)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # httpx takes instances of its own class alone, and so does eodag of requests'.
        # isinstance() looks here too, so neither is imported, and one object serves both.
        return _looks_like(type(self))

    # requests: https://requests.readthedocs.io/en/latest/user/authentication/

    def __call__(self, request: R) -> R:
        """Adds the token to a request of requests."""
        r: Any = request
        if self.serves(r.url or ""):
            r.headers["Authorization"] = self.header()
            r.register_hook("response", _OnRefusal(self, _position(getattr(r, "body", None))))
        return request

    # httpx: https://www.python-httpx.org/advanced/authentication/

    def sync_auth_flow(self, request: "httpx.Request") -> Generator["httpx.Request", "httpx.Response", None]:
        if not self.serves(str(request.url)):
            yield request
            return
        sent = self.header()
        request.headers["Authorization"] = sent
        response = yield request
        if self._refused(response.status_code, str(response.request.url), response.request.headers, sent):
            fresh = self._replace(sent)
            if fresh is not None and _replayable(request):
                response.read()
                yield _refused_again(response, fresh)

    async def async_auth_flow(self, request: "httpx.Request") -> AsyncGenerator["httpx.Request", "httpx.Response"]:
        if not self.serves(str(request.url)):
            yield request
            return
        sent = await _aside(self.header)
        request.headers["Authorization"] = sent
        response = yield request
        if self._refused(response.status_code, str(response.request.url), response.request.headers, sent):
            fresh = await _aside(self._replace, sent)
            if fresh is not None and _replayable(request):
                await response.aread()
                yield _refused_again(response, fresh)

    def _refused(self, status: int, url: str, headers: Any, sent: str) -> bool:
        """Whether our server refused the very token that it was sent.

        A 401 of another server, which a redirect led to, says nothing about our token.
        """
        return status == 401 and self.serves(url) and headers.get("Authorization") == sent


class _OnRefusal:
    """What follows a response in requests: one more try after a 401."""

    def __init__(self, auth: Auth, body_start: Optional[int]) -> None:
        self.auth, self.body_start, self.tried = auth, body_start, False

    def __call__(self, response: "requests.Response", **kwargs: Any) -> "requests.Response":
        sent = Hidden(response.request.headers.get("Authorization") or "")
        if self.tried or not self.auth._refused(response.status_code, response.request.url or "", response.request.headers, sent):
            return response
        self.tried = True
        fresh = self.auth._replace(sent)
        if fresh is None:
            return response
        body: Any = response.request.body
        if body is not None and not isinstance(body, (bytes, str)):
            if self.body_start is None:
                return response  # it is spent; the caller's next request has the fresh token
            body.seek(self.body_start)
        response.content  # so that the connection is free again
        response.close()
        again = response.request.copy()
        again.headers["Authorization"] = fresh
        connection: Any = getattr(response, "connection")
        retried: "requests.Response" = connection.send(again, **kwargs)
        retried.history.append(response)
        retried.request = again
        return retried


async def _aside(work: Callable[..., R], *arguments: Any) -> R:
    """Runs what waits for t2-cred in a thread.

    A request that is cancelled does not wait for it. The thread goes on, so that no
    refresh is cut off, and the token serves the next request.
    """
    from anyio import to_thread  # which httpx depends on, for asyncio and trio

    known = inspect.signature(to_thread.run_sync).parameters
    option = "abandon_on_cancel" if "abandon_on_cancel" in known else "cancellable"  # before anyio 4.1
    run: Any = to_thread.run_sync
    done: R = await run(work, *arguments, **{option: True})
    return done


_classes: Dict[Tuple[type, ...], type] = {}


def _looks_like(ours: type) -> type:
    """A class that is ours, and the class for authentication of each library that is loaded."""
    found = [(sys.modules.get("httpx"), "Auth"), (sys.modules.get("requests.auth"), "AuthBase")]
    bases = (ours, *(getattr(module, name) for module, name in found if hasattr(module, name)))
    if bases not in _classes:
        _classes[bases] = ours if len(bases) == 1 else type(ours.__name__, bases, {})
    return _classes[bases]


def _position(body: Any) -> Optional[int]:
    """Where a file stands from which a body is read, or None where it cannot go back there."""
    try:
        return int(body.tell())
    except (AttributeError, OSError, ValueError):
        return None


def _replayable(request: "httpx.Request") -> bool:
    """Whether the body lies in memory. A stream has been read by now."""
    try:
        request.content
    except Exception:
        return False
    return True


def _refused_again(response: "httpx.Response", fresh: str) -> "httpx.Request":
    """The request that was refused. After a redirect that is not the first one, which the
    server has carried out: a job that is posted twice is two jobs.
    """
    again = response.request
    again.headers["Authorization"] = fresh
    return again


def _rebuild(ours: Type[Auth], server: str, options: Dict[str, Any]) -> Auth:
    return ours(server, **options)


def ambiguous(url: str) -> bool:
    """Whether a URL has what parsers differ about, so that another host may be meant.

    A URL that has not been prepared yet may hold it. Python takes out a tab or a line end,
    and reads what comes before "@" as a user, be there a backslash in it.
    """
    return "\\" in url or any(c <= " " or c == "\x7f" for c in url)


def _origin(url: str) -> Optional[Origin]:
    if ambiguous(url):
        return None
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        return None
    if scheme not in DEFAULT_PORTS or not host:
        return None
    if not host.isascii():
        try:
            ascii_host = host.encode("idna").decode()
            # Python reads some letters as others: "ß" as "ss". HTTP libraries do not, so
            # the token would go to another host.
            if ascii_host.encode().decode("idna") != host.lower():
                return None
        except UnicodeError:
            return None
        host = ascii_host
    return scheme, host.lower(), DEFAULT_PORTS[scheme] if port is None else port


def _shown(server: str) -> str:
    """An address for an error, without what may be a password in it."""
    return repr(server.rpartition("@")[2].partition("?")[0])


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
