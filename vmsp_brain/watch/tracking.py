"""Where else people keep their runs: Weights & Biases and MLflow.

They take every curve that TensorBoard shows, under the same names, and the experiment's numbers.
Whose account, which project and which server is what their own variables say (``WANDB_PROJECT``,
``WANDB_MODE``, ``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``, ...). A run that goes on is one
run there too.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from speechbrain.utils.train_logger import TrainLogger, WandBLogger

from vmsp_brain.run.folder import RunFolder

logger = get_logger(__name__)

PROJECT = "vmsp_brain"
"""The project, or experiment, where their variables name none."""

_AXES = {"lambda": "steps", "gradient_norm": "steps"}
"""What the points of a group are counted in, if not in epochs."""

_TAG = "vmsp_brain.run"


class Tracker:
    """A run at one of these places.

    Arguments
    ---------
    train_logger : TrainLogger
        SpeechBrain's of that place; not asked for an ``epoch``, by which W&B's would count λ too.
    close : callable
        Tells the place that the run is at its end.
    """

    def __init__(self, train_logger: TrainLogger, close: Callable[[], None]) -> None:
        self.train_logger = train_logger
        self.close = close

    def write(self, group: str, values: Mapping[str, float], at: int) -> None:
        """Write values that belong together, at an optimizer step or an epoch."""
        named = {f"{group}/{name}": value for name, value in values.items()}
        if named:
            self.train_logger.log_stats({_AXES.get(group, "epochs"): at, **named})


def open_trackers(
    places: Iterable[str], run: RunFolder, settings: Mapping[str, Any]
) -> list[Tracker]:
    """A tracker for each place; none but on the main process.

    Arguments
    ---------
    places : list of str
        ``wandb``, ``mlflow``.
    run : RunFolder
        The run, which keeps the name by which they know it.
    settings : dict
        The experiment's numbers.

    Raises
    ------
    RuntimeError
        If a place cannot be reached, or does not let one in.
    """
    return [_open(place, run, settings) for place in places if if_main_process()]


def _open(place: str, run: RunFolder, settings: Mapping[str, Any]) -> Tracker:
    try:
        return {"wandb": _wandb, "mlflow": _mlflow}[place](run, settings)
    except Exception as error:  # of whatever the place's client speaks HTTP with
        offline = {
            "wandb": "WANDB_MODE=offline",
            "mlflow": "MLFLOW_TRACKING_URI=file:mlruns MLFLOW_ALLOW_FILE_STORE=true",
        }
        raise RuntimeError(
            f"track: {place} does not take the run ({type(error).__name__}: {error}). Set it up as "
            f"its documents say, keep the run here ({offline[place]}), or leave {place} out."
        ) from error


def _wandb(run: RunFolder, settings: Mapping[str, Any]) -> Tracker:
    import wandb

    started = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=str(run.folder),
        id=run.tracking_id(),
        resume="allow",
        dir=run.folder,
        config=dict(settings),
    )
    for axis, pattern in (
        ("epochs", "*"),
        *((axis, f"{group}/*") for group, axis in _AXES.items()),
    ):
        started.define_metric(pattern, step_metric=axis)
    # SpeechBrain's logger would begin the run itself, but raises what is no error where that fails.
    return Tracker(WandBLogger(lambda: started), started.finish)


def _mlflow(run: RunFolder, settings: Mapping[str, Any]) -> Tracker:
    train_logger = MLflowLogger(str(run.folder), run.tracking_id(), settings)
    return Tracker(train_logger, train_logger.close)


class MLflowLogger(TrainLogger):
    """SpeechBrain's interface to MLflow, which SpeechBrain itself has not.

    What MLflow does not take, after its own attempts, is counted and said; training goes on, and
    TensorBoard has all.

    Arguments
    ---------
    name : str
        How the run is called there.
    identity : str
        By which it is found again.
    settings : dict
        Its parameters.
    """

    def __init__(self, name: str, identity: str, settings: Mapping[str, Any]) -> None:
        import mlflow

        self.client, self.lost = mlflow.MlflowClient(), 0
        title = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        there = self.client.get_experiment_by_name(title)
        experiment = there.experiment_id if there else self.client.create_experiment(title)
        same = self.client.search_runs([experiment], f"tags.`{_TAG}` = '{identity}'")
        if same:
            self.run_id = same[0].info.run_id
            self.client.update_run(self.run_id, status="RUNNING")
        else:
            made = self.client.create_run(experiment, tags={_TAG: identity}, run_name=name)
            self.run_id = made.info.run_id
            params = [mlflow.entities.Param(key, str(value)) for key, value in settings.items()]
            self.client.log_batch(self.run_id, params=params)

    def log_stats(
        self,
        stats_meta: Mapping[str, float],
        train_stats: Mapping[str, float] | None = None,
        valid_stats: Mapping[str, float] | None = None,
        test_stats: Mapping[str, float] | None = None,
        verbose: bool = False,
    ) -> None:
        """Log values at the first of ``stats_meta``, which counts epochs or steps."""
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException

        (_, step), *named = stats_meta.items()
        stats = {"train": train_stats, "valid": valid_stats, "test": test_stats}
        for kind, values in stats.items():
            named += [(f"{kind}/{name}", value) for name, value in (values or {}).items()]
        now = int(time.time() * 1000)
        try:
            metrics = [Metric(name, value, now, int(step)) for name, value in named]
            self.client.log_batch(self.run_id, metrics=metrics)
        except MlflowException as error:
            self.lost += len(named)
            logger.warning(
                f"MLflow did not take {len(named)} values ({self.lost} in all), which TensorBoard "
                f"has: {error}"
            )

    def close(self) -> None:
        """The run is at its end."""
        self.client.set_terminated(self.run_id)
