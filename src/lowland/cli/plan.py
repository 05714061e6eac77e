"""``lowland plan RUN ENVIRONMENT``: act in an environment by planning in what a run has learnt, or with its policy."""

from __future__ import annotations

import base64
import io
import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .options import Parser, add_device

if TYPE_CHECKING:
    from ..data import Episodes
    from ..spaces import Space
    from ..train import Model

#: How many deviations above the usual, on average over a plan, is far.
FAR = 3.0
#: What an environment is not asked to be, because `lowland.environments.record` and `replay` say it.
OURS = ("name", "agent", "episodes", "steps", "seed", "progress", "index", "render_mode")


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser(
        "plan",
        "Act in an environment, by planning or with the policy; the episodes, pictures of the best and the worst, and a report "
        "are written to RUN/plans/ENVIRONMENT.",
        epilog="examples:\n"
        "  lowland plan runs/pendulum_mpc-… Pendulum-v1\n"
        "  lowland plan runs/pendulum_mpc-… Pendulum-v1 --policy --episodes 100\n"
        "  lowland plan runs/driving-… lowland/TrafficReplay-v0 --policy --set recording=my_traffic.csv --set lanes=3",
    )
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument("environment", metavar="ENVIRONMENT", help="the id of a gymnasium environment")
    parser.add_argument("--policy", action="store_true", help="act with the policy that was trained, without planning")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of the environment; may be given several times (default: as the run's own data have it)",
    )
    parser.add_argument("--episodes", type=int, default=10, metavar="N", help="how many, side by side (default: 10)")
    parser.add_argument("--steps", type=int, metavar="N", help="at most so many in each (default: the environment's)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first episode's start; the others follow (default: 0)"
    )
    parser.add_argument("--out", metavar="FOLDER", help="write here instead")
    add_device(parser)
    options = parser.parse_args(arguments)
    for name in ("episodes", "steps"):
        if (count := getattr(options, name)) is not None and count < 1:
            raise UsageError(f"--{name}: wanted at least 1, got {count}.")
    from ..environments import record
    from ..train import load
    from ..train.log import progress

    model = load(options.run, options.device)
    world = _world(model, options)
    agent = _agent(model, options, world)
    folder = Path(
        options.out
        or Path(options.run) / "plans" / "".join(c if c.isalnum() or c == "-" else "_" for c in options.environment)
    )

    def bar(steps: Iterable[int]) -> Iterable[int]:
        return progress(steps, options.environment, None)

    began = time.monotonic()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        episodes = record(
            options.environment, agent, options.episodes, steps=options.steps, seed=options.seed, progress=bar, **world
        )
    seconds = time.monotonic() - began
    path = episodes.save(folder / "episodes.safetensors")
    figures = _figures(episodes, seconds)
    if (outside := _outside(model, agent, episodes)) is not None:
        figures["outside"] = outside
    figures["warnings"] = sorted({str(one.message) for one in said if "last plan that was safe" in str(one.message)})
    films, reason = _films(episodes, options.environment, folder, world)
    report = _report(model, episodes, films, figures, options, folder)
    if options.json:
        written = {
            "episodes_file": str(path),
            "report": str(report),
            "films": {name: str(film) for name, film in films.items()},
        }
        print(json.dumps({**figures, **written}, ensure_ascii=False))
        return 0
    print(_words(figures))
    if figures.get("outside", 0) >= 1:
        print(
            f"note: in {figures['outside']:.0f} % of what was done the model doubted far more than in its data: it was asked "
            "outside of them; record there, and train again."
        )
    for line in [*figures["warnings"], *([reason] if reason else [])]:
        print(f"note: {line}")
    for film in [*films.values(), path, report]:
        print(film)
    return 0


def _world(model: Model, options: Any) -> dict[str, Any]:
    """Options of the environment: those of the command line, and what they leave open as the system has it."""
    chosen = {}
    for words in options.set:
        name, equals, value = words.partition("=")
        if not name.isidentifier() or not equals:
            raise UsageError(f"--set: wanted OPTION=VALUE, got {words!r}.")
        if name in OURS:
            raise UsageError(f"--set: {name} is no option of an environment; see `lowland plan --help`.")
        try:
            chosen[name] = json.loads(value)
        except ValueError:
            chosen[name] = value
    known = model.system.surroundings
    return {**(known(model.config, options.environment, chosen) if known is not None else {}), **chosen}


def _agent(model: Model, options: Any, given: dict[str, Any]) -> Any:
    """Who acts, after a look at whether the environment fits what was learnt."""
    from ..environments import make, spaces_of

    if model.system.agent is None:
        raise UsageError(f"{model.system.name} does not act: its System declares no `agent`.")
    agent = model.system.agent(model.module, model.config, options.environment, options.policy)
    world = make(options.environment, **given)
    state, action = spaces_of(world)
    world.close()
    wanted = _learnt(agent) or (state, action)
    if wanted[0] != state or not _inside(wanted[1], action):
        raise UsageError(
            f"{options.environment} has states in {state!r} and actions in {action!r}, but {model.system.name} learnt of "
            f"{wanted[0]!r} and {wanted[1]!r}."
        )
    return agent


