"""pystac-client and rasterio."""

import os
import subprocess
import threading
import time
import warnings

import numpy
import pytest
import rasterio
import requests
import t2cred
import t2cred.gdal
import t2cred.pystac
from pystac_client.exceptions import APIError
from rasterio.io import MemoryFile
from rasterio.windows import Window

warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
SIDE = 2000


@pytest.fixture
def scene(places):
    """A raster at the server, and what is in it."""
    values = numpy.random.default_rng(1).integers(0, 255, (1, SIDE, SIDE), dtype="uint8")
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint8", tiled=True) as raster:
            raster.write(values)
        content = bytes(memory.getbuffer())
    name = f"/files/{time.monotonic_ns()}.tif"  # GDAL keeps what it has read of an address
    requests.put(places.server + name, data=content, auth=t2cred.Auth(places.server)).raise_for_status()
    places.log()
    return places.server + name, values[0]


def test_every_page_of_a_search(places):
    catalog = t2cred.pystac.open(places.server, profile="gep")
    found = [item.id for item in catalog.search(collections=["scenes"]).items()]
    assert found == [f"scene-{n}" for n in range(1, 7)]
    assert {line.rpartition(": ")[2] for line in places.log()} == {"alice"}


def test_a_refused_page_is_asked_for_again(places):
    catalog = t2cred.pystac.open(places.server)
    pages = catalog.search(collections=["scenes"]).pages()
    assert len(next(pages)) == 2
    places.refuse_seen_tokens()
    places.log()
    assert [len(page) for page in pages] == [2, 2]
    assert [line.rpartition(": ")[2] for line in places.log()] == ["refused", "alice", "alice"]


def test_a_link_elsewhere_gets_no_token(places):
    catalog = t2cred.pystac.open(places.server)
    for url in (places.stranger + "/next", places.stranger.replace("https://", "https://x\\@") + "/next"):
        with pytest.raises((APIError, requests.exceptions.RequestException)):
            catalog._stac_io.request(url)
    assert [line for line in places.strangers_log() if "Bearer" in line] == []


def test_a_raster(places, scene):
    url, values = scene
    with t2cred.gdal.server(places.server), rasterio.open(url) as raster:
        assert (raster.read(1) == values).all()
    assert {line.rpartition(": ")[2] for line in places.log()} == {"alice"}


def test_an_open_raster_outlives_its_token(places, scene, short_lives):
    url, values = scene
    t2cred.get(fresh=True)
    before, windows = places.refreshes(), [Window(x, y, 256, 256) for x in range(0, 1536, 256) for y in range(0, 1536, 256)]
    with t2cred.gdal.server(places.server), rasterio.open(url) as raster:
        for window in windows[::3]:
            part = values[window.row_off : window.row_off + 256, window.col_off : window.col_off + 256]
            assert (raster.read(1, window=window) == part).all()
            time.sleep(0.8)
    assert {line.rpartition(": ")[2] for line in places.log()} == {"alice"}
    assert places.refreshes() - before >= 2


def test_other_threads_read_too(places, scene):
    url, values = scene
    same = []

    def read():
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(url) as raster:
            same.append((raster.read(1) == values).all())

    with t2cred.gdal.server(places.server):
        threads = [threading.Thread(target=read) for _ in range(4)]
        [t.start() for t in threads], [t.join() for t in threads]
    assert same == [True] * 4


def test_blocks_overlap(places, scene):
    """The end of one block leaves the others their token, in whatever order they end."""
    url, values = scene
    names = iter(range(10))

    def read():  # GDAL keeps what it has read of an address
        with rasterio.open(f"{url}?n={next(names)}") as raster:
            assert (raster.read(1) == values).all()

    with t2cred.gdal.server(places.server):
        with t2cred.gdal.server(places.server):
            read()
        read()
    entered, leave = threading.Event(), threading.Event()

    def another():
        with t2cred.gdal.server(places.server):
            entered.set()
            leave.wait(60)

    first = threading.Thread(target=another)
    first.start()
    entered.wait(60)
    with t2cred.gdal.server(places.server):
        leave.set()
        first.join()
        read()
    assert {line.rpartition(": ")[2] for line in places.log()} == {"alice"}
    with pytest.raises(rasterio.errors.RasterioIOError):
        read()
    assert {line.rpartition(": ")[2] for line in places.log()} == {"none"}


