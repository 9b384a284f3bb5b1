#!/usr/bin/env python3
"""Builds the wheels and the source distribution of t2-cred for Python.

    build_wheels.py wheel --binary FILE --version V --out DIR
    build_wheels.py sdist --version V --out DIR

A wheel holds the module t2cred and one binary, whose system and architecture are
read from the binary itself. The same input gives the same bytes: all files carry
the time of SOURCE_DATE_EPOCH, or of --timestamp.

It is also the build backend (PEP 517) of the source distribution, which holds the
Go source of the binary. Needs Python 3.9 and its standard library.
"""

import argparse
import base64
import gzip
import hashlib
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

HERE = Path(__file__).resolve().parent
MODULE = "t2cred"
NAME = "t2_cred"
BINARY_MODE, FILE_MODE = 0o755, 0o644

METADATA = """\
Metadata-Version: 2.4
Name: t2-cred
Version: {version}
Summary: Fresh access tokens for Python, long after the user has gone home
Home-page: https://github.com/terradue/t2-cred
Author-email: Terradue <info@terradue.com>
License-Expression: Apache-2.0
License-File: LICENSE
{licences}Keywords: oauth2,oidc,token-exchange,credential-helper,keyring
Classifier: Intended Audience :: Developers
Classifier: Programming Language :: Python :: 3
Classifier: Typing :: Typed
Requires-Python: >=3.9
Description-Content-Type: text/markdown

{description}"""

ENTRY_POINTS = "[keyring.backends]\nt2-cred = t2cred.keyring\n"

# Go source that the binary is built from: relative to the top of the repository.
GO_SOURCE = ("main.go", "go.mod", "go.sum", "helper", "store")

NEEDS_GO = """\
t2-cred: no wheel fits this platform, and building from the source distribution needs Go.
Three ways out:
  - Install Go (https://go.dev/dl), then run pip again.
  - Install a wheel from https://github.com/terradue/t2-cred/releases.
  - Upgrade pip, if it is too old to know this platform's wheels: pip install --upgrade pip"""


class BuildError(Exception):
    """What cannot be built, and why."""


def python_version(version: str) -> str:
    """The version as PEP 440 spells it: 0.9.0, 0.9.0rc1, 0.9.1.dev0+g0123abc."""
    match = re.fullmatch(r"v?(\d+(?:\.\d+)*)(?:-(rc|alpha|beta)\.?(\d+))?(?:-snapshot\.([0-9a-z]+))?", version)
    if match:
        number, kind, count, commit = match.groups()
        short = {"rc": "rc", "alpha": "a", "beta": "b", None: ""}[kind]
        return number + short + (count or "") + (f".dev0+g{commit}" if commit else "")
    if re.fullmatch(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.dev\d+)?(\+[a-z0-9.]+)?", version):
        return version
    raise BuildError(f"version {version!r} has no spelling in PEP 440")


def platform_tag(binary: bytes) -> str:
    """The platform tag of a binary, from its own header."""
    if binary[:4] == b"\x7fELF":
        return linux_tag(binary)
    if binary[:4] == b"\xcf\xfa\xed\xfe":
        return macos_tag(binary)
    if binary[:2] == b"MZ":
        (offset,) = struct.unpack_from("<I", binary, 0x3C)
        machines = {0x8664: "win_amd64", 0xAA64: "win_arm64"}
        (machine,) = struct.unpack_from("<H", binary, offset + 4)
        if machine in machines:
            return machines[machine]
    raise BuildError("the binary is for no platform that wheels are built for")


def linux_tag(binary: bytes) -> str:
    """A static binary runs on every C library, so one wheel serves glibc and musl."""
    machines = {62: "x86_64", 183: "aarch64"}
    (machine,) = struct.unpack_from("<H", binary, 18)
    if machine not in machines or binary[4:6] != b"\x02\x01":
        raise BuildError(f"ELF machine {machine} has no wheel")
    (offset,) = struct.unpack_from("<Q", binary, 32)
    size, count = struct.unpack_from("<HH", binary, 54)
    interpreter, dynamic = 3, 2
    for n in range(count):
        if struct.unpack_from("<I", binary, offset + n * size)[0] in (interpreter, dynamic):
            raise BuildError("the binary is linked dynamically, so it would not run on musl: build with CGO_ENABLED=0")
    arch = machines[machine]
    return f"manylinux_2_17_{arch}.manylinux2014_{arch}.musllinux_1_1_{arch}"


