"""The functions that run the command t2-cred, by its contract alone."""

import json
import os
import subprocess
import sysconfig
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple, TypedDict, Union, cast

from ._token import Hidden, Token


class _Refusal(TypedDict, total=False):
    refused: str
    refused_at: str


class Account(_Refusal):
    """What is kept for an account, as `t2-cred status --json` reports it. It has no token.

    refused and refused_at are there if the issuer has refused the grant.
    """

    profile: str
    account: str
    state: str
    kind: str
    subject: str
    username: str
    issuer: str
    client_id: str
    scope: str
    created_at: Optional[str]
    refreshed_at: Optional[str]
    refresh_expires_at: Optional[str]
    access_expires_at: Optional[str]
    store: str


Seconds = Union[int, float]


class Error(Exception):
    """A failure of t2-cred.

    exit     its exit code: 4 says that the user has to come back, 6 that a later
             try may work; all are in docs/operations.md
    code     the same as a word: "login_required", "issuer_unreachable", …
    message  what failed, and why
    hint     the next command to type
    """

    def __init__(self, exit: int, code: str, message: str, hint: str) -> None:
        super().__init__(exit, code, message, hint)
        self.exit, self.code, self.message, self.hint = exit, code, message, hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


def get(
    *,
    profile: Optional[str] = None,
    account: Optional[str] = None,
    min_valid: Optional[Seconds] = None,
    fresh: bool = False,
    timeout: Optional[Seconds] = None,
) -> Token:
    """A fresh access token.

    min_valid is for how many seconds the token must still be valid; t2-cred's own
    default is 30. fresh asks for a new token although the cached one is valid.
    """
    options = ["--format=json"]
    if min_valid is not None:
        options.append(f"--min-valid={min_valid:.3f}s")
    if fresh:
        options.append("--fresh")
    answer = run(["get", *options], profile, account, timeout)
    return Token(parse(answer))


def exchange(
    token: str,
    *,
    profile: Optional[str] = None,
    account: Optional[str] = None,
    allow_online: bool = False,
    timeout: Optional[Seconds] = None,
) -> Account:
    """Turns a user's access token into a grant of our own, and keeps it for the account.

    Returns what is kept, as status does. The user's token is not kept.
    """
    if not isinstance(token, str) or not token.isascii():
        token = ""  # Python's own error would carry it, and a traceback shows this variable
        raise ValueError("the user's token is not a str of ASCII characters")
    token = Hidden(token)
    options = ["--allow-online"] if allow_online else []
    answer = run(["exchange", "--token-file=-", *options], profile, account, timeout, stdin=token)
    return cast(Account, parse(answer))


def status(*, profile: Optional[str] = None, account: Optional[str] = None) -> Account:
    """What is kept for the account. The issuer is not asked."""
    return cast(Account, parse(run(["status"], profile, account, None)))


def erase(
    *,
    profile: Optional[str] = None,
    account: Optional[str] = None,
    local_only: bool = False,
    timeout: Optional[Seconds] = None,
) -> None:
    """Revokes the account's grant at the issuer, then forgets it.

    local_only forgets it here, and the grant lives on at the issuer.
    """
    run(["erase", *(["--local-only"] if local_only else [])], profile, account, timeout)


def run(
    command: List[str],
    profile: Optional[str],
    account: Optional[str],
    timeout: Optional[Seconds],
    stdin: Optional[str] = None,
    env: Optional[Mapping[str, str]] = None,
) -> str:
    """What a command of t2-cred prints. Raises Error when it fails."""
    argv = [program(), *command, "--json"]
    # One word each, so that no value is taken for an option.
    if profile is not None:
        argv.append(f"--profile={profile}")
    if account is not None:
        argv.append(f"--account={account}")
    if timeout is not None:
        argv.append(f"--timeout={timeout:.3f}s")
    code, out, err = call(argv, stdin, env)
    told = reported(err)
    # Where the program ignores SIGCHLD, Python takes each exit code for 0.
    if code != 0 or told is not None:
        raise told or silent(code)
    return out


def call(argv: List[str], stdin: Optional[str] = None, env: Optional[Mapping[str, str]] = None) -> Tuple[int, str, str]:
    """Runs a program. Secrets travel by its standard input, and by nothing else."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows shows a console otherwise
        )
    except OSError as error:
        raise Error(127, "cannot_run", f"run {argv[0]}: {error.strerror}", "pip install --force-reinstall t2-cred") from None
    try:
        out, err = process.communicate(None if stdin is None else stdin.encode())
    except BaseException:
        # After Ctrl-C. The program is asked to end and is not killed: a kill while the
        # issuer's answer is on its way loses the refresh token.
        if os.name == "posix":
            process.terminate()
        raise
    return process.returncode, Hidden(out.decode("utf-8", "replace")), err.decode("utf-8", "replace")


def reported(stderr: str) -> Optional[Error]:
    """The error that t2-cred reported as JSON, among the warnings of its standard error."""
    for line in stderr.splitlines():
        try:
            told = json.loads(line)["error"]
            return Error(int(told["exit"]), str(told["code"]), str(told["message"]), str(told["hint"]))
        except (ValueError, TypeError, KeyError):
            continue
    return None


def silent(code: int) -> Error:
    """The error of a t2-cred that reported none."""
    return Error(code, "unexpected", f"t2-cred ended with exit code {code} and no report", "t2-cred doctor")


def parse(answer: str) -> Dict[str, Any]:
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        # Not quoted: it may hold a token.
        raise Error(1, "unexpected", "t2-cred printed something other than a JSON object", "t2-cred version")
    return value


def program() -> str:
    """The path of t2-cred: the wheel's own, or the one on PATH."""
    name = "t2-cred.exe" if os.name == "nt" else "t2-cred"
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    preferred = getattr(sysconfig, "get_preferred_scheme", None)  # since Python 3.10
    user = preferred("user") if preferred else f"{os.name}_user"
    places = [sysconfig.get_path("scripts"), os.path.join(beside, "bin"), sysconfig.get_path("scripts", user)]
    # The working directory may be anybody's, so a relative entry of PATH is left out.
    places += [place for place in os.get_exec_path() if os.path.isabs(place)]
    for place in places:
        path = os.path.join(place, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    _not_installed()


def _not_installed() -> NoReturn:
    raise Error(127, "not_installed", "t2-cred: command not found", "pip install t2-cred")
