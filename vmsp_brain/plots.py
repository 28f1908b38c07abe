"""Pictures of a run, drawn from what it saved, so that they can be drawn again at any time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curve = list[tuple[int, float]]
"""Points (step or epoch, value)."""

# Okabe and Ito's colours, told apart by people with any kind of colour vision; the markers tell
# the curves apart in print.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = "os^vDP*"
_NO_LANGUAGE = {"mean", "ssl"}


def read_curves(run_folder: str | Path) -> dict[str, Curve]:
    """All scalars that a run wrote for TensorBoard.

    Where a resumed run repeated steps, the later value counts.

    Arguments
    ---------
    run_folder : Path
        The run's output folder.

    Returns
    -------
    dict
        `Curve` by tag, such as ``WER_valid/fr``.

    Raises
    ------
    FileNotFoundError
        If the folder has no TensorBoard events.
    """
    files = sorted(Path(run_folder).glob("tensorboard/events.*"), key=lambda f: f.stat().st_mtime)
    points: dict[str, dict[int, float]] = {}
    for file in files:
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            for event in events.Scalars(tag):
                points.setdefault(tag, {})[event.step] = event.value
    if not points:
        raise FileNotFoundError(
            f"{run_folder} has no TensorBoard scalars in its folder tensorboard. Is it the output "
            "folder of a run that trained?"
        )
    return {tag: sorted(curve.items()) for tag, curve in points.items()}


def draw_run(curves: Mapping[str, Curve]) -> Figure:
    """A run at a glance: WER, BLEU, λ and losses over time.

    Arguments
    ---------
    curves : dict
        From `read_curves`.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    shown = ("WER_valid/", "BLEU_valid/", "lambda/", "loss_valid/")
    languages = sorted({_language(tag) for tag in curves if tag.startswith(shown)} - _NO_LANGUAGE)
    panels = [
        ("WER_valid/", "Validation WER (%), lower is better", "epoch", axes[0, 0]),
        ("BLEU_valid/", "Validation BLEU, higher is better", "epoch", axes[0, 1]),
        ("lambda/", "λ: each objective's weight in its level", "optimizer step", axes[1, 0]),
        ("loss_valid/", "Validation loss", "epoch", axes[1, 1]),
    ]
    for prefix, title, x_label, axis in panels:
        chosen = {
            tag.removeprefix(prefix): c for tag, c in curves.items() if tag.startswith(prefix)
        }
        _draw_curves(axis, chosen, languages)
        axis.set(title=title, xlabel=x_label)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if "WER_valid/mean" in curves:
        axes[0, 0].set_ylim(0, 105)  # early epochs exceed 100 by insertions
    return figure


def save_run_figure(run_folder: str | Path) -> Path:
    """Draw `draw_run` into the run's folder.

    Returns
    -------
    Path
        ``<run_folder>/figures/run.png``.
    """
    path = Path(run_folder) / "figures" / "run.png"
    path.parent.mkdir(exist_ok=True)
    draw_run(read_curves(run_folder)).savefig(path, dpi=130)
    return path


def _draw_curves(axis: Axes, curves: Mapping[str, Curve], languages: Sequence[str]) -> None:
    """A colour per language; solid lines for recognition, dashed for translation, dotted for SSL.

    The mean over languages is black and thick.
    """
    for name, curve in sorted(curves.items()):
        x, y = zip(*curve, strict=True)
        language = _language(name)
        number = languages.index(language) % (len(COLOURS) - 1) if language in languages else -1
        axis.plot(
            x,
            y,
            label=name,
            color=COLOURS[number],
            marker=MARKERS[number] if len(x) < 30 else "",
            markersize=4,
            linewidth=2.5 if language == "mean" else 1.4,
            linestyle={"st": "--", "ssl": ":"}.get(name.partition("/")[0], "-"),
        )
    axis.grid(alpha=0.3)
    if curves:
        axis.legend(fontsize=8, ncols=2)


def _language(name: str) -> str:
    """The spoken language of a curve named for a language, a pair or an objective."""
    return name.rpartition("/")[2].partition("-")[0]
