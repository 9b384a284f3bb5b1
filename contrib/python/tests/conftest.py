"""What the tests meet: a real t2-cred with a grant of alice's at a real Keycloak, and
servers of e2e/python_stage_test.go. Its T2_TEST_PLACES says where they are."""

import json
import os
import urllib.parse
import urllib.request
from typing import Any, List

import pytest
import t2cred


class Places:
    def __init__(self) -> None:
        places = json.loads(os.environ["T2_TEST_PLACES"])
        self.server: str = places["server"]
        self.stranger: str = places["stranger"]
        self.control: str = places["control"]
        self.issuer: str = places["issuer"]
        self.client_id: str = places["client_id"]

    def _ask(self, method: str, path: str, **query: Any) -> Any:
        url = f"{self.control}/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
            return json.load(answer)

    def log(self) -> List[str]:
        """How each request came to the server since the last call: "GET /path: alice"."""
        return self._ask("GET", "log")

    def strangers_log(self) -> List[str]:
        """How the stranger was asked since the last call: "GET /path", and the token if there was one."""
        return self._ask("GET", "stranger")

    def refreshes(self) -> int:
        return self._ask("GET", "refreshes")

    def refuse_seen_tokens(self) -> int:
        return self._ask("POST", "refuse")

    def user_token(self, user: str) -> str:
        return self._ask("GET", "user-token", user=user)

    def logout(self, user: str) -> None:
        self._ask("POST", "logout", user=user)

    def lifespan(self, seconds: int) -> None:
        self._ask("POST", "lifespan", seconds=seconds)

    def issuer_down(self, down: bool) -> None:
        self._ask("POST", "issuer", down="1" if down else "")


@pytest.fixture
def places() -> Places:
    p = Places()
    p.log(), p.strangers_log()
    return p


@pytest.fixture
def short_lives(places: Places) -> Any:
    """Tokens that live four seconds."""
    places.lifespan(4)
    yield 4
    places.lifespan(300)
    t2cred.get(fresh=True)  # for those who come next
