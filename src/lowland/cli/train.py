"""``lowland train SYSTEM``: train, judge, write a report; every field of the system's configuration is an option."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, DataError, UsageError
from . import show
from .options import add_output

#: Options of the verb itself, apart from the fields of `lowland.train.Settings`.
_OWN = ("config", "out", "resume", "record", "seeds", "why", "results", "quiet", "json", "debug")


def run(arguments: list[str]) -> int:
    """The verb."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    rest = arguments[1:] if name else arguments
    early = _early(rest)
    values = _read(early.config) if early.config else {}
    name = name or values.get("system")
    if early.resume is not None:
        return _resume(name, early.resume, rest)
    if name is None:
        if {"-h", "--help"} & set(rest):
            print(_general_help())
            return 0
        raise UsageError(
            "which system? `lowland systems` lists them; `lowland train SYSTEM --help` says what can be set."
        )
    return _train(name, rest, values, early.preset)


def _train(name: str, rest: list[str], values: dict[str, Any], preset: str | None) -> int:
    from ..system import find

    system = find(name)
    chosen = str(preset or values.get("preset") or "cpu")
    parser = _parser(system, chosen, values)
    options = _parse(parser, _gathered(system, rest))
    fields = [field.name for field in dataclasses.fields(system.config)]
    config = system.config(**{field: getattr(options, field) for field in fields})
    settings = _settings(options, chosen, set(fields))
    if options.record:
        from ..train import record

        return _recorded(
            record(
                system,
                config,
                settings,
                seeds=options.seeds,
                results=options.results,
                why=_reasons(system, options.why),
                command=["lowland", "train", name, *_repeatable(rest)],
                shown=_shown(options),
                finish=_report,
            ),
            options.json,
        )
    if options.seeds is not None or options.why:
        raise UsageError("--seeds and --why belong to --record, which was not given.")
    from ..train import execute

    return _finish(execute(system, config, settings, out=options.out, shown=_shown(options)), options.json)


def _resume(name: str | None, folder: str, rest: list[str]) -> int:
    from ..train import resume
    from ..train.run import read_config

    system = read_config(folder)["system"]
    if name not in (None, system):
        raise UsageError(f"--resume {folder}: that is a run of {system}, not of {name}.")
    parser = argparse.ArgumentParser(prog="lowland train", add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--resume")
    parser.add_argument("--quiet", action="store_true")
    add_output(parser)
    free = {"device": str, "data": str, "checkpoint_seconds": float, "devices": int, "strategy": str}
    for option, kind in free.items():
        parser.add_argument(_flag(option), type=kind, default=None, dest=option)
    try:
        options, unknown = parser.parse_known_args(rest)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}.") from error
    if unknown:
        raise UsageError(
            f"--resume {folder}: a run resumes with the options it was started with; leave out {' '.join(unknown)}."
        )
    changes = {option: getattr(options, option) for option in free if getattr(options, option) is not None}
    return _finish(resume(folder, settings=changes, shown=_shown(options)), options.json)


def _finish(run: Any, as_json: bool) -> int:
    """The report, the figures, and where the report is: the last line."""
    path = _report(run)
    if as_json:
        print(json.dumps({**run.result, "run": str(run.folder), "report": str(path)}, ensure_ascii=False))
        return 0
    print(show.figures(run.result["metrics"]))
    print(
        f"{run.system.name}: {show.duration(run.result['seconds'])} on {run.result['device']}; the run is {run.folder}"
    )
    print(path)
    return 0


def _recorded(outcome: tuple[Path, dict[str, Any], Any], as_json: bool) -> int:
    path, entry, report = outcome
    if as_json:
        print(json.dumps({**entry, "ledger": str(path), "report": str(report)}, ensure_ascii=False))
        return 0
    print(show.figures(entry["metrics"]))
    print(f"recorded in {path}: seeds {', '.join(map(str, entry['seeds']))}, {show.duration(entry['seconds'])} a run")
    print(report)
    return 0


