"""The list of data sets: complete, well described, and what the command line shows."""

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import lowland.data
from lowland.data import Dataset, dataset, datasets, describe, listing, load, verify
from lowland.errors import UsageError


def test_every_description_is_found_and_complete():
    modules = [importlib.import_module(f"lowland.data.{m.name}") for m in pkgutil.iter_modules(lowland.data.__path__)]
    declared = [name for module in modules for name, thing in vars(module).items() if isinstance(thing, Dataset)]
    assert len(declared) == len(set(declared)) == len(datasets()) >= 8
    for name, found in datasets().items():
        assert found.name == name == name.lower()
        assert f"{name.upper()}" in declared and f"lowland.data.{name}" in sys.modules
        assert all((found.what, found.shapes, found.splits, found.source, found.licence, found.citation))
        assert bool(found.files) != bool(found.embedded)
        for file in found.files:
            assert file.editions
            assert all(len(bytes.fromhex(edition.sha256)) == 32 and edition.bytes > 0 for edition in file.editions)
            assert all(url.startswith("https://") for edition in file.editions for url in edition.urls)


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError, match=r"got 'mnits'\. Did you mean mnist"):
        load("mnits")
    with pytest.raises(UsageError, match="wanted one of adult, babi, bilingual_dict"):
        verify("imagenet-22k")


def test_the_list_says_what_is_on_this_machine(folder):
    rows = {row.name: row for row in listing()}
    assert list(rows) == list(datasets())
    assert rows["digits"].present and not rows["mnist"].present
    assert (rows["mnist"].samples, rows["orl_faces"].samples, rows["digits"].samples) == (70000, 400, 1797)


def test_a_description_is_json_and_fetches_only_when_asked(cache, shop, one_file, monkeypatch):
    shop.offers["a"] = b"hello"
    small = one_file(b"hello", shop.url("a"))
    monkeypatch.setattr("lowland.data.registry.datasets", lambda: {"letters": small})
    before = describe("letters", fetch=False)
    assert json.loads(json.dumps(before))["files"][0]["state"] == "missing" and shop.asked == []
    after = describe("letters")
    assert after["files"][0]["state"] == "ok" and after["files"][0]["path"] == str(cache / "letters" / "letters.bin")
    assert after["splits"] == {"all": 1} and after["bytes"] == 5


def test_a_result_records_splits_samples_and_checksums(folder):
    record = dataset("digits").record("train", "test")
    assert (record["split"], record["samples"]) == ("train and test", 1797)
    assert list(record["sha256"]) == ["digits.csv.gz"] and len(record["sha256"]["digits.csv.gz"]) == 64


def test_importing_the_layer_loads_no_heavy_library():
    heavy = "{'sklearn', 'scipy', 'pooch', 'PIL', 'h5py', 'requests', 'tqdm'} & set(sys.modules)"
    code = f"import sys, torch; before = {heavy}; import lowland.data; lowland.data.datasets(); print({heavy} - before)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_mnist_takes_either_wrapper_of_its_training_images():
    images = dataset("mnist").files[0]
    assert sorted(edition.bytes for edition in images.editions) == [9_630_610, 9_912_422]
