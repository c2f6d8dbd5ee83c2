from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import yaml

from tests.imports import ROOT
from yololstm import evaluation, params
from yololstm.augmentation import Augmentation
from yololstm.errors import ParamsError


def changed(tmp_path: Path, key: str, value: object) -> Path:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    *sections, name = key.split(".")
    target = content
    for section in sections:
        target = target[section]
    target[name] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def test_the_repository_s_own_params_are_valid() -> None:
    loaded = params.load(ROOT / "params.yaml")
    assert loaded.segment.length == 16


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("segment.lenght", 24, r"segment\.lenght: unknown key\. The nearest is length"),
        ("segment.zzz", 24, r"segment\.zzz: unknown key\. Known are fps, length"),
        ("segmnt", {}, r"segmnt: unknown key\. The nearest is segment"),
        ("segment.length", "24", r"segment\.length: .*valid integer, not '24'"),
        ("segment.length", 1, r"segment\.length: .*greater than or equal to 2, not 1"),
        ("train.model", "gru", r"train\.model: .*'bilstm'.* not 'gru'"),
        ("train.augment", ["mirror", "flip"], r"augment\.1: .*'mirror', 'rotate'.* not 'flip'"),
        ("train.augment", True, r"train\.augment: .*valid list, not True"),
        ("train.seeds", [], r"train\.seeds: .*at least 1"),
        ("train.seeds", [1, 2, 1], r"train\.seeds: something stands twice in \[1, 2, 1\]"),
        ("train.seed", 0, r"train\.seed: unknown key\. The nearest is seeds"),
        ("train.precision", "float16", r"train\.precision: .*'bfloat16', not 'float16'"),
        ("train.class_weights", "yes please", r"train\.class_weights: .*boolean"),
        ("data.kind", None, r"data\.kind"),
        ("labels", ["theft"], r"labels: .*at least 2"),
        ("labels", ["theft", "theft"], "a label stands twice"),
        ("events.leave", 1.5, r"events\.leave: .*less than or equal to 1, not 1\.5"),
        ("labels", ["theft", "none"], "labels: none is for clips of which nothing is said"),
        ("events.merge_gap_s", float("inf"), r"events\.merge_gap_s: .*finite number, not inf"),
        ("events.cool_down_s", float("nan"), r"events\.cool_down_s: .*not nan"),
        ("events.false_alarms_per_hour", 0, r"false_alarms_per_hour: .*greater than 0, not 0"),
        ("data.label_map", {"fight": "brawl"}, r"label_map: \['brawl'\] not among labels"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params.load(changed(tmp_path, key, value))


def test_no_label_is_what_stands_for_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="labels"):
        params.load(changed(tmp_path, "labels", ["theft", evaluation._NONE]))


def test_augmentations_have_one_name_each() -> None:
    known = get_args(get_args(params.Train.model_fields["augment"].annotation)[0])
    assert known == tuple(field.name for field in fields(Augmentation))


def test_absent_key_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path, "segment.hop", 4)
    path.write_text(path.read_text().replace("  hop: 4\n", ""))
    with pytest.raises(ParamsError, match=r"segment\.hop: Field required"):
        params.load(path)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no such file"):
        params.load(tmp_path / "params.yaml")


def test_broken_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("labels: [theft\n")
    with pytest.raises(ParamsError, match="not YAML"):
        params.load(path)
