import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import minvae_pyro.training.family
from minvae_pyro.cli.main import main
from minvae_pyro.corpora.corpus import PreparedCorpus
from minvae_pyro.corpora.manifest import Entry, read_manifest, write_manifest
from minvae_pyro.errors import UserError
from minvae_pyro.training.configuration import FAMILIES, as_plain, read_configuration
from minvae_pyro.training.family import train_family
from minvae_pyro.training.roles import divided, weighed
from minvae_pyro.training.stages import arguments_of, family_file, read_family, take_apart

SETTINGS = '{"format": 2, "stft": {"n_fft": 1024, "hop": 533, "sample_rate": 16000}}'
MODEL = "prior: AudioVAE\nguide: AudioGuide\n"
FAMILY = """
stages:
  first: {config: first.yaml}
  second:
    config: second.yaml
    initialise: {prior: first, guide: first}
    data: {familiar: 2, strangers: 1}
    options: {optimisation.lr: 0.0}
"""


def prepared(folder: Path, talkers: str, mouths: str) -> str:
    """A prepared folder with a clip of each talker; some have a mouth."""
    (folder / "features").mkdir(parents=True)
    (folder / "settings.json").write_text(SETTINGS)
    generator = torch.Generator().manual_seed(0)
    entries = []
    for row, talker in enumerate(talkers):
        tensors = {"power": torch.rand(6, 513, generator=generator) + 0.01, "band": torch.ones(513, dtype=torch.bool)}
        if seen := talker in mouths:
            tensors["mouth"] = torch.zeros(6, 67, 67, dtype=torch.uint8)
            tensors["mouth_seen"] = torch.ones(6, dtype=torch.bool)
        save_file(tensors, folder / f"features/{row}.safetensors")
        entries.append(
            Entry(str(row), f"features/{row}.safetensors", 6, 5 * 533 / 16000, seen, float(seen), talker, "y")
        )
    write_manifest(folder, entries)
    return str(folder)


def talkers(folders: list[str]) -> set[str]:
    return {entry.speaker for folder in folders for entry in read_manifest(Path(folder))}


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "mine.yaml").write_text(FAMILY)
    for name in ("first", "second"):
        (tmp_path / f"{name}.yaml").write_text(MODEL)
    return [
        *("--config", str(tmp_path / "mine.yaml"), "--output", str(tmp_path / "run"), "--device=cpu", "--epochs=1"),
        f"--data.train=[{prepared(tmp_path / 'train', 'aabbccdd', 'abc')}]",
        f"--data.validation=[{prepared(tmp_path / 'validation', 'e', 'e')}]",
    ]


