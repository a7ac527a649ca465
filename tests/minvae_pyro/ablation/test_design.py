"""From YAML to systems: designs, replicates, and what is told before any work."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, strategies as st
from safetensors.torch import save_file

from minvae_pyro.ablation.design import Ablation, ablation_from, read_ablation, shipped_ablations
from minvae_pyro.corpora.manifest import Entry, write_manifest
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.systems import System

ABLATION = {
    "title": "A test",
    "base": {"checkpoint": "min-vae", "seed": 3},
    "factors": {
        "start": {"both": {"start": "both"}, "visual": {"start": "visual"}, "audio": {"start": "audio"}},
        "video": {"right": {}, "late": {"video": "late-40"}},
    },
}


@pytest.fixture
def prepared_features(tmp_path, monkeypatch):
    """The prepared folders that shipped configurations name, one clip each, in the current folder."""
    for name in ("s1-train", "s1-validation", "librispeech"):
        folder = tmp_path / "prepared" / name
        (folder / "features").mkdir(parents=True)
        (folder / "settings.json").write_text(
            '{"format": 2, "stft": {"n_fft": 1024, "hop": 533, "sample_rate": 16000}}'
        )
        save_file(
            {"power": torch.ones(4, 513), "band": torch.ones(513, dtype=torch.bool)},
            folder / "features" / "0.safetensors",
        )
        write_manifest(folder, [Entry("0", "features/0.safetensors", 4, 1.0, False, 0.0, "x", "y")])
    monkeypatch.chdir(tmp_path)


def changed(**parts):
    """The ablation above with other parts."""
    return {**copy.deepcopy(ABLATION), **parts}


def levels(ablation):
    return [tuple(plan.combination.values()) for plan in ablation.plans()]


def test_one_factor_at_a_time_is_the_reference_and_every_other_level_once():
    assert levels(ablation_from(ABLATION)) == [
        ("both", "right"),
        ("visual", "right"),
        ("audio", "right"),
        ("both", "late"),
    ]


def test_the_full_design_is_every_combination():
    found = levels(ablation_from(changed(design="full")))
    assert found == list(itertools.product(("both", "visual", "audio"), ("right", "late")))


def test_chosen_combinations_leave_other_factors_at_their_reference():
    design = [{"start": ["audio", "both"], "video": "late"}, {"start": "both"}, {"video": "late"}]
    assert levels(ablation_from(changed(design=design))) == [("audio", "late"), ("both", "late"), ("both", "right")]


def test_a_plan_is_a_system_with_its_levels_as_factors():
    plan = ablation_from(changed(design=[{"start": "audio", "video": "late"}])).plans()[0]
    assert plan.system() == System(
        "start=audio, video=late",
        "min-vae",
        {"start": "audio"},
        "late-40",
        3,
        {"start": "audio", "video": "late"},
    )


def test_the_reference_is_called_so_unless_there_is_one_factor():
    one = changed(factors={"video": ABLATION["factors"]["video"]})
    assert [plan.name for plan in ablation_from(one).plans()] == ["video=right", "video=late"]
    assert ablation_from(ABLATION).plans()[0].name == "reference"


def test_replicates_are_texts_or_parts_of_a_system():
    replicates = {"training": {0: "", 1: "-seed1"}, "draw": {"a": {"seed": 0}, "b": {"seed": 1}}}
    described = changed(base={"checkpoint": "min-vae-s1{training}"}, replicates=replicates, design=[{"video": "right"}])
    systems = [plan.system() for plan in ablation_from(described).plans()]
    assert [(one.checkpoint, one.seed) for one in systems] == [
        ("min-vae-s1", 0),
        ("min-vae-s1", 1),
        ("min-vae-s1-seed1", 0),
        ("min-vae-s1-seed1", 1),
    ]
    assert systems[-1].name == "reference, training=1, draw=b"
    assert systems[-1].factors == {"start": "both", "video": "right", "training": "1", "draw": "b"}


def test_levels_overrule_replicates_and_equal_replicates_are_one():
    described = changed(
        factors={"system": {"ours": {}, "theirs": {"checkpoint": "a-vae", "seed": 0}}},
        replicates={"training": {0: {"checkpoint": "min-vae"}, 1: {"checkpoint": "min-vae-s1-seed1"}}},
    )
    found = [(plan.system().checkpoint, plan.replicate["training"]) for plan in ablation_from(described).plans()]
    assert found == [("min-vae", "0"), ("min-vae-s1-seed1", "1"), ("a-vae", "0")]


def test_a_text_reaches_strings_however_deep_and_nothing_else():
    described = changed(
        base={"checkpoint": "min-vae", "noise": {"class_path": "{kind}", "init_args": {"rank": 2}}},
        replicates={"kind": {"a": "NMFNoise"}},
    )
    plan = ablation_from(described).plans()[0]
    assert plan.system().settings["noise"] == {"class_path": "NMFNoise", "init_args": {"rank": 2}}


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_designs_have_as_many_combinations_as_arithmetic_says(sizes):
    factors = {f"f{n}": {str(level): {} for level in range(size)} for n, size in enumerate(sizes)}
    count = {design: len(Ablation("", factors, design=design).combinations()) for design in ("full", "one-at-a-time")}
    product = 1
    for size in sizes:
        product *= size
    assert count == {"full": product, "one-at-a-time": 1 + sum(size - 1 for size in sizes)}


MISTAKES = {
    "no key of an ablation": (changed(level=3), "there is no key level"),
    "no title": (changed(title=""), "key title is missing"),
    "no factors": (changed(factors={}), "key factors is missing"),
    "a factor without levels": (
        changed(factors={"start": ["visual"]}),
        "an ablation, factors: must be Mapping, not ['visual']",
    ),
    "a factor of no levels": (changed(factors={"start": {}}), "factors, start: give levels"),
    "a replicate of no levels": (changed(replicates={"training": {}}), "replicates, training: give levels"),
    "a level that is no part": (
        changed(factors={"start": {"visual": "visual"}}),
        "an ablation, factors: must be one of Mapping, not visual",
    ),
    "no key of a system": (
        changed(factors={"start": {"visual": {"begin": "visual"}}}),
        "system start=visual: there is no key begin",
    ),
    "no such start": (
        changed(factors={"start": {"x": {"start": "x"}}}),
        "system start=x, start: there is no start 'x'",
    ),
    "no such checkpoint": (changed(base={"checkpoint": "x"}), "there is no checkpoint x"),
    "no checkpoint": (changed(base={}), "key checkpoint is missing"),
    "no such design": (
        changed(design="half"),
        "an ablation, design: must be one of 'one-at-a-time', 'full', Sequence[Mapping], not half",
    ),
    "no such factor in the design": (changed(design=[{"begin": "x"}]), "design: there is no factor begin"),
    "no such level in the design": (changed(design=[{"start": ["x"]}]), "design: start has no level x"),
    "a replicate that is a factor": (changed(replicates={"start": {0: ""}}), "start is a factor and a replicate"),
    "no property of mixtures": (
        changed(by=["weather"]),
        "an ablation, by: must be 'talker', 'noise', 'snr_db', not weather",
    ),
    "properties that are no list": (changed(by="talker"), "an ablation, by: must be Sequence, not talker"),
    "claims that are no list": (
        changed(claims={"text": "x"}),
        "an ablation, claims: must be Sequence, not {'text': 'x'}",
    ),
    "a claim that is no mapping": (changed(claims=["x"]), "a claim must be a mapping with keys of text, first, than"),
    "no key of a claim": (
        changed(claims=[{"text": "x", "first": {}, "than": {}, "frist": {}}]),
        "claim 'x': there is no key frist. There are text",
    ),
    "levels of a claim that are none": (
        changed(claims=[{"text": "x", "first": "visual", "than": {}}]),
        "claim 'x', first: must be Mapping, not visual",
    ),
    "a claim against nothing": (changed(claims=[{"text": "x", "first": {}, "than": []}]), "must not be empty"),
    "no title of an ablation": ({"factors": ABLATION["factors"]}, "an ablation: key title is missing"),
    "a design of no combinations": (changed(design=["x"]), "an ablation, design: must be "),
    "a base that is no part": (changed(base="min-vae"), "an ablation, base: must be Mapping, not min-vae"),
    "a training that is none": (changed(base={"train": "a-vae"}), "train must be a mapping with keys of config"),
    "no key of a training before": (
        changed(base={"train": {"config": "a-vae", "after": {"x": {"cnfig": "a-vae"}}}}),
        "train, after: there is no key cnfig",
    ),
    "a claim without a rival": (changed(claims=[{"text": "x", "first": {}}]), "claim 'x': key than is missing"),
    "a claim on no level": (
        changed(claims=[{"text": "x", "first": {"start": "y"}, "than": {}}]),
        "claim 'x': start has no level y",
    ),
    "a claim on what is not measured": (
        changed(claims=[{"text": "x", "first": {"start": "audio", "video": "late"}, "than": {}}]),
        "claim 'x': the design leaves start=audio, video=late out",
    ),
    "no relation": (
        changed(claims=[{"text": "x", "first": {}, "than": {"start": "audio"}, "relation": "nicer"}]),
        "claim 'x', relation: must be 'better', 'not worse', not nicer",
    ),
    "no metric": (
        changed(claims=[{"text": "x", "first": {}, "than": {"start": "audio"}, "metrics": ["beauty"]}]),
        "there is no score beauty",
    ),
    "no configuration": (
        changed(base={"train": {"config": "nothing"}}),
        "training nothing: there is no configuration nothing",
    ),
    "no option of training": (
        changed(base={"train": {"config": "a-vae", "options": {"rate": 3}}}),
        "training a-vae: unrecognized arguments: --rate=3",
    ),
    "no key of training": (changed(base={"train": {"config": "a-vae", "epochs": 3}}), "train: there is no key epochs"),
    "no prepared features": (
        changed(base={"train": {"config": "a-vae", "options": {"data.train": ["nowhere"]}}}),
        "training a-vae: nowhere does not exist: name a folder made by `minvae prepare`",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(mistake):
    described, message = MISTAKES[mistake]
    with pytest.raises(UserError) as told:
        ablation_from(described)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_files_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(UserError, match=r"there is no ablation nothing: give a YAML file or one of .*videos"):
        read_ablation("nothing")
    file = tmp_path / "mine.yaml"
    file.write_text("title: [")
    with pytest.raises(UserError, match=r"cannot read the ablation .*mine\.yaml"):
        read_ablation(file)
    file.write_text("- title")
    with pytest.raises(UserError, match=r"mine\.yaml: an ablation must be a mapping"):
        read_ablation(file)


def test_there_are_ready_made_ablations():
    asked = {"enhancement", "priors", "min-vae-paper", "visual-start", "fusion", "counterparts", "videos", "inference"}
    assert asked | {"training", "published-recipe"} == set(shipped_ablations())


@pytest.mark.parametrize("name", shipped_ablations())
def test_ready_made_ablations_name_things_that_exist(name, prepared_features):
    ablation = read_ablation(name)
    plans = ablation.plans()
    assert ablation.title
    assert len({plan.name for plan in plans}) == len(plans) > len(ablation.factors)


def test_ready_made_ablations_have_every_factor_that_a_model_has(prepared_features):
    factors = {factor for name in shipped_ablations() for factor in read_ablation(name).factors}
    assert factors >= {"prior", "guide", "responsibility", "visual component", "visual network", "noise injection"}
    assert factors >= {"start", "noise", "gain", "engine", "temperature", "video"}
    videos = {plan.system().video for plan in read_ablation("videos").plans()}
    late = {f"late-{milliseconds}" for milliseconds in (40, 80, 120, 200, 400)}
    assert videos == {"right", "other", "frozen", "covered", "absent"} | late
