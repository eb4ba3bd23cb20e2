"""Files of a model on the Hugging Face hub, downloaded once. A wrong name is answered at once: the hub is asked one time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class NotGiven(Exception):
    """The hub did not give what was asked for; the text is the reason, without a full stop."""


def snapshot(name: str, patterns: Sequence[str]) -> Path:
    """The folder with those files of a model that match any of `patterns`; of an earlier download where the hub is out of reach.

    Args:
        name: of the model, such as `openai-community/gpt2`.

    Raises:
        ImportError: the package that asks the hub is not installed.
        NotGiven: there is no such model, it is not for everybody, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except GatedRepoError:
        raise NotGiven(f"it gives {name} only to those who have asked for it: hf auth login") from None
    except RepositoryNotFoundError:
        raise NotGiven(f"it has no model {name}, or a private one") from None
    except HFValidationError:
        raise NotGiven(f"{name} is no name of a model") from None
    except LocalEntryNotFoundError:
        raise NotGiven("it cannot be reached, and nothing of that name was downloaded before") from None
    except Exception as error:  # of several libraries
        raise NotGiven(f"{type(error).__name__}: {error}".partition("\n")[0]) from None
