"""Rasters behind a token, by rasterio and the GDAL in it.

    with t2cred.gdal.server("https://data.example.org", profile="eo"):
        with rasterio.open("https://data.example.org/scene.tif") as scene:
            ...

GDAL sends the token to that server alone (a path-specific option), and not after a
redirect to another host. For each request it reads the header again, from a file in
its own memory (/vsimem), which a thread keeps fresh. Nothing is written to disk.
"""

import contextlib
import ctypes
import logging
import threading
import uuid
from typing import Any, Iterator, Optional, Tuple

from ._auth import Auth
from ._command import Error, Seconds

OPTION = b"GDAL_HTTP_HEADER_FILE"
RETRY = 10.0
log = logging.getLogger("t2cred")


@contextlib.contextmanager
def server(
    url: str,
    *,
    profile: Optional[str] = None,
    account: Optional[str] = None,
    min_valid: Optional[Seconds] = None,
) -> Iterator[None]:
    """Rasters of one server can be read inside of the block, in all threads."""
    import rasterio

    auth = Auth(url, profile=profile, account=account, min_valid=min_valid)
    gdal = _Gdal()
    path = f"/vsimem/t2cred-{uuid.uuid4().hex}/header"
    prefixes = [f"/vsicurl/{origin}/" for origin in _spellings(auth.server)]
    gdal.write(path, f"Authorization: {auth.header()}\n")
    over = threading.Event()
    keeper = threading.Thread(target=_keep_fresh, args=(auth, gdal, path, over), daemon=True)
    keeper.start()
    try:
        for prefix in prefixes:
            gdal.set_option(prefix, path)
        # Else GDAL first lists the directory of each file, without the token.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            yield
    finally:
        over.set()
        keeper.join()
        for prefix in prefixes:
            gdal.set_option(prefix, None)
        gdal.unlink(path)


def _spellings(server: str) -> Tuple[str, ...]:
    """An origin with its port, and without it where that is the default one."""
    start, _, port = server.rpartition(":")
    if (start.partition(":")[0], port) in (("https", "443"), ("http", "80")):
        return server, start
    return (server,)


def _keep_fresh(auth: Auth, gdal: "_Gdal", path: str, over: threading.Event) -> None:
    wait = auth.renews_in()
    while not over.wait(wait):
        try:
            gdal.write(path, f"Authorization: {auth.header()}\n")
            wait = auth.renews_in()
        except Error as error:
            log.warning("t2-cred: %s", error)
            wait = RETRY


class _Gdal:
    """Functions of the GDAL that rasterio uses, by their C names: rasterio shows none of them."""

    def __init__(self) -> None:
        from rasterio import _base

        library: Any = ctypes.CDLL(_base.__file__)  # loaded already; its symbols lead to GDAL's
        text, handle = ctypes.c_char_p, ctypes.c_void_p

        def function(name: str, result: Any, *arguments: Any) -> Any:
            f = getattr(library, name)
            f.restype, f.argtypes = result, arguments
            return f

        self._set_option = function("VSISetPathSpecificOption", None, text, text, text)
        self._open = function("VSIFOpenL", handle, text, text)
        self._write = function("VSIFWriteL", ctypes.c_size_t, text, ctypes.c_size_t, ctypes.c_size_t, handle)
        self._close = function("VSIFCloseL", ctypes.c_int, handle)
        self._rename = function("VSIRename", ctypes.c_int, text, text)
        self._unlink = function("VSIUnlink", ctypes.c_int, text)

    def set_option(self, prefix: str, path: Optional[str]) -> None:
        self._set_option(prefix.encode(), OPTION, None if path is None else path.encode())

    def write(self, path: str, text: str) -> None:
        """Replaces a file as a whole: another thread may be reading it."""
        content, new = text.encode(), f"{path}.new".encode()
        file = self._open(new, b"wb")
        if not file:
            raise OSError("GDAL cannot open a file in its own memory")
        wrote = self._write(content, 1, len(content), file)
        if self._close(file) != 0 or wrote != len(content) or self._rename(new, path.encode()) != 0:
            raise OSError("GDAL cannot write a file in its own memory")

    def unlink(self, path: str) -> None:
        self._unlink(path.encode())
