"""Which object is meant by `state` in `saasbot.yml`, and obstore's client for it.

Everything else comes from the environment, by the names that the vendors' own tools use. obstore looks into the
process's environment by itself for what it is not told here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from bot import __version__
from bot.errors import WrongUsage
from bot.providers.secrets import redact, remember
from bot.providers.state.objects_errors import CREDENTIALS
from bot.settings import StateSettings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

Client = S3Store | GCSStore | AzureStore

CONNECT = timedelta(seconds=10)
"""Until a connection must stand."""

REQUEST = timedelta(seconds=25)
"""Until an answer must be there, whole."""

REPEAT = timedelta(seconds=5)
"""After which nothing is tried again: no request takes longer than this and `REQUEST` together."""

REPEATS = 3

_WORDS = {"s3": "s3://BUCKET/KEY", "gs": "gs://BUCKET/KEY", "az": "az://CONTAINER/KEY"}
_CA_HINT = "state.ca in saasbot.yml, or AWS_CA_BUNDLE, names a file in PEM"
_ALLOW_HTTP = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP"}

AWS = {
    "AWS_ACCESS_KEY_ID": "access_key_id",
    "AWS_SECRET_ACCESS_KEY": "secret_access_key",
    "AWS_TOKEN": "session_token",
    "AWS_SESSION_TOKEN": "session_token",
    "AWS_DEFAULT_REGION": "region",
    "AWS_REGION": "region",
    "AWS_ENDPOINT": "endpoint",
    "AWS_ENDPOINT_URL": "endpoint",
    "AWS_ENDPOINT_URL_S3": "endpoint",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "web_identity_token_file",
    "AWS_ROLE_ARN": "role_arn",
    "AWS_ROLE_SESSION_NAME": "role_session_name",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "container_credentials_relative_uri",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "container_credentials_full_uri",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "container_authorization_token_file",
    "AWS_METADATA_ENDPOINT": "metadata_endpoint",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "metadata_endpoint",
    "AWS_SERVER_SIDE_ENCRYPTION": "server_side_encryption",
    "AWS_SSE_KMS_KEY_ID": "sse_kms_key_id",
    "AWS_REQUEST_PAYER": "request_payer",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "virtual_hosted_style_request",
}
"""What is passed on for `s3`, by obstore's names; of several variables for the same the last one that is set counts."""

GOOGLE = {
    "GOOGLE_SERVICE_ACCOUNT": "service_account",
    "GOOGLE_SERVICE_ACCOUNT_PATH": "service_account",
    "GOOGLE_SERVICE_ACCOUNT_KEY": "service_account_key",
    "GOOGLE_APPLICATION_CREDENTIALS": "application_credentials",
    "GOOGLE_BEARER_TOKEN": "bearer_token",
    "GOOGLE_BASE_URL": "base_url",
}
"""As `AWS`, for `gs`."""

AZURE = {
    "AZURE_STORAGE_ACCOUNT": "account_name",
    "AZURE_STORAGE_ACCOUNT_NAME": "account_name",
    "AZURE_STORAGE_KEY": "account_key",
    "AZURE_STORAGE_ACCESS_KEY": "account_key",
    "AZURE_STORAGE_ACCOUNT_KEY": "account_key",
    "AZURE_STORAGE_SAS_KEY": "sas_key",
    "AZURE_STORAGE_SAS_TOKEN": "sas_key",
    "AZURE_STORAGE_TOKEN": "token",
    "AZURE_STORAGE_CLIENT_ID": "client_id",
    "AZURE_CLIENT_ID": "client_id",
    "AZURE_STORAGE_CLIENT_SECRET": "client_secret",
    "AZURE_CLIENT_SECRET": "client_secret",
    "AZURE_STORAGE_TENANT_ID": "tenant_id",
    "AZURE_TENANT_ID": "tenant_id",
    "AZURE_FEDERATED_TOKEN_FILE": "federated_token_file",
    "AZURE_AUTHORITY_HOST": "authority_host",
    "AZURE_IDENTITY_ENDPOINT": "msi_endpoint",
    "AZURE_MSI_ENDPOINT": "msi_endpoint",
    "AZURE_ENDPOINT": "endpoint",
    "AZURE_STORAGE_ENDPOINT": "endpoint",
}
"""As `AWS`, for `az`."""

