#!/usr/bin/env bash
# Mail: a Dovecot with IMAP and submission, and the clients that take a token from a
# command. Debian's packages.
. "$(dirname "$0")/lib.bash"

wanted=()
need() { [ -e "$1" ] || wanted+=("$2"); }
need /usr/sbin/dovecot dovecot-core
need /usr/lib/dovecot/imap dovecot-imapd
need /usr/lib/dovecot/submission dovecot-submissiond
need /usr/bin/mbsync isync
need /usr/bin/msmtp msmtp
need /usr/bin/neomutt neomutt
need /usr/bin/aerc aerc
need /usr/bin/tmux tmux
need /usr/bin/openssl openssl
compgen -G '/usr/lib/*/sasl2/libkdexoauth2.so*' >/dev/null || wanted+=(libsasl2-modules-kdexoauth2)
[ ${#wanted[@]} -eq 0 ] || apt_install "${wanted[@]}"
# The tests start their own, as an ordinary user.
if [ -e /run/dovecot/master.pid ]; then as_root doveadm stop || true; fi
python_env venv-mail 'import vdirsyncer' vdirsyncer==0.21.0
