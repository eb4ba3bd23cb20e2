"""Configs of the zero-shot tasks of "Language Models are Unsupervised Multitask Learners" (GPT-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gptkit.constraints import CONTEXT, SCORE, at_least, at_most, one_of
from gptkit.task.config import Boundary, ExampleTaskConfig, Prefix, SourceTaskConfig

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task.base import Task

DETOKENIZER_NAMES = ("none", "wikitext", "ptb", "one_billion", "lambada")
"""The keys of `gptkit.task.detokenizers.DETOKENIZERS`, which a page of settings does not import."""


@dataclass
class CBTConfig(ExampleTaskConfig):
    """Choose the word that a sentence of a story lacks, out of ten (the Children's Book Test).

    Source: "Language Models are Unsupervised Multitask Learners", section 3.2: the score of a candidate is its probability times
    that of the rest of the sentence. The paper uses the validation set, because a book of the test set is in its training data.
    """

    source: ClassVar[str] = "childrens_book_test"

    name: str = "cbt"
    detokenizer: Annotated[
        str,
        "how to undo the tokenization of the stories; none: do not",
        one_of(*DETOKENIZER_NAMES),
    ] = "ptb"
    boundary: Boundary = "joint"
    prefix: Prefix = "empty"

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.cbt import CBT

        return CBT(self, self.build_data(data))


@dataclass
class CoQAConfig(ExampleTaskConfig):
    """Answer questions of a conversation about a story, after its earlier questions and answers (CoQA).

    Sources: "Language Models are Unsupervised Multitask Learners", section 3.5: the story, the conversation and `A:`, greedy.
    "Language Models are Few-Shot Learners", section 3.4, with four beams. F1 and exact match are those of the script of CoQA: if
    several annotators answered a question, the mean over annotators of the best match with the answers of the others.
    """

    source: ClassVar[str] = "coqa"

    name: str = "coqa"
    max_new_tokens: Annotated[int, "maximum length of an answer in tokens", at_least(1), at_most(CONTEXT)] = 64
    beams: Annotated[int, "number of beams; 1: greedy", at_least(1), at_most(1024)] = 1
    length_penalty: Annotated[float, "exponent of the length penalty of beam search; 0: none", at_least(0), at_most(SCORE)] = 0.6

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.coqa import CoQA

        return CoQA(self, self.build_data(data))


@dataclass
class SummaryConfig(SourceTaskConfig):
    """Summarise articles after "TL;DR:", and compare the first sentences with the reference by ROUGE (CNN/Daily Mail).

    Source: "Language Models are Unsupervised Multitask Learners", section 3.6: 100 tokens from the 2 most probable ones, of which
    the first 3 sentences are kept. ROUGE is the F1 of the package `rouge-score` with stemming.
    """

    source: ClassVar[str] = "cloze"
    generates: ClassVar[bool] = True

    name: str = "summary"
    hint: Annotated[str, "the text after the article"] = "\nTL;DR:"
    top_k: Annotated[int, "sample from so many most probable tokens; 1: greedy", at_least(1)] = 2
    temperature: Annotated[float, "sampling temperature; 0: greedy", at_least(0), at_most(SCORE)] = 1.0
    max_new_tokens: Annotated[int, "maximum length of a summary in tokens", at_least(1), at_most(CONTEXT)] = 100
    sentences: Annotated[int, "number of sentences to keep", at_least(1)] = 3

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.summary import Summary

        return Summary(self, self.build_data(data))


@dataclass
class LambadaConfig(ExampleTaskConfig):
    """Predict the last word of a passage: accuracy of greedy decoding, with and without stop words, and perplexity (LAMBADA).

    Source: "Language Models are Unsupervised Multitask Learners", section 3.3, and "Language Models are Few-Shot Learners", section
    3.1.2, zero-shot. GPT-2's accuracy of 63.24% is the one with the stop-word filter, 52.66% the one without it.
    """

    source: ClassVar[str] = "cloze"

    name: str = "lambada"
    detokenizer: Annotated[
        str,
        "how to undo the tokenization of the passages: lambada for the files of the LAMBADA authors, none for ordinary text",
        one_of(*DETOKENIZER_NAMES),
    ] = "none"
    fill_in: Annotated[
        bool, "GPT-3's format for examples in context, a blank to fill in: `Fill in blank:`, the passage, `___. ->`, the word"
    ] = False
    boundary: Boundary = "joint"
    prefix: Prefix = "empty"

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.lambada import Lambada

        return Lambada(self, self.build_data(data))


@dataclass
class PerplexityConfig(SourceTaskConfig):
    """Perplexity per word, token, character and byte, with a sliding window: WikiText, Penn Treebank, enwik8, your own text.

    Source: "Language Models are Unsupervised Multitask Learners", section 3.1. Words, characters and bytes are those of the text
    before de-tokenization, which is invertible. Each document begins after an end-of-text token. Uses the validation split of the
    source, or all of it.
    """

    source: ClassVar[str] = "text"

    name: str = "perplexity"
    detokenizer: Annotated[
        str,
        "how to undo the tokenization of a benchmark, so that it can be restored exactly",
        one_of(*DETOKENIZER_NAMES),
    ] = "none"
    documents: Annotated[
        str,
        "what begins after an end-of-text token: file (a file or row) or line (each line of it, as in shuffled sentences)",
        one_of("file", "line"),
    ] = "file"
    words: Annotated[
        str,
        "what counts as a word: words (between white space), words_and_lines (line ends, too, as in the tables of WikiText and of "
        "the Penn Treebank), lm_eval (as in lm-evaluation-harness); auto: words, and line ends if there is a de-tokenizer",
        one_of("auto", "words", "words_and_lines", "lm_eval"),
    ] = "auto"
    stride: Annotated[
        int,
        "tokens that a window scores, with as many tokens before them as fit; 0: the whole context, without overlap",
        at_least(0),
        at_most(CONTEXT),
    ] = 0

    def build(self, *, data: DataConfig | None = None) -> Task:
        from gptkit.task.perplexity import Perplexity

        return Perplexity(self, self.build_data(data))
