#!/usr/bin/env python3
"""What a training step costs, in CPU time and peak memory, beside joint training.

    python tests/benchmarks/step_cost.py

prints its tables and writes results/step_cost.json. Every variant has a process of its own with
one thread, and the same utterances. Times are medians over the rounds, as ratios to the first row,
whose step is taken before and after every other one: what slows the machine slows both. Memory is
what a process of its own holds at its peak beyond what it held before it built its model, with
uas.yaml's batch size of clips as long as Common Voice's longest: a run's peak is its longest batch.
One language's graph stands at a time, so only the last one's is that large.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import torch
from torch import Tensor, nn
from torchjd.aggregation import MoDoWeighting
from torchjd.autojac import mtl_backward
from tqdm import tqdm

from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.encoders import ConformerEncoder, conformer_encoder
from vmsp_brain.method.hierarchy import Hierarchy, Level
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.penalties import LinearPenalty
from vmsp_brain.method.rows import DRAWS
from vmsp_brain.method.step import GradientStep
from vmsp_brain.names import text_key
from vmsp_brain.objectives import AttentionObjective, CTCAttentionObjective
from vmsp_brain.objectives.losses import compute_losses

BLOCKS, D_MODEL, D_FFN, N_MELS, CHANNELS = 12, 224, 896, 80, 32
SECONDS, TOKENS, VOCABULARY = 3.0, 20, 300
UTTERANCES = 20
"""Of all languages together, in each draw, where time is measured ..."""
MANY_UTTERANCES = 120
"""... and where the number of languages varies: uas.yaml's batches have 32 of each language."""
LARGE_UTTERANCES, LARGE_SECONDS = 32, (5.0, 10.0)
"""Of one language in one draw, where memory is measured: of such clips, then of such."""

LARGE = {"D_MODEL": 512, "D_FFN": 2432, "CHANNELS": 64}
"""Sizes of uas.yaml's encoder, of 83 M parameters."""

PAPER = {
    "asr/en": "en", "asr/fr": "fr", "asr/de": "de", "asr/es": "es", "asr/ca": "ca",
    "st/fr-en": "fr", "st/de-en": "de", "st/es-en": "es", "st/ca-en": "ca",
}  # fmt: skip
"""The paper's nine supervised objectives, and the language that each reads."""


def both_tasks(languages: int, translations: int = 1) -> dict[str, str]:
    """Recognition and translation of so many languages."""
    objectives = {}
    for number in range(languages):
        language = f"x{chr(ord('a') + number)}"
        objectives[f"asr/{language}"] = language
        for target in range(translations):
            objectives[f"st/{language}-y{chr(ord('a') + target)}"] = language
    return objectives


# ---------------------------------------------------------------- the experiment


def make_encoder() -> ConformerEncoder:
    """A Conformer of about 14 M parameters, or of `LARGE`, without dropout."""
    return conformer_encoder(
        d_model=D_MODEL,
        nhead=4,
        num_layers=BLOCKS,
        d_ffn=D_FFN,
        front_end_channels=CHANNELS,
        n_mels=N_MELS,
        dropout=0.0,
    )


TASKS = (["asr/*"], ["st/*"])
"""The levels: recognition over translation, where there is any."""


def make_brain(
    objectives: Mapping[str, str],
    gradient_step: Callable = GradientStep,
    levels: Sequence[Sequence[str]] = TASKS,
) -> VMSPBrain:
    """The Brain of these objectives."""
    torch.manual_seed(0)
    decoder = {"vocab_size": VOCABULARY, "d_model": D_MODEL, "d_ffn": D_FFN}
    heads = nn.ModuleDict()
    for name, language in objectives.items():
        kind = CTCAttentionObjective if name.startswith("asr/") else AttentionObjective
        heads[name] = kind(name=name, source=language, **decoder)
    declared = [Level(patterns) for patterns in levels]
    heard = [level for level in declared if any(map(level.matches, objectives))]
    for level in heard[1:]:
        level.penalty = LinearPenalty(0.1)
    brain = VMSPBrain(
        modules={"encoder": make_encoder(), "objectives": heads},
        hierarchy=Hierarchy(heard, objectives),
        tokenizers={},
        hparams={
            "seed": 0,
            "output_folder": ".",
            "encoder_opt_class": torch.optim.AdamW,
            "head_opt_class": torch.optim.AdamW,
            "encoder_lr_schedule": lambda optimizer, step: None,
            "head_lr_schedule": lambda optimizer, step: None,
            "gradient_step": gradient_step,
            "tensorboard_logger": SimpleNamespace(writer=Mock()),
        },
        run_opts={"device": "cpu"},
    )
    brain.init_optimizers()
    brain.modules.train()
    brain.optimizer_step = 1  # no measuring step: those of every 50th are not timed
    brain.gradient.begin(brain.epoch, brain.optimizer_step)  # for plain loops
    return brain