def test_stages_follow_each_other_and_none_is_done_twice(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_as, notes, run = minvae_pyro.training.family.train_as, [], tmp_path / "run"

    def interrupted(settings):
        if settings.output.endswith("second"):
            raise KeyboardInterrupt
        return train_as(settings)

    with monkeypatch.context() as patch:
        patch.setattr(minvae_pyro.training.family, "train_as", interrupted)
        with pytest.raises(KeyboardInterrupt, match="the same command goes on with stage second"):
            train_family(arguments, notes.append)
    first = (run / "first" / "weights.safetensors").stat()
    weights = train_family(arguments, notes.append)
    assert weights == run / "second" / "weights.safetensors"
    assert (run / "first" / "weights.safetensors").stat().st_mtime_ns == first.st_mtime_ns
    assert [note for note in notes if note.startswith("stage")] == ["stage 1 of 2: first", "stage 2 of 2: second"] * 2
    # the second began with the first, and did not move
    one, two = load_file(run / "first" / "weights.safetensors"), load_file(weights)
    assert all(torch.equal(one[name], two[name]) for name in one)
    # four of two familiar talkers, the two of the stranger once
    folders = json.loads((run / "second" / "config.json").read_text())["data"]["train"]
    assert [len(read_manifest(Path(folder))) for folder in folders] == [4, 2]
    assert not talkers(folders[:1]) & talkers(folders[1:])
    assert talkers(folders) == {"a", "b", "c"}
    assert PreparedCorpus(folders[1:]).load(0).mouth_seen.all()

    # a first stage that goes on is another beginning for the second
    notes.clear()
    train_family([*arguments, "--stages.first.epochs=2"], notes.append)
    assert notes[-1] == "stage 2 of 2: second, anew: what it begins with has changed"
    one, two = load_file(run / "first" / "weights.safetensors"), load_file(weights)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--speed=9"], "no stage has --speed"),
        (["--stages.third.epochs=2"], "there is no --stages.third.epochs: stages are first, second"),
        (["--stages.second.epochs=many"], "stage second: epochs"),
        (["--data.strangers=[nowhere]"], "data.strangers: nowhere does not exist"),
        (["--data.train=[nowhere]"], "data.train: nowhere does not exist"),
        (["--epochs"], "--epochs has no value"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], tmp_path: Path, capsys, given: list[str], message: str) -> None:
    assert main(["train", *arguments, *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages: {}", "a family has stages"),
        ("stages: {a: {config: a-vae}}\nname: mine", "nothing else"),
        ("stages: {a: {epochs: 3}}", "stage 'a' lacks config"),
        ("stages: {a: {config: a-vae, epochs: 3}}", "stage 'a' has no epochs"),
        ("stages: {a/b: {config: a-vae}}", "named by a word"),
        ("stages: {a: {config: a-vae, initialise: {prior: b}}, b: {config: a-vae}}", "does not come before"),
        ("stages: {a: {config: a-vae, data: {everybody: 1}}}", "data are train, filmed, familiar, strangers"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert family_file(["--config", str(path)]) == path
    with pytest.raises(UserError, match=message):
        read_family(path)


def test_a_folder_with_other_things_is_left_alone(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="holds no family"):
        train_family(arguments, print)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_the_shipped_family_passes_on_weights_and_options() -> None:
    stages = read_family(FAMILIES["family"])
    typed = ["--config=family", "--data.train=[mine]", "--data.validation=[held]", "--output=out", "--epochs=2"]
    own = ["--data.noise.talkers=0.5", "--stages.min-vae.optimisation.lr=0.5"]
    told = arguments_of(stages, take_apart([*typed, *own], stages))
    plain = {name: as_plain(read_configuration(one)) for name, one in told.items()}
    assert list(plain) == ["a-vae", "a-vae-context", "min-vae-visual", "min-vae-gate", "min-vae"]
    shipped = {name: as_plain(read_configuration(["--config", name])) for name in plain}
    for name, one in plain.items():
        begun = shipped[name]["initialise"]
        assert one["initialise"] == {path: file.replace("runs/", "out/") for path, file in begun.items()}
        assert (one["epochs"], one["output"], one["credits"]) == (2, f"out/{name}", "")
        assert (one["data"]["train"], one["data"]["validation"]) == (["mine"], ["held"])
    noise = {name: (one["data"]["noise"] or {}).get("init_args") for name, one in plain.items()}
    assert noise.pop("min-vae-gate") | {"snr_db": 0} == {"share": 1.0, "talkers": 0.5, "voices": [], "snr_db": 0}
    assert not any(noise.values())
    assert [one["optimisation"]["lr"] == 0.5 for one in plain.values()] == [False] * 4 + [True]


def test_strangers_that_are_given_are_strangers(tmp_path: Path) -> None:
    train, other = prepared(tmp_path / "train", "aab", "ab"), prepared(tmp_path / "other", "c", "c")
    notes: list[str] = []
    roles = divided([train], [other], tmp_path / "views", notes.append)
    assert roles == {"train": [train, other], "filmed": [train, other], "familiar": [train], "strangers": [other]}
    assert not notes
    # three clips for each of the stranger's
    assert weighed(roles, {"familiar": 1, "strangers": 1}, "gate") == [train, other, other, other]
    assert not (tmp_path / "views").exists()


def test_one_talker_has_no_stranger_and_sound_alone_no_eyes(tmp_path: Path) -> None:
    alone, unseen = prepared(tmp_path / "alone", "aa", "a"), prepared(tmp_path / "unseen", "ab", "")
    notes: list[str] = []
    roles = divided([alone], [], tmp_path / "views", notes.append)
    assert weighed(roles, {"familiar": 2, "strangers": 1}, "gate") == [alone]
    assert "--data.strangers" in notes.pop()
    roles = divided([unseen], [], tmp_path / "views", notes.append)
    assert "no clip in data.train shows a mouth" in notes.pop()
    with pytest.raises(UserError, match="stage gate learns from clips that show a mouth"):
        weighed(roles, {"familiar": 2, "strangers": 1}, "gate")
