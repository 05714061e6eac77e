"""Recordings of dense traffic, made by driving many of highway-env's vehicles on a straight road, all alike in how and unlike in how fast.

They keep their distance (the intelligent driver model) and change lanes where that lets them go faster and nobody brakes hard (MOBIL).

Sources: Treiber, Hennecke & Helbing, Physical Review E 62 (2000); Kesting, Treiber & Helbing, Transportation Research Record 1999 (2007);
Leurent, highway-env (2018).
"""

from __future__ import annotations

import os
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..data.fetch import cache_folder
from ..data.traffic import Traffic
from ..errors import UsageError

LANES, WIDTH, SECONDS = 4, 4.0, 0.1
#: Distance (m) and time (s) they keep, and the time a lane change takes, about (s).
KEPT, ACROSS = (4.0, 1.2), 1.5
#: How fast they want to go, in m/s, and how far apart they begin, in metres.
WANTED, APART = (6.0, 16.0), (12.0, 26.0)


def record_highway(scene: int, cars: int = 40, seconds: float = 20.0) -> Traffic:
    """One recording at ten frames a second, kept in the cache: the first time it takes six seconds.

    Args:
        scene: Its number: where a stream of random numbers begins.
        cars: How many vehicles.
        seconds: How long.

    Raises:
        UsageError: If highway-env is not installed.
    """
    path = cache_folder() / "highway" / f"{scene}_{cars}_{round(10 * seconds)}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        save_file({"places": _drive(scene, cars, seconds)}, part)
        part.replace(path)
    places = load_file(path)["places"]
    size = torch.ones(cars)
    names = tuple(str(car) for car in range(cars))
    return Traffic(places[..., 0], places[..., 1], 5.0 * size, 2.0 * size, names, SECONDS, 0.0, LANES, WIDTH)


def _drive(scene: int, cars: int, seconds: float) -> torch.Tensor:
    """``(T, V, 2)``: along, and across from the left edge."""
    try:
        import numpy as np
        from highway_env.road.road import Road, RoadNetwork
        from highway_env.vehicle.behavior import IDMVehicle
    except ImportError as error:
        raise UsageError('Dense traffic is driven by highway-env: pip install "lowland[control]".') from error
    draw = np.random.RandomState(scene)
    net = RoadNetwork.straight_road_network(LANES, speed_limit=30, length=10_000)
    road = Road(net, np_random=draw)
    start = [draw.uniform(0, 10) for _ in range(LANES)]
    for _ in range(cars):
        lane = int(np.argmin(start))
        place: Any = net.get_lane(("0", "1", lane)).position(start[lane], 0)
        speed, wanted, timer = draw.uniform(8, 10), draw.uniform(*WANTED), draw.uniform(0, 1)
        vehicle: Any = IDMVehicle(road, place, 0, speed, ("0", "1", lane), wanted, timer=timer)
        vehicle.DISTANCE_WANTED, vehicle.TIME_WANTED, vehicle.KP_LATERAL = *KEPT, 1 / ACROSS
        road.vehicles.append(vehicle)
        start[lane] += draw.uniform(*APART)
    frames = []
    for _ in range(round(seconds / SECONDS) + 1):
        frames.append([(car.position[0], car.position[1] + WIDTH / 2) for car in road.vehicles])
        road.act()
        road.step(SECONDS)
    return torch.tensor(frames, dtype=torch.float32)
