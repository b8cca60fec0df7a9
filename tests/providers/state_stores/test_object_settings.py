"""What `state` in `saasbot.yml` and the environment say about an object store, and what they may not say."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store
from worlds.object_stores import Between, Store

from bot.errors import ServerUnreachable, WrongUsage
from bot.providers.secrets import MASK, redact
from bot.providers.state.objects import object_state
from bot.providers.state.objects_client import AWS, AZURE, GOOGLE, Place, connect
from bot.settings import StateSettings

HERE = Path()
SECRET = "not-a-real-secret-of-anybody"  # noqa: S105 - planted, to be looked for


def place(url: str, environ: Mapping[str, str] | None = None, **settings: str) -> Place:
    """What a URL means."""
    given = {"AZURE_STORAGE_ACCOUNT_NAME": "acme", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
    return connect(StateSettings(url, **settings), HERE, given | dict(environ or {}))[0]


def config(url: str, environ: Mapping[str, str], **settings: str) -> dict[str, object]:
    """What obstore is told."""
    return dict(connect(StateSettings(url, **settings), HERE, environ)[1].config)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_url_is_a_bucket_and_a_key(scheme: str) -> None:
    assert place(f"{scheme}://acme-saasbot/state") == Place(scheme, "acme-saasbot", "state")
    assert place(f"{scheme}://a.b_c/team/one%20two/state.json.zst").key == "team/one two/state.json.zst"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket", "names no key"),
        ("s3://bucket/", "names no key"),
        ("s3://bucket/folder/", "names no key"),
        ("s3:///key", "names no bucket"),
        ("s3://", "names no bucket"),
        ("s3:bucket/key", "lacks the two slashes after s3:"),
        ("s3:/bucket/key", "lacks the two slashes"),
        ("s3://bucket:9000/key", "names no bucket"),
        ("s3://key:secret@bucket/key", "names no bucket"),
        ("s3://bucket//key", "a part of the key is empty"),
        ("s3://bucket/a/../key", "a part of the key is empty or of dots"),
        ("s3://bucket/a%0Ab", "a part of the key is empty or of dots"),
        ("gs://bucket", "names no key"),
        ("az://container", "names no key"),
        ("az:///key", "names no container"),
    ],
)
def test_a_url_that_names_no_object_is_refused_with_the_right_form(url: str, words: str) -> None:
    with pytest.raises(WrongUsage, match=words) as caught:
        place(url)
    scheme = url[:2]
    assert f"write {scheme}://" in caught.value.hint
    assert f"such as {scheme}://" in caught.value.hint
    assert caught.value.hint.endswith("/saasbot/state.json.zst")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("minio.example.com", "is no URL of a server"),
        ("https://", "is no URL of a server"),
        ("ftp://minio.example.com", "is no URL of a server"),
        ("https://minio.example.com?x=1", "is no URL of a server"),
        ("https://[minio", "is no URL of a server"),
        ("https://minio.example.com:port", "is no URL of a server"),
        (f"https://user:{SECRET}@minio.example.com", "holds a user or password"),
        ("http://minio.example.com", "is not encrypted"),
    ],
)
def test_an_endpoint_that_will_not_do_is_refused(endpoint: str, words: str) -> None:
    with pytest.raises(WrongUsage, match=words) as caught:
        place("s3://bucket/key", endpoint=endpoint)
    assert SECRET not in caught.value.message + caught.value.hint


def test_without_encryption_only_this_machine_is_reached_unless_the_environment_allows_more() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert place("s3://bucket/key", endpoint=f"http://{host}:9000/").endpoint == f"http://{host}:9000"
    for scheme, name in (("s3", "AWS_ALLOW_HTTP"), ("gs", "GOOGLE_ALLOW_HTTP"), ("az", "AZURE_ALLOW_HTTP")):
        with pytest.raises(WrongUsage, match="is not encrypted") as caught:
            place(f"{scheme}://bucket/key", endpoint="http://minio:9000")
        assert f"{name}=true" in caught.value.hint
        assert place(f"{scheme}://bucket/key", {name: "true"}, endpoint="http://minio:9000").endpoint


def test_aws_is_told_by_the_names_of_its_own_tools_and_the_settings_win() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIA0",
        "AWS_SECRET_ACCESS_KEY": f"{SECRET}-aws",
        "AWS_SESSION_TOKEN": f"{SECRET}-session",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "https://all.example.com",
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com/",
        "AWS_ROLE_ARN": " ",
    }
    told = config("s3://bucket/key", environ)
    assert told["access_key_id"] == "AKIA0"
    assert told["secret_access_key"] == f"{SECRET}-aws"
    assert told["session_token"] == f"{SECRET}-session"
    assert (told["region"], told["endpoint"]) == ("eu-central-1", "https://s3.example.com")
    assert "role_arn" not in told
    told = config("s3://bucket/key", environ, region="us-west-2", endpoint="https://mine.example.com")
    assert (told["region"], told["endpoint"]) == ("us-west-2", "https://mine.example.com")
    assert redact(f"{SECRET}-aws and {SECRET}-session") == f"{MASK} and {MASK}"


def test_the_settings_win_over_what_obstore_finds_by_itself(moto: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_BUCKET", "another")
    assert moto.state("never/written").read() is None


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_obstore_knows_every_name_that_is_passed_on(scheme: str) -> None:
    """It refuses a name that it does not know, and every one by itself must get past that."""
    store, table = {"s3": (S3Store, AWS), "gs": (GCSStore, GOOGLE), "az": (AzureStore, AZURE)}[scheme]
    said = ""
    for key in sorted({*table.values()}):
        try:
            store("bucket", config={key: "x"})
        except (BaseError, ValueError) as error:
            said += str(error)
    assert "is not valid for store" not in said


def test_web_identity_is_passed_on(tmp_path: Path) -> None:
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/saasbot"}
    told = config("s3://bucket/key", environ)
    assert told["web_identity_token_file"] == str(tmp_path / "token")
    assert told["role_arn"] == "arn:aws:iam::1:role/saasbot"


def test_google_is_told_by_the_names_of_its_own_tools(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text(
        json.dumps({"type": "authorized_user", "client_id": "1", "client_secret": "2", "refresh_token": "3"})
    )
    told = config("gs://bucket/key", {"GOOGLE_APPLICATION_CREDENTIALS": str(key)})
    assert told["application_credentials"] == str(key)
    told = config("gs://bucket/key", {"GOOGLE_BEARER_TOKEN": f"{SECRET}-google"}, endpoint="https://gs.example.com")
    assert told["base_url"] == "https://gs.example.com"
    assert redact(f"{SECRET}-google") == MASK


def test_google_refuses_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"^state.url 'gs://bucket/key': ") as caught:
        config("gs://bucket/key", {"GOOGLE_SERVICE_ACCOUNT": str(tmp_path / "none.json")})
    assert "\n" not in caught.value.message
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint


def test_azure_is_told_by_the_names_of_its_own_tools() -> None:
    key = "bm90LWEtcmVhbC1rZXk="
    told = config("az://c/key", {"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": key})
    assert (told["account_name"], told["account_key"], told["container_name"]) == ("acme", key, "c")
    whole = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={key};BlobEndpoint=https://b.example.com/;"
    told = config("az://c/key", {"AZURE_STORAGE_CONNECTION_STRING": whole})
    assert (told["account_name"], told["account_key"]) == ("acme", key)
    assert told["endpoint"] == "https://b.example.com"
    assert redact(f"{key}.") == f"{MASK}."
    token = f"?sv=2024-01-01&sp=rw&sig={SECRET}%3D"
    assert config("az://c/key", {"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_SAS_TOKEN": token})["sas_key"]
    assert redact(f"the signature {SECRET}= alone") == f"the signature {MASK} alone"


def test_azure_without_an_account_is_refused() -> None:
    with pytest.raises(WrongUsage, match="Account must be specified") as caught:
        config("az://container/key", {})
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.hint


def test_certificates_are_read_beside_the_settings(moto: Store, tmp_path: Path) -> None:
    authority, context = certificates(tmp_path)
    with Between(moto.url) as proxy:
        proxy.encrypt(context)
        settings = StateSettings("s3://states/tls", endpoint=proxy.url.replace("http:", "https:"))
        with pytest.raises(ServerUnreachable, match="TLS fails") as caught:
            object_state(settings, tmp_path, moto.environ).read()
        assert "state.ca" in caught.value.hint
        trusting = StateSettings(settings.url, endpoint=settings.endpoint, ca=authority.name)
        assert object_state(trusting, tmp_path, moto.environ).read() is None
        environ = {**moto.environ, "AWS_CA_BUNDLE": str(authority)}
        assert object_state(settings, Path("/nowhere"), environ).read() is None
    (tmp_path / "words.pem").write_text("äöü")
    for wrong, words in (
        ("none.pem", "No such file"),
        ("key.pem", "it holds no certificate"),
        ("words.pem", "it is not PEM"),
    ):
        with pytest.raises(WrongUsage, match=f"the certificates in {wrong} cannot be read: {words}"):
            object_state(StateSettings(settings.url, ca=wrong), tmp_path, moto.environ)


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A throwaway authority, and a context with a certificate of 127.0.0.1 that it signed."""
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    leaf = (
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
    )
    for command in (
        (*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=throwaway"),
        (*new, "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1", *leaf),
    ):
        subprocess.run(("openssl", *command), cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "ca.pem", context
