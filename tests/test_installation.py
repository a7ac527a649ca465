"""What is installed is enough: without the libraries that need not load, and from a wheel in an empty folder."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from minvae_pyro.audio.files import Sound, read_sound, write_sound
from minvae_pyro.synthetic.talker import speak

REPOSITORY = Path(__file__).resolve().parent.parent
MAIN = "from minvae_pyro.cli.main import main; sys.exit(main(sys.argv[1:]))"
WITHOUT = f"import sys; sys.modules.update(librosa=None, torchaudio=None)\n{MAIN}"
# The metrics of Lightning import librosa themselves where it is installed, but none of its parts: what cannot be loaded
# where librosa cannot is numba.
CANNOT_LOAD = f"import sys; sys.modules.update(numba=None, torchaudio=None)\n{MAIN}"
SMALL = [f"--data.{part}.utterances=2" for part in ("train", "validation")]
MEGABYTES = 25


def run(program: str, *arguments: str, folder: Path, path: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run Python code in a folder, with the package found in ``path`` or, as here, where it is installed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    noise = 0.02 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    write_sound(tmp_path / "talk.wav", Sound((speak(0.5, 3) + noise)[None], 16000))
    return tmp_path


@pytest.mark.parametrize("command", [[], ["enhance"], ["train"], ["demo"]])
def test_help_needs_no_librosa_and_no_torchaudio(command: list[str], tmp_path: Path) -> None:
    done = run(WITHOUT, *command, "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_recording_is_enhanced_without_them(talk: Path) -> None:
    done = run(WITHOUT, "enhance", "talk.wav", "--engine.iterations", "2", "--report", "report", folder=talk)
    assert done.returncode == 0, done.stderr
    assert read_sound(talk / "talk-enhanced.wav").waveform.abs().max() > 0
    assert (talk / "report" / "figure.png").is_file()


def test_a_model_is_trained_without_them(tmp_path: Path) -> None:
    """The demo's model on its corpus, but smaller."""
    done = run(CANNOT_LOAD, "train", "--config", "demo", *SMALL, "--epochs=1", "--output=run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "library"),
    [
        (["enhance", "talk.wav", "--report", "report", "--report-pitch"], "librosa"),
        (["enhance", "talk.wav", "--report", "report", "--report-scale", "mel"], "librosa"),
        (["train", "--config", "demo", *SMALL, "--data.augmentation", "MicrophoneColour"], "torchaudio"),
    ],
)
def test_what_needs_one_says_so_and_writes_nothing(arguments: list[str], library: str, talk: Path) -> None:
    done = run(CANNOT_LOAD, *arguments, folder=talk)
    assert done.returncode == 2
    assert f"needs {library}, which cannot be loaded here" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in talk.iterdir()] == ["talk.wav"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, without network: what lies in a folder ``build`` from before would get in."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in ("minvae_pyro", "models", "guides"):
        shutil.copytree(REPOSITORY / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / part, source)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(output), "."],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (file,) = output.glob("minvae_pyro-*.whl")
    return file


def test_the_wheel_holds_the_package_and_its_weights_and_no_more(wheel: Path) -> None:
    assert wheel.stat().st_size <= MEGABYTES * 2**20
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    installed = {"minvae_pyro": "minvae_pyro", "models": "minvae_pyro/models", "guides": "minvae_pyro/guides"}
    tracked = {
        f"{target}/{file.relative_to(REPOSITORY / part).as_posix()}"
        for part, target in installed.items()
        for file in (REPOSITORY / part).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == tracked
    assert "minvae_pyro/checkpoints/weights/min-vae.safetensors" in names
    assert "Requires-Python: >=3.11" in metadata
    assert {"torch>=2.11", "torchaudio>=2.11"} <= set(re.findall("^Requires-Dist: (.*)$", metadata, re.MULTILINE))


def test_the_wheel_enhances_in_an_empty_folder(wheel: Path, talk: Path) -> None:
    site, folder = talk / "site", talk / "empty"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = (
        "import sys, pathlib, minvae_pyro, minvae_pyro.models, minvae_pyro.guides\n"
        "from minvae_pyro.checkpoints.checkpoint import checkpoint_file\n"
        "for file in (minvae_pyro.__file__, minvae_pyro.models.__file__, minvae_pyro.guides.__file__, "
        "checkpoint_file('min-vae')):\n"
        f"    assert pathlib.Path(file).is_relative_to({str(site)!r}), file\n"
        f"{MAIN}"
    )
    arguments = ("enhance", str(talk / "talk.wav"), "--output", "clean.wav", "--engine.iterations", "2")
    done = run(program, *arguments, folder=folder, path=site)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["clean.wav"]
    assert read_sound(folder / "clean.wav").waveform.shape == (1, 8000)


def test_what_make_installs_is_what_the_package_asks_for() -> None:
    """Every extra that make names exists, and each build of torch has a torch and a torchaudio that are allowed."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    makefile = (REPOSITORY / "Makefile").read_text()
    extras = {name for group in re.findall(r"--editable '\.\[(.*?)\]'", makefile) for name in group.split(",")}
    assert extras
    assert extras <= set(setup["options.extras_require"])
    builds = re.findall(r"^BUILD_\w+ := (.*)$", makefile, re.MULTILINE)
    assert len(builds) == 2
    for build in builds:
        minor = {name: int(found) for name, found in re.findall(r"'(\w+) == 2\.(\d+)\.\*'", build)}
        assert minor.keys() == {"torch", "torchaudio"}
        assert min(minor.values()) >= 11
