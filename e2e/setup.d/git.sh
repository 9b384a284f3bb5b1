#!/usr/bin/env bash
# git for the test of the hook git: Debian's own, with git-http-backend, and in folders
# of the cache that e2e/setup.sh uses too Debian's git-lfs, which would change git's
# configuration if it were installed, and the newer git of Debian trixie, which can send
# a Bearer token. As root, or as a user who may sudo.
. "$(dirname "$0")/lib.bash"

suite=trixie
have() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

have git || apt_install git ca-certificates
[ -x "$(git --exec-path)/git-http-backend" ] || die "this git has no git-http-backend: $(git --exec-path)"

apt_unpack git-lfs

dir=$cache/git-$suite root=$tmp/root
[ -x "$dir/usr/bin/git" ] && exit 0
have debootstrap || apt_install debootstrap

say "bootstrapping git of Debian $suite (a minute or three, once)"
mkdir -m 755 "$root"
# --include has what git speaks HTTPS with; where its own mknod is forbidden, debootstrap says so.
PATH=$PATH:/usr/sbin try as_root debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$root"
as_root rm -rf "$root"/var/cache/apt/archives "$root"/var/lib/apt/lists "$root"/usr/share/doc "$root"/usr/share/locale "$root"/usr/share/man
as_root chmod 1777 "$root/tmp"
as_root mv -T "$root" "$dir"
