from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from voicebot.models.digest import Digest, sha256_of

GIT_BLOB_OF_HELLO = "ce013625030ba8dba906f756967f9e9ca394464a"


def test_knows_a_file_by_sha256_and_by_git_blob(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"hello\n")
    assert sha256_of(file) == hashlib.sha256(b"hello\n").hexdigest()
    assert Digest(sha256_of(file)).matches(file)
    assert Digest(GIT_BLOB_OF_HELLO).matches(file)
    file.write_bytes(b"hellO\n")
    assert not Digest(GIT_BLOB_OF_HELLO).matches(file)


@pytest.mark.parametrize("value", ["", "publisher", "abc", "G" * 64, "0" * 41])
def test_refuses_what_is_no_hash(value: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        Digest(value)
