#!/usr/bin/env bash
# A Python on musl, for e2e/musl_test.go: Debian has the C library but no Python on it, so
# CPython is built from Debian's source. Extensions are linked in, and those that want
# further libraries are left out. setup.py, which would build them apart, looks into
# the folders of the other C library.
. "$(dirname "$0")/../lib.bash"

python=$cache/python-musl
"$python/bin/python3" -c 'import ensurepip, json, select, zlib' 2>/dev/null && exit 0
command -v musl-gcc >/dev/null || apt_install musl-tools
command -v make >/dev/null && command -v gcc >/dev/null || apt_install build-essential

say 'building Python with musl'
mkdir -p "$tmp"/{lists,cache/archives}/partial "$tmp"/{python,zlib}
apt_update
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | head -n 1)
[ -n "$archive" ] || die 'apt knows no archive of Debian'
echo "deb-src $archive bookworm main" >"$tmp/sources.list"
apt=(-o "Dir::Etc::sourcelist=$tmp/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$tmp/lists" -o "Dir::Cache=$tmp/cache")
cd "$tmp"
try apt-get "${apt[@]}" update -qq
try apt-get "${apt[@]}" source -qq --download-only python3.11 zlib
try tar xf python3.11_*.orig.tar.* -C python --strip-components=1
try tar xf zlib_*.orig.tar.* -C zlib --strip-components=1

export CC=musl-gcc
cd "$tmp/zlib"
try ./configure --static --prefix="$tmp/lib"
try make -j2 install libz.a

cd "$tmp/python"
: >setup.py
# Its test compares with the other C library.
sed -i 's/MULTIARCH=$($CC --print-multiarch 2>\/dev\/null)/MULTIARCH=x86_64-linux-musl/' configure
wanted='_asyncio|_bisect|_contextvars|_csv|_datetime|_heapq|_json|_opcode|_pickle|_queue|_random|_socket|_struct|array|binascii|math|mmap|select|pyexpat|_elementtree|_blake2|_md5|_sha1|_sha256|_sha512|_sha3|unicodedata|_posixsubprocess|fcntl|grp|resource|termios|zlib'
{ echo '*static*'; sed -nE "s/^#(($wanted)[[:space:]].*)/\\1/p" Modules/Setup; } >Modules/Setup.local
try ./configure --prefix="$python" --with-ensurepip=no --disable-test-modules --without-doc-strings \
  CFLAGS='-O1 -g0' CPPFLAGS="-I$tmp/lib/include" LDFLAGS="-L$tmp/lib/lib"
try make -j2 python
rm -rf "$python"
try make altinstall
ln -s python3.11 "$python/bin/python3"
rm -rf "$python"/lib/python3.11/{test,idlelib,tkinter,config-*} "$python"/lib/*.a
try "$python/bin/python3" -c 'import ensurepip, json, select, zlib'
