"""`/tokenize`, `/detokenize` and `/tokenizer_info`, as vLLM has them, for clients that count tokens or send token ids."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gptkit_serve.errors import APIError
from gptkit_serve.routes.parts import CurrentService
from gptkit_serve.schemas.tokens import DetokenizeRequest, TokenizeRequest

router = APIRouter()


@router.post("/tokenize")
async def tokenize(body: TokenizeRequest, service: CurrentService) -> dict[str, Any]:
    """Return the token ids of a text, or those before the answer to messages.

    No special tokens are added to a text. A text that is nothing but the name of a special token, as `/tokenizer_info` returns it,
    is that token.
    """
    served = service.served
    if body.model is not None:
        served.check_name(body.model)
    if body.messages is not None:
        ids = await service.encode_turns([message.turn() for message in body.messages], param="messages")
    else:
        text = body.prompt or ""
        special = served.tokenizer.special_tokens()
        ids = [special[text]] if text in special else await service.encode(text, param="prompt")
    names = [served.tokenizer.decode([each]) for each in ids] if body.return_token_strs else None
    return {"count": len(ids), "max_model_len": served.context, "tokens": ids, "token_strs": names}


@router.post("/detokenize")
async def detokenize(body: DetokenizeRequest, service: CurrentService) -> dict[str, Any]:
    """Return the text of token ids."""
    served = service.served
    if body.model is not None:
        served.check_name(body.model)
    if any(each >= served.tokenizer.size for each in body.tokens):
        raise APIError(400, f"tokens: token ids must be below {served.tokenizer.size}", param="tokens")
    return {"prompt": served.tokenizer.decode(body.tokens)}


@router.get("/tokenizer_info")
async def tokenizer_info(service: CurrentService) -> dict[str, Any]:
    """Describe the tokenizer: its size, its special tokens, and the chat template in transformers' form."""
    served = service.served
    return {
        "tokenizer_class": type(served.tokenizer).__name__,
        "vocab_size": served.tokenizer.size,
        "model_max_length": served.context,
        **served.tokenizer.named_tokens(),
        "chat_template": None if served.template is None else served.template.jinja,
    }
