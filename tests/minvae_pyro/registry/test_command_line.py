from pathlib import Path

import pytest

from minvae_pyro.registry.command_line import descriptions


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], {}),
        (["--seed", "3", "talk.wav"], {}),
        (["--noise", "NMFNoise"], {"noise": "NMFNoise"}),
        (["talk.wav", "--noise.rank=8"], {"noise": {"init_args": {"rank": "8"}}}),
        (
            ["--noise=A", "--noise.part", "B", "--noise.part.size", "3"],
            {
                "noise": {
                    "class_path": "A",
                    "init_args": {"part": {"class_path": "B", "init_args": {"size": "3"}}},
                }
            },
        ),
        (["--noise.init_args.rank", "8"], {"noise": {"init_args": {"rank": "8"}}}),
        (["--noise.class_path", "A", "--noise.rank", "8"], {"noise": {"class_path": "A", "init_args": {"rank": "8"}}}),
        # another class drops the arguments of the one before
        (["--noise", "A", "--noise.rank", "8", "--noise", "B"], {"noise": "B"}),
        (["--noise={class_path: A, init_args: {rank: 2}}"], {"noise": {"class_path": "A", "init_args": {"rank": 2}}}),
        (["--noisy", "A"], {}),
        (["--data.train", "A", "--data.train.size=1"], {"data.train": {"class_path": "A", "init_args": {"size": "1"}}}),
    ],
)
def test_words_become_descriptions(words: list[str], found: dict[str, object]) -> None:
    assert descriptions(words, ["noise", "data.train"]) == found


def test_a_file_is_read_and_what_is_typed_after_it_wins(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 3\nnoise: {class_path: A, init_args: {rank: 2, x: 1}}\ndata: {train: B}\n")
    words = ["--config", str(file), "--noise.rank", "5"]
    assert descriptions(words, ["noise", "data.train"]) == {
        "noise": {"class_path": "A", "init_args": {"rank": "5", "x": 1}},
        "data.train": "B",
    }
    assert descriptions([f"--config={tmp_path / 'gone.yaml'}"], ["noise"]) == {}


def test_what_is_no_yaml_stays_as_it_is() -> None:
    assert descriptions(["--noise", "{broken"], ["noise"]) == {"noise": "{broken"}
    assert descriptions(["--noise", "[A, B]", "--noise.rank", "3"], ["noise"]) == {
        "noise": {"init_args": {"rank": "3"}}
    }
