"""Download files of a model from the Hugging Face Hub. A wrong name fails quickly, because the Hub is queried only once.

A name may include a revision (a branch, tag or commit): `owner/name@revision`. Names on the Hub contain no `@`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class HubError(Exception):
    """The Hub did not provide the files. The message is the reason, without a full stop."""


commits: dict[str, str] = {}
"""Name -> commit, for the names that this process has downloaded. Checkpoints record them."""


def split_revision(name: str) -> tuple[str, str | None]:
    """Split a name at its `@` into the model's name and the revision; the revision is None if there is no `@`."""
    name, at, revision = name.partition("@")
    return name, revision if at else None


def snapshot(name: str, patterns: Sequence[str]) -> Path:
    """Download the files of a model that match any of `patterns`, and return their folder.

    Uses an earlier download if the Hub cannot be reached.

    Args:
        name: the model, such as `openai-community/gpt2` or `openai-community/gpt2@main`.
        patterns: glob patterns of file names.

    Raises:
        ImportError: huggingface_hub is not installed.
        HubError: the model does not exist, its access is restricted, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    full = name
    name, revision = split_revision(name)
    if revision == "":
        raise HubError(f"{full} has no revision after its @")
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except RevisionNotFoundError:
        raise HubError(f"{name} has no revision {revision}") from None
    except GatedRepoError:
        raise HubError(f"access to {name} is restricted; request it on the Hub, then run hf auth login") from None
    except RepositoryNotFoundError:
        raise HubError(f"{name} does not exist, or is private") from None
    except HFValidationError:
        raise HubError(f"{name!r} is not a valid model name") from None
    except LocalEntryNotFoundError:
        missing = name if revision is None else f"revision {revision} of {name}"
        raise HubError(f"the Hub cannot be reached, and {missing} has not been downloaded before") from None
    except Exception as error:  # exceptions of several libraries
        raise HubError(f"{type(error).__name__}: {error}".partition("\n")[0]) from None
    if folder.parent.name == "snapshots":
        commits[full] = folder.name
    return folder