def make_batch(
    objectives: Mapping[str, str], utterances: int = UTTERANCES, large: float | None = None
) -> MultilingualBatch:
    """Two draws of so many utterances, the same number of each language; or of one utterance of
    each, but for the last language, of which there are `LARGE_UTTERANCES`, of so many seconds."""
    rng = torch.Generator().manual_seed(0)
    languages = list(dict.fromkeys(objectives.values()))
    counts = dict.fromkeys(languages, 1 if large else utterances // len(languages))
    if large:
        counts[languages[-1]] = LARGE_UTTERANCES
    items = []
    for draw, language in itertools.product(range(DRAWS), languages):
        for _ in range(counts[language]):
            samples = round(16_000 * (large or SECONDS))
            item = {"id": "", "sig": torch.randn(samples, generator=rng)}
            for name, source in objectives.items():
                if source == language:
                    item[name] = torch.randint(4, VOCABULARY, (TOKENS,), generator=rng)
                    item[text_key(name)] = "text"
            items.append((draw, language, item))
    return MultilingualBatch(items)


# ---------------------------------------------------------------- what is compared


def vmsp(
    objectives: Mapping[str, str],
    one_in: int | None = None,
    levels: Sequence[Sequence[str]] = TASKS,
    **options,
) -> Callable:
    """A step of this project; it is efficient where the top layer of so many is selected."""
    selection = LayerSelection(efficient=one_in is not None)
    selection.selected = top(BLOCKS // one_in) if one_in else None
    step = partial(GradientStep, selection=selection, measure_every=50, **options)
    brain = make_brain(objectives, step, levels)

    def run(batch: MultilingualBatch) -> None:
        brain.step += 1
        brain.fit_batch(batch)

    return run


def joint(objectives: Mapping[str, str]) -> Callable:
    """Plain joint training: a language's losses are summed, and differentiated once."""
    brain = make_brain(objectives)

    def run(batch: MultilingualBatch) -> None:
        for draw in batch.draws:
            for source, part in draw.items():
                _, losses = compute_losses(brain.modules.encoder, brain.objectives_of[source], part)
                (sum(losses.values()) / DRAWS).backward()
        brain.optimizers_step()

    return run


def reference(objectives: Mapping[str, str]) -> Callable:
    """As the method's published loop does it: an encoder forward and a whole backward pass for
    every objective and draw, and once more for the heads."""
    brain = make_brain(objectives)
    weighting = MoDoWeighting(gamma=0.01, rho=0.0)
    shared = list(brain.modules.encoder.parameters())
    optimizers = brain.optimizers_dict.values()

    def backward(batch: MultilingualBatch, name: str, draw: int) -> None:
        source = objectives[name]
        objective = brain.modules.objectives[name]
        part = batch.draws[draw][source]
        _, losses = compute_losses(brain.modules.encoder, [objective], part)
        losses[name].backward()

    def run(batch: MultilingualBatch) -> None:
        rows: list[list[Tensor]] = [[], []]
        for draw in range(DRAWS):
            for name in objectives:
                backward(batch, name, draw)
                rows[draw].append(torch.cat([p.grad.flatten() for p in shared]))
                for optimizer in optimizers:
                    optimizer.zero_grad()
        jacobians = [torch.stack(found) for found in rows]
        assign(shared, weighting(jacobians[0] @ jacobians[1].T) @ (sum(jacobians) / DRAWS))
        brain.optimizers_dict["encoder"].step()
        for name in objectives:
            backward(batch, name, draw=0)
        brain.optimizers_dict["heads"].step()
        for optimizer in optimizers:
            optimizer.zero_grad()

    return run


def torchjd(objectives: Mapping[str, str]) -> Callable:
    """TorchJD's ``mtl_backward`` on each language's hidden states, one loss after another."""
    brain = make_brain(objectives)
    weighting = MoDoWeighting(gamma=0.01, rho=0.0)
    shared = list(brain.modules.encoder.parameters())

    def run(batch: MultilingualBatch) -> None:
        rows: list[list[Tensor]] = [[], []]
        for draw in range(DRAWS):
            for source, part in batch.draws[draw].items():
                own = brain.objectives_of[source]
                frames, losses = compute_losses(brain.modules.encoder, own, part)
                mtl_backward(
                    list(losses.values()),
                    features=frames.data,
                    tasks_params=[brain.heads[name] for name in losses],
                    shared_params=shared,
                    parallel_chunk_size=1,
                )
                rows[draw].append(torch.cat([p.jac.flatten(1) for p in shared], dim=1))
                for parameter in shared:
                    del parameter.jac
        jacobians = [torch.cat(found) for found in rows]
        assign(shared, weighting(jacobians[0] @ jacobians[1].T) @ (sum(jacobians) / DRAWS))
        brain.optimizers_step()

    return run


def assign(parameters: list[nn.Parameter], direction: Tensor) -> None:
    """Put a flat direction into the parameters' ``.grad``."""
    parts = direction.split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


@dataclass
class Variant:
    """A way to take a step.

    Arguments
    ---------
    make : callable
        Builds the model and gives the step.
    objectives : dict
        The source of each objective.
    steps : int
        Steps that are timed together in a round.
    utterances : int
        Of all languages together, in each draw.
    """

    make: Callable[[Mapping[str, str]], Callable]
    objectives: Mapping[str, str]
    steps: int = 1
    utterances: int = UTTERANCES


def top(blocks: int) -> list[str]:
    """The names of the encoder's last layers."""
    return [*(f"block_{number:02d}" for number in range(BLOCKS - blocks + 1, BLOCKS + 1)), "norm"]


ONE = (["*"],)
THREE = (["asr/*"], ["st/[fd]*"], ["st/[ec]*"])
directed = partial(vmsp, lambda_from="directions")

STEPS = {
    "joint training": Variant(joint, PAPER),
    "reference-style loop": Variant(reference, PAPER),
    "TorchJD mtl_backward": Variant(torchjd, PAPER),
    "exact": Variant(vmsp, PAPER),
    "efficient, top quarter": Variant(partial(vmsp, one_in=4), PAPER),
    "efficient, top eighth": Variant(partial(vmsp, one_in=8), PAPER),
    "exact, λ every 4th step": Variant(partial(vmsp, update_weights_every=4), PAPER, steps=4),
    "efficient, top quarter, λ every 4th step": Variant(
        partial(vmsp, one_in=4, update_weights_every=4), PAPER, steps=4
    ),
    "sketched, λ delayed": Variant(partial(vmsp, sketch_size=4096), PAPER),
    "sketched, efficient, top quarter": Variant(partial(vmsp, sketch_size=4096, one_in=4), PAPER),
    "directions, one level": Variant(partial(directed, levels=ONE), PAPER),
    "directions, two levels": Variant(directed, PAPER),
    "directions, three levels": Variant(partial(directed, levels=THREE), PAPER),
    "directions, one level, λ every 4th step": Variant(
        partial(directed, levels=ONE, update_weights_every=4), PAPER, steps=4
    ),
    "directions, efficient, top quarter": Variant(partial(directed, one_in=4), PAPER),
}
LANGUAGES = {
    f"{kind}, {utterances} utterances": {
        f"{number} languages": Variant(make, both_tasks(number), utterances=utterances)
        for number in (2, 5, 10)
    }
    for kind, make, utterances in (
        ("joint training", joint, UTTERANCES),
        ("an exact step", vmsp, UTTERANCES),
        ("an exact step", vmsp, MANY_UTTERANCES),
    )
}
"""More languages are more heads, too, and smaller parts of a batch: joint training tells how much
of the growth that is."""
OBJECTIVES = {
    "1 objective": Variant(vmsp, {"asr/xa": "xa"}),
    "10 objectives": Variant(vmsp, both_tasks(5)),
    "20 objectives": Variant(vmsp, both_tasks(5, translations=3)),
}


# ---------------------------------------------------------------- measuring


def time_steps(connection, variant: Variant, sizes: Mapping[str, int]) -> None:
    """A process: builds a variant, and takes its steps when it is asked to."""
    globals().update(sizes)
    torch.set_num_threads(1)
    step = variant.make(variant.objectives)
    step(make_batch(variant.objectives))  # not timed: first uses, optimizers' state
    batch = make_batch(variant.objectives, variant.utterances)
    connection.send(None)
    while connection.recv():
        start = time.process_time()
        for _ in range(variant.steps):
            step(batch)
        connection.send((time.process_time() - start) / variant.steps)


def measure_memory(connection, variant: Variant, sizes: Mapping[str, int]) -> None:
    """A process: MiB that a variant's step adds at its peak, by the clips' seconds."""
    globals().update(sizes)
    torch.set_num_threads(1)
    before = peak_memory()
    step = variant.make(variant.objectives)
    step(make_batch(variant.objectives))  # optimizers' state
    peaks = {}
    for seconds in LARGE_SECONDS:
        step(make_batch(variant.objectives, large=seconds))
        peaks[f"{seconds:g} s"] = (peak_memory() - before) / 2**20
    connection.send(peaks)


def peak_memory() -> int:
    """This process's, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _start(target: Callable, variant: Variant, sizes: Mapping[str, int]) -> Connection:
    context = multiprocessing.get_context("spawn")
    connection, other = context.Pipe()
    context.Process(target=target, args=(other, variant, sizes), daemon=True).start()
    other.close()
    return connection


def in_turns(
    take: Callable[[str], float], names: Sequence[str], base: str, rounds: int
) -> dict[str, dict[str, float]]:
    """Medians of what each takes, and of its ratio to the mean of the base's readings just before
    and after: what makes all slower, as long as it goes on or grows evenly, is in no ratio."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for _ in tqdm(range(rounds), "rounds"):
        before = take(base)
        for name in names:
            if name == base:
                own, after = before, before
            else:
                own, after = take(name), take(base)
            seconds[name].append(own)
            ratios[name].append(own / statistics.mean([before, after]))
            before = after
    return {
        name: {
            "cpu_seconds": statistics.median(seconds[name]),
            "time_ratio": statistics.median(ratios[name]),
        }
        for name in names
    }


def measure_times(
    variants: Mapping[str, Variant], rounds: int, base: str, sizes: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """Each variant's step: seconds of CPU time, and their ratio to the base's."""
    connections = {}
    for name, variant in tqdm(variants.items(), "models"):
        connections[name] = _start(time_steps, variant, sizes)
        connections[name].recv()

    def take(name: str) -> float:
        connections[name].send(True)
        return connections[name].recv()

    found = in_turns(take, list(variants), base, rounds)
    for connection in connections.values():
        connection.send(False)
    return found


def measure(
    variants: Mapping[str, Variant], rounds: int, base: str, sizes: Mapping[str, int]
) -> dict[str, dict]:
    """Each variant's step: seconds of CPU time, MiB at the peak, and both as ratios to the base."""
    # Freed memory goes back to the system at once, so that the peak is what was in use.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    memory = {
        name: _start(measure_memory, variant, sizes).recv()
        for name, variant in tqdm(variants.items(), "memory")
    }
    del os.environ["MALLOC_MMAP_THRESHOLD_"]
    return {
        name: {
            **times,
            "memory_mib": memory[name],
            "memory_ratio": {
                seconds: memory[name][seconds] / memory[base][seconds] for seconds in memory[name]
            },
        }
        for name, times in measure_times(variants, rounds, base, sizes).items()
    }


def table(title: str, found: Mapping[str, Mapping]) -> str:
    """A Markdown table, with memory where it was measured."""
    clips = list(next(iter(found.values())).get("memory_mib", {}))
    head = [title, "CPU s", "time", *(f"memory, clips of {seconds}" for seconds in clips)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, values in found.items():
        cells = [name, f"{values['cpu_seconds']:.2f}", f"{values['time_ratio']:.2f} x"]
        cells += [
            f"{values['memory_ratio'][seconds]:.2f} x ({values['memory_mib'][seconds]:,.0f} MiB)"
            for seconds in clips
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", nargs="*", metavar="ROW", help="rows of the first table beside joint training"
    )
    parser.add_argument(
        "--large", action="store_true", help="uas.yaml's encoder in place of the smaller one"
    )
    parser.add_argument("--output", type=Path, default=Path("results/step_cost.json"))
    arguments = parser.parse_args()
    sizes = LARGE if arguments.large else {}
    globals().update(sizes)
    parameters = sum(parameter.numel() for parameter in make_encoder().parameters())
    utterances = f"{DRAWS} draws of {UTTERANCES} utterances of {SECONDS:g} s"
    print(f"A Conformer of {parameters / 1e6:.1f} M parameters, {utterances}\n", flush=True)
    base = "joint training"
    asked = {name: STEPS[name] for name in (base, *(arguments.only or STEPS))}
    steps = measure(asked, arguments.rounds, base, sizes)
    print(table("a step, 5 languages, 9 objectives", steps), "\n", flush=True)
    if arguments.only:
        return
    languages = {}
    for title, variants in LANGUAGES.items():
        languages[title] = measure_times(variants, arguments.rounds, "2 languages", sizes)
        print(table(title, languages[title]), "\n", flush=True)
    objectives = measure_times(OBJECTIVES, arguments.rounds, base="1 objective", sizes=sizes)
    print(table(f"an exact step, {UTTERANCES} utterances", objectives), flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "parameters": parameters,
        "data": utterances,
        "steps": steps,
        "languages": languages,
        "objectives": objectives,
    }
    arguments.output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