def test_other_servers_and_later_requests_get_no_token(places, scene):
    url, _ = scene
    with t2cred.gdal.server(places.server):
        for elsewhere in (places.stranger + "/a.tif", places.server + "/redirect?to=" + places.stranger + "/b.tif"):
            with pytest.raises(rasterio.errors.RasterioIOError):
                rasterio.open(elsewhere)
    log = places.strangers_log()
    assert len(log) >= 2 and [line for line in log if "Bearer" in line] == []
    places.log()
    with pytest.raises(rasterio.errors.RasterioIOError):
        rasterio.open(url.replace(".tif", "-later.tif"))
    assert {line.rpartition(": ")[2] for line in places.log()} == {"none"}


def test_the_spellings_of_an_origin():
    spell = t2cred.gdal._spellings
    assert spell("https://a.example:443") == ("https://a.example:443", "https://a.example")
    assert spell("https://a.example:8443") == ("https://a.example:8443",)
    assert spell("http://[::1]:80") == ("http://[::1]:80", "http://[::1]")


# Debian's python3-gdal is of the system's Python, which has no rasterio.
OSGEO = """
import sys, time
import t2cred.gdal
from osgeo import gdal

gdal.UseExceptions()
server, stranger, url, checksum = sys.argv[1:5]
with t2cred.gdal.server(server):
    raster = gdal.Open("/vsicurl/" + url)
    assert raster.GetRasterBand(1).Checksum(0, 0, 256, 256) == int(checksum), "another raster"
    time.sleep(4)  # longer than a token lives
    with t2cred.gdal.server(server):
        pass
    raster.GetRasterBand(1).Checksum(1000, 1000, 512, 512)
    assert gdal.GetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN") == "EMPTY_DIR"
    try:
        gdal.Open("/vsicurl/" + stranger + "/osgeo.tif")
        raise SystemExit("another server had the raster")
    except RuntimeError:
        pass
assert gdal.GetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN") is None
try:
    gdal.Open("/vsicurl/" + url.replace(".tif", "-after.tif"))
    raise SystemExit("it was read after the block")
except RuntimeError:
    pass
"""


def test_osgeo(places, scene, short_lives):
    url, values = scene
    version = subprocess.run(["/usr/bin/python3", "-c", "from osgeo import gdal; print(gdal.VersionInfo())"], check=True, capture_output=True, text=True).stdout
    if int(version) < 3100000:  # Debian 12's: refused, and nothing is sent
        before = len(places.log())
        path = os.path.dirname(os.path.dirname(t2cred.__file__))
        refused = subprocess.run(["/usr/bin/python3", "-c", OSGEO, places.server, places.stranger, url, "0"], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
        assert refused.returncode == 1 and "cannot keep a header to one server" in refused.stderr
        assert places.log() == [] and before == 0
        return
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint8", tiled=True) as raster:
            raster.write(values, 1)
        with memory.open() as raster:
            checksum = raster.checksum(1, window=Window(0, 0, 256, 256))
    before = places.refreshes()
    path = os.path.dirname(os.path.dirname(t2cred.__file__))
    command = ["/usr/bin/python3", "-c", OSGEO, places.server, places.stranger, url, str(checksum)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
    log = places.log()
    assert {line.rpartition(": ")[2] for line in log if "-after" not in line} == {"alice"}
    assert {line.rpartition(": ")[2] for line in log if "-after" in line} == {"none"}
    assert [line for line in places.strangers_log() if "Bearer" in line] == []
    assert places.refreshes() - before >= 1


def test_nothing_stored(places):
    with pytest.raises(t2cred.Error) as caught, t2cred.gdal.server(places.server, account="nobody"):
        raise AssertionError("the block was entered")
    assert caught.value.exit == 4
