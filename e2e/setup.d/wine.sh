#!/usr/bin/env bash
# Wine, in which windows_test.go runs the program that is built for Windows: Debian's
# wine64, without a display and without its 32-bit half.
#
# A Go program asks bcryptprimitives.dll for random numbers, which this Wine does not
# have. The one made here has one function and no code: it hands ProcessPrng on to
# advapi32's SystemFunction036 (RtlGenRandom), which takes the same arguments.
. "$(dirname "$0")/lib.bash"

dir=$cache/wine
[ -x /usr/lib/wine/wine64 ] && [ -e "$dir/bcryptprimitives.dll" ] && [ -e "$dir/wine64" ] && exit 0
[ -x /usr/lib/wine/wine64 ] || apt_install wine64
bin=x86_64-w64-mingw32
if ! command -v $bin-ld >/dev/null || ! command -v $bin-dlltool >/dev/null; then
  apt_install binutils-mingw-w64-x86-64
fi
printf 'LIBRARY bcryptprimitives.dll\nEXPORTS\n  ProcessPrng = advapi32.SystemFunction036\n' >"$tmp/prng.def"
try $bin-dlltool -d "$tmp/prng.def" -e "$tmp/prng.exp"
mkdir -p "$dir"
try $bin-ld -s -shared --entry 0 -o "$tmp/prng.dll" "$tmp/prng.exp"
mv "$tmp/prng.dll" "$dir/bcryptprimitives.dll"
ln -sfn /usr/lib/wine/wine64 "$dir/wine64"
ln -sfn /usr/lib/wine/wineserver "$dir/wineserver"
