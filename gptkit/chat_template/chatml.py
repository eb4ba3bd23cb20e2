"""The template `chatml`, for a tokenizer with or without ChatML's own tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer

BEGIN, END = "<|im_start|>", "<|im_end|>"

_JINJA = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + END + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""


def chatml(tokenizer: Tokenizer) -> str:
    """Return the template in Jinja2. Messages end with `<|im_end|>` if it is a token of the tokenizer, else with end-of-text."""
    return _JINJA.replace("END", f"'{END}'" if END in tokenizer.special_tokens() else "eos_token")
