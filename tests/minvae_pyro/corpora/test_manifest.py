import pytest
from hypothesis import given, strategies as st

from minvae_pyro.corpora.manifest import Entry, read_manifest, read_stft, write_manifest
from minvae_pyro.errors import UserError

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
entries = st.builds(
    Entry,
    id=texts,
    file=texts.map(lambda text: f"features/{text.replace('/', '')}x"),
    frames=st.integers(1, 10**6),
    seconds=st.floats(0, 1e6),
    has_mouth=st.booleans(),
    faces_found=st.floats(0, 1),
    speaker=texts,
    source=texts,
)


@given(st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.id))
def test_entries_survive_the_file(tmp_path_factory, some):
    folder = tmp_path_factory.mktemp("manifest")
    write_manifest(folder, some)
    assert read_manifest(folder) == some


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,file\na,b\n", "damaged"),
        ("", "lists no clips"),
        ("id,file,frames,seconds,has_mouth,faces_found,speaker,source\na,b,many,1,True,1,x,y\n", "damaged"),
        ("id,file,frames,seconds,has_mouth,faces_found,speaker,source\na,b,3,1,perhaps,1,x,y\n", "damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, text, message):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_manifest(tmp_path)


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no manifest\.csv"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", '{"format": 2, "stft": 3}'])
def test_damaged_settings_are_refused(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(UserError, match="damaged"):
        read_stft(tmp_path)


def test_a_folder_that_was_not_prepared_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no settings\.json"):
        read_stft(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        read_stft(tmp_path / "nowhere")