_CONNECTION_STRING = {  # the parts of AZURE_STORAGE_CONNECTION_STRING that say what the variables above say
    "AccountName": "account_name",
    "AccountKey": "account_key",
    "SharedAccessSignature": "sas_key",
    "BlobEndpoint": "endpoint",
}
_SECRET = {
    "secret_access_key", "session_token", "service_account_key", "bearer_token",
    "account_key", "sas_key", "token", "client_secret",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """One object: the scheme, the bucket (at Azure the container), the key, and the server where one was named."""

    scheme: str
    bucket: str
    key: str
    endpoint: str = ""

    def __str__(self) -> str:
        """For messages: the object, and the server that was named for it."""
        url = f"{self.scheme}://{self.bucket}/{self.key}"
        return f"{url} at {self.endpoint}" if self.endpoint else url

    @property
    def mark(self) -> str:
        """16 hex digits that stand for the store: what was found out about one says nothing of another."""
        return hashlib.sha256(f"{self.scheme} {self.endpoint} {self.bucket}".encode()).hexdigest()[:16]


def connect(settings: StateSettings, config: Path, environ: Mapping[str, str]) -> tuple[Place, Client]:
    """The object that the settings name, and a client that has asked nothing yet.

    Raises WrongUsage for settings or variables that cannot work. Secrets are remembered for `redact`.
    """
    scheme, bucket, key = _parsed(settings.url)
    given = _environment(scheme, environ)
    endpoint = settings.endpoint or given.pop("endpoint", "") or given.pop("base_url", "")
    given.pop("endpoint", None)
    given.pop("base_url", None)
    place = Place(scheme, bucket, key, _checked(endpoint.rstrip("/"), scheme, environ))
    ca = settings.ca or (environ.get("AWS_CA_BUNDLE", "") if scheme == "s3" else "")
    options: ClientConfig = {
        "allow_http": place.endpoint.startswith("http:"),
        "connect_timeout": CONNECT,
        "timeout": REQUEST,
        "user_agent": f"saasbot/{__version__}",
        "default_content_type": "application/zstd",
    }
    if ca:
        options["root_certificate"] = _certificates(config, ca)
    retry: RetryConfig = {"max_retries": REPEATS, "retry_timeout": REPEAT}
    try:
        return place, _MAKERS[scheme](place, given, settings.region, options, retry)
    except (BaseError, ValueError, TypeError) as error:
        why = " ".join(str(error).partition("\n")[0].split())
        raise WrongUsage(redact(f"state.url {settings.url!r}: {why}"), hint=CREDENTIALS[scheme]) from error


def _s3(place: Place, given: dict[str, Any], region: str, options: ClientConfig, retry: RetryConfig) -> Client:
    # A single DELETE: not every server that is compatible with S3 knows the request for many.
    given["disable_bulk_delete"] = True
    if region:
        given["region"] = region
    if place.endpoint:
        given |= {"endpoint": place.endpoint, "aws_endpoint_url_s3": place.endpoint}
    return S3Store(place.bucket, config=given, client_options=options, retry_config=retry)  # type: ignore[arg-type] # a dict of the table's keys


def _gs(place: Place, given: dict[str, Any], _region: str, options: ClientConfig, retry: RetryConfig) -> Client:
    if place.endpoint:
        given["base_url"] = place.endpoint
    return GCSStore(place.bucket, config=given, client_options=options, retry_config=retry)  # type: ignore[arg-type] # as above


def _az(place: Place, given: dict[str, Any], _region: str, options: ClientConfig, retry: RetryConfig) -> Client:
    if place.endpoint:
        given["endpoint"] = place.endpoint
    return AzureStore(place.bucket, config=given, client_options=options, retry_config=retry)  # type: ignore[arg-type] # as above


_MAKERS: dict[str, Callable[[Place, dict[str, Any], str, ClientConfig, RetryConfig], Client]] = {
    "s3": _s3,
    "gs": _gs,
    "az": _az,
}


def _parsed(url: str) -> tuple[str, str, str]:
    """Scheme, bucket and key of a URL."""
    scheme, _, rest = url.partition(":")
    bucket, slash, key = rest.removeprefix("//").partition("/")
    key = unquote(key)
    right = f"write {_WORDS[scheme]}, such as {_WORDS[scheme].lower().replace('key', 'saasbot/state.json.zst')}"
    if not rest.startswith("//"):
        raise WrongUsage(f"state.url {url!r} lacks the two slashes after {scheme}:", hint=right)
    if not bucket or not re.fullmatch(r"[A-Za-z0-9$][A-Za-z0-9._-]*", bucket):
        raise WrongUsage(f"state.url {url!r} names no {_WORDS[scheme].split('/')[2].lower()}", hint=right)
    if not slash or not key or key.endswith("/"):
        raise WrongUsage(f"state.url {url!r} names no key, the object's name in the bucket", hint=right)
    if any(part in {"", ".", ".."} for part in key.split("/")) or re.search(r"[\x00-\x1f\x7f]", key):
        raise WrongUsage(f"state.url {url!r}: a part of the key is empty or of dots alone", hint=right)
    return scheme, bucket, key


def _environment(scheme: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says, by obstore's names; its secrets are remembered."""
    table = {"s3": AWS, "gs": GOOGLE, "az": AZURE}[scheme]
    found = _connection_string(environ.get("AZURE_STORAGE_CONNECTION_STRING", "")) if scheme == "az" else {}
    found |= {key: environ[name].strip() for name, key in table.items() if environ.get(name, "").strip()}
    for key in _SECRET & found.keys():
        remember(found[key])
    if "sas_key" in found:
        found["sas_key"] = found["sas_key"].removeprefix("?")
        for part in parse_qs(found["sas_key"]).get("sig", []):
            remember(part)
    return found


def _connection_string(text: str) -> dict[str, Any]:
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    return {key: parts[name] for name, key in _CONNECTION_STRING.items() if parts.get(name)}


def _checked(endpoint: str, scheme: str, environ: Mapping[str, str]) -> str:
    """The endpoint, if it is one and may be used: without TLS only on this machine, or if the environment allows."""
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise WrongUsage(f"the state's endpoint {endpoint!r} is no URL of a server", hint="write https://HOST[:PORT]")
    if parts.username is not None or parts.password is not None:
        remember(parts.password or "")
        raise WrongUsage("the state's endpoint holds a user or password", hint=CREDENTIALS[scheme])
    if parts.scheme == "http" and not _loopback(host) and environ.get(_ALLOW_HTTP[scheme], "").lower() != "true":
        raise WrongUsage(
            f"the state's endpoint {endpoint} is not encrypted",
            hint=f"write https://, or set {_ALLOW_HTTP[scheme]}=true in a network that you trust",
        )
    return endpoint


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _certificates(config: Path, ca: str) -> bytes:
    try:
        data = (config / ca).read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("ascii"))
    except OSError as error:  # of which ssl's own are a kind
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
        raise WrongUsage(f"the certificates in {ca} cannot be read: {why}", hint=_CA_HINT) from error
    except ValueError as error:
        raise WrongUsage(f"the certificates in {ca} cannot be read: it is not PEM", hint=_CA_HINT) from error
    return data
