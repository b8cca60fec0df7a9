"""What obstore says went wrong, in one line: its own texts are dumps of many, with addresses and XML in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from bot.errors import ServerUnreachable
from bot.providers.secrets import redact

Trouble = (BaseError, FileNotFoundError, ValueError)
"""Everything that obstore raises: what is missing is a FileNotFoundError."""

LOST_RACE = (AlreadyExistsError, PreconditionError)
"""Answers of a store that did not write because of the condition (304, 412), or that is busy (409; see `busy`)."""

_LONGEST = 200  # characters of a server's own words
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([\w.]{1,64})|\"(?:code|error)\"\s*:\s*\"([\w.]{1,64})\"")
_WORDS = re.compile(r"<Message>([^<]+)|\"(?:message|error_description)\"\s*:\s*\"([^\"]+)\"")
_ASKED = re.compile(r"Error performing [A-Z]+ https?://(([^/\s]+)\S*)")
_MACHINE = re.compile(r"[^/]+/(latest/(api/token|meta-data)|computeMetadata|metadata/identity)|169\.254\.")
"""Where a machine in a cloud asks for its own credentials, with or without a server named for that."""
_TOKENS = re.compile(r"sts\.|oauth2\.|login\.|accounts\.|[^/]+/\?Action=AssumeRole")
"""Who gives credentials for a token."""
_BROKEN = 500
_EXISTS = re.compile("BlobAlreadyExists|BucketAlready|ContainerAlreadyExists")

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN where there is one); "
    "profiles in ~/.aws are not read",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account's key",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN",
}
"""By scheme: the first thing to do about missing or wrong credentials."""

_REGION = "set state.region in saasbot.yml, or AWS_REGION, to the bucket's own"
_RIGHTS = {
    "s3": "the credentials need s3:GetObject, s3:PutObject and s3:DeleteObject on that key and those that begin with "
    "it, and s3:ListBucket on the bucket: without that, S3 says 403 for a statefile that is not there yet",
    "gs": "the credentials need storage.objects.get, create and delete on that bucket",
    "az": "the credentials need to read, write and delete blobs in that container (Storage Blob Data Contributor)",
}


class Rule(NamedTuple):
    """Words that obstore's text may hold, what they mean, and the advice for a scheme."""

    holds: re.Pattern[str]
    cause: str
    hint: Callable[[str], str]


def _rule(holds: str, cause: str, hint: str | dict[str, str]) -> Rule:
    return Rule(re.compile(holds), cause, lambda scheme: hint if isinstance(hint, str) else hint[scheme])


_RULES = (
    _rule(
        "NoSuchBucket|ContainerNotFound|The specified bucket does not exist",
        "there is no such bucket",
        "make the bucket first (saasbot does not), or check state.url and the endpoint",
    ),
    _rule(
        "redirect without LOCATION|PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint",
        "the bucket is in another region",
        _REGION,
    ),
    _rule("RequestTimeTooSkewed", "this machine's clock is wrong", "set the clock"),
    _rule("ExpiredToken|TokenExpired|token.{0,20}expired", "the credentials have expired", "use fresh ones in the job"),
    _rule(
        "InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|AuthenticationFailed|InvalidAuthenticationInfo"
        "|code: 401|NoAuthenticationInformation|failed to authenticate",
        "the credentials are wrong",
        CREDENTIALS,
    ),
    _rule("code: 403", "access denied", _RIGHTS),
    _rule("code: (429|503)", "the server is busy", "try again later"),
    _rule("code: 409", "the server is busy with another write of the same object", "try again"),
    _rule("code: 5", "the server is in trouble", "try again later"),
    _rule("dns error|failed to lookup", "its name cannot be resolved", "check state.endpoint and the network"),
    _rule(
        "ertificate|UnknownIssuer|InvalidMessage|InvalidContentType|HandshakeFailure|AlertReceived",
        "TLS fails: its certificate is not trusted, or it does not speak https",
        "name the certificates by state.ca in saasbot.yml, and check http or https in the endpoint",
    ),
    _rule("ConnectionRefused|Connection refused", "the connection was refused", "check state.endpoint"),
    _rule("TimedOut|kind: Timeout|timed out", "no answer in time", "check state.endpoint and the network"),
    _rule("kind: Connect", "no connection", "check state.endpoint and the network"),
    _rule(
        "IncompleteMessage|ConnectionReset|kind: (Request|Interrupted|Body)|BrokenPipe",
        "the connection broke off",
        "try again",
    ),
)


def unreachable(where: str, doing: str, error: Exception, *, scheme: str, unsure: bool = False) -> ServerUnreachable:
    """The error for a request that failed; with `unsure` it may have been carried out all the same."""
    cause, hint = explained(str(error), scheme)
    if unsure:
        hint = f"it may have been written all the same, the next pass looks; {hint}"
    return ServerUnreachable(redact(f"{where}: cannot {doing} the state: {cause}"), hint=redact(hint))


def explained(text: str, scheme: str) -> tuple[str, str]:
    """The cause and the advice in an error's text."""
    asked = _ASKED.search(text)
    if asked and _MACHINE.match(asked[1]):
        return "no credentials: the environment names none, and this machine offers none", CREDENTIALS[scheme]
    if asked and (_TOKENS.match(asked[1]) or "token request" in text):
        return (
            f"{asked[2]} gives no credentials{_told(text)}",
            "check the role and the token that the environment names",
        )
    for rule in _RULES:
        if rule.holds.search(text):
            return rule.cause + _told(text), rule.hint(scheme)
    return f"an answer that makes no sense{_told(text) or ': ' + _first_line(text)}", "check state.endpoint"


def no_such_bucket(error: Exception) -> bool:
    """Whether it is the bucket that is missing and not the object."""
    return _RULES[0].holds.search(str(error)) is not None


def not_implemented(error: Exception) -> bool:
    """Whether the store says itself that it knows no conditions."""
    return "code: 501" in str(error) or "<Code>NotImplemented" in str(error)


def busy(error: Exception) -> bool:
    """Whether a store refused a write only because it was at work on the object, which says nothing of the condition.

    S3 says `ConditionalRequestConflict` then; a 409 because the object exists, as Azure's, is an answer.
    """
    text = str(error)
    return "code: 409" in text and not _EXISTS.search(text)


def undecided(error: Exception) -> bool:
    """Whether the request may have been carried out: no answer came, or one that does not say."""
    status = _STATUS.search(str(error))
    return status is None or int(status[1]) >= _BROKEN


def _told(text: str) -> str:
    """The status, code and words of an answer, in brackets and with a space before; empty where there was none."""
    status, code, words = _STATUS.search(text), _CODE.search(text), _WORDS.search(text)
    parts = [status[1]] if status else []
    parts += [code[1] or code[2]] if code else []
    told = " ".join(parts)
    if words and (status or code):
        told += f": {_short(words[1] or words[2])}"
    return f" ({told})" if told else ""


def _first_line(text: str) -> str:
    return _short(text.partition("\n")[0])


def _short(words: str) -> str:
    found = " ".join(words.partition("RequestId:")[0].split())
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"
