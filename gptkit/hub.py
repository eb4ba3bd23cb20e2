"""Files of a model on the Hugging Face hub, downloaded once. A wrong name is answered at once: the hub is asked one time.

A name may say which revision is meant, a branch, tag or commit: `owner/name@revision`. Names of the hub hold no `@`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class NotGiven(Exception):
    """The hub did not give what was asked for; the text is the reason, without a full stop."""


commits: dict[str, str] = {}
"""The commits of the names that this process has asked for, as far as they are known: a checkpoint keeps them."""


def split_revision(name: str) -> tuple[str, str | None]:
    """The model's name, and the revision behind its `@`; None where it has none, which means the newest."""
    name, at, revision = name.partition("@")
    return name, revision if at else None


def snapshot(name: str, patterns: Sequence[str]) -> Path:
    """The folder with those files of a model that match any of `patterns`; of an earlier download where the hub is out of reach.

    Args:
        name: of the model, such as `openai-community/gpt2` or `openai-community/gpt2@main`.

    Raises:
        ImportError: the package that asks the hub is not installed.
        NotGiven: there is no such model, it is not for everybody, or the hub cannot be reached.
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
        raise NotGiven(f"{full} names no revision behind its @")
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except RevisionNotFoundError:
        raise NotGiven(f"{name} has no revision {revision}") from None
    except GatedRepoError:
        raise NotGiven(f"it gives {name} only to those who have asked for it: hf auth login") from None
    except RepositoryNotFoundError:
        raise NotGiven(f"it has no model {name}, or a private one") from None
    except HFValidationError:
        raise NotGiven(f"{name} is no name of a model") from None
    except LocalEntryNotFoundError:
        of = "that name" if revision is None else f"revision {revision} of {name}"
        raise NotGiven(f"it cannot be reached, and nothing of {of} was downloaded before") from None
    except Exception as error:  # of several libraries
        raise NotGiven(f"{type(error).__name__}: {error}".partition("\n")[0]) from None
    if folder.parent.name == "snapshots":
        commits[full] = folder.name
    return folder