def _report(run: Any) -> Path:
    from ..report import write_report
    from ..train.execution import draw
    from ..train.files import reason

    try:
        return Path(write_report(run.folder, run.system, run.result, draw(run)))
    except OSError as error:
        raise CheckpointError(f"{run.folder}: its report could not be written, {reason(error)}.") from error


# --- options ------------------------------------------------------------------------------------------------------------


def _parser(system: Any, preset: str, values: dict[str, Any]) -> Any:
    """Every field of the configuration as an option, with the defaults of the preset and the file."""
    import jsonargparse

    from ..train import Settings

    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=f"lowland train {system.name}",
        description=f"{system.title} ({system.paper}). Options of the {preset} preset; presets: {', '.join(_presets(system))}.",
        exit_on_error=False,
        default_env=False,
    )
    fields = [field.name for field in dataclasses.fields(system.config)]
    parser.add_class_arguments(system.config, fail_untyped=False)
    group = parser.add_argument_group("how it is run")
    hints: dict[str, Any] = {
        "preset": (str, "start from these values: " + ", ".join(_presets(system))),
        "seed": (int, "begins every stream of random numbers"),
        "device": (str, "auto, cpu, cuda or cuda:N"),
        "devices": (int, "processes that share each batch"),
        "precision": (str, "as Lightning Fabric names it: 32-true, bf16-mixed, ..."),
        "strategy": (str, "how processes work together: fsdp lays what is trained in pieces on them; auto is DDP"),
        "steps": (int, "no training stage takes more steps than this"),
        "data": (str, "folder of data sets, <data set>/<file>, searched first"),
        "checkpoint_seconds": (float, "seconds between two checkpoints"),
    }
    defaults = Settings(preset=preset)
    for name, (kind, about) in hints.items():
        if name not in fields:
            group.add_argument(_flag(name), dest=name, type=kind | None, default=getattr(defaults, name), help=about)
    group.add_argument(
        "--config", metavar="FILE", type=str, default=None, help="YAML of options; a run's config.yaml repeats the run"
    )
    group.add_argument(
        "--out", metavar="FOLDER", type=str | None, default=None, help="the run's folder; default: a new one in runs/"
    )
    group.add_argument("--resume", metavar="RUN", type=str | None, default=None, help="continue a run that was stopped")
    group.add_argument("--record", action="store_true", help="write the figures to the ledger")
    group.add_argument(
        "--seeds",
        type=int | None,
        default=None,
        help="with --record: number of runs; default: 3 if one takes < 5 minutes",
    )
    group.add_argument(
        "--why", action="append", default=[], metavar="METRIC=TEXT", help="with --record: why a gate was not met"
    )
    group.add_argument(
        "--results", metavar="FOLDER", type=str | None, default=None, help="with --record: the ledger's folder"
    )
    group.add_argument("--quiet", action="store_true", help="no progress bars")
    add_output(group)
    changes = {**system.presets.get(preset, {})}
    unknown = changes.keys() - set(fields)
    changes |= _from_file(system, values, fields, set(hints))
    if unknown:
        raise UsageError(
            f"{system.name}: preset {preset!r} sets {', '.join(sorted(unknown))}, which its configuration has not."
        )
    with _sentences(parser.prog):
        parser.set_defaults(changes)
    return parser


def _parse(parser: Any, rest: list[str]) -> Any:
    rest = [
        _flag(word[2:].partition("=")[0]) + word[len(word.partition("=")[0]) :] if word.startswith("--") else word
        for word in rest
    ]
    with _sentences(parser.prog):
        return parser.parse_args(_underscored(parser, rest))


def _gathered(system: Any, words: list[str]) -> list[str]:
    """Several words after an option that takes several values, as the list that the parser reads: ``--data my.de my.en``."""
    several = {_flag(field.name): "str" in str(field.type) for field in dataclasses.fields(system.config)
               if str(field.type).startswith("tuple[")}  # fmt: skip
    result: list[str] = []
    words = list(words)
    while words:
        flag = words.pop(0)
        result.append(flag)
        if flag in several and words and not words[0].startswith(("-", "[")):
            until = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
            values, words = words[:until], words[until:]
            result.append(json.dumps(values) if several[flag] else f"[{','.join(values)}]")
    return result


