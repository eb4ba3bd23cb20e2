"""Chat templates, which convert messages to text: the base class of their configs, the built-in ones, and their hook."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gptkit.constraints import not_empty
from gptkit.errors import ConfigError, DataError
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part
from gptkit.user_files import expand_path, open_user_file

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class ChatTemplateConfig(Part):
    """How the messages of a dialogue become one text: who speaks, where an answer begins, and which token ends it.

    Subclasses set `name` to a default, add fields and implement `build`, which returns a `gptkit.chat_template.base.ChatTemplate`.
    The template is saved in checkpoints: every stage of training, `gptkit generate chat=true` and the export use the same one.
    """

    name: str = ""

    def stored(self) -> ChatTemplateConfig:
        """Return the config that checkpoints store, which must not depend on other files. Called once, when a run is composed."""
        return self

    def build(self, *, tokenizer: Tokenizer) -> ChatTemplate:
        """Build the template.

        Args:
            tokenizer: the tokenizer of the model. Its special tokens are those that the template may write.

        Raises:
            ConfigError: the template cannot be used with this tokenizer.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class PlainConfig(ChatTemplateConfig):
    """One exchange as a document: the prompt, immediately followed by the answer and end-of-text.

    A system message comes first, followed by a blank line. Speakers are not marked, so a dialogue has one exchange. Data must
    contain the space or line break between prompt and answer.
    """

    name: str = "plain"

    def build(self, *, tokenizer: Tokenizer) -> ChatTemplate:
        from gptkit.chat_template.plain import PlainTemplate

        return PlainTemplate(tokenizer)


@dataclass
class TranscriptConfig(ChatTemplateConfig):
    """A transcript with the speaker before every turn: "Human:" and "Assistant:". Every answer ends with end-of-text.

    Source: "Training a Helpful and Harmless Assistant with Reinforcement Learning from Human Feedback", section 2. A system message
    comes first, followed by a blank line.
    """

    name: str = "transcript"

    def build(self, *, tokenizer: Tokenizer) -> ChatTemplate:
        from gptkit.chat_template.plain import TranscriptTemplate

        return TranscriptTemplate(tokenizer)


@dataclass
class ChatMLConfig(ChatTemplateConfig):
    """ChatML: every message begins with `<|im_start|>` and its role on a line, and ends with `<|im_end|>`.

    If the tokenizer has no token `<|im_end|>`, messages end with end-of-text instead, and `<|im_start|>` is ordinary text. A user
    cannot write either token, so a message cannot pretend to be one of another role.
    """

    name: str = "chatml"

    def build(self, *, tokenizer: Tokenizer) -> ChatTemplate:
        from gptkit.chat_template.chatml import chatml
        from gptkit.chat_template.jinja import JinjaTemplate

        return JinjaTemplate(chatml(tokenizer), tokenizer, key="chat_template=chatml")


@dataclass
class JinjaConfig(ChatTemplateConfig):
    """A Jinja2 template as in transformers' `chat_template.jinja`, rendered in a sandbox.

    It has the variables `messages`, `add_generation_prompt`, `bos_token` and `eos_token`, the function `raise_exception`, and the
    block `{% generation %}`, which may mark answers. It must write a special token of the tokenizer after every answer.
    """

    name: str = "jinja"
    path: Annotated[str | None, "the file of the template", not_empty] = None
    text: Annotated[str | None, "the template itself; read from path, and stored in checkpoints", not_empty] = None
    date: Annotated[str | None, "the date that strftime_now() returns, such as 2024-07-26; null: there is no such function"] = None

    def __post_init__(self) -> None:
        check_date(self.date)
        if self.path is None and self.text is None:
            raise ValueError("chat_template=jinja needs a file: set chat_template.path=<file>")
        if self.path is not None and self.text is not None:
            raise ValueError("chat_template.path and chat_template.text are both set; remove one of them")

    def stored(self) -> ChatTemplateConfig:
        """Return the config with the template itself instead of its path.

        Raises:
            ConfigError: the file cannot be read.
        """
        return self if self.path is None else dataclasses.replace(self, path=None, text=self._read())

    def build(self, *, tokenizer: Tokenizer) -> ChatTemplate:
        from gptkit.chat_template.jinja import JinjaTemplate

        key = "chat_template=jinja" if self.path is None else f"chat_template.path={self.path}"
        return JinjaTemplate(self.text or self._read(), tokenizer, key=key, date=self.date)

    def _read(self) -> str:
        try:
            with open_user_file(expand_path(self.path or "")) as file:
                content = file.read().decode("utf-8")
        except DataError as error:
            raise ConfigError(f"chat_template.path={self.path}: {error}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"chat_template.path={self.path}: not UTF-8 text at byte {error.start}") from None
        if not content.strip():
            raise ConfigError(f"chat_template.path={self.path}: the file is empty")
        return content


@dataclass
class OwnTemplateConfig(ChatTemplateConfig):
    """The template that the model's tokenizer brings (`chat_template` in Hugging Face format). The default where there is one."""

    name: str = "own"
    date: Annotated[str | None, "the date that strftime_now() returns, such as 2024-07-26; null: there is no such function"] = None

    def __post_init__(self) -> None:
        check_date(self.date)

    def build(self, *, tokenizer: Tokenizer) -> ChatTemplate:
        from gptkit.chat_template.jinja import JinjaTemplate

        if not tokenizer.chat_template:
            raise ConfigError(
                "chat_template=own: the tokenizer has no chat template; use another one, such as chat_template=chatml"
            )
        return JinjaTemplate(tokenizer.chat_template, tokenizer, key="chat_template=own", date=self.date)


def check_date(date: str | None) -> None:
    """Raise ValueError if the date of a template is not one."""
    import datetime

    if date is None:
        return
    try:
        datetime.date.fromisoformat(date)
    except ValueError:
        raise ValueError(f"chat_template.date={date} must be a date, such as 2024-07-26") from None


@hookimpl
def gptkit_chat_template() -> list[type[ChatTemplateConfig]]:
    return [PlainConfig, TranscriptConfig, ChatMLConfig, JinjaConfig, OwnTemplateConfig]
