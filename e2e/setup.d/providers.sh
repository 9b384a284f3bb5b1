#!/usr/bin/env bash
# Other Secret Services than gnome-keyring, for the tests of the store: KDE's
# kwalletd5, with the plugin without which it makes no session for other clients, and
# KeePassXC. Neither is shown on a display.
. "$(dirname "$0")/lib.bash"

command -v kwalletd5 >/dev/null && command -v keepassxc-cli >/dev/null && dpkg -s libqca-qt5-2-plugins >/dev/null 2>&1 && exit 0
apt_install libkf5wallet-bin libqca-qt5-2-plugins keepassxc
