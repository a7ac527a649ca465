import subprocess
import sys

import minvae_pyro


def test_every_public_name_is_there() -> None:
    for name in minvae_pyro.__all__:
        assert getattr(minvae_pyro, name) is not None
    assert set(minvae_pyro.__all__) <= set(dir(minvae_pyro))
    assert not hasattr(minvae_pyro, "no_such_name")


def test_importing_the_package_and_asking_for_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from minvae_pyro.cli.main import main; main(['--help']); "
        "assert main(['enhance', 'missing.wav']) == 2; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "there is no file missing.wav" in done.stderr