def _underscored(parser: Any, words: list[str]) -> list[str]:
    """``--batch-size`` for ``--batch_size``: either spelling is understood."""
    known = set(parser._option_string_actions)
    result = []
    for word in words:
        flag, equals, value = word.partition("=")
        other = "--" + flag[2:].replace("-", "_")
        result.append(
            other + equals + value if flag.startswith("--") and flag not in known and other in known else word
        )
    return result


@contextlib.contextmanager
def _sentences(prog: str) -> Any:
    """What jsonargparse complains about, as one sentence."""
    import jsonargparse

    noise = io.StringIO()
    try:
        with contextlib.redirect_stderr(noise):
            yield
    except (jsonargparse.ArgumentError, argparse.ArgumentError, TypeError, ValueError) as error:
        raise UsageError(f"{' '.join(str(error).split())} (`{prog} --help` lists what there is)") from error


def _early(rest: list[str]) -> argparse.Namespace:
    """What must be known before the other options can be."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--resume"):
        parser.add_argument(flag)
    try:
        return parser.parse_known_args(rest)[0]
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}.") from error


def _read(path: str) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"--config {path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"--config {path}: not readable YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(values, dict):
        raise DataError(f"--config {path}: wanted a YAML mapping of options to values, got {type(values).__name__}.")
    return values


def _from_file(system: Any, values: dict[str, Any], fields: list[str], settings: set[str]) -> dict[str, Any]:
    """The options a configuration file sets, flat or as a run's config.yaml has them."""
    if values.get("system", system.name) != system.name:
        raise UsageError(f"--config: it is for {values['system']}, not for {system.name}.")
    nested = values.get("config", {})
    if not isinstance(nested, dict):
        raise UsageError(f"--config: `config` must be a mapping, got {nested!r}.")
    flat = {name: value for name, value in values.items() if name not in ("system", "config", "preset")}
    # a field that is called like a common option is the field
    flat = {name: value for name, value in flat.items() if not (name in fields and name in nested)}
    unknown = (flat.keys() - set(fields) - settings) | (nested.keys() - set(fields))
    if unknown:
        raise UsageError(f"--config: {system.name} has no option called {', '.join(sorted(unknown))}.")
    return {**flat, **nested}


def _settings(options: Any, preset: str, taken: set[str]) -> Any:
    from ..train import Settings

    names = [field.name for field in dataclasses.fields(Settings) if field.name not in taken]
    return Settings(**{**{name: getattr(options, name) for name in names}, "preset": preset})


def _reasons(system: Any, texts: list[str]) -> dict[str, str]:
    reasons = {}
    for text in texts:
        metric, equals, reason = text.partition("=")
        if not equals or metric not in {m.name for m in system.metrics}:
            raise UsageError(
                f"--why {text}: wanted METRIC=TEXT with a metric among {', '.join(m.name for m in system.metrics)}."
            )
        reasons[metric] = reason
    return reasons


def _repeatable(words: list[str]) -> list[str]:
    """Without what changes no figure: where things are put, and what is said."""
    kept, skip = [], False
    for word in words:
        flag, equals, _ = word.partition("=")
        if skip and not word.startswith("--"):
            continue
        skip = False
        if flag in ("--why", "--results", "--data", "--out"):
            skip = not equals
        elif flag not in ("--quiet", "--json", "--debug"):
            kept.append(word)
    return kept


def _presets(system: Any) -> list[str]:
    return ["cpu", *(name for name in system.presets if name != "cpu")]


def _flag(name: str) -> str:
    return f"--{name}"


def _shown(options: Any) -> bool | None:
    return False if options.quiet or not sys.stderr.isatty() else None


def _general_help() -> str:
    from .gallery import entries

    names = ", ".join(entry.name for entry in entries())
    return (
        "usage: lowland train SYSTEM [options]\n       lowland train --resume RUN\n       lowland train --config FILE\n\n"
        f"Train a system, judge it and write a report.\n\nSYSTEM is one of: {names}.\n"
        "`lowland train SYSTEM --help` lists everything that can be set, with the defaults."
    )
