#!/usr/bin/env bash
# Debian 13's python3-gdal, in a folder that it takes for the whole system, for
# e2e/osgeo_test.go: Debian 12's GDAL cannot keep a header to one server.
. "$(dirname "$0")/../lib.bash"

root=$cache/gdal-trixie
[ -e "$root/usr/lib/python3/dist-packages/osgeo/gdal.py" ] && exit 0
bash "$(dirname "$0")/../git.sh"
say 'unpacking python3-gdal of Debian 13'
cp -a "$cache/git-trixie" "$tmp/root"
cp /etc/resolv.conf "$tmp/root/etc/" 2>/dev/null || true
try as_root chroot "$tmp/root" apt-get update -qq
try as_root chroot "$tmp/root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-gdal
rm -rf "$root"
mv -T "$tmp/root" "$root"
