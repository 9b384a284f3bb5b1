"""stage_out.py FILE ACCOUNT STORE: sends a file to a store in the name of the account's user.

The exit code is t2-cred's where it fails; 4 means that the user has to come back.
"""

import os
import sys

import requests
import t2cred


def main():
    path, account, store = sys.argv[1:]
    url = f"{store}/files/{account}/{os.path.basename(path)}"
    try:
        with open(path, "rb") as content:
            requests.put(url, data=content, auth=t2cred.Auth(store, account=account), timeout=60).raise_for_status()
    except t2cred.Error as error:
        print(f"{error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit
    print(url)
    return 0


sys.exit(main())