def macos_tag(binary: bytes) -> str:
    """The oldest macOS is the one that the linker wrote into LC_BUILD_VERSION."""
    machines = {0x01000007: "x86_64", 0x0100000C: "arm64"}
    machine, _, _, commands = struct.unpack_from("<IIII", binary, 4)
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", binary, at)
        if command == 0x32 and machine in machines:
            (oldest,) = struct.unpack_from("<I", binary, at + 12)
            return f"macosx_{oldest >> 16}_0_{machines[machine]}"
        at += size
    raise BuildError("the Mach-O file does not say for which macOS it is")


def read_text(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n")


def find_top() -> Optional[Path]:
    """The directory with the Go source: go/ of a source distribution, or the repository."""
    for top in (HERE / "go", HERE.parent.parent):
        if (top / "go.mod").is_file() and (top / "main.go").is_file():
            return top
    return None


def licences() -> Dict[str, bytes]:
    top = find_top()
    if top is None:
        raise BuildError(f"no LICENSE above {HERE}")
    found = {"LICENSE": read_text(top / "LICENSE")}
    third = top / "bin" / "share" / "THIRD-PARTY-LICENSES"  # written by .ci/release-files.sh
    if third.is_file():
        found[third.name] = read_text(third)
    return found


def module_files(version: str) -> Dict[str, bytes]:
    files = {}
    for path in (HERE / "src" / MODULE).rglob("*"):
        if path.is_file() and path.suffix in (".py", ".typed"):
            files[f"{MODULE}/{path.relative_to(HERE / 'src' / MODULE).as_posix()}"] = read_text(path)
    files[f"{MODULE}/_version.py"] = f'__version__ = "{version}"\n'.encode()
    return files


def metadata(version: str, licence_files: Dict[str, bytes]) -> bytes:
    more = "".join(f"License-File: {name}\n" for name in sorted(licence_files) if name != "LICENSE")
    return METADATA.format(version=version, licences=more, description=read_text(HERE / "README.md").decode()).encode()


def make_wheel(binary: bytes, version: str, out: Path, timestamp: int, tag: Optional[str] = None) -> Path:
    version, tag = python_version(version), tag or platform_tag(binary)
    info, program = f"{NAME}-{version}.dist-info", "t2-cred.exe" if tag.startswith("win") else "t2-cred"
    licence_files = licences()
    tags = "".join(f"Tag: py3-none-{t}\n" for t in tag.split("."))
    files = {
        **module_files(version),
        **{f"{info}/licenses/{name}": text for name, text in licence_files.items()},
        f"{info}/METADATA": metadata(version, licence_files),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: t2-cred\nRoot-Is-Purelib: false\n{tags}".encode(),
        f"{info}/entry_points.txt": ENTRY_POINTS.encode(),
        f"{NAME}-{version}.data/scripts/{program}": binary,
    }
    record = "".join(f"{name},sha256={digest(files[name])},{len(files[name])}\n" for name in sorted(files))
    buffer = io.BytesIO()
    moment = time.gmtime(max(timestamp, 315532800))[:6]  # a ZIP file knows no time before 1980
    with zipfile.ZipFile(buffer, "w") as z:
        for name, content in [*sorted(files.items()), (f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())]:
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            mode = BINARY_MODE if "/scripts/" in name else FILE_MODE
            entry.external_attr = (0o100000 | mode) << 16
            z.writestr(entry, content, compresslevel=9)
    return put(out / f"{NAME}-{version}-py3-none-{tag}.whl", buffer.getvalue())


def digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def put(path: Path, content: bytes) -> Path:
    """Writes a file as a whole, so that two builds at once do no harm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as f:
        f.write(content)
    os.chmod(f.name, FILE_MODE)
    os.replace(f.name, path)
    return path


def go_files(top: Path) -> Dict[str, bytes]:
    paths: List[Path] = []
    for name in GO_SOURCE:
        paths += [top / name] if (top / name).is_file() else sorted((top / name).rglob("*.go"))
    kept = [p for p in paths if not p.name.endswith("_test.go") and "testdata" not in p.parts]
    return {f"go/{p.relative_to(top).as_posix()}": read_text(p) for p in kept}


def make_sdist(version: str, out: Path, timestamp: int) -> Path:
    version, top = python_version(version), find_top()
    if top is None:
        raise BuildError(f"no Go source above {HERE}")
    licence_files = licences()
    files = {
        "PKG-INFO": metadata(version, {}),
        **{name: read_text(HERE / name) for name in ("pyproject.toml", "README.md", "build_wheels.py")},
        **{f"src/{name}": text for name, text in module_files(version).items()},
        **go_files(top),
        "LICENSE": licence_files["LICENSE"],
        "go/LICENSE": licence_files["LICENSE"],
    }
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, packed, mtime=timestamp) as z, tarfile.open(mode="w", fileobj=z, format=tarfile.PAX_FORMAT) as t:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{NAME}-{version}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), timestamp, FILE_MODE
            t.addfile(entry, io.BytesIO(content))
    return put(out / f"{NAME}-{version}.tar.gz", packed.getvalue())


def go_build(top: Path) -> bytes:
    """The binary of this machine, from source."""
    go = shutil.which("go")
    if go is None:
        raise BuildError(NEEDS_GO)
    with tempfile.TemporaryDirectory() as tmp:
        binary = Path(tmp) / "t2-cred"
        command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(binary), "."]
        built = subprocess.run(command, cwd=top, env={**os.environ, "CGO_ENABLED": "0"}, check=False)
        if built.returncode != 0:
            raise BuildError("t2-cred: go build failed; its words are above")
        return binary.read_bytes()


# What pip calls (PEP 517), in the directory of an unpacked source distribution.


def source_version() -> str:
    info = HERE / "PKG-INFO"
    match = re.search(r"^Version: (\S+)$", info.read_text("utf-8"), re.M) if info.is_file() else None
    return match.group(1) if match else "0.0.0"


def local_tag(binary: bytes) -> str:
    try:
        return platform_tag(binary)
    except BuildError:  # a system without wheels, as FreeBSD: its own name will do
        import sysconfig

        return re.sub(r"[-.]", "_", sysconfig.get_platform())


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: Optional[str] = None) -> str:
    try:
        top = find_top()
        if top is None:
            raise BuildError(f"no Go source in {HERE}")
        binary = go_build(top)
        return make_wheel(binary, source_version(), Path(wheel_directory), epoch(), local_tag(binary)).name
    except BuildError as error:
        sys.exit(str(error))


def build_sdist(sdist_directory: str, config_settings: object = None) -> str:
    return make_sdist(source_version(), Path(sdist_directory), epoch()).name


def epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def parse(argv: List[str]) -> Tuple[argparse.Namespace, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(description="Build a wheel or the source distribution of t2-cred.")
    parser.add_argument("what", choices=["wheel", "sdist"])
    parser.add_argument("--binary", type=Path, help="the t2-cred to put into the wheel; it says itself for which platform")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, required=True, help="directory for what is built")
    parser.add_argument("--timestamp", type=int, default=epoch(), help="seconds since 1970 (default: SOURCE_DATE_EPOCH)")
    return parser.parse_args(argv), parser


def main(argv: List[str]) -> int:
    args, parser = parse(argv)
    if args.what == "wheel" and args.binary is None:
        parser.error("a wheel needs --binary")
    try:
        if args.what == "wheel":
            print(make_wheel(args.binary.read_bytes(), args.version, args.out, args.timestamp))
        else:
            print(make_sdist(args.version, args.out, args.timestamp))
    except (BuildError, OSError) as error:
        print(f"build_wheels: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
