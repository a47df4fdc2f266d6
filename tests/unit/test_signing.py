"""Signed versions: what a trusted signer signed is served, and nothing else."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError
from typer.testing import CliRunner

from headrace.errors import InvalidInput, ModelFilesError
from headrace.model_ref import ModelRef
from headrace.settings import Settings, get_settings
from registry.__main__ import app
from registry.manifest import canonical_json
from registry.registry import Registry
from registry.served import read_served
from registry.signing import Signer, make_key
from tests.model_folder import DOUBLER, write_model

REF = ModelRef("doubler", 1)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "doubler")


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    make_key(tmp_path / "key")
    return Signer(key_file=tmp_path / "key")


@pytest.fixture
def other(tmp_path: Path) -> Signer:
    make_key(tmp_path / "other")
    return Signer(key_file=tmp_path / "other")


def trusting(url: str, *signers: Signer) -> Registry:
    return Registry(url=url, signers=[signer.public_key for signer in signers])


def test_a_version_that_a_trusted_signer_signed_is_fetched(
    url: str, folder: Path, signer: Signer, other: Signer, tmp_path: Path
) -> None:
    Registry(url=url).push(folder, name="doubler", signer=signer)

    assert trusting(url, other, signer).fetch(REF, tmp_path / "cache").is_dir()


def test_a_signature_covers_the_manifest_as_it_was_written_so_that_later_releases_can_check_it(
    url: str, folder: Path, signer: Signer, tmp_path: Path
) -> None:
    Registry(url=url).push(folder, name="doubler", signer=signer)
    version = tmp_path / "store/models/doubler/versions/00000001"
    (signature,) = (version / "signatures").iterdir()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.name))

    key.verify(signature.read_bytes(), b"headrace model version\n" + (version / "manifest.json").read_bytes())

    shortened = json.loads((version / "manifest.json").read_bytes())
    del shortened["provenance"]  # as a release wrote it that did not know the field
    (version / "manifest.json").write_bytes(canonical_json(shortened))
    Registry(url=url).sign(REF, resigned := Signer(key_file=other_key(tmp_path)))
    (second,) = set((version / "signatures").iterdir()) - {signature}
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(second.name))
    key.verify(second.read_bytes(), b"headrace model version\n" + (version / "manifest.json").read_bytes())
    assert trusting(url, resigned).manifest(REF).provenance == {}


def other_key(tmp_path: Path) -> Path:
    make_key(tmp_path / "another")
    return tmp_path / "another"


def test_a_version_that_nobody_signed_or_somebody_else_is_refused_with_the_way_out(
    url: str, folder: Path, signer: Signer, other: Signer, tmp_path: Path
) -> None:
    Registry(url=url).push(folder, name="doubler")

    with pytest.raises(ModelFilesError, match="headrace models sign doubler@1"):
        trusting(url, signer).fetch(REF, tmp_path / "cache")
    Registry(url=url).sign(REF, other)
    with pytest.raises(ModelFilesError, match="not signed by any of the 1 trusted"):
        trusting(url, signer).fetch(REF, tmp_path / "cache")


def test_a_version_can_be_signed_later_and_by_several(url: str, folder: Path, signer: Signer, other: Signer) -> None:
    Registry(url=url).push(folder, name="doubler")

    for each in (signer, other, signer):
        Registry(url=url).sign(REF, each)

    assert trusting(url, signer).manifest(REF) == trusting(url, other).manifest(REF)


@pytest.mark.parametrize("change", [{"max_batch": 99}, {"trusted": True}, {"entry": "evil.py:Doubler"}, {"files": []}])
def test_a_manifest_changed_after_it_was_signed_is_refused(
    url: str, folder: Path, signer: Signer, tmp_path: Path, change: dict[str, object]
) -> None:
    Registry(url=url).push(folder, name="doubler", signer=signer)
    path = tmp_path / "store/models/doubler/versions/00000001/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(ModelFilesError, match="not signed"):
        trusting(url, signer).manifest(REF)


def test_a_signature_of_one_version_is_none_of_another(url: str, folder: Path, signer: Signer, tmp_path: Path) -> None:
    Registry(url=url).push(folder, name="doubler", signer=signer)
    write_model(folder, DOUBLER.replace("max_batch=8", "max_batch=9"))
    Registry(url=url).push(folder, name="doubler")
    versions = tmp_path / "store/models/doubler/versions"
    (versions / "00000001/signatures").rename(versions / "00000002/signatures")

    with pytest.raises(ModelFilesError, match="doubler@2 is not signed"):
        trusting(url, signer).manifest(ModelRef("doubler", 2))


def test_what_is_not_signed_is_neither_released_nor_served(url: str, folder: Path, signer: Signer) -> None:
    with pytest.raises(ModelFilesError, match="not signed"):
        trusting(url, signer).push(folder, name="doubler")
    Registry(url=url).release(REF)

    models, problem = read_served(trusting(url, signer), {})

    assert models == {}
    assert "doubler is not served: doubler@1 is not signed" in problem


def test_a_key_is_readable_by_its_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    make_key(tmp_path / "key")

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInput, match="never written over"):
        make_key(tmp_path / "key")


@pytest.mark.parametrize("content", ["", "ed25519:", "ed25519:###", "rsa:AAAA", "ed25519:AAAA"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)

    with pytest.raises(InvalidInput, match="headrace models keygen"):
        Signer(key_file=tmp_path / "key")


def test_signatures_are_demanded_only_with_somebody_to_trust(signer: Signer) -> None:
    with pytest.raises(ValidationError, match="require_signatures needs trusted_signers"):
        Settings(require_signatures=True)
    with pytest.raises(ValidationError, match="trusted_signers"):
        Settings(trusted_signers=["ed25519:short"])

    demanded = Settings(require_signatures=True, trusted_signers=[signer.public_key])

    assert ((signer.public_key,), ()) == (demanded.signers, Settings(trusted_signers=[signer.public_key]).signers)


def test_the_command_line_makes_a_key_signs_and_then_serves(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    public = CliRunner().invoke(app, ["keygen", str(tmp_path / "key")]).output.strip()
    monkeypatch.setenv("HEADRACE_REQUIRE_SIGNATURES", "true")
    monkeypatch.setenv("HEADRACE_TRUSTED_SIGNERS", json.dumps([public]))
    get_settings.cache_clear()

    refused = CliRunner().invoke(app, ["push", str(folder)])
    signed = CliRunner().invoke(app, ["sign", "doubler@1", "--key", str(tmp_path / "key")])
    released = CliRunner().invoke(app, ["promote", "doubler@1"])

    assert [1, 0, 0] == [refused.exit_code, signed.exit_code, released.exit_code]
    assert CliRunner().invoke(app, ["push", str(folder), "--sign", str(tmp_path / "key")]).exit_code == 0
