"""python -m t2cred ARGUMENTS: the command t2-cred that belongs to this Python."""

import os
import subprocess
import sys

from ._command import Error, program


def main() -> int:
    try:
        command = [program(), *sys.argv[1:]]
    except Error as error:
        print(f"t2-cred: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


sys.exit(main())
