"""Tuned inference with the prompt run once, beside running it again for every sequence.

    python prefix_speed.py [--threads 2] [--tokens 8192] > prefix_speed.tsv

Sequences of 200 bases behind prompts of several lengths on the built-in model. Writes TSV: prompt
tokens, milliseconds per sequence both ways, their ratio, milliseconds to run the prompt once, and
the largest difference of a class's log-probability.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from hyenadna_cli import load_model
from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.prompts import soft_prompt as prompts
from hyenadna_cli.core.tasks.prompts.soft_prompt import PromptedBackbone, WordClassifier

N_BASES = 200
N_SEQUENCES = 64
N_PLAIN = 4
"""Sequences of a plain measurement, in one batch."""
REPEATS = 3


def seconds(work: Callable[[], object]) -> float:
    """The shortest of a few runs."""
    found = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def plain(model: HyenaDNA, prompt_ND: Tensor, ids_BL: Tensor, words: list[int]) -> Tensor:
    """Log-probabilities of the words by one pass over prompt, sequence and separator."""
    framed_BL = torch.nn.functional.pad(ids_BL, (0, 1), value=tokenizer.SEP)
    prompts_BND = prompt_ND.expand(len(ids_BL), -1, -1)
    embedded_BLD = torch.cat([prompts_BND, model.embed_tokens(framed_BL)], dim=1)
    logits_BV = model.logits(model.hidden_states_of(embedded_BLD)[0][:, -1])
    return torch.log_softmax(logits_BV, dim=-1)[:, words]


@torch.inference_mode()
def main() -> None:
    """Measure each prompt length and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 512, 2_048, 8_192, 32_000])
    given = parser.parse_args()
    model = load_model("builtin", offline=True, threads=given.threads)
    generator = torch.Generator().manual_seed(0)
    ids_BL = torch.randint(7, 11, (N_SEQUENCES, N_BASES), generator=generator)
    lengths_B = torch.full((N_SEQUENCES,), N_BASES)
    config = HeadConfig(task="binary", label_names=("0", "1"), pooling="last")
    print("prompt_tokens\tms_a_sequence\tms_plain\tratio\tms_prompt_once\tlargest_difference")
    for n_tokens in given.tokens:
        vectors_ND = prompts.initial_prompt(
            model, n_tokens, from_vocabulary=True, generator=generator
        )
        classifier = WordClassifier(PromptedBackbone(model, vectors_ND), config, ("A", "C")).eval()

        def once() -> None:
            classifier.eval()  # forgets the prompt's states  # noqa: B023
            classifier(ids_BL[:1], lengths_B[:1])  # noqa: B023

        ms_once = 1e3 * seconds(once)
        scores_BC = classifier(ids_BL, lengths_B)
        ms_cached = 1e3 * seconds(lambda: classifier(ids_BL, lengths_B)) / N_SEQUENCES  # noqa: B023
        words = [tokenizer.A, tokenizer.C]
        few_BL = ids_BL[:N_PLAIN]
        ms_plain = 1e3 * seconds(lambda: plain(model, vectors_ND, few_BL, words)) / N_PLAIN  # noqa: B023
        difference = (plain(model, vectors_ND, few_BL, words) - scores_BC[:N_PLAIN]).abs().max()
        ratio = ms_plain / ms_cached
        print(
            f"{n_tokens}\t{ms_cached:.2f}\t{ms_plain:.1f}\t{ratio:.1f}\t{ms_once:.0f}"
            f"\t{float(difference):.2g}",
            flush=True,
        )


if __name__ == "__main__":
    main()
