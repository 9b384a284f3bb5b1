"""The origin notebook's steps, as a script: discover, exchange, verify, refresh.

    notebook.py SETTINGS.json

SETTINGS.json names issuer, client_id, client_secret, audience, scope and
subject_token. Prints one line of JSON: the seconds that each part took.
"""

import json
import sys
import time

BEGAN = time.perf_counter()

import requests  # noqa: E402  (importing is a part of what is measured)
from authlib.integrations.requests_client import OAuth2Session  # noqa: E402
from authlib.jose import JsonWebKey, JsonWebToken  # noqa: E402

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
TIMEOUT = 30


def discover(issuer):
    answer = requests.get(issuer + "/.well-known/openid-configuration", timeout=TIMEOUT)
    answer.raise_for_status()
    return answer.json()


def exchange(session, metadata, settings):
    return session.fetch_token(
        metadata["token_endpoint"],
        grant_type=TOKEN_EXCHANGE,
        subject_token=settings["subject_token"],
        subject_token_type=ACCESS_TOKEN,
        audience=settings["audience"],
        scope=settings["scope"],
        timeout=TIMEOUT,
    )


def verify(token, metadata):
    answer = requests.get(metadata["jwks_uri"], timeout=TIMEOUT)
    answer.raise_for_status()
    keys = JsonWebKey.import_key_set(answer.json())
    claims = JsonWebToken(["RS256"]).decode(
        token["access_token"], keys, claims_options={"iss": {"essential": True, "value": metadata["issuer"]}}
    )
    claims.validate()
    return claims


def refresh(session, metadata, token):
    return session.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"], timeout=TIMEOUT)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        settings = json.load(f)
    seconds = {}

    def timed(name, step, *args):
        began = time.perf_counter()
        result = step(*args)
        seconds[name] = time.perf_counter() - began
        return result

    seconds["import"] = time.perf_counter() - BEGAN
    session = OAuth2Session(settings["client_id"], settings["client_secret"])
    metadata = timed("discover", discover, settings["issuer"])
    token = timed("exchange", exchange, session, metadata, settings)
    claims = timed("verify", verify, token, metadata)
    renewed = timed("refresh", refresh, session, metadata, token)
    if not claims["sub"] or renewed["access_token"] == token["access_token"]:
        sys.exit("notebook.py: no new token came of it")
    print(json.dumps(seconds))


main()
