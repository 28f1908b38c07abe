"""Groups of runs, each the seeds of one experiment, compared as a study's are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.record import read_run
from vmsp_brain.run.study_record import Record, cost_of, record_of
from vmsp_brain.watch.comparison import check_same_tests
from vmsp_brain.watch.pages import check_folder
from vmsp_brain.watch.study_folder import report_data


def groups_of(words: Sequence[str]) -> dict[str, list[Path]]:
    """Run folders by group, of words such as ``UAS=results/a,results/b``; empty of other words.

    A folder that is no run stands for the runs in it.

    Raises
    ------
    ValueError
        If some words name groups and others do not, or a group is named twice or empty.
    """
    named = [word for word in words if "=" in word and not Path(word).exists()]
    if not named:
        return {}
    if len(named) < len(words):
        alone = next(word for word in words if word not in named)
        raise ValueError(f"{alone}: found no name, expected NAME={alone}, as the others have.")
    groups: dict[str, list[Path]] = {}
    for word in named:
        name, _, folders = word.partition("=")
        if not name or name in groups:
            raise ValueError(f"{word}: expected a name that no other group has, before the =.")
        groups[name] = [run for folder in folders.split(",") for run in _runs_in(Path(folder))]
    return groups


def write_group_comparison(groups: Mapping[str, Sequence[Path]], output: Path) -> str:
    """Compare groups of runs, the first being the reference; see `report_data`.

    Arguments
    ---------
    groups : dict
        From `groups_of`.
    output : Path
        The report's folder.

    Returns
    -------
    str
        The report, in Markdown.

    Raises
    ------
    FileNotFoundError, ValueError
        If something is missing or damaged, or cannot be compared; the message says what.
    """
    check_folder(output)  # before the runs are read
    paths = [path for of_group in groups.values() for path in of_group]
    with tqdm(paths, "reading runs") as progress:
        read = {str(path): read_run(path) for path in progress}
    check_same_tests(read)
    runs: list[Record] = []
    costs: dict[str, dict[str, dict[str, float]]] = {}
    for name, of_group in groups.items():
        seeds: dict[int, Path] = {}
        for path in of_group:
            seed = int(RunFolder(path).settings["seed"])
            if seed in seeds:
                raise ValueError(
                    f"{name}: {seeds[seed]} and {path} both have the seed {seed}, expected a "
                    "seed once: the same run again says nothing of the noise of seeds."
                )
            seeds[seed] = path
            runs.append({"experiment": name, "seed": seed, **record_of(path)})
            costs.setdefault(name, {})[str(seed)] = cost_of(path)
    data = {
        "experiments": list(groups),
        "seeds": list(dict.fromkeys(run["seed"] for run in runs)),
        "reference": {"*": next(iter(groups))},
        "runs": runs,
    }
    return report_data(data, costs, output)


def _runs_in(folder: Path) -> list[Path]:
    if RunFolder.is_run(folder) or not folder.is_dir():
        return [folder]
    runs = sorted(path for path in folder.iterdir() if RunFolder.is_run(path))
    if not runs:
        raise ValueError(f"{folder}: found no run in it, expected a run or a folder of runs.")
    return runs