def _learnt(agent: Any) -> tuple[Space, Space] | None:
    """The spaces of states and actions that an agent plans in, or that its policy is made for; nothing, if it does not say."""
    energy: Any = getattr(agent, "energy", None)
    policy: Any = getattr(agent, "policy", None)
    if hasattr(energy, "model"):
        return energy.spaces["s"], energy.model.action
    return (policy.state, policy.action) if hasattr(policy, "state") and hasattr(policy, "action") else None


def _inside(part: Space, whole: Space) -> bool:
    """Whether an action of the one space may be taken where those of the other are allowed."""
    from ..spaces import Box

    if isinstance(part, Box) and isinstance(whole, Box) and part.shape == whole.shape:
        return bool(whole.low <= part.low and part.high <= whole.high)
    return part == whole


def _outside(model: Model, agent: Any, episodes: Episodes) -> float | None:
    """Per cent of what was done where the model's doubt was far above the usual; nothing, if it is never in doubt."""
    import torch

    from ..energy import Rollout

    energy = getattr(agent, "energy", None) or model.energies.get(model.system.main or "")
    if not isinstance(energy, Rollout) or energy.model.versions == 1 or int(episodes.lengths.max()) < energy.horizon:
        return None
    runs = episodes.windows(energy.horizon)
    known = {name: runs[name].to(energy.device) for name in ("s", "a")}
    if "z" in energy.spaces:  # what cannot be foreseen is drawn
        drawn = torch.randn(len(runs["s"]), *energy.spaces["z"].shape, generator=torch.Generator().manual_seed(0))
        known["z"] = drawn.to(energy.device)
    with torch.no_grad():
        unusual = energy.unusual_doubt(**known).mean(-1)
    return 100 * float((unusual > FAR).float().mean())


def _figures(episodes: Episodes, seconds: float) -> dict[str, Any]:
    returns = episodes.returns
    found: dict[str, Any] = {
        "episodes": len(returns),
        "steps": len(episodes.a),
        "return": returns.mean().item(),
        "worst": returns.min().item(),
        "best": returns.max().item(),
        "cost": -returns.mean().item(),
        "seconds_per_action": seconds / len(episodes.a),
        "seconds": seconds,
    }
    if success := episodes.about.get("success"):
        found["success"] = 100 * success.count("1") / len(success)
    return found


def _words(figures: dict[str, Any]) -> str:
    success = f"{figures['success']:.0f} % successes, " if "success" in figures else ""
    return (
        f"{figures['episodes']} episodes, {figures['steps']} steps: {success}return {figures['return']:.4g} "
        f"(worst {figures['worst']:.4g}, best {figures['best']:.4g}), cost {figures['cost']:.4g}; "
        f"{1e3 * figures['seconds_per_action']:.3g} ms an action"
    )


def _films(episodes: Episodes, environment: str, folder: Path, world: dict[str, Any]) -> tuple[dict[str, Path], str]:
    """GIFs of the best and the worst episode, or why there are none."""
    from PIL import Image

    from ..environments import replay
    from ..train.files import replace

    returns, films = episodes.returns, {}
    for name, index in (("best", int(returns.argmax())), ("worst", int(returns.argmin()))):
        try:
            frames = replay(environment, episodes, index, **world)
        except Exception as error:  # whatever an environment's drawing may lack
            return {}, f"no pictures: {environment} can't be drawn here: {' '.join(str(error).split())}"
        pictures = [Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
        for picture in pictures:
            picture.thumbnail((320, 320))

        def write(path: Path, pictures: list[Any] = pictures) -> None:
            pictures[0].save(path, format="GIF", save_all=True, append_images=pictures[1:], duration=50, loop=0)

        films[name] = folder / f"{name}.gif"
        replace(films[name], write)
    return films, ""


def _report(
    model: Model, episodes: Episodes, films: dict[str, Path], figures: dict[str, Any], options: Any, folder: Path
) -> Path:
    from ..report import Picture, bars, table, write_report
    from ..report.picture import Table

    returns = episodes.returns.tolist()
    pictures = []
    for name, film in films.items():
        content = base64.b64encode(io.BytesIO(film.read_bytes()).getvalue()).decode()
        image = Table(
            f'<img alt="The {name} episode" style="width:100%;max-width:320px" src="data:image/gif;base64,{content}">'
        )
        pictures.append(
            Picture(
                f"The {name} episode",
                f"Return {getattr(episodes.returns, 'max' if name == 'best' else 'min')():.4g}.",
                image,
            )
        )
    rows = [{"figure": name.replace("_", " "), "value": value} for name, value in figures.items() if name != "warnings"]
    pictures.append(
        Picture(f"In {options.environment}", "By the policy." if options.policy else "By planning.", table(rows))
    )
    each = {str(index + 1): value for index, value in enumerate(returns[:40])}
    pictures.append(Picture("Each episode", "What it brought.", bars(each, label="return")))
    words = ["lowland", "plan", options.run, options.environment, *(["--policy"] if options.policy else [])]
    words += [word for chosen in options.set for word in ("--set", chosen)]
    return write_report(folder, model.system, {"command": " ".join(words), "seconds": figures["seconds"]}, pictures)
