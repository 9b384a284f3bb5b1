"""Rasters behind a token, by rasterio and the GDAL in it, or by osgeo.gdal.

    with t2cred.gdal.server("https://data.example.org", profile="eo"):
        with rasterio.open("https://data.example.org/scene.tif") as scene:
            ...

GDAL sends the token to that server alone (a path-specific option), and not after a
redirect to another host. For each request it reads the header again, from a file in
its own memory (/vsimem), which a thread keeps fresh. Nothing is written to disk.

Blocks for one server may be nested, and may overlap in several threads. The token is that
of the block that was entered last and is still open.

Of rasterio and osgeo.gdal, those serve that the program has imported before the block. If
it has imported neither, it is the one that is installed, rasterio first.
"""

import contextlib
import ctypes
import importlib.util
import logging
import sys
import threading
import uuid
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

from ._auth import Auth
from ._command import Error, Seconds

OPTION = b"GDAL_HTTP_HEADER_FILE"
RETRY = 10.0
log = logging.getLogger("t2cred")

# The settings of GDAL that are below are one for the process. So it is counted which blocks
# are open: for each GDAL and beginning of a path their header files, the newest last.
_guard = threading.Lock()
_open_blocks: Dict[Tuple[str, str], List[str]] = {}


@contextlib.contextmanager
def server(
    url: str,
    *,
    profile: Optional[str] = None,
    account: Optional[str] = None,
    min_valid: Optional[Seconds] = None,
) -> Iterator[None]:
    """Rasters of one server can be read inside of the block, in all threads."""
    auth = Auth(url, profile=profile, account=account, min_valid=min_valid)
    gdals = _gdals()
    path = f"/vsimem/t2cred-{uuid.uuid4().hex}/header"
    prefixes = [f"/vsicurl/{origin}/" for origin in _spellings(auth.server)]
    header = f"Authorization: {auth.header()}\n"
    for gdal in gdals:
        gdal.write(path, header)
    over = threading.Event()
    keeper = threading.Thread(target=_keep_fresh, args=(auth, gdals, path, over), daemon=True)
    keeper.start()
    try:
        with contextlib.ExitStack() as settings:
            for gdal in gdals:
                for prefix in prefixes:
                    _begin(gdal, prefix, path)
                # Else GDAL first lists the directory of each file, without the token.
                settings.enter_context(gdal.without_listing())
            yield
    finally:
        over.set()
        keeper.join()
        for gdal in gdals:
            for prefix in prefixes:
                _end(gdal, prefix, path)
            gdal.unlink(path)


def _begin(gdal: "Union[_Rasterio, _Osgeo]", prefix: str, path: str) -> None:
    with _guard:
        _open_blocks.setdefault((gdal.name, prefix), []).append(path)
        gdal.set_option(prefix, path)


def _end(gdal: "Union[_Rasterio, _Osgeo]", prefix: str, path: str) -> None:
    """Gives the requests back to another open block of that server, if there is one."""
    with _guard:
        paths = _open_blocks.get((gdal.name, prefix), [])
        if path in paths:
            paths.remove(path)
        gdal.set_option(prefix, paths[-1] if paths else None)


def _gdals() -> "List[Union[_Rasterio, _Osgeo]]":
    """Each GDAL of the process: rasterio's wheel has one of its own."""
    kinds: "Dict[str, Callable[[], Union[_Rasterio, _Osgeo]]]" = {"rasterio": _Rasterio, "osgeo.gdal": _Osgeo}
    loaded = [kind() for name, kind in kinds.items() if name in sys.modules]
    if loaded:
        return loaded
    if importlib.util.find_spec("rasterio") is None and importlib.util.find_spec("osgeo") is not None:
        return [_Osgeo()]
    return [_Rasterio()]


def _spellings(server: str) -> Tuple[str, ...]:
    """An origin with its port, and without it where that is the default one."""
    start, _, port = server.rpartition(":")
    if (start.partition(":")[0], port) in (("https", "443"), ("http", "80")):
        return server, start
    return (server,)


def _keep_fresh(auth: Auth, gdals: "List[Union[_Rasterio, _Osgeo]]", path: str, over: threading.Event) -> None:
    wait = auth.renews_in()
    while not over.wait(wait):
        try:
            header = f"Authorization: {auth.header()}\n"
            for gdal in gdals:
                gdal.write(path, header)
            wait = auth.renews_in()
        except (Error, OSError) as error:
            log.warning("t2-cred: %s", error)
            wait = RETRY


class _Osgeo:
    """GDAL's own Python module."""

    name = "osgeo.gdal"
    open_blocks = 0  # in all threads
    listing: Optional[str] = None  # what was set before the first of them

    def __init__(self) -> None:
        from osgeo import gdal  # type: ignore[import-untyped,import-not-found,unused-ignore]

        self._gdal: Any = gdal
        if int(gdal.VersionInfo()) < 3100000:
            # 3.6 takes no header for one server alone: one for all would leak the token.
            raise Error(
                3,
                "configuration",
                f"GDAL {gdal.VersionInfo('RELEASE_NAME')} cannot keep a header to one server",
                "use GDAL 3.10 or later, or rasterio, whose wheel has its own",
            )

    @contextlib.contextmanager
    def without_listing(self) -> Iterator[None]:
        # For all threads: those that read in the block were not started by it.
        with _guard:
            if _Osgeo.open_blocks == 0:
                _Osgeo.listing = self._gdal.GetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN")
            _Osgeo.open_blocks += 1
            self._gdal.SetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
        try:
            yield
        finally:
            with _guard:
                _Osgeo.open_blocks -= 1
                if _Osgeo.open_blocks == 0:
                    self._gdal.SetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN", _Osgeo.listing)

    def set_option(self, prefix: str, path: Optional[str]) -> None:
        self._gdal.SetPathSpecificOption(prefix, OPTION.decode(), path)

    def write(self, path: str, text: str) -> None:
        """Replaces a file as a whole: another thread may be reading it."""
        self._gdal.FileFromMemBuffer(f"{path}.new", text.encode())
        if self._gdal.Rename(f"{path}.new", path) != 0:
            raise OSError("GDAL cannot write a file in its own memory")

    def unlink(self, path: str) -> None:
        self._gdal.Unlink(path)


class _Rasterio:
    """Functions of the GDAL that rasterio uses, by their C names: rasterio shows none of them."""

    name = "rasterio"

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

    def without_listing(self) -> Any:
        import rasterio

        return rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")

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
