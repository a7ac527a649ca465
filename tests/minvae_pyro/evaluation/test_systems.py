import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.systems import System, parse_system, read_systems

FULL = """
ours: {checkpoint: min-vae}
late and slow:
  checkpoint: a-vae
  engine: {class_path: vem, init_args: {iterations: 3}}
  start: visual
  noise: {class_path: NMFNoise, init_args: {rank: 2}}
  guide: MeanFieldGuide
  temperature: 0.5
  draws: 3
  video: late-80
  seed: 4
"""


def test_systems_are_read(tmp_path):
    path = tmp_path / "systems.yaml"
    path.write_text(FULL)
    ours, late = read_systems(path)
    assert ours == System("ours", "min-vae")
    assert (late.name, late.checkpoint, late.video, late.seed) == ("late and slow", "a-vae", "late-80", 4)
    assert late.settings == {
        "engine": {"class_path": "vem", "init_args": {"iterations": 3}},
        "start": "visual",
        "noise": {"class_path": "NMFNoise", "init_args": {"rank": 2}},
        "guide": "MeanFieldGuide",
        "temperature": 0.5,
        "draws": 3,
    }


def test_a_description_of_nothing_leaves_the_choice_to_the_model():
    system = System.from_description("x", {"checkpoint": "min-vae", "start": None}, {"start": "usual"})
    assert system.settings == {}
    assert system.factors == {"start": "usual"}


def test_systems_of_the_command_line(tmp_path):
    assert parse_system("ours=min-vae") == System("ours", "min-vae")
    assert parse_system("a-vae") == System("a-vae", "a-vae")
    with pytest.raises(UserError, match=r"system net, checkpoint: there is no checkpoint .*net\.safetensors"):
        parse_system(str(tmp_path / "net.safetensors"))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"checkpoint": "min-vaee"}, "system x, checkpoint: there is no checkpoint min-vaee"),
        ({}, "system x: key checkpoint is missing"),
        ({"checkpoint": "min-vae", "engin": "vem"}, "system x: there is no key engin. There are checkpoint, video"),
        ({"checkpoint": "min-vae", "engine": "vemm"}, "system x, engine: there is no engine 'vemm'"),
        ({"checkpoint": "min-vae", "engine": {"init_args": {}}}, "system x, engine: .*class_path"),
        ({"checkpoint": "min-vae", "start": "ears"}, "system x, start: there is no start 'ears'"),
        ({"checkpoint": "min-vae", "noise": "Pink"}, "system x, noise: there is no noise model 'Pink'"),
        ({"checkpoint": "min-vae", "guide": 3}, "system x, guide: must be one of str, .*, not 3"),
        ({"checkpoint": "min-vae", "start": 3}, "system x, start: must be one of str, .*, not 3"),
        ({"checkpoint": "min-vae", "video": "left"}, "system x, video: there is no video 'left'"),
        ({"checkpoint": "min-vae", "draws": 0}, "system x, settings: .*draws"),
        ({"checkpoint": "min-vae", "temperature": "warm"}, "system x, temperature: must be float, not warm"),
        ({"checkpoint": "min-vae", "mixing_weight": 2}, "system x, settings: .*mixing_weight"),
        ({"checkpoint": "min-vae", "gain": "word"}, "system x, gain: must be 'clip', 'frame', not word"),
        (
            {"checkpoint": "min-vae", "video": {"class_path": 3}},
            "system x, video: the video is described by a name, or by class_path",
        ),
        ({"checkpoint": 3}, "system x, checkpoint: must be str, not 3"),
        ({"checkpoint": "min-vae", "seed": True}, "system x, seed: must be int, not True"),
        ({"checkpoint": "min-vae", "seed": "one"}, "system x, seed: must be int, not one"),
    ],
)
def test_a_mistake_is_told_with_system_and_key(description, message):
    with pytest.raises(UserError, match=message) as caught:
        System.from_description("x", description)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "input", "clean", "a\\b", "a\nb", " a", "x" * 200])
def test_a_name_that_can_be_no_folder_or_is_taken(name):
    with pytest.raises(UserError, match="is no name for a system"):
        System(name, "min-vae").check()


@pytest.mark.parametrize("text", ["", "- a\n", "a: min-vae\n", "a: {", "a:\n  checkpoint: nowhere\n"])
def test_a_bad_file_of_systems_is_one_clear_line(tmp_path, text):
    path = tmp_path / "systems.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_systems(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"none\.yaml"):
        read_systems(tmp_path / "none.yaml")
