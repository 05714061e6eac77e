"""What is particular to the question answerer; that it runs at all is tested with the gallery."""

import pytest
import torch

from lowland.data import Questions
from lowland.inference import infer
from lowland.systems.sequences.memory_qa import (
    NOTHING,
    PUBLISHED,
    TASKS,
    Config,
    build,
    choose,
    data,
    errors,
    loss,
    read,
    strangers,
    tell,
)

SMALL = Config(stories="small-world", words=40, spare=10, dim=12, places=6, tries=2)


@pytest.fixture(scope="module")
def world():
    return data(SMALL)


@pytest.fixture
def model(world):
    torch.manual_seed(0)
    made = build(SMALL)
    for energy in made.values():
        energy.network.lexicon.learn(world.extra["words"])
    return made.eval()


def test_the_published_errors_are_those_of_the_mean():
    assert len(PUBLISHED) == len(TASKS) == 20
    assert sum(PUBLISHED) / 20 == pytest.approx(12.4, abs=0.01)


def test_stories_become_symbols_with_their_facts(world):
    part = world.test
    row = int((part["facts"][:, 0] > 0).nonzero()[0])
    told, question = world.extra["asked"][row]
    fact = told[len(told) - 1 - int(part["facts"][row, 0])]
    assert fact.split()[0] == question.split()[-1].rstrip("?")
    assert fact.rstrip(".").split()[-1] == world.labels[int(part["y"][row])]
    assert (part["facts"][:, 1:] == NOTHING).all()
    assert len(world.train["x"]) + len(world.validation["x"]) == 400


def test_the_loss_is_that_of_answers_and_of_facts(model, world):
    memory, batch = model["told"].network.memory, {name: part[:7] for name, part in world.test.items()}
    logits, pointing = memory.every(batch["x"], batch["facts"])
    answers = torch.nn.functional.cross_entropy(logits[0], batch["y"])
    found = loss(memory, batch, told=True)
    torch.testing.assert_close(found.value, answers + pointing.mean())
    torch.testing.assert_close(
        loss(memory, batch).value, torch.nn.functional.cross_entropy(memory(batch["x"]), batch["y"])
    )


def test_the_try_that_knows_the_training_data_best_answers(model, world):
    energy = model["soft"]
    memory = energy.network.memory
    with torch.no_grad():
        memory.words.view(40, 2, -1)[:, 0].mul_(30)  # sure of itself, and wrong
    means = choose(memory, world.train)
    assert int(memory.chosen) == 1 and means[1] < means[0]
    x, y = world.train["x"], world.train["y"]
    wanted = torch.nn.functional.cross_entropy(-energy.table("y", x=x), y)
    assert means[1] == pytest.approx(wanted.item(), rel=1e-4)


def test_errors_are_shares_of_a_task(model, world):
    part = {**world.test, "task": torch.arange(100) % 2}
    wrong = model["soft"].table("y", x=part["x"]).argmin(-1) != part["y"]
    torch.testing.assert_close(errors(model["soft"], part), 100 * wrong.double().view(50, 2).mean(0))


def test_strangers_have_names_that_were_never_seen(world):
    strange, known = strangers(world, SMALL), world.test
    changed = strange["x"] != known["x"]
    assert changed.sum() > 300 and (strange["x"][changed] >= 30).all() and (strange["y"] >= 30).all()
    row = strange["x"][0].tolist()
    assert int(strange["y"][0]) in row


def test_a_typed_story_is_answered_in_its_own_words(model, tmp_path):
    path = tmp_path / "story.txt"
    path.write_text("Frodo went to Mount-Doom. Where is Frodo?")
    known = read([str(path)], SMALL)
    assert isinstance(known["x"], Questions)
    energy = model["named"]
    assert tell(energy, known, infer(energy, "y", x=known["x"]))[0].startswith("Where is Frodo? ")
    lexicon = energy.network.lexicon
    assert lexicon.say(31, known["x"].asked[0]) == "Mount-Doom"
    symbols = lexicon.encode(known["x"].asked, 6)
    torch.testing.assert_close(energy.table("y", x=known["x"]), energy.table("y", x=symbols))
